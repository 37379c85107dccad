/* SPDX-License-Identifier: MIT */
#include "chores.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/support/random.h"
#include "workload.h"

#define BYTES_MAX (1600u << 10)
#define BATCH_MAX 12u

/* One operation: what it is done to, and where its dice come from */
struct op {
	struct chores *c;
	banyan *db; /* the database, or a batch of it */
	uint64_t random;
	bool batch;
};

/* What values are made of: nobody needs memory while it is short */
static uint8_t pool[2 * BYTES_MAX];
static uint8_t room[BYTES_MAX];

bool chore_is_fault(int rc)
{
	return rc == -EIO || rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG ||
	       rc == -ENOMEM;
}

static uint64_t below(struct op *o, uint64_t n)
{
	return test_below(&o->random, n);
}

static bool chance(struct op *o, unsigned percent)
{
	return below(o, 100) < percent;
}

/* ---- what was seen ---------------------------------------------------- */

static void see_number(struct chores *c, uint64_t n)
{
	uint64_t sum = (c->seen ^ n) * 0x9e3779b97f4a7c15u;
	c->seen = sum ^ sum >> 29;
}

static void see_bytes(struct chores *c, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	for (size_t i = 0; i < size; i++)
		see_number(c, p[i]);
}

/* What a call has said; its error, if it is one */
static int see(struct op *o, int64_t said)
{
	if (said < 0 && chore_is_fault((int)said))
		o->c->blurred = true;
	see_number(o->c, (uint64_t)said);
	return said < 0 ? (int)said : 0;
}

static void about(struct op *o, const char *name, const char *path,
		  const char *other)
{
	size_t len = strlen(o->c->detail);
	if (len < sizeof(o->c->detail))
		snprintf(o->c->detail + len, sizeof(o->c->detail) - len,
			 " %s(%s%s%s)", name, path, *other ? "," : "", other);
}

/* ---- arguments -------------------------------------------------------- */

static void random_name(struct op *o, char *name)
{
	sprintf(name, "k%u", (unsigned)below(o, 6));
}

static void random_path(struct op *o, char *path)
{
	static const char *const spaces[] = { "",     "",   "",	      "s/",
					      "s/t/", "u/", "p/q/r/", "s/" };
	char name[8];
	random_name(o, name);
	sprintf(path, "%s%s", spaces[below(o, 8)], name);
}

static const uint8_t *random_bytes(struct op *o, size_t *size)
{
	static const size_t limits[] = { 1,   10,   256,   300,
					 300, 2000, 40000, 90000 };
	size_t limit = limits[below(o, 8)];
	if (o->c->big && chance(o, 25))
		limit = BYTES_MAX;
	*size = (size_t)below(o, limit + 1);
	return pool + below(o, BYTES_MAX);
}

/*
 * A Data to change: one that is held, or that has a key. To be released. What is
 * held is held through the database: nothing for a batch.
 */
static int take(struct op *o, banyan_data **data, const char *name)
{
	char path[32];
	unsigned i = (unsigned)below(o, 3 * CHORES_HELD);
	random_path(o, path);
	if (i < CHORES_HELD && o->c->held[i] && !o->batch) {
		about(o, name, "held", "");
		banyan_hold(o->c->held[i]);
		*data = o->c->held[i];
		return 0;
	}
	about(o, name, path, "");
	return see(o, banyan_find(o->db, path, data));
}

static int take_space(struct op *o, banyan_data **data, const char *name)
{
	static const char *const spaces[] = { "", "", "s", "s/t", "u" };
	const char *path = spaces[below(o, 5)];
	about(o, name, path, "");
	return see(o, banyan_find(o->db, path, data));
}

/* ---- by path ---------------------------------------------------------- */

static int op_put(struct op *o)
{
	char path[32];
	size_t size = 0;
	const uint8_t *bytes = random_bytes(o, &size);
	unsigned flags = chance(o, 80) ? BANYAN_PARENTS : 0;
	if (chance(o, 15))
		flags |= BANYAN_NEW_ONLY;
	random_path(o, path);
	about(o, "put", path, "");
	return see(o, banyan_put(o->db, path, bytes, size, flags));
}

