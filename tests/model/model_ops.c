/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "model_ops.h"
#include "tests/support/random.h"

uint64_t run_below(struct run *r, uint64_t n)
{
	return test_below(&r->random, n);
}

bool run_chance(struct run *r, unsigned percent)
{
	return run_below(r, 100) < percent;
}

/* Both said something: it must be the same */
void run_same(struct run *r, const char *what, int64_t got, int64_t want)
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
	static const size_t limits[] = { 1,   20,   200,  200,	256,
					 300, 1000, 4096, 4200, 40000 };
	*size = (size_t)run_below(r, limits[run_below(r, 10)] + 1);
	uint8_t *bytes = malloc(*size + 1);
	assert_non_null(bytes);
	for (size_t i = 0; i < *size; i++)
		bytes[i] = (uint8_t)(test_random(&r->random) >> 8);
	return bytes;
}

void run_random_name(struct run *r, char *name)
{
	unsigned n = (unsigned)run_below(r, 60);
	size_t len = 200 + run_below(r, 56);
	switch (run_below(r, 12)) {
	case 0: /* long ones that differ only at the end */
		memset(name, 'L', len);
		sprintf(name + len - 2, "%u", n % 10);
		break;
	case 1: /* prefixes of each other */
		memset(name, 'a', 1 + n % 8);
		name[1 + n % 8] = '\0';
		break;
	case 2: /* any bytes */
		sprintf(name, "%c%c", (int)(1 + run_below(r, 46)),
			(int)(0x80 + run_below(r, 0x80)));
		break;
	default:
		sprintf(name, "key%u", n);
	}
}

static void unfit_name(struct run *r, char *name)
{
	static const char *const names[] = { ".", "..", ".banyan" };
	if (run_chance(r, 25)) {
		memset(name, 'x', 256);
		name[256] = '\0';
		return;
	}
	strcpy(name, names[run_below(r, 3)]);
}

static size_t random_key(struct run *r)
{
	return (size_t)run_below(r, r->m.keys);
}

/* A key space; the root if none is found soon */
uint32_t run_random_space(struct run *r)
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
	unsigned kind = (unsigned)run_below(r, 100);
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
	assert_true(model_path(&r->m, run_random_space(r), path));
	if (strlen(path) > 1200)
		path[0] = '\0';
	for (unsigned i = 0; i < 1 + run_below(r, 8) / 7; i++) {
		run_random_name(r, name);
		strcat(path, "/");
		strcat(path, name);
	}
	if (run_chance(r, 3)) {
		unfit_name(r, name);
		strcat(path, "/");
		strcat(path, name);
	}
}

banyan *run_through(const struct run *r)
{
	return r->batch ? r->batch : r->db;
}

banyan_data **run_held(struct run *r)
{
	return r->batch ? r->inside : r->held;
}

void run_note_held(struct run *r, uint32_t object)
{
	r->m.object[object].held = r->held[object] || r->inside[object];
	if (r->batch)
		r->before.object[object].held = r->held[object] != NULL;
}

/* What has no key cannot be come by through a batch, unless that holds it */
static bool within_reach(struct run *r, uint32_t object)
{
	const struct object *o = &r->m.object[object];
	return o->used && (o->nlink || run_held(r)[object]);
}

/* An object that is a value (mostly), and somebody's key or held */
static uint32_t random_object(struct run *r)
{
	for (unsigned i = 0; i < 200; i++) {
		uint32_t o = (uint32_t)run_below(r, MODEL_OBJECTS);
		if (!within_reach(r, o))
			continue;
		if (!model_is_space(&r->m, o) || run_chance(r, 5))
			return o;
	}
	return MODEL_ROOT;
}

banyan_data *run_take(struct run *r, uint32_t object)
{
	char path[MODEL_PATH_MAX];
	banyan_data *data = run_held(r)[object];
	if (data)
		return data;
	assert_true(model_path(&r->m, object, path));
	assert_int_equal(banyan_find(run_through(r), path, &data), 0);
	return data;
}

void run_give_back(struct run *r, uint32_t object, banyan_data *data)
{
	if (data != run_held(r)[object])
		banyan_release(data, 1);
}

/* ---- operations by path ----------------------------------------------- */

