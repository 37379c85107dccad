/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a database and on a plain model of it (model.h): both
 * must always say the same, errors included.
 *
 * BANYAN_SEED says which operations, BANYAN_STEPS how many.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model_compare.h"
#include "random.h"

struct run {
	banyan *db;
	char file[64];
	struct model m;
	uint64_t random;
	uint64_t step;
	uint64_t steps;
	bool batch;
	struct model before; /* the batch */
	banyan_data *handle[MODEL_OBJECTS]; /* of those that are held */
	banyan_cursor *cursor; /* one that is left standing for a while */
	struct banyan_range range; /* of it */
	struct model then; /* when it was opened */
	uint32_t cursor_space;
	uint64_t good;
	uint64_t errors;
};

static uint64_t below(struct run *r, uint64_t n)
{
	return test_below(&r->random, n);
}

static bool chance(struct run *r, unsigned percent)
{
	return below(r, 100) < percent;
}

/* Both said something: it must be the same */
static void same(struct run *r, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		fail_msg("step %llu: %s: %lld, and the model says %lld",
			 (unsigned long long)r->step, what, (long long)got,
			 (long long)want);
	if (got < 0)
		r->errors++;
	else
		r->good++;
}

/* ---- random arguments ------------------------------------------------- */

/* A value: mostly a few bytes, at times tens of thousands. To be freed. */
static uint8_t *random_bytes(struct run *r, size_t *size)
{
	static const size_t limits[] = { 1,    20,    200,  200, 256,
					 300,  1000,  4096, 4200, 40000 };
	*size = (size_t)below(r, limits[below(r, 10)] + 1);
	uint8_t *bytes = malloc(*size + 1);
	assert_non_null(bytes);
	for (size_t i = 0; i < *size; i++)
		bytes[i] = (uint8_t)(test_random(&r->random) >> 8);
	return bytes;
}

static void random_name(struct run *r, char *name)
{
	unsigned n = (unsigned)below(r, 60);
	size_t len = 200 + below(r, 56);
	switch (below(r, 12)) {
	case 0: /* long ones that differ only at the end */
		memset(name, 'L', len);
		sprintf(name + len - 2, "%u", n % 10);
		break;
	case 1: /* prefixes of each other */
		memset(name, 'a', 1 + n % 8);
		name[1 + n % 8] = '\0';
		break;
	case 2: /* any bytes */
		sprintf(name, "%c%c", (int)(1 + below(r, 46)),
			(int)(0x80 + below(r, 0x80)));
		break;
	default:
		sprintf(name, "key%u", n);
	}
}

static void unfit_name(struct run *r, char *name)
{
	static const char *const names[] = { ".", "..", ".banyan" };
	if (chance(r, 25)) {
		memset(name, 'x', 256);
		name[256] = '\0';
		return;
	}
	strcpy(name, names[below(r, 3)]);
}

static size_t random_key(struct run *r)
{
	return (size_t)below(r, r->m.keys);
}

/* A key space; the root if none is found soon */
static uint32_t random_space(struct run *r)
{
	for (unsigned i = 0; i < 12 && r->m.keys; i++) {
		uint32_t o = r->m.key[random_key(r)].object;
		if (model_is_space(&r->m, o))
			return o;
	}
	return MODEL_ROOT;
}

static void random_path(struct run *r, char *path, bool existing)
{
	char name[300];
	unsigned kind = (unsigned)below(r, 100);
	if (r->m.keys && (existing ? kind < 92 : kind < 25)) {
		model_key_path(&r->m, random_key(r), path);
		if (kind < 2) /* through a value */
			strcat(path, "//deeper");
		return;
	}
	if (kind > 97) {
		strcpy(path, kind == 98 ? "" : "/");
		return;
	}
	assert_true(model_path(&r->m, random_space(r), path));
	if (strlen(path) > 1200)
		path[0] = '\0';
	for (unsigned i = 0; i < 1 + below(r, 8) / 7; i++) {
		random_name(r, name);
		strcat(path, "/");
		strcat(path, name);
	}
	if (chance(r, 3)) {
		unfit_name(r, name);
		strcat(path, "/");
		strcat(path, name);
	}
}

