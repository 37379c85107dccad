/* SPDX-License-Identifier: MIT */
/* stat.c - what there is to know about a database as a whole. */
#include <errno.h>
#include <string.h>

#include "engine/db.h"

int banyan_get_stat(banyan *db, struct banyan_stat *out)
{
	struct banyan_stat st = { 0 };
	struct cache_stat cache;
	struct read_txn rtxn;
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
	read_txn_begin(db, &rtxn);
	st.tree_height = rtxn.state.merged.tree.height;
	for (unsigned i = 0; i < rtxn.state.merged.tables; i++)
		st.redo_rows +=
			redo_table_rows(rtxn.state.merged.table[i].table);
	read_txn_end(&rtxn);
	st.freezes = atomic_load(&db->freezes);
	*out = st;
	return 0;
}