void op_put(struct run *r)
{
	char path[MODEL_PATH_MAX];
	size_t size = 0;
	uint8_t *bytes = random_bytes(r, &size);
	unsigned flags = (unsigned)run_below(r, 4);
	if (run_chance(r, 50))
		flags = 0;
	random_path(r, path, false);
	run_same(r, "put", banyan_put(run_through(r), path, bytes, size, flags),
		 model_put(&r->m, path, bytes, size, flags));
	free(bytes);
}

void op_put_data(struct run *r)
{
	char path[MODEL_PATH_MAX];
	uint32_t source = random_object(r);
	unsigned flags = (unsigned)run_below(r, 4);
	if (model_is_space(&r->m, source))
		return;
	banyan_data *data = run_take(r, source);
	random_path(r, path, false);
	run_same(r, "put_data",
		 banyan_put_data(run_through(r), path, data, flags),
		 model_put_data(&r->m, path, source, flags));
	run_give_back(r, source, data);
}

void op_remove(struct run *r)
{
	char path[MODEL_PATH_MAX];
	random_path(r, path, true);
	run_same(r, "remove", banyan_remove(run_through(r), path),
		 model_remove(&r->m, path));
}

void op_alias(struct run *r)
{
	char path[MODEL_PATH_MAX];
	char alias[MODEL_PATH_MAX];
	random_path(r, path, true);
	random_path(r, alias, false);
	run_same(r, "alias", banyan_alias(run_through(r), path, alias),
		 model_alias(&r->m, path, alias));
}

void op_rename(struct run *r)
{
	static const unsigned all[] = {
		0, 0, 0, BANYAN_NO_REPLACE, BANYAN_EXCHANGE, BANYAN_EXCHANGE
	};
	char path[MODEL_PATH_MAX];
	char to[MODEL_PATH_MAX];
	unsigned flags = all[run_below(r, 6)];
	random_path(r, path, true);
	random_path(r, to, run_chance(r, 50));
	run_same(r, "rename", banyan_rename(run_through(r), path, to, flags),
		 model_rename(&r->m, path, to, flags));
}

void op_make_space(struct run *r)
{
	char path[MODEL_PATH_MAX];
	unsigned flags = run_chance(r, 50) ? BANYAN_PARENTS : 0;
	random_path(r, path, false);
	run_same(r, "make_space",
		 banyan_make_space(run_through(r), path, flags),
		 model_make_space(&r->m, path, flags));
}

void op_get(struct run *r)
{
	char path[MODEL_PATH_MAX];
	void *value = NULL;
	size_t size = 0;
	uint32_t object = 0;
	random_path(r, path, run_chance(r, 80));
	int want = model_find(&r->m, path, &object);
	if (!want && model_is_space(&r->m, object))
		want = -EISDIR;
	run_same(r, "get", banyan_get(run_through(r), path, &value, &size),
		 want);
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
	banyan_data **held = run_held(r);
	if (held[object])
		banyan_release(data, 1);
	held[object] = data;
	run_note_held(r, object);
}

void op_insert(struct run *r)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFREG,
					  S_IFDIR, S_IFLNK, S_IFIFO };
	char name[300];
	size_t size = 0;
	uint32_t object = 0;
	banyan_data *data = NULL;
	uint32_t space = run_chance(r, 90) ? run_random_space(r) :
					     random_object(r);
	uint32_t type = types[run_below(r, 6)];
	uint8_t *bytes = random_bytes(r, &size);
	run_random_name(r, name);
	if (run_chance(r, 3))
		unfit_name(r, name);
	if (type == S_IFDIR || type == S_IFIFO)
		size = 0;
	banyan_data *in = run_take(r, space);
	struct banyan_new make = { .mode = type | 0640,
				   .uid = 1,
				   .gid = 2,
				   .value = bytes,
				   .size = size };
	bool wanted = run_chance(r, 30);
	int rc = banyan_insert(in, name, strlen(name), &make,
			       wanted ? &data : NULL, NULL);
	run_same(r, "insert", rc,
		 model_insert(&r->m, space, name, strlen(name), type, bytes,
			      size, &object));
	if (data)
		keep(r, object, data);
	run_give_back(r, space, in);
	free(bytes);
}

void op_unnamed(struct run *r)
{
	size_t size = 0;
	banyan_data *data = NULL;
	uint8_t *bytes = random_bytes(r, &size);
	struct banyan_new make = {
		.mode = 0600, .uid = 1, .gid = 2, .value = bytes, .size = size
	};
	run_same(r, "insert_unnamed",
		 banyan_insert_unnamed(run_through(r), &make, &data, NULL), 0);
	keep(r, model_unnamed(&r->m, bytes, size), data);
	free(bytes);
}