static int op_put_data(struct op *o)
{
	char path[32];
	banyan_data *data = NULL;
	int rc = take(o, &data, "put_data");
	if (rc)
		return rc;
	random_path(o, path);
	about(o, "to", path, "");
	rc = see(o, banyan_put_data(o->db, path, data, BANYAN_PARENTS));
	banyan_release(data, 1);
	return rc;
}

static int op_remove(struct op *o)
{
	static const char *const spaces[] = { "s", "s/t", "u", "p/q/r", "p/q" };
	char path[32];
	random_path(o, path);
	if (chance(o, 15))
		strcpy(path, spaces[below(o, 5)]);
	about(o, "remove", path, "");
	return see(o, banyan_remove(o->db, path));
}

static int op_alias(struct op *o)
{
	char path[32];
	char other[32];
	random_path(o, path);
	random_path(o, other);
	about(o, "alias", path, other);
	return see(o, banyan_alias(o->db, path, other));
}

static int op_rename(struct op *o)
{
	static const unsigned flags[] = { 0, 0, BANYAN_NO_REPLACE,
					  BANYAN_EXCHANGE };
	char path[32];
	char other[32];
	random_path(o, path);
	random_path(o, other);
	if (chance(o, 15)) {
		sprintf(path, "%c", "stu"[below(o, 3)]);
		sprintf(other, "%c", "stu"[below(o, 3)]);
	}
	about(o, "rename", path, other);
	return see(o, banyan_rename(o->db, path, other, flags[below(o, 4)]));
}

static int op_make_space(struct op *o)
{
	static const char *const paths[] = { "s", "s/t", "u", "p/q/r", "v/w" };
	const char *path = paths[below(o, 5)];
	unsigned flags = chance(o, 70) ? BANYAN_PARENTS : 0;
	about(o, "make_space", path, "");
	return see(o, banyan_make_space(o->db, path, flags));
}

/* ---- by handle -------------------------------------------------------- */

static int op_insert(struct op *o)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFLNK, S_IFDIR };
	char name[8];
	banyan_data *space = NULL;
	banyan_data *data = NULL;
	size_t size = 0;
	uint32_t type = types[below(o, 4)];
	const uint8_t *bytes = random_bytes(o, &size);
	struct banyan_new make = { .mode = type | 0640,
				   .uid = 1,
				   .gid = 2,
				   .value = bytes,
				   .size = size };
	bool wanted = chance(o, 50);
	random_name(o, name);
	if (type == S_IFDIR)
		make.size = 0;
	int rc = take_space(o, &space, "insert");
	if (rc)
		return rc;
	about(o, name, type == S_IFDIR ? "space" : "", "");
	rc = see(o, banyan_insert(space, name, strlen(name), &make,
				  wanted ? &data : NULL, NULL));
	if (data && type != S_IFDIR)
		see(o, banyan_read(data, room, sizeof(room), 0));
	banyan_release(data, 1);
	banyan_release(space, 1);
	return rc;
}

/* Written piece by piece, then given a name */
static int op_unnamed(struct op *o)
{
	char name[8];
	size_t size = 0;
	banyan_data *space = NULL;
	banyan_data *data = NULL;
	struct banyan_new make = { .mode = 0600, .value = "x", .size = 1 };
	int rc = take_space(o, &space, "unnamed");
	if (rc)
		return rc;
	rc = see(o, banyan_insert_unnamed(o->db, &make, &data, NULL));
	for (uint64_t n = below(o, 4); !rc && n; n--) {
		const uint8_t *bytes = random_bytes(o, &size);
		rc = see(o, banyan_write(data, bytes, size, 0, BANYAN_APPEND,
					 NULL));
	}
	random_name(o, name);
	about(o, "as", name, "");
	if (!rc)
		rc = see(o,
			 banyan_insert_data(space, name, strlen(name), data));
	banyan_release(data, 1);
	banyan_release(space, 1);
	return rc;
}