/* An object that is a value (mostly), and somebody's key or held */
static uint32_t random_object(struct run *r)
{
	for (unsigned i = 0; i < 200; i++) {
		uint32_t o = (uint32_t)below(r, MODEL_OBJECTS);
		if (!r->m.object[o].used)
			continue;
		if (!model_is_space(&r->m, o) || chance(r, 5))
			return o;
	}
	return MODEL_ROOT;
}

static banyan_data *take(struct run *r, uint32_t object)
{
	char path[MODEL_PATH_MAX];
	banyan_data *data = r->handle[object];
	if (data)
		return data;
	assert_true(model_path(&r->m, object, path));
	assert_int_equal(banyan_find(r->db, path, &data), 0);
	return data;
}

static void give_back(struct run *r, uint32_t object, banyan_data *data)
{
	if (data != r->handle[object])
		banyan_release(data, 1);
}

/* ---- operations by path ----------------------------------------------- */

static void op_put(struct run *r)
{
	char path[MODEL_PATH_MAX];
	size_t size = 0;
	uint8_t *bytes = random_bytes(r, &size);
	unsigned flags = (unsigned)below(r, 4);
	if (chance(r, 50))
		flags = 0;
	random_path(r, path, false);
	same(r, "put", banyan_put(r->db, path, bytes, size, flags),
	     model_put(&r->m, path, bytes, size, flags));
	free(bytes);
}

static void op_put_data(struct run *r)
{
	char path[MODEL_PATH_MAX];
	uint32_t source = random_object(r);
	unsigned flags = (unsigned)below(r, 4);
	if (model_is_space(&r->m, source))
		return;
	banyan_data *data = take(r, source);
	random_path(r, path, false);
	same(r, "put_data", banyan_put_data(r->db, path, data, flags),
	     model_put_data(&r->m, path, source, flags));
	give_back(r, source, data);
}

static void op_remove(struct run *r)
{
	char path[MODEL_PATH_MAX];
	random_path(r, path, true);
	same(r, "remove", banyan_remove(r->db, path),
	     model_remove(&r->m, path));
}

static void op_alias(struct run *r)
{
	char path[MODEL_PATH_MAX];
	char alias[MODEL_PATH_MAX];
	random_path(r, path, true);
	random_path(r, alias, false);
	same(r, "alias", banyan_alias(r->db, path, alias),
	     model_alias(&r->m, path, alias));
}

static void op_rename(struct run *r)
{
	static const unsigned all[] = { 0, 0, 0, BANYAN_NO_REPLACE,
					BANYAN_EXCHANGE, BANYAN_EXCHANGE };
	char path[MODEL_PATH_MAX];
	char to[MODEL_PATH_MAX];
	unsigned flags = all[below(r, 6)];
	random_path(r, path, true);
	random_path(r, to, chance(r, 50));
	same(r, "rename", banyan_rename(r->db, path, to, flags),
	     model_rename(&r->m, path, to, flags));
}

static void op_make_space(struct run *r)
{
	char path[MODEL_PATH_MAX];
	unsigned flags = chance(r, 50) ? BANYAN_PARENTS : 0;
	random_path(r, path, false);
	same(r, "make_space", banyan_make_space(r->db, path, flags),
	     model_make_space(&r->m, path, flags));
}

static void op_get(struct run *r)
{
	char path[MODEL_PATH_MAX];
	void *value = NULL;
	size_t size = 0;
	uint32_t object = 0;
	random_path(r, path, chance(r, 80));
	int want = model_find(&r->m, path, &object);
	if (!want && model_is_space(&r->m, object))
		want = -EISDIR;
	same(r, "get", banyan_get(r->db, path, &value, &size), want);
	if (want)
		return;
	const struct value *v = r->m.object[object].value;
	assert_int_equal(size, v->size);
	assert_memory_equal(value, v->bytes, size);
	free(value);
}