void op_insert_data(struct run *r)
{
	char name[300];
	uint32_t object = random_object(r);
	uint32_t space = run_chance(r, 90) ? run_random_space(r) :
					     random_object(r);
	banyan_data *data = run_take(r, object);
	banyan_data *in = run_take(r, space);
	run_random_name(r, name);
	run_same(r, "insert_data",
		 banyan_insert_data(in, name, strlen(name), data),
		 model_insert_data(&r->m, space, name, strlen(name), object));
	run_give_back(r, space, in);
	run_give_back(r, object, data);
}

/* Delete by handle; often the Data lives on, held */
void op_delete(struct run *r)
{
	static const unsigned all[] = { 0, 0, 0, BANYAN_ONLY_SPACE,
					BANYAN_NOT_SPACE };
	banyan_data *data = NULL;
	unsigned flags = all[run_below(r, 5)];
	bool wanted = run_chance(r, 60);
	if (!r->m.keys)
		return;
	struct model_key k = r->m.key[random_key(r)];
	banyan_data *in = run_take(r, k.space);
	int rc = banyan_delete(in, k.name, k.len, flags, wanted ? &data : NULL);
	if (data)
		keep(r, k.object, data);
	run_same(r, "delete", rc,
		 model_delete(&r->m, k.space, k.name, k.len, flags));
	run_give_back(r, k.space, in);
}

void op_hold(struct run *r)
{
	uint32_t object = random_object(r);
	if (object == MODEL_ROOT || run_held(r)[object])
		return;
	keep(r, object, run_take(r, object));
}

void op_release(struct run *r)
{
	uint32_t object = random_object(r);
	banyan_data **held = run_held(r);
	if (!held[object])
		return;
	model_compare_object(&r->m, object, held[object]);
	banyan_release(held[object], 1);
	held[object] = NULL;
	run_note_held(r, object);
	model_collect(&r->m);
}

/* ---- contents --------------------------------------------------------- */

static uint64_t random_offset(struct run *r, uint32_t object)
{
	const struct value *v = r->m.object[object].value;
	uint64_t size = v ? v->size : 0;
	return run_below(r, size + (run_chance(r, 20) ? 30000 : 50));
}

/* Values must not grow for ever */
static void keep_small(struct run *r, uint32_t object, banyan_data *data)
{
	const struct value *v = r->m.object[object].value;
	if (v && v->size > 150000)
		run_same(r, "truncate", banyan_truncate(data, 10),
			 model_truncate(&r->m, object, 10));
}

void op_write(struct run *r)
{
	size_t size = 0;
	uint8_t *bytes = random_bytes(r, &size);
	uint32_t object = random_object(r);
	uint64_t offset = random_offset(r, object);
	unsigned flags = run_chance(r, 20) ? BANYAN_APPEND : 0;
	banyan_data *data = run_take(r, object);
	run_same(r, "write",
		 banyan_write(data, bytes, size, offset, flags, NULL),
		 model_write(&r->m, object, bytes, size, offset, flags));
	keep_small(r, object, data);
	run_give_back(r, object, data);
	free(bytes);
}

/* Many small writes: more extents than fit into a row */
void op_scatter(struct run *r)
{
	uint32_t object = random_object(r);
	banyan_data *data = run_take(r, object);
	for (unsigned i = 0; i < 12; i++) {
		uint64_t offset = run_below(r, 60000);
		uint64_t bytes = test_random(&r->random);
		run_same(r, "write",
			 banyan_write(data, &bytes, 8, offset, 0, NULL),
			 model_write(&r->m, object, &bytes, 8, offset, 0));
	}
	run_give_back(r, object, data);
}

/* A value grows by and by: its small extents are joined now and then */
void op_append(struct run *r)
{
	uint32_t object = random_object(r);
	banyan_data *data = run_take(r, object);
	size_t most = run_chance(r, 50) ? 30 : 200;
	for (unsigned i = 0; i < 60; i++) {
		uint8_t bytes[200];
		size_t size = 1 + (size_t)run_below(r, most);
		memset(bytes, (int)run_below(r, 256), size);
		run_same(r, "append",
			 banyan_write(data, bytes, size, 0, BANYAN_APPEND,
				      NULL),
			 model_write(&r->m, object, bytes, size, 0,
				     BANYAN_APPEND));
	}
	keep_small(r, object, data);
	run_give_back(r, object, data);
}