/* What was deleted lives on for a moment */
static int op_delete(struct op *o)
{
	static const unsigned flags[] = { 0, 0, BANYAN_NOT_SPACE,
					  BANYAN_ONLY_SPACE };
	char name[8];
	banyan_data *space = NULL;
	banyan_data *data = NULL;
	bool wanted = chance(o, 60);
	int rc = take_space(o, &space, "delete");
	if (rc)
		return rc;
	random_name(o, name);
	about(o, "of", name, "");
	rc = see(o, banyan_delete(space, name, strlen(name), flags[below(o, 4)],
				  wanted ? &data : NULL));
	if (data)
		see(o, banyan_read(data, room, sizeof(room), 0));
	banyan_release(data, 1);
	banyan_release(space, 1);
	return rc;
}

static int op_move(struct op *o)
{
	static const unsigned flags[] = { 0, BANYAN_EXCHANGE };
	char name[8];
	char other[8];
	banyan_data *from = NULL;
	banyan_data *to = NULL;
	random_name(o, name);
	random_name(o, other);
	int rc = take_space(o, &from, "move");
	if (!rc)
		rc = take_space(o, &to, "to");
	if (!rc)
		rc = see(o, banyan_move(from, name, strlen(name), to, other,
					strlen(other), flags[below(o, 2)]));
	banyan_release(from, 1);
	banyan_release(to, 1);
	return rc;
}

static int op_hold(struct op *o)
{
	char path[32];
	struct banyan_new make = { .mode = 0600, .value = "y", .size = 1 };
	banyan_data **slot = &o->c->held[below(o, CHORES_HELD)];
	random_path(o, path);
	about(o, "hold", *slot ? "no more" : path, "");
	if (*slot) {
		banyan_release(*slot, 1);
		*slot = NULL;
		return 0;
	}
	if (chance(o, 30))
		return see(o, banyan_insert_unnamed(o->db, &make, slot, NULL));
	return see(o, banyan_find(o->db, path, slot));
}

/* ---- contents and attributes ------------------------------------------ */

static int op_write(struct op *o)
{
	size_t size = 0;
	banyan_data *data = NULL;
	struct banyan_attr after = { 0 };
	unsigned flags = chance(o, 30) ? BANYAN_APPEND | BANYAN_KILL_PRIV : 0;
	const uint8_t *bytes = random_bytes(o, &size);
	int rc = take(o, &data, "write");
	if (rc)
		return rc;
	rc = see(o, banyan_write(data, bytes, size, below(o, 30000), flags,
				 &after));
	if (!rc)
		see_number(o->c, after.size);
	banyan_release(data, 1);
	return rc;
}

static int op_set_attr(struct op *o)
{
	static const unsigned which[] = {
		BANYAN_SET_SIZE,
		BANYAN_SET_SIZE,
		BANYAN_SET_MODE | BANYAN_SET_UID | BANYAN_SET_GID,
		BANYAN_SET_SIZE | BANYAN_SET_MTIME_NOW,
	};
	banyan_data *data = NULL;
	struct banyan_attr attr = { .mode = 0604, .uid = 3, .gid = 4 };
	struct banyan_attr after = { 0 };
	attr.size = chance(o, 40) ? 0 : below(o, 60000);
	int rc = take(o, &data, "set_attr");
	if (rc)
		return rc;
	rc = see(o, banyan_set_attr(data, &attr, which[below(o, 4)], &after));
	if (!rc)
		see_number(o->c, after.size ^ after.mode ^ after.uid);
	banyan_release(data, 1);
	return rc;
}

static int op_punch(struct op *o)
{
	banyan_data *data = NULL;
	int rc = take(o, &data, "punch");
	if (rc)
		return rc;
	rc = see(o, banyan_punch(data, below(o, 20000), below(o, 40000),
				 chance(o, 50)));
	banyan_release(data, 1);
	return rc;
}

