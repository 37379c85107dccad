/* SPDX-License-Identifier: MIT */
#include "exercise.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/random.h"

/* A hostile file may have key spaces in a circle, and values without end */
#define VISITS_MAX 30u
#define BUFFER 70000u

/* ---- reading ---------------------------------------------------------- */

static void read_xattrs(banyan_data *d, char *buffer)
{
	char names[1024];
	ssize_t n = banyan_list_xattr(d, names, sizeof(names));
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1)
		(void)banyan_get_xattr(d, names + i, buffer, BUFFER);
}

static void read_data(banyan_data *d, char *buffer)
{
	struct banyan_attr a = { 0 };
	uint64_t parent = 0;
	if (banyan_get_attr(d, &a))
		return;
	assert(a.id == banyan_id(d));
	ssize_t n = banyan_read(d, buffer, BUFFER, 0);
	assert(n < 0 || (uint64_t)n == (a.size < BUFFER ? a.size : BUFFER));
	n = banyan_read(d, buffer, BUFFER, a.size - a.size / 3);
	assert(n <= (ssize_t)BUFFER);
	int64_t at = banyan_seek_data(d, 0);
	assert(at < 0 || (uint64_t)at < a.size);
	at = banyan_seek_hole(d, a.size / 2);
	assert(at < 0 || (uint64_t)at <= a.size);
	(void)banyan_parent(d, &parent);
	read_xattrs(d, buffer);
}

static void read_space(banyan_data *space, bool reverse, char *buffer)
{
	struct banyan_range range = { .reverse = reverse };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	unsigned left = VISITS_MAX / 2;
	if (banyan_scan(space, &range, &c))
		return;
	while (left-- && banyan_next(c, &e) == 0) {
		banyan_data *d = NULL;
		assert(e.len > 0 && e.len <= BANYAN_NAME_MAX);
		if (banyan_search(space, e.name, e.len, &d, NULL))
			continue;
		read_data(d, buffer);
		banyan_release(d, 1);
	}
	banyan_scan_end(c);
}

struct walk {
	banyan *db;
	char *buffer;
	unsigned left;
};

static int visit(void *arg, const char *path, const struct banyan_entry *e)
{
	struct walk *w = arg;
	banyan_data *d = NULL;
	assert(strlen(path) >= e->len);
	if (!w->left--)
		return 1;
	if (S_ISDIR(e->attr.mode) && banyan_find(w->db, path, &d) == 0) {
		read_space(d, w->left % 2, w->buffer);
		banyan_release(d, 1);
	}
	return 0;
}

/* They lead to lower and lower places: that is why they end */
static int visit_freeze(void *arg, const struct banyan_freeze_info *f)
{
	uint64_t *last = arg;
	assert(f->offset < *last);
	*last = f->offset;
	return 0;
}

static int visit_version(void *arg, const struct banyan_version *v)
{
	assert(v->time.nsec < 1000000000);
	return ++*(unsigned *)arg == VISITS_MAX;
}

static int visit_deleted(void *arg, const struct banyan_deleted_key *key)
{
	assert(*key->path && *key->path != '/');
	return ++*(unsigned *)arg == VISITS_MAX;
}

/* Keys that many of the seeds have */
static const char *const old_keys[] = { "few/b", "a", "space/below" };
#define OLD_KEYS (sizeof(old_keys) / sizeof(*old_keys))

static void read_history(banyan *db)
{
	unsigned visits = 0;
	(void)banyan_deleted(db, NULL, visit_deleted, &visits);
	for (size_t i = 0; i < OLD_KEYS; i++)
		(void)banyan_log(db, old_keys[i], visit_version, &visits);
}

static int undelete_key(void *arg, const struct banyan_deleted_key *key)
{
	(void)banyan_undelete(arg, key->path, "back", NULL, NULL);
	return 1;
}

/* A few of them: all may be of the same freeze */
static int visit_snapshot(void *arg, const struct banyan_snapshot_info *s)
{
	struct walk *w = arg;
	struct walk then = { NULL, w->buffer, VISITS_MAX / 5 };
	assert(s->len > 0 && s->len <= BANYAN_NAME_MAX);
	if (banyan_view_snapshot(w->db, s->name, s->len, &then.db) == 0) {
		read_space(banyan_root(then.db), false, w->buffer);
		(void)banyan_walk(then.db, "", NULL, true, visit, &then);
		(void)banyan_close(then.db);
	}
	return w->left-- < 3;
}