void op_truncate(struct run *r)
{
	uint32_t object = random_object(r);
	uint64_t size = run_chance(r, 20) ? 0 : random_offset(r, object);
	banyan_data *data = run_take(r, object);
	run_same(r, "truncate", banyan_truncate(data, size),
		 model_truncate(&r->m, object, size));
	run_give_back(r, object, data);
}

void op_punch(struct run *r)
{
	uint32_t object = random_object(r);
	uint64_t offset = random_offset(r, object);
	uint64_t size = run_below(r, run_chance(r, 50) ? 300 : 30000);
	bool keep_size = run_chance(r, 50);
	banyan_data *data = run_take(r, object);
	run_same(r, "punch", banyan_punch(data, offset, size, keep_size),
		 model_punch(&r->m, object, offset, size, keep_size));
	keep_small(r, object, data);
	run_give_back(r, object, data);
}

void op_clone(struct run *r)
{
	uint32_t source = random_object(r);
	uint32_t target = run_chance(r, 25) ? source : random_object(r);
	uint64_t from = random_offset(r, source);
	uint64_t to = random_offset(r, target);
	uint64_t size = run_below(r, run_chance(r, 50) ? 400 : 40000);
	banyan_data *a = run_take(r, source);
	banyan_data *b = source == target ? a : run_take(r, target);
	run_same(r, "clone", banyan_clone(a, from, b, to, size),
		 model_clone(&r->m, source, from, target, to, size));
	keep_small(r, target, b);
	if (source != target)
		run_give_back(r, target, b);
	run_give_back(r, source, a);
}

void op_read(struct run *r)
{
	uint32_t object = random_object(r);
	uint64_t offset = random_offset(r, object);
	size_t size = (size_t)run_below(r, 9000);
	const struct value *v = r->m.object[object].value;
	if (!v)
		return;
	uint8_t bytes[9000];
	banyan_data *data = run_take(r, object);
	size_t want = offset < v->size ? v->size - (size_t)offset : 0;
	if (want > size)
		want = size;
	run_same(r, "read", banyan_read(data, bytes, size, offset),
		 (int64_t)want);
	if (want)
		assert_memory_equal(bytes, v->bytes + offset, want);
	run_give_back(r, object, data);
}

/* What lies in holes reads as zeros, and data is found where there is any */
void op_seek(struct run *r)
{
	uint32_t object = random_object(r);
	const struct value *v = r->m.object[object].value;
	if (!v || !v->size)
		return;
	uint64_t offset = run_below(r, v->size);
	banyan_data *data = run_take(r, object);
	int64_t found = banyan_seek_data(data, offset);
	int64_t hole = banyan_seek_hole(data, offset);
	run_give_back(r, object, data);
	assert_true(hole >= (int64_t)offset && hole <= (int64_t)v->size);
	uint64_t end = found < 0 ? v->size : (uint64_t)found;
	assert_true(found >= (int64_t)offset || found == -ENXIO);
	assert_true(end <= v->size);
	for (uint64_t i = offset; i < end; i++)
		assert_int_equal(v->bytes[i], 0);
}

void op_set_xattr(struct run *r)
{
	size_t size = 0;
	uint32_t object = random_object(r);
	unsigned which = (unsigned)run_below(r, MODEL_XATTRS);
	unsigned flags = (unsigned)run_below(r, 3);
	uint8_t *bytes = random_bytes(r, &size);
	banyan_data *data = run_take(r, object);
	run_same(r, "set_xattr",
		 banyan_set_xattr(data, model_xattr_name(which), bytes, size,
				  flags),
		 model_set_xattr(&r->m, object, which, bytes, size, flags));
	run_give_back(r, object, data);
	free(bytes);
}

void op_remove_xattr(struct run *r)
{
	uint32_t object = random_object(r);
	unsigned which = (unsigned)run_below(r, MODEL_XATTRS);
	banyan_data *data = run_take(r, object);
	run_same(r, "remove_xattr",
		 banyan_remove_xattr(data, model_xattr_name(which)),
		 model_remove_xattr(&r->m, object, which));
	run_give_back(r, object, data);
}
