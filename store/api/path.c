/* SPDX-License-Identifier: MIT */
/* path.c - the public functions by path: names joined by '/'. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/handle.h"
#include "api/last_error.h"
#include "api/keys.h"
#include "api/scan.h"
#include "base/umask.h"
#include "model/contents.h"

/* The next name of the path: false at its end. Slashes before it are skipped. */
static bool next_name(const char **path, struct name *n)
{
	while (**path == '/')
		++*path;
	n->bytes = *path;
	n->len = strcspn(*path, "/");
	*path += n->len;
	return n->len > 0;
}

static void set_root(struct located *l)
{
	data_clear(&l->d);
	l->d.id = BANYAN_ROOT_ID;
	l->d.mode = S_IFDIR;
}

/* The Data at a path. The root's attributes are not filled in. */
static int resolve(const struct state *s, const char *path, struct located *l)
{
	struct name n;
	set_root(l);
	while (next_name(&path, &n)) {
		if (!data_is_space(&l->d))
			return -ENOTDIR;
		n.space = l->d.id;
		int rc = name_check(n.space, n.bytes, n.len);
		if (!rc)
			rc = names_lookup(s, &n, l);
		if (rc)
			return rc;
	}
	return 0;
}

static struct banyan_new default_make(mode_t mode)
{
	return (struct banyan_new){ .mode = mode & ~process_umask(),
				    .uid = geteuid(),
				    .gid = getegid() };
}

static int make_space(struct txn *txn, const struct name *n, struct located *l)
{
	struct banyan_new make = default_make(S_IFDIR | 0777);
	int rc = names_check_new(txn, n);
	if (!rc)
		rc = make_data(txn, &make, n->space, &l->d);
	location_set(&l->at, 0, NULL, 0);
	return rc ? rc : names_insert(txn, n, &l->d);
}

/* Names in spaces that are yet to be made: before any row is changed */
static int check_rest(const char *path)
{
	struct name n;
	int rc = 0;
	while (!rc && next_name(&path, &n))
		rc = name_check(0, n.bytes, n.len);
	return rc;
}

int resolve_last(struct txn *txn, const char *path, bool make,
		 struct name *last)
{
	struct located l;
	struct name n;
	struct name next;
	set_root(&l);
	if (!next_name(&path, &n))
		return -EBUSY;
	for (;;) {
		if (!data_is_space(&l.d))
			return -ENOTDIR;
		n.space = l.d.id;
		const char *rest = path;
		int rc = name_check(n.space, n.bytes, n.len);
		if (rc)
			return rc;
		if (!next_name(&path, &next)) {
			*last = n;
			return 0;
		}
		rc = names_lookup(&txn->state, &n, &l);
		if (rc == -ENOENT && make) {
			rc = check_rest(rest);
			if (!rc)
				rc = make_space(txn, &n, &l);
		}
		if (rc)
			return rc;
		n = next;
	}
}

int banyan_find(banyan *db, const char *path, banyan_data **data)
{
	struct name n;
	int rc = handle_check(db);
	if (rc || !path || !data)
		return rc ? rc : -EINVAL;
	banyan_data *at = db->root;
	banyan_hold(at);
	while (next_name(&path, &n)) {
		banyan_data *next = NULL;
		rc = name_check(at->id, n.bytes, n.len);
		if (!rc)
			rc = banyan_search(at, n.bytes, n.len, &next, NULL);
		banyan_release(at, 1);
		if (rc)
			return rc;
		at = next;
	}
	*data = at;
	return 0;
}

/* ---- putting and getting ---------------------------------------------- */

/* Let the contents of *l be those of source, or the bytes if that is NULL */
static int fill(struct txn *txn, struct located *l, const void *value,
		size_t size, struct located *source)
{
	uint64_t done = 0;
	bool source_changed = false;
	int rc = contents_resize(txn, &l->d, 0);
	if (rc)
		return rc;
	if (!source)
		return contents_write(txn, &l->d, value, size, 0);
	if (source->d.size == 0)
		return 0;
	rc = contents_clone(txn, &source->d, 0, &l->d, 0, source->d.size,
			    EXTENTS_PER_OPERATION, &done, &source_changed);
	if (!rc && done < source->d.size)
		rc = -E2BIG;
	if (!rc && source_changed)
		rc = data_save(txn, source);
	return rc;
}