/* ---- operations on what is held --------------------------------------- */

static void keep(struct run *r, uint32_t object, banyan_data *data)
{
	if (r->handle[object])
		banyan_release(data, 1);
	r->handle[object] = data;
	r->m.object[object].held = true;
}

static void op_insert(struct run *r)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFREG, S_IFDIR,
					  S_IFLNK, S_IFIFO };
	char name[300];
	size_t size = 0;
	uint32_t object = 0;
	banyan_data *data = NULL;
	uint32_t space = chance(r, 90) ? random_space(r) : random_object(r);
	uint32_t type = types[below(r, 6)];
	uint8_t *bytes = random_bytes(r, &size);
	random_name(r, name);
	if (chance(r, 3))
		unfit_name(r, name);
	if (type == S_IFDIR || type == S_IFIFO)
		size = 0;
	banyan_data *in = take(r, space);
	struct banyan_new make = { type | 0640, 1, 2, 0, bytes, size };
	bool wanted = !r->batch && chance(r, 30);
	int rc = banyan_insert(in, name, strlen(name), &make,
			       wanted ? &data : NULL);
	same(r, "insert", rc,
	     model_insert(&r->m, space, name, strlen(name), type, bytes, size,
			  &object));
	if (data)
		keep(r, object, data);
	give_back(r, space, in);
	free(bytes);
}

static void op_unnamed(struct run *r)
{
	size_t size = 0;
	banyan_data *data = NULL;
	uint8_t *bytes = random_bytes(r, &size);
	struct banyan_new make = { 0600, 1, 2, 0, bytes, size };
	same(r, "insert_unnamed", banyan_insert_unnamed(r->db, &make, &data),
	     0);
	uint32_t object = model_unnamed(&r->m, bytes, size);
	free(bytes);
	if (!r->batch) {
		keep(r, object, data);
		return;
	}
	char name[300];
	random_name(r, name);
	same(r, "insert_data",
	     banyan_insert_data(banyan_root(r->db), name, strlen(name), data),
	     model_insert_data(&r->m, MODEL_ROOT, name, strlen(name), object));
	banyan_release(data, 1);
	r->m.object[object].held = false;
	model_collect(&r->m);
}

static void op_insert_data(struct run *r)
{
	char name[300];
	uint32_t object = random_object(r);
	uint32_t space = chance(r, 90) ? random_space(r) : random_object(r);
	banyan_data *data = take(r, object);
	banyan_data *in = take(r, space);
	random_name(r, name);
	same(r, "insert_data",
	     banyan_insert_data(in, name, strlen(name), data),
	     model_insert_data(&r->m, space, name, strlen(name), object));
	give_back(r, space, in);
	give_back(r, object, data);
}

/* Delete by handle; often the Data lives on, held */
static void op_delete(struct run *r)
{
	static const unsigned all[] = { 0, 0, 0, BANYAN_ONLY_SPACE,
					BANYAN_NOT_SPACE };
	banyan_data *data = NULL;
	unsigned flags = all[below(r, 5)];
	bool wanted = !r->batch && chance(r, 60);
	if (!r->m.keys)
		return;
	struct model_key k = r->m.key[random_key(r)];
	banyan_data *in = take(r, k.space);
	int rc = banyan_delete(in, k.name, k.len, flags,
			       wanted ? &data : NULL);
	bool was = r->m.object[k.object].held;
	r->m.object[k.object].held = was || wanted;
	same(r, "delete", rc,
	     model_delete(&r->m, k.space, k.name, k.len, flags));
	r->m.object[k.object].held = was;
	if (data)
		keep(r, k.object, data);
	give_back(r, k.space, in);
}