static int op_clone(struct op *o)
{
	banyan_data *from = NULL;
	banyan_data *to = NULL;
	int rc = take(o, &from, "clone");
	if (!rc)
		rc = take(o, &to, "to");
	if (!rc)
		rc = see(o, banyan_clone(from, below(o, 5000), to,
					 below(o, 90000), below(o, 50000)));
	banyan_release(from, 1);
	banyan_release(to, 1);
	return rc;
}

static int op_xattr(struct op *o)
{
	static const char *const names[] = { "user.a", "user.b", "user.c" };
	const char *name = names[below(o, 3)];
	size_t size = (size_t)below(o, chance(o, 20) ? 60000 : 300);
	banyan_data *data = NULL;
	bool gone = chance(o, 30);
	int rc = take(o, &data, gone ? "remove_xattr" : "set_xattr");
	if (rc)
		return rc;
	rc = see(o, gone ? banyan_remove_xattr(data, name) :
			   banyan_set_xattr(data, name, pool, size, 0));
	banyan_release(data, 1);
	return rc;
}

/* ---- reading ---------------------------------------------------------- */

static int op_get(struct op *o)
{
	char path[32];
	void *value = NULL;
	size_t size = 0;
	random_path(o, path);
	about(o, "get", path, "");
	int rc = see(o, banyan_get(o->db, path, &value, &size));
	if (!rc)
		see_bytes(o->c, value, size);
	free(value);
	return rc;
}

static int look_at(struct op *o, banyan_data *data)
{
	char names[256];
	struct banyan_attr attr = { 0 };
	int64_t n = banyan_read(data, room, sizeof(room), below(o, 9000));
	int rc = see(o, n);
	see_bytes(o->c, room, n > 0 ? (size_t)n : 0);
	see(o, banyan_get_attr(data, &attr));
	see_number(o->c, attr.size);
	see(o, banyan_seek_data(data, below(o, 9000)));
	see(o, banyan_seek_hole(data, below(o, 9000)));
	n = banyan_list_xattr(data, names, sizeof(names));
	see(o, n);
	see_bytes(o->c, names, n > 0 ? (size_t)n : 0);
	see(o, banyan_get_xattr(data, "user.a", room, sizeof(room)));
	return rc;
}

/* In a batch also at what is held outside of it, and knows nothing of it */
static int op_look(struct op *o)
{
	banyan_data *data = NULL;
	unsigned i = (unsigned)below(o, CHORES_HELD);
	if (o->batch && o->c->held[i]) {
		about(o, "look", "beside", "");
		return look_at(o, o->c->held[i]);
	}
	int rc = take(o, &data, "look");
	if (rc)
		return rc;
	rc = look_at(o, data);
	banyan_release(data, 1);
	return rc;
}

static int op_scan(struct op *o)
{
	banyan_data *space = NULL;
	banyan_cursor *cursor = NULL;
	struct banyan_entry e;
	struct banyan_range range = { .prefix = "k", .prefix_len = 1 };
	uint64_t parent = 0;
	range.reverse = chance(o, 50);
	int rc = take_space(o, &space, "scan");
	if (rc)
		return rc;
	see(o, banyan_parent(space, &parent));
	rc = see(o, banyan_scan(space, &range, &cursor));
	while (!rc && (rc = banyan_next(cursor, &e)) == 0) {
		banyan_data *data = NULL;
		see_bytes(o->c, e.name, e.len);
		see_number(o->c, e.attr.size);
		see(o, banyan_entry_data(cursor, &data));
		banyan_release(data, 1);
	}
	banyan_scan_end(cursor);
	banyan_release(space, 1);
	return see(o, rc);
}

static int count_freeze(void *arg, const struct banyan_freeze_info *info)
{
	(void)arg;
	(void)info;
	return 0;
}

static int op_whole(struct op *o)
{
	struct banyan_stat stat = { 0 };
	about(o, "whole", "", "");
	int rc = banyan_get_stat(o->db, &stat);
	if (!rc)
		rc = banyan_freezes(o->db, count_freeze, NULL);
	return see(o, rc);
}