static int put_new(struct txn *txn, const struct name *n, const void *value,
		   size_t size, struct located *source)
{
	struct banyan_new make = default_make(S_IFREG | 0666);
	struct located l;
	int rc = make_data(txn, &make, 0, &l.d);
	if (!rc)
		rc = fill(txn, &l, value, size, source);
	return rc ? rc : names_insert(txn, n, &l.d);
}

static int put_through(struct txn *txn, struct located *l, const void *value,
		       size_t size, struct located *source)
{
	if (data_is_space(&l->d))
		return -EISDIR;
	if (!data_is_file(&l->d))
		return -EINVAL;
	if (source && source->d.id == l->d.id)
		return 0;
	int64_t stored = (int64_t)l->d.stored;
	int rc = data_may_change(&l->d);
	if (!rc)
		rc = fill(txn, l, value, size, source);
	if (rc)
		return rc;
	txn->op.live += (int64_t)l->d.stored - stored;
	l->d.ctime = txn_time(txn, l->d.ctime);
	l->d.mtime = txn->now;
	return data_save(txn, l);
}

static int put(banyan *db, const char *path, const void *value, size_t size,
	       banyan_data *source, unsigned flags)
{
	struct txn *txn = NULL;
	struct name n;
	struct located l;
	struct located from;
	if (flags & ~(BANYAN_NEW_ONLY | BANYAN_PARENTS))
		return -EINVAL;
	int rc = handle_write(db, OPERATION_WRITE, false, &txn);
	if (rc)
		return rc;
	if (source)
		rc = handle_write_data(txn, source, &from);
	if (!rc && source && data_is_space(&from.d))
		rc = -EISDIR;
	if (!rc)
		rc = resolve_last(txn, path, flags & BANYAN_PARENTS, &n);
	if (rc)
		return handle_write_end(db, rc);
	rc = names_lookup(&txn->state, &n, &l);
	if (rc == -ENOENT)
		rc = put_new(txn, &n, value, size, source ? &from : NULL);
	else if (!rc && (flags & BANYAN_NEW_ONLY))
		rc = -EEXIST;
	else if (!rc)
		rc = put_through(txn, &l, value, size, source ? &from : NULL);
	return handle_write_end(db, rc);
}

int banyan_put(banyan *db, const char *path, const void *value, size_t size,
	       unsigned flags)
{
	int rc = handle_check(db);
	if (rc || !path || (size && !value))
		return rc ? rc : -EINVAL;
	return (int)note_path(db, put(db, path, value, size, NULL, flags),
			      __func__, path);
}

int banyan_put_data(banyan *db, const char *path, banyan_data *source,
		    unsigned flags)
{
	int rc = handle_check(db);
	if (!rc)
		rc = data_check(source);
	if (rc || !path)
		return rc ? rc : -EINVAL;
	rc = source->db == db ? put(db, path, NULL, 0, source, flags) : -EXDEV;
	return (int)note_path(db, rc, __func__, path);
}

static int get(struct read_txn *rtxn, const char *path, void **value,
	       size_t *size)
{
	struct located l;
	int rc = resolve(&rtxn->state, path, &l);
	if (rc)
		return rc;
	if (data_is_space(&l.d))
		return -EISDIR;
	if (l.d.size >= SIZE_MAX / 2)
		return -EFBIG;
	char *bytes = malloc((size_t)l.d.size + 1);
	if (!bytes)
		return -ENOMEM;
	rc = read_txn_contents(rtxn, &l.d, bytes, (size_t)l.d.size, 0);
	if (rc) {
		free(bytes);
		return rc;
	}
	bytes[l.d.size] = '\0';
	*value = bytes;
	*size = (size_t)l.d.size;
	return 0;
}

int banyan_get(banyan *db, const char *path, void **value, size_t *size)
{
	struct read_txn rtxn;
	int rc = handle_check(db);
	if (rc || !path || !value || !size)
		return rc ? rc : -EINVAL;
	rc = handle_read(db, &rtxn);
	if (rc)
		return (int)note_path(db, rc, __func__, path);
	rc = get(&rtxn, path, value, size);
	handle_read_end(db, &rtxn);
	if (is_damage(rc))
		store_report(db->store, "damaged: key '%s'", path);
	return (int)note_path(db, rc, __func__, path);
}