static void op_hold(struct run *r)
{
	uint32_t object = random_object(r);
	if (r->batch || object == MODEL_ROOT || r->handle[object])
		return;
	keep(r, object, take(r, object));
}

static void op_release(struct run *r)
{
	uint32_t object = random_object(r);
	if (r->batch || !r->handle[object])
		return;
	model_compare_object(&r->m, object, r->handle[object]);
	banyan_release(r->handle[object], 1);
	r->handle[object] = NULL;
	r->m.object[object].held = false;
	model_collect(&r->m);
}

/* ---- contents --------------------------------------------------------- */

static uint64_t random_offset(struct run *r, uint32_t object)
{
	const struct value *v = r->m.object[object].value;
	uint64_t size = v ? v->size : 0;
	return below(r, size + (chance(r, 20) ? 30000 : 50));
}

/* Values must not grow for ever */
static void keep_small(struct run *r, uint32_t object, banyan_data *data)
{
	const struct value *v = r->m.object[object].value;
	if (v && v->size > 150000)
		same(r, "truncate", banyan_truncate(data, 10),
		     model_truncate(&r->m, object, 10));
}

static void op_write(struct run *r)
{
	size_t size = 0;
	uint8_t *bytes = random_bytes(r, &size);
	uint32_t object = random_object(r);
	uint64_t offset = random_offset(r, object);
	unsigned flags = chance(r, 20) ? BANYAN_APPEND : 0;
	banyan_data *data = take(r, object);
	same(r, "write",
	     banyan_write(data, bytes, size, offset, flags, NULL),
	     model_write(&r->m, object, bytes, size, offset, flags));
	keep_small(r, object, data);
	give_back(r, object, data);
	free(bytes);
}

/* Many small writes: more extents than fit into a row */
static void op_scatter(struct run *r)
{
	uint32_t object = random_object(r);
	banyan_data *data = take(r, object);
	for (unsigned i = 0; i < 12; i++) {
		uint64_t offset = below(r, 60000);
		uint64_t bytes = test_random(&r->random);
		same(r, "write",
		     banyan_write(data, &bytes, 8, offset, 0, NULL),
		     model_write(&r->m, object, &bytes, 8, offset, 0));
	}
	give_back(r, object, data);
}

static void op_truncate(struct run *r)
{
	uint32_t object = random_object(r);
	uint64_t size = chance(r, 20) ? 0 : random_offset(r, object);
	banyan_data *data = take(r, object);
	same(r, "truncate", banyan_truncate(data, size),
	     model_truncate(&r->m, object, size));
	give_back(r, object, data);
}

static void op_punch(struct run *r)
{
	uint32_t object = random_object(r);
	uint64_t offset = random_offset(r, object);
	uint64_t size = below(r, chance(r, 50) ? 300 : 30000);
	bool keep_size = chance(r, 50);
	banyan_data *data = take(r, object);
	same(r, "punch", banyan_punch(data, offset, size, keep_size),
	     model_punch(&r->m, object, offset, size, keep_size));
	keep_small(r, object, data);
	give_back(r, object, data);
}

static void op_clone(struct run *r)
{
	uint32_t source = random_object(r);
	uint32_t target = chance(r, 25) ? source : random_object(r);
	uint64_t from = random_offset(r, source);
	uint64_t to = random_offset(r, target);
	uint64_t size = below(r, chance(r, 50) ? 400 : 40000);
	banyan_data *a = take(r, source);
	banyan_data *b = source == target ? a : take(r, target);
	same(r, "clone", banyan_clone(a, from, b, to, size),
	     model_clone(&r->m, source, from, target, to, size));
	keep_small(r, target, b);
	if (source != target)
		give_back(r, target, b);
	give_back(r, source, a);
}

