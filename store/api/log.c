/* SPDX-License-Identifier: MIT */
/*
 * log.c - the public function that lists the versions of a key.
 *
 * They are found from the first to the last and told from the last to the first.
 * There may be many, so in between they are rows of a store of their own.
 */
#include <errno.h>
#include <string.h>

#include "api/attributes.h"
#include "api/handle.h"
#include "api/key_history.h"
#include "api/last_error.h"
#include "engine/rebuild.h"

#define ROW_VERSION 0x70u

struct versions {
	struct rebuild rows;
	uint64_t count;
	struct buf scratch;
};

static void key_of(uint64_t number, struct row_key *key)
{
	row_key_id(key, ROW_VERSION, number);
}

static int add(struct versions *v, timestamp time, enum banyan_event event,
	       const struct data *d)
{
	struct banyan_version version;
	struct row_key key;
	memset(&version, 0,
	       sizeof(version)); /* what lies between fields, too */
	version.time = timestamp_split(time);
	version.event = event;
	fill_attr(d, &version.attr);
	key_of(v->count++, &key);
	return rebuild_put(&v->rows, &key, &version, sizeof(version));
}

static int collect(struct store *store, const char *path, struct versions *v)
{
	struct key_history k;
	enum banyan_event event = BANYAN_KEPT;
	int rc = key_history_open(store, path, &k);
	if (rc)
		return rc;
	if (k.now.there)
		rc = add(v, k.h.began, event, &k.now.d);
	while (!rc && (rc = key_history_next(&k, &event)) == 0) {
		bool gone = event == BANYAN_DELETED || event == BANYAN_MOVED;
		rc = add(v, k.h.time, event, gone ? &k.before.d : &k.now.d);
	}
	key_history_close(&k);
	return rc < 0 ? rc : 0;
}

static int tell(struct versions *v,
		int (*visit)(void *arg, const struct banyan_version *version),
		void *arg)
{
	struct banyan_version version;
	struct row_key key;
	int rc = 0;
	while (!rc && v->count) {
		key_of(--v->count, &key);
		rc = rebuild_get(&v->rows, &key, &v->scratch);
		if (rc || v->scratch.len != sizeof(version))
			return rc ? rc : -EUCLEAN;
		memcpy(&version, v->scratch.data, sizeof(version));
		rc = visit(arg, &version);
	}
	return rc;
}

int banyan_log(banyan *db, const char *path,
	       int (*visit)(void *arg, const struct banyan_version *version),
	       void *arg)
{
	struct versions v = { 0 };
	int rc = handle_check(db);
	if (rc || !path || !visit || db->kind != HANDLE_STORE)
		return rc ? rc : -EINVAL;
	struct volume *volume = store_volume(db->store);
	rc = rebuild_open_scratch(&v.rows, volume->file,
				  db->store->cache_limit / 8);
	volume_unref(volume);
	if (!rc)
		rc = collect(db->store, path, &v);
	if (!rc)
		rc = v.count ? tell(&v, visit, arg) : -ENOENT;
	rebuild_drop(&v.rows);
	buf_free(&v.scratch);
	return (int)note_path(db, rc, __func__, path);
}