/* ---- keys ------------------------------------------------------------- */

int banyan_remove(banyan *db, const char *path)
{
	struct txn *txn = NULL;
	struct name n;
	int rc = handle_check(db);
	if (rc || !path)
		return rc ? rc : -EINVAL;
	rc = handle_write(db, OPERATION_DELETE, true, &txn);
	if (rc)
		return (int)note_path(db, rc, __func__, path);
	rc = resolve_last(txn, path, false, &n);
	if (!rc)
		rc = names_delete(txn, &n, 0, false);
	return (int)note_path(db, handle_write_end(db, rc), __func__, path);
}

int banyan_alias(banyan *db, const char *path, const char *alias)
{
	struct txn *txn = NULL;
	struct name n;
	struct located l;
	int rc = handle_check(db);
	if (rc || !path || !alias)
		return rc ? rc : -EINVAL;
	rc = handle_write(db, OPERATION_ALIAS, false, &txn);
	if (rc)
		return (int)note_path(db, rc, __func__, path);
	rc = resolve(&txn->state, path, &l);
	if (!rc)
		rc = resolve_last(txn, alias, false, &n);
	if (!rc)
		rc = names_alias(txn, &n, &l);
	return (int)note_path(db, handle_write_end(db, rc), __func__, path);
}

int banyan_rename(banyan *db, const char *path, const char *new_path,
		  unsigned flags)
{
	struct txn *txn = NULL;
	struct name from;
	struct name to;
	int rc = handle_check(db);
	if (rc || !path || !new_path)
		return rc ? rc : -EINVAL;
	rc = handle_write(db, OPERATION_MOVE, true, &txn);
	if (rc)
		return (int)note_path(db, rc, __func__, path);
	rc = resolve_last(txn, path, false, &from);
	if (!rc)
		rc = resolve_last(txn, new_path, false, &to);
	if (!rc)
		rc = names_move(txn, &from, &to, flags);
	return (int)note_path(db, handle_write_end(db, rc), __func__, path);
}

int banyan_make_space(banyan *db, const char *path, unsigned flags)
{
	struct txn *txn = NULL;
	struct name n;
	struct located l;
	bool parents = flags & BANYAN_PARENTS;
	int rc = handle_check(db);
	if (rc || !path || (flags & ~BANYAN_PARENTS))
		return rc ? rc : -EINVAL;
	rc = handle_write(db, OPERATION_INSERT, false, &txn);
	if (rc)
		return (int)note_path(db, rc, __func__, path);
	rc = resolve_last(txn, path, parents, &n);
	if (rc == -EBUSY)
		rc = parents ? 0 : -EEXIST; /* the root is there */
	else if (!rc)
		rc = make_space(txn, &n, &l);
	if (rc == -EEXIST && parents && !names_lookup(&txn->state, &n, &l) &&
	    data_is_space(&l.d))
		rc = 0;
	return (int)note_path(db, handle_write_end(db, rc), __func__, path);
}

/* ---- walking ---------------------------------------------------------- */

/*
 * A cursor takes some kilobytes and keeps nodes in the cache: only those of so
 * many levels, the deepest, stay open. A level further up goes on behind the
 * name at which it was left.
 */
#define WALK_CURSORS 32u
/* No honest tree of key spaces is deeper; it takes 200 bytes a level */
#define WALK_DEPTH_MAX (1u << 20)

struct level {
	banyan_data *space; /* held */
	banyan_cursor *cursor; /* NULL: closed */
	size_t path_len; /* of the key space's path */
};

struct walk {
	banyan_visit *visit;
	void *arg;
	bool recursive;
	struct banyan_range first; /* the keys that are wanted on level 0 */
	struct banyan_range below; /* and on the others */
	struct buf path; /* of the key at hand, with a NUL behind */
	struct level *levels;
	size_t depth;
	size_t capacity;
};