static void op_read(struct run *r)
{
	uint32_t object = random_object(r);
	uint64_t offset = random_offset(r, object);
	size_t size = (size_t)below(r, 9000);
	const struct value *v = r->m.object[object].value;
	if (!v)
		return;
	uint8_t bytes[9000];
	banyan_data *data = take(r, object);
	size_t want = offset < v->size ? v->size - (size_t)offset : 0;
	if (want > size)
		want = size;
	same(r, "read", banyan_read(data, bytes, size, offset),
	     (int64_t)want);
	if (want)
		assert_memory_equal(bytes, v->bytes + offset, want);
	give_back(r, object, data);
}

/* What lies in holes reads as zeros, and data is found where there is any */
static void op_seek(struct run *r)
{
	uint32_t object = random_object(r);
	const struct value *v = r->m.object[object].value;
	if (!v || !v->size)
		return;
	uint64_t offset = below(r, v->size);
	banyan_data *data = take(r, object);
	int64_t found = banyan_seek_data(data, offset);
	int64_t hole = banyan_seek_hole(data, offset);
	give_back(r, object, data);
	assert_true(hole >= (int64_t)offset && hole <= (int64_t)v->size);
	uint64_t end = found < 0 ? v->size : (uint64_t)found;
	assert_true(found >= (int64_t)offset || found == -ENXIO);
	assert_true(end <= v->size);
	for (uint64_t i = offset; i < end; i++)
		assert_int_equal(v->bytes[i], 0);
}

static void op_set_xattr(struct run *r)
{
	size_t size = 0;
	uint32_t object = random_object(r);
	unsigned which = (unsigned)below(r, MODEL_XATTRS);
	unsigned flags = (unsigned)below(r, 3);
	uint8_t *bytes = random_bytes(r, &size);
	banyan_data *data = take(r, object);
	same(r, "set_xattr",
	     banyan_set_xattr(data, model_xattr_name(which), bytes, size,
			      flags),
	     model_set_xattr(&r->m, object, which, bytes, size, flags));
	give_back(r, object, data);
	free(bytes);
}

static void op_remove_xattr(struct run *r)
{
	uint32_t object = random_object(r);
	unsigned which = (unsigned)below(r, MODEL_XATTRS);
	banyan_data *data = take(r, object);
	same(r, "remove_xattr",
	     banyan_remove_xattr(data, model_xattr_name(which)),
	     model_remove_xattr(&r->m, object, which));
	give_back(r, object, data);
}

/* ---- scans ------------------------------------------------------------ */

static const char *maybe_name(struct run *r, char *name, size_t *len)
{
	if (chance(r, 50))
		return NULL;
	random_name(r, name);
	*len = strlen(name);
	if (chance(r, 50))
		*len = 1 + *len / 2;
	return name;
}

static void op_scan(struct run *r)
{
	char names[3][300];
	banyan_cursor *cursor = NULL;
	struct banyan_range g = { 0 };
	uint32_t space = random_space(r);
	const struct model *m = r->batch ? &r->before : &r->m;
	if (r->batch && (space >= MODEL_OBJECTS ||
			 m->object[space].serial !=
				 r->m.object[space].serial))
		return;
	g.prefix = chance(r, 30) ? maybe_name(r, names[0], &g.prefix_len) :
				   NULL;
	g.from = maybe_name(r, names[1], &g.from_len);
	g.to = maybe_name(r, names[2], &g.to_len);
	g.after = chance(r, 30);
	g.reverse = chance(r, 50);
	g.names_only = chance(r, 20);
	banyan_data *in = take(r, space);
	same(r, "scan", banyan_scan(in, &g, &cursor), 0);
	give_back(r, space, in);
	model_compare_cursor(m, space, &g, cursor);
	banyan_scan_end(cursor);
}

