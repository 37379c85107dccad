/* SPDX-License-Identifier: MIT */
/*
 * undelete.c - the public function that brings back a deleted key.
 *
 * deleted_version.h finds the state from which it is read, revive.h puts one
 * Data back. A key space is brought back level by level. Its rows, and what is
 * still to be done, are in the store that deletions.h has: memory does not follow
 * the tree.
 */
#include <errno.h>
#include <string.h>

#include "api/deleted_version.h"
#include "api/keys.h"
#include "api/last_error.h"
#include "api/revive.h"
#include "api/space_path.h"
#include "model/row_lookup.h"

enum {
	ROW_QUEUE = 0x7c, /* number: id of a key space, and of its copy */
	ROW_DONE = 0x7d, /* id of one that was brought back */
};

struct undelete {
	struct reviver r;
	struct deleted_version v;
	struct view_state past;
	struct read_txn source; /* of that */
	uint64_t first, last; /* rows of the queue */
	struct buf paths; /* of r.made, each with a NUL behind it */
};

/* ---- a key space ------------------------------------------------------ */

static int enqueue(struct undelete *u, uint64_t old, uint64_t new)
{
	struct row_key key;
	const uint64_t pair[2] = { old, new };
	deletions_row_key(ROW_QUEUE, u->last++, &key);
	return rebuild_put(&u->r.d.rows, &key, pair, sizeof(pair));
}

static int dequeue(struct undelete *u, uint64_t pair[2])
{
	struct row_key key;
	struct buf *value = &u->r.scratch;
	deletions_row_key(ROW_QUEUE, u->first++, &key);
	int rc = rebuild_get(&u->r.d.rows, &key, value);
	if (!rc && value->len != 2 * sizeof(*pair))
		rc = -EUCLEAN;
	if (!rc)
		memcpy(pair, value->data, 2 * sizeof(*pair));
	return rc;
}

static int revive_key(struct undelete *u, struct revival *r)
{
	int rc = revive_data(&u->r, r);
	if (!rc && data_is_space(&r->was.d))
		rc = enqueue(u, r->was.d.id, r->id);
	return rc;
}

struct space_copy {
	struct undelete *u;
	uint64_t id; /* of the copy */
};

static int revive_name(void *arg, const uint8_t *row, size_t len,
		       const uint8_t *value, size_t value_len)
{
	const struct space_copy *c = arg;
	struct revival r;
	(void)value;
	(void)value_len;
	if (len <= ROW_ID_LEN)
		return -EUCLEAN;
	struct name n = { get_be64(row + 1), (const char *)row + ROW_ID_LEN,
			  len - ROW_ID_LEN };
	int rc = names_lookup(c->u->r.source, &n, &r.was);
	if (rc)
		return rc;
	r.to = (struct name){ c->id, n.bytes, n.len };
	r.top = false;
	return revive_key(c->u, &r);
}

struct times {
	uint64_t id;
	const struct data *was;
};

/* Keys that were made in it have changed them */
static int set_times(struct reviver *u, struct txn *txn, void *arg)
{
	const struct times *t = arg;
	struct located l;
	(void)u;
	int rc = names_space(&txn->state, t->id, &l.d);
	if (rc)
		return rc;
	location_set(&l.at, 0, NULL, 0);
	l.d.mtime = t->was->mtime;
	l.d.atime = t->was->atime;
	l.d.ctime = txn_time(txn, l.d.ctime);
	return data_save(txn, &l);
}

/* A damaged file may have key spaces in a circle */
static int note_done(struct undelete *u, uint64_t space)
{
	struct row_key key;
	deletions_row_key(ROW_DONE, space, &key);
	int rc = rebuild_has(&u->r.d.rows, &key);
	if (rc)
		return rc < 0 ? rc : -EUCLEAN;
	return rebuild_put(&u->r.d.rows, &key, NULL, 0);
}

static int revive_space(struct undelete *u, uint64_t old, uint64_t new)
{
	struct space_copy c = { u, new };
	struct row_key prefix;
	struct data was;
	struct times t = { new, &was };
	row_key_id(&prefix, ROW_NAME, old);
	int rc = note_done(u, old);
	if (rc)
		return rc;
	rc = names_space(u->r.source, old, &was);
	if (!rc)
		rc = rows_visit(u->r.source, prefix.bytes, prefix.len,
				revive_name, &c);
	return rc ? rc : revive_run(&u->r, set_times, &t);
}

/* ---- all of it -------------------------------------------------------- */

struct target {
	const char *path;
	struct name n;
};