/* Go on in a key space, which the walk then holds for the caller */
static int walk_down(struct walk *w, banyan_data *space, size_t path_len)
{
	struct level *l = NULL;
	if (w->depth == WALK_DEPTH_MAX)
		return -ELOOP;
	if (w->depth == w->capacity) {
		size_t capacity = w->capacity ? w->capacity * 2 : 16;
		l = realloc(w->levels, capacity * sizeof(*l));
		if (!l)
			return -ENOMEM;
		w->levels = l;
		w->capacity = capacity;
	}
	l = &w->levels[w->depth];
	*l = (struct level){ .space = space, .path_len = path_len };
	int rc = banyan_scan(space, w->depth ? &w->below : &w->first,
			     &l->cursor);
	if (rc)
		return rc;
	if (w->depth++ >= WALK_CURSORS) {
		struct level *up = l - WALK_CURSORS;
		banyan_scan_end(up->cursor);
		up->cursor = NULL;
	}
	return 0;
}

static void walk_up(struct walk *w)
{
	struct level *l = &w->levels[--w->depth];
	banyan_scan_end(l->cursor);
	banyan_release(l->space, 1);
}

/* Open the cursor of the deepest level again: the path still begins with that
 * of the key at which it was left, and path_len bytes are that key's */
static int walk_again(struct walk *w, size_t path_len)
{
	struct level *l = &w->levels[w->depth - 1];
	struct banyan_range r = w->depth > 1 ? w->below : w->first;
	size_t at = l->path_len ? l->path_len + 1 : 0;
	const char *name = (const char *)w->path.data + at;
	if (r.reverse) {
		r.to = name;
		r.to_len = path_len - at;
	} else {
		r.from = name;
		r.from_len = path_len - at;
		r.after = true;
	}
	return banyan_scan(l->space, &r, &l->cursor);
}

/* The key space at hand, unless it has gone since */
static int walk_into(struct walk *w, banyan_cursor *cursor)
{
	banyan_data *below = NULL;
	int rc = scan_check_only_key(cursor);
	if (!rc)
		rc = banyan_entry_data(cursor, &below);
	if (rc)
		return rc == -ESTALE ? 0 : rc;
	/* As no other key space has two keys, a circle leads through the
	 * first */
	rc = below == w->levels[0].space ? -ELOOP :
					   walk_down(w, below, w->path.len - 1);
	if (rc)
		banyan_release(below, 1);
	return rc;
}

static int set_walk_path(struct walk *w, size_t base,
			 const struct banyan_entry *e)
{
	w->path.len = base;
	if (base)
		buf_add_u8(&w->path, '/');
	buf_add(&w->path, e->name, e->len + 1);
	return w->path.failed ? -ENOMEM : 0;
}

/* The next key of the deepest level */
static int walk_on(struct walk *w)
{
	struct level *l = &w->levels[w->depth - 1];
	struct banyan_entry e;
	int rc = banyan_next(l->cursor, &e);
	if (rc > 0) {
		size_t path_len = l->path_len;
		walk_up(w);
		return w->depth && !l[-1].cursor ? walk_again(w, path_len) : 0;
	}
	if (!rc)
		rc = set_walk_path(w, l->path_len, &e);
	if (!rc)
		rc = w->visit(w->arg, (const char *)w->path.data, &e);
	if (!rc && w->recursive && S_ISDIR(e.attr.mode))
		rc = walk_into(w, l->cursor);
	return rc;
}

int banyan_walk(banyan *db, const char *path, const struct banyan_range *range,
		bool recursive, banyan_visit *visit, void *arg)
{
	struct walk w = { .visit = visit, .arg = arg, .recursive = recursive };
	banyan_data *start = NULL;
	if (!visit)
		return -EINVAL;
	if (range) {
		w.first = *range;
		w.below.reverse = range->reverse;
		w.below.names_only = range->names_only;
	}
	int rc = banyan_find(db, path, &start);
	if (rc)
		return rc;
	rc = walk_down(&w, start, 0);
	if (rc)
		banyan_release(start, 1);
	while (!rc && w.depth)
		rc = walk_on(&w);
	while (w.depth)
		walk_up(&w);
	free(w.levels);
	buf_free(&w.path);
	return rc;
}

void banyan_free(void *value)
{
	free(value);
}