/* A cursor shows the moment at which it was made */
static void op_cursor(struct run *r)
{
	if (r->batch)
		return;
	if (r->cursor) {
		model_compare_cursor(&r->then, r->cursor_space, &r->range,
				     r->cursor);
		banyan_scan_end(r->cursor);
		model_free(&r->then);
		r->cursor = NULL;
		return;
	}
	uint32_t space = random_space(r);
	banyan_data *in = take(r, space);
	r->range = (struct banyan_range){ .reverse = chance(r, 50) };
	same(r, "scan", banyan_scan(in, &r->range, &r->cursor), 0);
	give_back(r, space, in);
	r->cursor_space = space;
	model_copy(&r->then, &r->m);
}

/* ---- batches and the whole -------------------------------------------- */

static void op_batch(struct run *r)
{
	if (!r->batch) {
		same(r, "begin", banyan_begin(r->db), 0);
		model_copy(&r->before, &r->m);
		r->batch = true;
		return;
	}
	r->batch = false;
	if (chance(r, 60)) {
		same(r, "commit", banyan_commit(r->db), 0);
		model_free(&r->before);
		return;
	}
	banyan_abort(r->db);
	model_free(&r->m);
	model_copy(&r->m, &r->before);
	model_free(&r->before);
	model_collect(&r->m);
}

static void end_batch(struct run *r)
{
	if (r->batch)
		op_batch(r);
}

static void compare_held(struct run *r)
{
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++)
		if (r->handle[i])
			model_compare_object(&r->m, i, r->handle[i]);
}

/* The library's own idea of what is sound must agree */
static void found(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

static void op_compare(struct run *r)
{
	if (r->batch)
		return;
	model_compare_all(&r->m, r->db);
	compare_held(r);
	struct banyan_check check = { .found = found };
	assert_int_equal(banyan_check(r->file, &check), 0);
}

static void op_freeze(struct run *r)
{
	same(r, "freeze", banyan_freeze(r->db), r->batch ? -EBUSY : 0);
}

static void op_sync(struct run *r)
{
	same(r, "sync", banyan_sync(r->db), r->batch ? -EBUSY : 0);
}

static void report(void *arg, const char *line)
{
	struct run *r = arg;
	print_error("step %llu: %s\n", (unsigned long long)r->step, line);
	fail();
}

static void open_db(struct run *r)
{
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = report,
				    .report_arg = r };
	assert_int_equal(banyan_open(r->file, &o, &r->db), 0);
}

static void close_db(struct run *r)
{
	end_batch(r);
	if (r->cursor)
		op_cursor(r);
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++) {
		banyan_release(r->handle[i], 1);
		r->handle[i] = NULL;
		r->m.object[i].held = false;
	}
	model_collect(&r->m);
	assert_int_equal(banyan_close(r->db), 0);
}

static void op_reopen(struct run *r)
{
	close_db(r);
	open_db(r);
	model_compare_all(&r->m, r->db);
}

/* ---- the run ---------------------------------------------------------- */

static const struct {
	void (*op)(struct run *r);
	unsigned per_mille;
} operations[] = {
	{ op_put, 150 },	{ op_put_data, 20 },  { op_remove, 70 },
	{ op_alias, 40 },	{ op_rename, 80 },    { op_make_space, 20 },
	{ op_get, 60 },		{ op_insert, 60 },    { op_unnamed, 15 },
	{ op_insert_data, 25 }, { op_delete, 45 },    { op_hold, 25 },
	{ op_release, 70 },	{ op_write, 80 },     { op_scatter, 8 },
	{ op_truncate, 25 },	{ op_punch, 25 },     { op_clone, 40 },
	{ op_read, 30 },	{ op_seek, 10 },      { op_set_xattr, 25 },
	{ op_remove_xattr, 10 }, { op_scan, 35 },     { op_cursor, 10 },
	{ op_batch, 25 },	{ op_freeze, 4 },     { op_sync, 3 },
	{ op_reopen, 2 },	{ op_compare, 3 },
};

static void random_op(struct run *r)
{
	size_t n = sizeof(operations) / sizeof(operations[0]);
	unsigned total = 0;
	for (size_t i = 0; i < n; i++)
		total += operations[i].per_mille;
	unsigned pick = (unsigned)below(r, total);
	size_t i = 0;
	for (; pick >= operations[i].per_mille; i++)
		pick -= operations[i].per_mille;
	operations[i].op(r);
}