static int find_target(struct reviver *u, struct txn *txn, void *arg)
{
	struct target *t = arg;
	struct located l;
	(void)u;
	int rc = resolve_last(txn, t->path, false, &t->n);
	if (!rc)
		rc = names_lookup(&txn->state, &t->n, &l);
	if (rc == 0)
		return -EEXIST;
	return rc == -ENOENT && t->n.space ? 0 : rc;
}

static int revive_all(struct undelete *u, const char *to)
{
	struct target t = { .path = to };
	struct revival r = { .top = true };
	uint64_t pair[2];
	int rc = revive_run(&u->r, find_target, &t);
	if (rc)
		return rc;
	r.to = t.n;
	rc = deletion_is_space(&u->v.key) ?
		     names_space(u->r.source, u->v.key.id, &r.was.d) :
		     names_lookup(u->r.source, &u->v.name, &r.was);
	if (!rc)
		rc = revive_key(u, &r);
	while (!rc && u->first < u->last) {
		rc = dequeue(u, pair);
		if (!rc)
			rc = revive_space(u, pair[0], pair[1]);
	}
	return rc == -ENOENT || rc == -ENOTDIR ? -EUCLEAN : rc;
}

/* The paths of the keys that were noted, before nothing can go wrong any more */
static int name_made(struct reviver *u, struct txn *txn, void *arg)
{
	struct buf *paths = arg;
	struct reader in = reader_of(u->made.data, u->made.len);
	int rc = 0;
	while (!rc && reader_left(&in)) {
		uint64_t space = read_be64(&in);
		uint8_t len = read_u8(&in);
		const uint8_t *name = read_bytes(&in, len);
		rc = space_path(&txn->state, space, &u->scratch);
		/* What somebody has removed since has none */
		if (rc > 0) {
			rc = 0;
			continue;
		}
		buf_add(paths, u->scratch.data, u->scratch.len);
		buf_add(paths, name, len);
		buf_add_u8(paths, 0);
		if (!rc && paths->failed)
			rc = -ENOMEM;
	}
	return rc;
}

static int go_back(struct undelete *u)
{
	const struct history *h = &u->r.d.h;
	int rc = past_before(h->store, h->now, u->v.state, &u->past);
	if (rc)
		return rc;
	read_txn_begin_at(h->store, u->past.view, u->past.seq, &u->source);
	read_txn_pin(&u->source);
	u->r.source = &u->source.state;
	u->r.from = u->v.name;
	return 0;
}

static int undelete(struct undelete *u, const char *path, const char *to)
{
	struct store *store = u->r.db->store;
	int rc = deletions_open_path(store, path, &u->r.d);
	if (rc)
		return rc;
	rc = deleted_version_find(store, &u->r.d, path, &u->v);
	if (!rc)
		rc = go_back(u);
	if (!rc)
		rc = revive_begin(&u->r);
	if (!rc)
		rc = revive_all(u, to);
	if (!rc)
		rc = revive_run(&u->r, name_made, &u->paths);
	return rc ? rc : revive_commit(&u->r);
}

static void tell_made(const struct undelete *u,
		      void (*made)(void *arg, const char *path), void *arg)
{
	const char *path = (const char *)u->paths.data;
	const char *last = path + u->paths.len;
	while (path != last) {
		made(arg, path);
		path += strlen(path) + 1;
	}
}

static void end(struct undelete *u)
{
	revive_end(&u->r);
	if (u->past.view) {
		read_txn_end(&u->source);
		view_unref(u->past.view);
	}
	deletions_close(&u->r.d);
	buf_free(&u->paths);
}

int banyan_undelete(banyan *db, const char *path, const char *to,
		    void (*made)(void *arg, const char *path), void *arg)
{
	struct undelete u = { .r.db = db };
	banyan_data *data = NULL;
	bool again;
	int rc = handle_check(db);
	if (rc || !path || db->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	if (banyan_read_only(db))
		return -EROFS;
	to = to ? to : path;
	rc = banyan_find(db, to, &data);
	if (!rc) {
		banyan_release(data, 1);
		return (int)note_path(db, -EEXIST, __func__, to);
	}
	if (rc != -ENOENT)
		return rc;
	do {
		rc = undelete(&u, path, to);
		if (!rc && made)
			tell_made(&u, made, arg);
		again = rc == -ESTALE && !u.r.committed;
		end(&u);
		u = (struct undelete){ .r.db = db };
	} while (again);
	return (int)note_path(db, rc, __func__, path);
}
