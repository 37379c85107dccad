/* SPDX-License-Identifier: MIT */
/* stat.c - what there is to know about a database as a whole. */
#include <errno.h>
#include <string.h>

#include "db.h"

int banyan_get_stat(banyan *db, struct banyan_stat *out)
{
	struct banyan_stat st = { 0 };
	struct cache_stat cache;
	struct snapshot s;
	uint64_t size = 0;
	int rc = file_size(db->file, &size);
	if (rc)
		return rc;
	memcpy(st.uuid, db->sb.uuid, sizeof(st.uuid));
	memcpy(st.file_uuid, db->sb.file_uuid, sizeof(st.file_uuid));
	st.generation = db->sb.generation;
	st.format = db->sb.version;
	st.file_bytes = size;
	st.live_bytes = atomic_load(&db->live);
	st.keys = atomic_load(&db->keys);
	st.next_id = atomic_load(&db->next_id);
	st.durable_to = db->log ? log_durable_to(db->log) : db->durable_to;
	st.redo_bytes = atomic_load(&db->redo_bytes);
	cache_get_stat(db->cache, &cache);
	st.cache_bytes = cache.bytes;
	st.cache_hits = cache.hits;
	st.cache_misses = cache.misses;
	st.cache_limit = db->cache_limit;
	db_read_begin(db, &s);
	st.tree_height = s.state.layers.tree.height;
	for (unsigned i = 0; i < s.state.layers.tables; i++)
		st.redo_rows += redo_table_rows(s.state.layers.table[i].table);
	db_read_end(&s);
	st.freezes = atomic_load(&db->freezes);
	*out = st;
	return 0;
}