static void make_room(struct run *r)
{
	while (r->m.keys > MODEL_OBJECTS / 2)
		op_remove(r);
}

static uint64_t steps_wanted(uint64_t otherwise)
{
	const char *text = getenv("BANYAN_STEPS");
	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void says_what_a_plain_model_says(void **state)
{
	char dir[] = "/tmp/banyan-model-XXXXXX";
	struct run *r = calloc(1, sizeof(*r));
	(void)state;
	assert_non_null(r);
	assert_non_null(mkdtemp(dir));
	snprintf(r->file, sizeof(r->file), "%s/db", dir);
	r->random = test_seed();
	r->steps = steps_wanted(20000);
	model_init(&r->m);
	open_db(r);
	for (r->step = 0; r->step < r->steps; r->step++) {
		if (model_full(&r->m))
			make_room(r);
		random_op(r);
	}
	end_batch(r);
	op_compare(r);
	op_reopen(r);
	op_compare(r);
	close_db(r);
	print_message("%llu calls went well, %llu said an error\n",
		      (unsigned long long)r->good,
		      (unsigned long long)r->errors);
	model_free(&r->m);
	unlink(r->file);
	rmdir(dir);
	free(r);
}

/* ---- what random operations do not come across ------------------------ */

/* A Data that was made in a batch and held never was if the batch is aborted;
 * the next one must not be taken for it */
static void what_an_aborted_batch_made_is_gone(void **state)
{
	banyan *db = NULL;
	banyan_data *ghost = NULL;
	banyan_data *data = NULL;
	struct banyan_attr attr;
	struct banyan_new make = { .mode = 0600, .value = "x", .size = 1 };
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_begin(db), 0);
	assert_int_equal(banyan_insert(banyan_root(db), "a", 1, &make, &ghost),
			 0);
	assert_int_equal(banyan_get_attr(ghost, &attr), 0);
	banyan_abort(db);
	assert_int_equal(banyan_get_attr(ghost, &attr), -ESTALE);
	assert_int_equal(banyan_insert(banyan_root(db), "b", 1, &make, &data),
			 0);
	assert_ptr_not_equal(ghost, data);
	assert_int_equal(banyan_get_attr(data, &attr), 0);
	assert_int_equal(banyan_get_attr(ghost, &attr), -ESTALE);
	assert_int_equal(banyan_write(ghost, "y", 1, 0, 0, NULL), -ESTALE);
	banyan_release(ghost, 1);
	banyan_release(data, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* Puts until it is full; how many there were */
static unsigned fill_batch(banyan *db, size_t size)
{
	static char bytes[256];
	unsigned n = 0;
	for (;; n++) {
		char path[32];
		sprintf(path, "key%u", n);
		memset(bytes, (int)(n * 37), sizeof(bytes));
		for (size_t i = 0; i < size; i += 4)
			memcpy(bytes + i, &n, sizeof(n));
		int rc = banyan_put(db, path, bytes, size, 0);
		if (rc) {
			assert_int_equal(rc, -E2BIG);
			return n;
		}
		assert_true(n < 100000);
	}
}

static void a_batch_that_is_full_may_be_committed(void **state)
{
	banyan *db = NULL;
	struct banyan_stat st;
	void *value = NULL;
	size_t size = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_begin(db), 0);
	unsigned n = fill_batch(db, 256);
	assert_true(n > 5000);
	assert_int_equal(banyan_get(db, "key17", &value, &size), 0);
	assert_int_equal(size, 256);
	free(value);
	assert_int_equal(banyan_commit(db), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.keys, n);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_a_plain_model_says),
		cmocka_unit_test(what_an_aborted_batch_made_is_gone),
		cmocka_unit_test(a_batch_that_is_full_may_be_committed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
