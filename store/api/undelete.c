/* SPDX-License-Identifier: MIT */
/*
 * undelete.c - the public functions that bring back deleted keys.
 *
 * deleted_version.h finds the state from which it is read, revive.h puts one
 * Data back. A key space is brought back level by level. Its rows, and what is
 * still to be done, are in the store that deletions.h has: memory does not follow
 * the tree.
 */
#include <errno.h>
#include <stdlib.h>
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

typedef void made_key(void *arg, const char *path);

struct undelete {
	struct reviver r;
	struct deleted_version *v; /* by their paths */
	size_t count;
	struct past_walk walk;
	struct read_txn source; /* of its state, */
	bool reading; /* if this has begun */
	uint64_t first, last; /* rows of the queue */
	int missing; /* why one of many is not there; 0: all are */
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
	struct name n = name_in_row(row, len);
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

/* ---- all that is in a key --------------------------------------------- */

struct target {
	const char *path;
	struct name n;
};

static int find_target(struct reviver *u, struct txn *txn, void *arg)
{
	struct target *t = arg;
	(void)u;
	int rc = resolve_last(txn, t->path, false, &t->n);
	return rc ? rc : names_check_new(txn, &t->n);
}

/* Begin with the state in which this version is */
static int go_to(struct undelete *u, const struct deleted_version *v)
{
	const struct history *h = &u->r.d.h;
	struct past_walk *w = &u->walk;
	if (u->reading)
		read_txn_end(&u->source);
	u->reading = false;
	int rc = past_forward(h->store, h->now, v->state, w);
	if (rc)
		return rc;
	read_txn_begin_at(h->store, w->past.view, w->past.seq, &u->source);
	read_txn_pin(&u->source);
	u->reading = true;
	u->r.source = &u->source.state;
	u->r.from = v->name;
	return 0;
}

/* A version, with all that is in it, at a key that does not exist */
static int revive_all(struct undelete *u, const struct deleted_version *v,
		      const struct name *to)
{
	struct revival r = { .top = true, .to = *to };
	uint64_t pair[2];
	int rc = go_to(u, v);
	if (rc)
		return rc;
	rc = deletion_is_space(&v->key) ?
		     names_space(u->r.source, v->key.id, &r.was.d) :
		     names_lookup(u->r.source, &v->name, &r.was);
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

/* ---- one key ---------------------------------------------------------- */

static int undelete_one(struct undelete *u, const char *to)
{
	struct store *store = u->r.db->store;
	struct target t = { .path = to };
	int rc = deletions_open_path(store, u->v->path, &u->r.d);
	if (rc)
		return rc;
	rc = deleted_version_find(store, &u->r.d, u->v);
	if (!rc)
		rc = revive_begin(&u->r);
	if (!rc)
		rc = revive_run(&u->r, find_target, &t);
	return rc ? rc : revive_all(u, u->v, &t.n);
}

/* ---- many keys -------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
	const struct deleted_version *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static int by_state(const void *a, const void *b)
{
	const struct deleted_version *x = *(struct deleted_version *const *)a,
				     *y = *(struct deleted_version *const *)b;
	return (x->state > y->state) - (x->state < y->state);
}

/* There is no place for it, or flags forbid to change that */
static bool is_refusal(int rc)
{
	return rc == -ENOENT || rc == -ENOTDIR || rc == -EPERM;
}

/*
 * Those for which there is a place, in the order of their states: the log is read
 * once. They are NULL then, and so are those that exist. *missing: of the first
 * of the others, why not. How many have come back, or an error.
 */
static int revive_some(struct undelete *u, struct deleted_version **v,
		       size_t count, int *missing)
{
	int made = 0;
	*missing = 0;
	for (size_t i = 0; i < count; i++) {
		struct target t = { 0 };
		size_t noted = u->r.made.len;
		if (!v[i])
			continue;
		t.path = v[i]->path;
		int rc = revive_run(&u->r, find_target, &t);
		if (!rc)
			rc = revive_all(u, v[i], &t.n);
		/* Of a key space a part would be there */
		if (is_refusal(rc) && u->r.made.len == noted) {
			*missing = *missing ? *missing : rc;
			continue;
		}
		if (rc && rc != -EEXIST)
			return rc;
		made += !rc;
		v[i] = NULL;
	}
	return made;
}

/* A key space may have been deleted after what was deleted from it, and come back
 * as it was before: so those that have none are tried again */
static int revive_each(struct undelete *u, struct deleted_version **v,
		       size_t count)
{
	int missing = 0;
	int rc = revive_begin(&u->r);
	while (!rc) {
		rc = revive_some(u, v, count, &missing);
		if (rc <= 0)
			break;
		rc = 0;
	}
	u->missing = u->missing ? u->missing : missing;
	return rc;
}

/* Duplicates are one; those of which there is no version are passed by */
static int undelete_many(struct undelete *u)
{
	struct store *store = u->r.db->store;
	size_t count = 0;
	int rc = deletions_open(store, true, &u->r.d);
	if (rc)
		return rc;
	struct deleted_version **v = calloc(u->count, sizeof(*v));
	rc = v ? deleted_versions_find(store, &u->r.d, u->v, u->count) :
		 -ENOMEM;
	for (size_t i = 0; !rc && i < u->count; i++) {
		if (u->v[i].name.len)
			v[count++] = &u->v[i];
		else
			u->missing = -ENODATA;
	}
	if (!rc && count) {
		qsort(v, count, sizeof(*v), by_state);
		rc = revive_each(u, v, count);
	}
	free(v);
	return rc;
}

/* ---- all of it -------------------------------------------------------- */

static int undelete(struct undelete *u, const char *to)
{
	int rc = to ? undelete_one(u, to) : undelete_many(u);
	if (rc || !u->r.batch)
		return rc;
	rc = revive_run(&u->r, name_made, &u->paths);
	return rc ? rc : revive_commit(&u->r);
}

static void tell_made(const struct undelete *u, made_key *made, void *arg)
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
	if (u->reading)
		read_txn_end(&u->source);
	past_walk_end(&u->walk);
	deletions_close(&u->r.d);
	buf_free(&u->paths);
	for (size_t i = 0; i < u->count; i++)
		free(u->v[i].path);
	free(u->v);
}

static int set_paths(struct undelete *u, const char *const *path, size_t count)
{
	u->v = calloc(count, sizeof(*u->v));
	if (!u->v)
		return -ENOMEM;
	for (u->count = 0; u->count < count; u->count++) {
		u->v[u->count].path = deleted_path(path[u->count]);
		if (!u->v[u->count].path)
			return -ENOMEM;
	}
	qsort(u->v, count, sizeof(*u->v), by_path);
	return 0;
}

/* Until no vacuum comes in between */
static int undelete_paths(banyan *db, const char *const *path, size_t count,
			  const char *to, made_key *made, void *arg)
{
	bool again;
	int rc;
	do {
		struct undelete u = { .r.db = db };
		rc = set_paths(&u, path, count);
		if (!rc)
			rc = undelete(&u, to);
		if (!rc && made)
			tell_made(&u, made, arg);
		again = rc == -ESTALE && !u.r.committed;
		rc = rc ? rc : u.missing;
		end(&u);
	} while (again);
	return rc;
}

static int check_handle(banyan *db)
{
	int rc = handle_check(db);
	if (rc || db->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	return banyan_read_only(db) ? -EROFS : 0;
}

int banyan_undelete(banyan *db, const char *path, const char *to,
		    void (*made)(void *arg, const char *path), void *arg)
{
	banyan_data *data = NULL;
	int rc = check_handle(db);
	if (rc || !path)
		return rc ? rc : -EINVAL;
	to = to ? to : path;
	rc = banyan_find(db, to, &data);
	if (!rc) {
		banyan_release(data, 1);
		return (int)note_path(db, -EEXIST, __func__, to);
	}
	if (rc != -ENOENT)
		return rc;
	rc = undelete_paths(db, &path, 1, to, made, arg);
	return (int)note_path(db, rc, __func__, path);
}

int banyan_undelete_keys(banyan *db, const char *const *paths, size_t count,
			 void (*made)(void *arg, const char *path), void *arg)
{
	int rc = check_handle(db);
	if (rc || (!paths && count))
		return rc ? rc : -EINVAL;
	for (size_t i = 0; i < count; i++)
		if (!paths[i])
			return -EINVAL;
	return count ? undelete_paths(db, paths, count, NULL, made, arg) : 0;
}
