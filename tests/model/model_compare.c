/* SPDX-License-Identifier: MIT */
#include "model_compare.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- paths ------------------------------------------------------------ */

void model_key_path(const struct model *m, size_t key, char *path)
{
	const struct model_key *k = &m->key[key];
	path[0] = '\0';
	if (k->space != MODEL_ROOT) {
		assert_true(model_path(m, k->space, path));
		strcat(path, "/");
	}
	assert_true(strlen(path) + k->len < MODEL_PATH_MAX);
	strncat(path, k->name, k->len);
}

bool model_path(const struct model *m, uint32_t object, char *path)
{
	path[0] = '\0';
	if (object == MODEL_ROOT)
		return true;
	for (size_t i = 0; i < m->keys; i++)
		if (m->key[i].object == object) {
			model_key_path(m, i, path);
			return true;
		}
	return false;
}

const char *model_xattr_name(unsigned which)
{
	static const char *const names[MODEL_XATTRS] = { "user.a",
							 "user.b",
							 "user.comment",
							 "trusted.overlay",
							 "x",
							 ("user.a.longer.name."
							  "than.the.others") };
	return names[which];
}

/* ---- one object ------------------------------------------------------- */

static void compare_attr(struct object *o, const struct banyan_attr *a)
{
	if (o->id == 0)
		o->id = a->id;
	assert_int_equal(a->id, o->id);
	assert_int_equal(a->mode & S_IFMT, o->type);
	assert_int_equal(a->nlink, o->nlink);
	assert_int_equal(a->size, o->value ? o->value->size : 0);
	assert_true(a->stored <= a->size);
}

static void compare_value(const struct object *o, banyan_data *data)
{
	size_t size = o->value->size;
	uint8_t *bytes = malloc(size + 1);
	assert_non_null(bytes);
	assert_int_equal(banyan_read(data, bytes, size + 1, 0), size);
	assert_memory_equal(bytes, o->value->bytes, size);
	free(bytes);
}

static void compare_xattr(banyan_data *data, unsigned which,
			  const struct value *v)
{
	const char *name = model_xattr_name(which);
	ssize_t size = banyan_get_xattr(data, name, NULL, 0);
	if (!v) {
		assert_int_equal(size, -ENODATA);
		return;
	}
	assert_int_equal(size, v->size);
	uint8_t *bytes = malloc(v->size + 1);
	assert_non_null(bytes);
	assert_int_equal(banyan_get_xattr(data, name, bytes, v->size + 1),
			 size);
	assert_memory_equal(bytes, v->bytes, v->size);
	free(bytes);
}

static void compare_xattrs(const struct object *o, banyan_data *data)
{
	char names[4096];
	size_t expected = 0;
	ssize_t size = banyan_list_xattr(data, names, sizeof(names));
	for (unsigned i = 0; i < MODEL_XATTRS; i++) {
		compare_xattr(data, i, o->xattr[i]);
		if (o->xattr[i])
			expected += strlen(model_xattr_name(i)) + 1;
	}
	assert_int_equal(size, expected);
}

void model_compare_object(struct model *m, uint32_t object, banyan_data *data)
{
	struct object *o = &m->object[object];
	struct banyan_attr attr;
	assert_int_equal(banyan_get_attr(data, &attr), 0);
	compare_attr(o, &attr);
	if (o->value)
		compare_value(o, data);
	else
		assert_int_equal(banyan_read(data, &attr, 1, 0), -EISDIR);
	compare_xattrs(o, data);
}

/* ---- all -------------------------------------------------------------- */

struct comparison {
	struct model *m;
	banyan *db;
	size_t *order; /* keys as a walk has them */
	size_t count;
	size_t seen;
};

static void expect_walk(struct comparison *c, uint32_t space)
{
	const struct model *m = c->m;
	for (size_t i = model_first(m, space);
	     i < m->keys && m->key[i].space == space; i++) {
		c->order[c->count++] = i;
		if (model_is_space(m, m->key[i].object))
			expect_walk(c, m->key[i].object);
	}
}

static int visit(void *arg, const char *path, const struct banyan_entry *e)
{
	struct comparison *c = arg;
	char expected[MODEL_PATH_MAX];
	banyan_data *data = NULL;
	assert_true(c->seen < c->count);
	size_t key = c->order[c->seen++];
	model_key_path(c->m, key, expected);
	assert_string_equal(path, expected);
	assert_int_equal(e->len, strlen(e->name));
	compare_attr(&c->m->object[c->m->key[key].object], &e->attr);
	assert_int_equal(banyan_find(c->db, path, &data), 0);
	model_compare_object(c->m, c->m->key[key].object, data);
	banyan_release(data, 1);
	return 0;
}

void model_compare_all(struct model *m, banyan *db)
{
	struct banyan_stat st = { 0 };
	struct comparison c = { .m = m, .db = db };
	c.order = calloc(MODEL_KEYS, sizeof(*c.order));
	assert_non_null(c.order);
	expect_walk(&c, MODEL_ROOT);
	assert_int_equal(banyan_walk(db, "", NULL, true, visit, &c), 0);
	assert_int_equal(c.seen, c.count);
	free(c.order);
	model_compare_object(m, MODEL_ROOT, banyan_root(db));
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.keys, m->keys);
}

/* ---- scans ------------------------------------------------------------ */

static int compare_names(const char *a, size_t a_len, const char *b,
			 size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static bool in_range(const struct model_key *k, const struct banyan_range *r)
{
	if (r->prefix && (k->len < r->prefix_len ||
			  memcmp(k->name, r->prefix, r->prefix_len) != 0))
		return false;
	if (r->from) {
		int order =
			compare_names(k->name, k->len, r->from, r->from_len);
		if (order < 0 || (order == 0 && r->after))
			return false;
	}
	return !r->to || compare_names(k->name, k->len, r->to, r->to_len) < 0;
}

static void compare_entry(const struct model *m, const struct model_key *k,
			  const struct banyan_range *range,
			  const struct banyan_entry *e)
{
	struct object o = m->object[k->object];
	assert_int_equal(e->len, k->len);
	assert_memory_equal(e->name, k->name, k->len);
	assert_int_equal(e->name[e->len], 0);
	if (range->names_only)
		assert_int_equal(e->attr.mode & S_IFMT, o.type);
	else
		compare_attr(&o, &e->attr);
}

void model_compare_cursor(const struct model *m, uint32_t space,
			  const struct banyan_range *range,
			  banyan_cursor *cursor)
{
	struct banyan_entry e;
	size_t first = model_first(m, space);
	size_t end = first;
	while (end < m->keys && m->key[end].space == space)
		end++;
	for (size_t i = first; i < end; i++) {
		size_t at = range->reverse ? end - 1 - (i - first) : i;
		if (!in_range(&m->key[at], range))
			continue;
		assert_int_equal(banyan_next(cursor, &e), 0);
		compare_entry(m, &m->key[at], range, &e);
	}
	assert_int_equal(banyan_next(cursor, &e), 1);
	assert_int_equal(banyan_next(cursor, &e), 1);
}