void exercise_read(banyan *db)
{
	struct walk w = { db, malloc(BUFFER), VISITS_MAX };
	struct banyan_stat stat = { 0 };
	uint64_t last = UINT64_MAX;
	if (!w.buffer)
		return;
	(void)banyan_get_stat(db, &stat);
	(void)banyan_freezes(db, visit_freeze, &last);
	read_history(db);
	read_data(banyan_root(db), w.buffer);
	read_space(banyan_root(db), true, w.buffer);
	(void)banyan_walk(db, "", NULL, true, visit, &w);
	w.left = 6;
	(void)banyan_snapshots(db, visit_snapshot, &w);
	free(w.buffer);
}

/* ---- writing ---------------------------------------------------------- */

static void write_data(uint64_t *random, banyan_data *d)
{
	static const uint8_t bytes[20000] = { 'b', 'a', 'n', 'y', 'a', 'n' };
	struct banyan_attr a = { .mode = 0600, .uid = 7 };
	uint64_t at = 0;
	(void)banyan_get_attr(d, &a);
	if (a.size)
		at = test_below(random, a.size);
	a.mtime = (struct banyan_time){ .sec = (int64_t)test_random(random) };
	switch (test_below(random, 9)) {
	case 0:
		(void)banyan_write(d, bytes, test_below(random, sizeof(bytes)),
				   at, 0, NULL);
		break;
	case 1:
		(void)banyan_write(d, bytes, 300, 0, BANYAN_APPEND, NULL);
		break;
	case 2:
		(void)banyan_truncate(d, at);
		break;
	case 3:
		(void)banyan_punch(d, at, test_below(random, sizeof(bytes)),
				   test_below(random, 2));
		break;
	case 4:
		(void)banyan_clone(d, 0, d, at + 30000, 20000);
		break;
	case 5:
		(void)banyan_set_xattr(d, "user.fuzz", bytes,
				       test_below(random, 3000), 0);
		break;
	case 6:
		(void)banyan_remove_xattr(d, "user.fuzz");
		(void)banyan_remove_xattr(d, "user.short");
		break;
	case 7:
		(void)banyan_set_attr(d, &a,
				      BANYAN_SET_UID | BANYAN_SET_MODE |
					      BANYAN_SET_MTIME,
				      &a);
		break;
	default:
		break;
	}
}

static void write_key(uint64_t *random, banyan_data *space,
		      const struct banyan_entry *e)
{
	banyan_data *root = banyan_root(banyan_db(space));
	banyan_data *gone = NULL;
	switch (test_below(random, 8)) {
	case 0:
		if (!banyan_delete(space, e->name, e->len, 0, &gone)) {
			write_data(random, gone);
			banyan_release(gone, 1);
		}
		break;
	case 1:
		(void)banyan_delete(space, e->name, e->len, 0, NULL);
		break;
	case 2:
		(void)banyan_move(space, e->name, e->len, root, "moved", 5, 0);
		break;
	case 3:
		(void)banyan_move(space, e->name, e->len, root, "few", 3,
				  BANYAN_EXCHANGE);
		break;
	case 4:
		if (!banyan_search(space, e->name, e->len, &gone, NULL)) {
			(void)banyan_insert_data(root, "alias", 5, gone);
			banyan_release(gone, 1);
		}
		break;
	default:
		break;
	}
}

static void write_space(uint64_t *random, banyan_data *space, unsigned depth)
{
	struct banyan_range range = { .names_only = test_below(random, 2) };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	unsigned left = 20;
	if (banyan_scan(space, &range, &c))
		return;
	while (left-- && banyan_next(c, &e) == 0) {
		banyan_data *d = NULL;
		if (banyan_entry_data(c, &d) == 0) {
			write_data(random, d);
			if (depth < 3)
				write_space(random, d, depth + 1);
			banyan_release(d, 1);
		}
		write_key(random, space, &e);
	}
	banyan_scan_end(c);
}

void exercise_write(banyan *db, uint64_t choices)
{
	uint64_t random = choices;
	banyan *to = db;
	bool batch = test_below(&random, 4) == 0 && banyan_begin(db, &to) == 0;
	write_space(&random, banyan_root(to), 0);
	(void)banyan_put(to, "space/below/fresh", "x", 1, BANYAN_PARENTS);
	(void)banyan_rename(to, "space", "few/space", 0);
	if (batch) {
		exercise_read(to);
		exercise_read(db);
		(void)banyan_commit(to);
	}
	if (test_below(&random, 2))
		(void)banyan_freeze(db);
	(void)banyan_snapshot(db, "fuzz", 4);
	if (test_below(&random, 2))
		(void)banyan_snapshot_drop(db, "honest", 6);
	(void)banyan_snapshot_rename(db, "honest", 6, "other", 5);
	write_space(&random, banyan_root(db), 0);
	(void)banyan_deleted(db, NULL, undelete_key, db);
}