/* ---- which one -------------------------------------------------------- */

static const struct {
	int (*op)(struct op *o);
	unsigned part;
} table[] = {
	{ op_put, 20 },	  { op_put_data, 5 }, { op_remove, 8 },
	{ op_alias, 6 },  { op_rename, 9 },   { op_make_space, 4 },
	{ op_insert, 8 }, { op_delete, 6 },   { op_move, 4 },
	{ op_write, 12 }, { op_set_attr, 6 }, { op_punch, 4 },
	{ op_clone, 6 },  { op_xattr, 7 },    { op_get, 3 },
	{ op_look, 3 },	  { op_scan, 3 },     { op_unnamed, 6 },
	{ op_hold, 8 },	  { op_whole, 1 },
};

#define TABLE (sizeof(table) / sizeof(table[0]))
#define FOR_BATCHES 17u /* the first ones */

static int do_one(struct op *o)
{
	size_t count = o->batch ? FOR_BATCHES : TABLE;
	unsigned total = 0;
	size_t i = 0;
	for (size_t k = 0; k < count; k++)
		total += table[k].part;
	uint64_t pick = below(o, total);
	for (; pick >= table[i].part; i++)
		pick -= table[i].part;
	return table[i].op(o);
}

/* An operation that a fault meets is as if it was not there, or all fails */
static int do_batch(struct op *o)
{
	uint64_t random = o->random;
	uint64_t count = 1 + below(o, BATCH_MAX);
	bool drop = chance(o, 12);
	about(o, "batch", "", "");
	int rc = see(o, banyan_begin(o->c->db, &o->db));
	if (rc)
		return rc;
	o->batch = true;
	for (unsigned i = 0; i < count; i++) {
		o->random = random + 7919 * (i + 1);
		if (o->c->skip >> i & 1)
			continue;
		if (chore_is_fault(do_one(o)))
			o->c->failed |= UINT64_C(1) << i;
	}
	if (drop)
		banyan_abort(o->db);
	else
		rc = see(o, banyan_commit(o->db));
	return rc;
}

int chore_do(struct chores *c, unsigned n)
{
	struct op o = { .c = c, .db = c->db };
	o.random = c->seed * 1000003 + n;
	if (!pool[0])
		for (size_t i = 0; i < sizeof(pool); i++)
			pool[i] = (uint8_t)(i * 2654435761u >> 13 | 1);
	c->failed = 0;
	c->seen = 0;
	c->blurred = false;
	c->detail[0] = '\0';
	uint64_t kind = below(&o, 100);
	c->synced = kind < 12;
	if (c->synced)
		about(&o, kind < 7 ? "sync" : "freeze", "", "");
	if (kind < 7)
		return see(&o, banyan_sync(c->db));
	if (kind < 12)
		return see(&o, banyan_freeze(c->db));
	return kind < 28 ? do_batch(&o) : do_one(&o);
}

/* ---- the state -------------------------------------------------------- */

static int print_held(struct chores *c, banyan_data *data)
{
	struct banyan_attr attr;
	ssize_t n = 0;
	int rc = banyan_get_attr(data, &attr);
	if (rc)
		return rc;
	if (!S_ISDIR(attr.mode))
		n = banyan_read(data, room, sizeof(room), 0);
	if (n < 0)
		return (int)n;
	see_number(c, attr.size ^ attr.mode);
	see_bytes(c, room, (size_t)n);
	return 0;
}

int chores_print(struct chores *c, uint64_t *reached, uint64_t *held)
{
	uint64_t seen = c->seen;
	int rc = fingerprint(c->db, reached);
	c->seen = 0;
	for (size_t i = 0; !rc && i < CHORES_HELD; i++)
		if (c->held[i])
			rc = print_held(c, c->held[i]);
	*held = c->seen;
	c->seen = seen;
	return rc;
}

void chores_release(struct chores *c)
{
	for (size_t i = 0; i < CHORES_HELD; i++) {
		banyan_release(c->held[i], 1);
		c->held[i] = NULL;
	}
}
