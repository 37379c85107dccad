/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "banyan.h"

/* ---- values ----------------------------------------------------------- */

/* Zeros, but for what is left of `was` (may be NULL) */
static struct value *value_new(size_t size, const struct value *was)
{
	struct value *v = calloc(1, sizeof(*v) + size);
	assert(v);
	v->refs = 1;
	v->size = size;
	if (was)
		memcpy(v->bytes, was->bytes,
		       was->size < size ? was->size : size);
	return v;
}

static struct value *value_of(const void *bytes, size_t size)
{
	struct value *v = value_new(size, NULL);
	if (size)
		memcpy(v->bytes, bytes, size);
	return v;
}

static struct value *value_ref(struct value *v)
{
	if (v)
		v->refs++;
	return v;
}

static void value_unref(struct value *v)
{
	if (v && --v->refs == 0)
		free(v);
}

static void replace_value(struct object *o, struct value *v)
{
	value_unref(o->value);
	o->value = v;
}

/* ---- objects ---------------------------------------------------------- */

static uint32_t object_new(struct model *m, uint32_t type, struct value *v)
{
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++) {
		struct object *o = &m->object[i];
		if (o->used)
			continue;
		*o = (struct object){ .used = true,
				      .type = type,
				      .serial = ++m->serials,
				      .nlink = S_ISDIR(type) ? 2 : 1,
				      .value = v };
		return i;
	}
	assert(false && "the test must not fill the model");
	return MODEL_NONE;
}

static void object_drop(struct object *o)
{
	value_unref(o->value);
	for (unsigned i = 0; i < MODEL_XATTRS; i++)
		value_unref(o->xattr[i]);
	*o = (struct object){ 0 };
}

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	object_new(m, S_IFDIR, NULL);
}

void model_copy(struct model *to, const struct model *from)
{
	memcpy(to, from, sizeof(*to));
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++) {
		value_ref(to->object[i].value);
		for (unsigned x = 0; x < MODEL_XATTRS; x++)
			value_ref(to->object[i].xattr[x]);
	}
}

void model_free(struct model *m)
{
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++)
		object_drop(&m->object[i]);
	m->keys = 0;
}

bool model_full(const struct model *m)
{
	return m->keys > MODEL_OBJECTS - 500;
}

static void collect(struct model *m, struct object *o)
{
	if (o->used && o->nlink == 0 && !o->held && !m->keep)
		object_drop(o);
}

void model_collect(struct model *m)
{
	for (uint32_t i = 1; i < MODEL_OBJECTS; i++)
		collect(m, &m->object[i]);
}

bool model_is_space(const struct model *m, uint32_t object)
{
	return S_ISDIR(m->object[object].type);
}

/* ---- keys ------------------------------------------------------------- */

static int compare(const struct model_key *k, uint32_t space, const char *name,
		   size_t len)
{
	if (k->space != space)
		return k->space < space ? -1 : 1;
	int order = memcmp(k->name, name, k->len < len ? k->len : len);
	if (order || k->len == len)
		return order;
	return k->len < len ? -1 : 1;
}

/* Where the key is, or would be */
static size_t place(const struct model *m, uint32_t space, const char *name,
		    size_t len)
{
	size_t i = 0;
	while (i < m->keys && compare(&m->key[i], space, name, len) < 0)
		i++;
	return i;
}

size_t model_first(const struct model *m, uint32_t space)
{
	return place(m, space, "", 0);
}

int model_search(const struct model *m, uint32_t space, const char *name,
		 size_t len, uint32_t *object)
{
	if (len > 255)
		return -ENAMETOOLONG;
	if (!model_is_space(m, space))
		return -ENOTDIR;
	size_t i = place(m, space, name, len);
	if (i == m->keys || compare(&m->key[i], space, name, len) != 0)
		return -ENOENT;
	*object = m->key[i].object;
	return 0;
}

static bool is_empty(const struct model *m, uint32_t space)
{
	size_t i = model_first(m, space);
	return i == m->keys || m->key[i].space != space;
}

static void key_add(struct model *m, uint32_t space, const char *name,
		    size_t len, uint32_t object)
{
	size_t i = place(m, space, name, len);
	assert(m->keys < MODEL_KEYS);
	memmove(&m->key[i + 1], &m->key[i], (m->keys - i) * sizeof(m->key[0]));
	m->key[i] = (struct model_key){ space, object, len, "" };
	memcpy(m->key[i].name, name, len);
	m->keys++;
	if (model_is_space(m, object)) {
		m->object[object].parent = space;
		m->object[space].nlink++;
	}
}

static void key_cut(struct model *m, uint32_t space, const char *name,
		    size_t len)
{
	size_t i = place(m, space, name, len);
	if (model_is_space(m, m->key[i].object))
		m->object[space].nlink--;
	m->keys--;
	memmove(&m->key[i], &m->key[i + 1], (m->keys - i) * sizeof(m->key[0]));
}

/* The object has lost a key */
static void unlink_object(struct model *m, uint32_t object)
{
	struct object *o = &m->object[object];
	o->nlink = S_ISDIR(o->type) ? 0 : o->nlink - 1;
	collect(m, o);
}

/* ---- paths ------------------------------------------------------------ */

struct part {
	uint32_t space;
	const char *name;
	size_t len;
};

static bool next_part(const char **path, struct part *p)
{
	*path += strspn(*path, "/");
	p->name = *path;
	p->len = strcspn(*path, "/");
	*path += p->len;
	return p->len > 0;
}

static int check_name(uint32_t space, const char *name, size_t len)
{
	if (len > 255)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(name, '/', len) || memchr(name, 0, len) ||
	    (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.') ||
	    (space == MODEL_ROOT && len == 7 && !memcmp(name, ".banyan", 7)))
		return -EINVAL;
	return 0;
}

int model_find(const struct model *m, const char *path, uint32_t *object)
{
	struct part p;
	uint32_t at = MODEL_ROOT;
	while (next_part(&path, &p)) {
		if (!model_is_space(m, at))
			return -ENOTDIR;
		int rc = check_name(at, p.name, p.len);
		if (!rc)
			rc = model_search(m, at, p.name, p.len, &at);
		if (rc)
			return rc;
	}
	*object = at;
	return 0;
}

/* Names below a space that is not there yet */
static int check_rest(const char *path)
{
	struct part p;
	int rc = 0;
	while (!rc && next_part(&path, &p))
		rc = check_name(MODEL_NONE, p.name, p.len);
	return rc;
}

static int find_last(struct model *m, const char *path, bool make,
		     struct part *last)
{
	struct part p;
	uint32_t at = MODEL_ROOT;
	if (!next_part(&path, &p))
		return -EBUSY;
	for (;;) {
		const char *rest = path;
		struct part next;
		if (!model_is_space(m, at))
			return -ENOTDIR;
		p.space = at;
		int rc = check_name(at, p.name, p.len);
		if (rc)
			return rc;
		if (!next_part(&path, &next)) {
			*last = p;
			return 0;
		}
		rc = model_search(m, at, p.name, p.len, &at);
		if (rc == -ENOENT && make) {
			rc = check_rest(rest);
			if (!rc) {
				at = object_new(m, S_IFDIR, NULL);
				key_add(m, p.space, p.name, p.len, at);
			}
		}
		if (rc)
			return rc;
		p = next;
	}
}

/* ---- by path ---------------------------------------------------------- */

static int put(struct model *m, const char *path, struct value *v,
	       unsigned flags)
{
	struct part p;
	uint32_t at = 0;
	int rc = find_last(m, path, flags & BANYAN_PARENTS, &p);
	if (rc)
		return rc;
	rc = model_search(m, p.space, p.name, p.len, &at);
	if (rc == -ENOENT) {
		at = object_new(m, S_IFREG, value_ref(v));
		key_add(m, p.space, p.name, p.len, at);
		return 0;
	}
	if (rc)
		return rc;
	if (flags & BANYAN_NEW_ONLY)
		return -EEXIST;
	if (model_is_space(m, at))
		return -EISDIR;
	if (!S_ISREG(m->object[at].type))
		return -EINVAL;
	replace_value(&m->object[at], value_ref(v));
	return 0;
}

int model_put(struct model *m, const char *path, const void *bytes, size_t size,
	      unsigned flags)
{
	struct value *v = value_of(bytes, size);
	int rc = put(m, path, v, flags);
	value_unref(v);
	return rc;
}

int model_put_data(struct model *m, const char *path, uint32_t source,
		   unsigned flags)
{
	struct value *v = value_ref(m->object[source].value);
	int rc = put(m, path, v, flags);
	value_unref(v);
	return rc;
}

int model_remove(struct model *m, const char *path)
{
	struct part p;
	int rc = find_last(m, path, false, &p);
	return rc ? rc : model_delete(m, p.space, p.name, p.len, 0);
}

int model_alias(struct model *m, const char *path, const char *alias)
{
	struct part p;
	uint32_t at = 0;
	int rc = model_find(m, path, &at);
	if (!rc)
		rc = find_last(m, alias, false, &p);
	return rc ? rc : model_insert_data(m, p.space, p.name, p.len, at);
}

int model_make_space(struct model *m, const char *path, unsigned flags)
{
	struct part p;
	uint32_t at = 0;
	bool parents = flags & BANYAN_PARENTS;
	int rc = find_last(m, path, parents, &p);
	if (rc == -EBUSY)
		return parents ? 0 : -EEXIST;
	if (rc)
		return rc;
	rc = model_search(m, p.space, p.name, p.len, &at);
	if (!rc)
		return parents && model_is_space(m, at) ? 0 : -EEXIST;
	if (rc != -ENOENT)
		return rc;
	at = object_new(m, S_IFDIR, NULL);
	key_add(m, p.space, p.name, p.len, at);
	return 0;
}

static bool is_below(const struct model *m, uint32_t space, uint32_t top)
{
	while (space != top && space != MODEL_ROOT)
		space = m->object[space].parent;
	return space == top;
}

static int check_replace(const struct model *m, uint32_t a, uint32_t b)
{
	if (model_is_space(m, a) && !model_is_space(m, b))
		return -ENOTDIR;
	if (!model_is_space(m, a) && model_is_space(m, b))
		return -EISDIR;
	return model_is_space(m, b) && !is_empty(m, b) ? -ENOTEMPTY : 0;
}

static int move(struct model *m, const struct part *from, const struct part *to,
		uint32_t a, uint32_t b, bool exchange)
{
	int rc = 0;
	if (model_is_space(m, a) && is_below(m, to->space, a))
		return -EINVAL;
	if (exchange && model_is_space(m, b) && is_below(m, from->space, b))
		return -EINVAL;
	if (b != MODEL_NONE && !exchange)
		rc = check_replace(m, a, b);
	if (rc)
		return rc;
	key_cut(m, from->space, from->name, from->len);
	if (b != MODEL_NONE)
		key_cut(m, to->space, to->name, to->len);
	key_add(m, to->space, to->name, to->len, a);
	if (exchange)
		key_add(m, from->space, from->name, from->len, b);
	else if (b != MODEL_NONE)
		unlink_object(m, b);
	return 0;
}

int model_rename(struct model *m, const char *path, const char *new_path,
		 unsigned flags)
{
	struct part from;
	struct part to;
	uint32_t a = MODEL_NONE;
	uint32_t b = MODEL_NONE;
	int rc = find_last(m, path, false, &from);
	if (!rc)
		rc = find_last(m, new_path, false, &to);
	if (!rc)
		rc = model_search(m, from.space, from.name, from.len, &a);
	if (rc)
		return rc;
	rc = model_search(m, to.space, to.name, to.len, &b);
	if (rc && rc != -ENOENT)
		return rc;
	if (!rc && (flags & BANYAN_NO_REPLACE))
		return -EEXIST;
	if (rc && (flags & BANYAN_EXCHANGE))
		return -ENOENT;
	if (a == b)
		return 0;
	return move(m, &from, &to, a, b, flags & BANYAN_EXCHANGE);
}

/* ---- by object -------------------------------------------------------- */

int model_insert(struct model *m, uint32_t space, const char *name, size_t len,
		 uint32_t type, const void *bytes, size_t size,
		 uint32_t *object)
{
	uint32_t at = 0;
	int rc = check_name(space, name, len);
	if (!rc && !model_is_space(m, space))
		rc = -ENOTDIR;
	if (!rc && m->object[space].nlink == 0)
		rc = -ENOENT;
	if (rc)
		return rc;
	if (!model_search(m, space, name, len, &at))
		return -EEXIST;
	at = object_new(m, type, S_ISDIR(type) ? NULL : value_of(bytes, size));
	key_add(m, space, name, len, at);
	*object = at;
	return 0;
}

uint32_t model_unnamed(struct model *m, const void *bytes, size_t size)
{
	uint32_t at = object_new(m, S_IFREG, value_of(bytes, size));
	m->object[at].nlink = 0;
	m->object[at].held = true;
	return at;
}

int model_insert_data(struct model *m, uint32_t space, const char *name,
		      size_t len, uint32_t object)
{
	uint32_t at = 0;
	if (model_is_space(m, object))
		return -EPERM;
	int rc = check_name(space, name, len);
	if (!rc && !model_is_space(m, space))
		rc = -ENOTDIR;
	if (!rc && m->object[space].nlink == 0)
		rc = -ENOENT;
	if (rc)
		return rc;
	if (!model_search(m, space, name, len, &at))
		return -EEXIST;
	m->object[object].nlink++;
	key_add(m, space, name, len, object);
	return 0;
}

int model_delete(struct model *m, uint32_t space, const char *name, size_t len,
		 unsigned flags)
{
	uint32_t at = 0;
	int rc = check_name(space, name, len);
	if (!rc)
		rc = model_search(m, space, name, len, &at);
	if (rc)
		return rc;
	if (model_is_space(m, at) && (flags & BANYAN_NOT_SPACE))
		return -EISDIR;
	if (!model_is_space(m, at) && (flags & BANYAN_ONLY_SPACE))
		return -ENOTDIR;
	if (model_is_space(m, at) && !is_empty(m, at))
		return -ENOTEMPTY;
	key_cut(m, space, name, len);
	unlink_object(m, at);
	return 0;
}

/* ---- contents --------------------------------------------------------- */

static int check_file(const struct object *o)
{
	if (S_ISDIR(o->type))
		return -EISDIR;
	return S_ISREG(o->type) ? 0 : -EINVAL;
}

static void write_value(struct object *o, const void *bytes, size_t size,
			uint64_t offset)
{
	size_t end = (size_t)offset + size;
	size_t was = o->value->size;
	struct value *v = value_new(end > was ? end : was, o->value);
	memcpy(v->bytes + offset, bytes, size);
	replace_value(o, v);
}

int model_write(struct model *m, uint32_t object, const void *bytes,
		size_t size, uint64_t offset, unsigned flags)
{
	struct object *o = &m->object[object];
	int rc = check_file(o);
	if (rc || size == 0)
		return rc;
	if (flags & BANYAN_APPEND)
		offset = o->value->size;
	write_value(o, bytes, size, offset);
	return 0;
}

int model_truncate(struct model *m, uint32_t object, uint64_t size)
{
	struct object *o = &m->object[object];
	int rc = check_file(o);
	if (!rc)
		replace_value(o, value_new((size_t)size, o->value));
	return rc;
}

int model_punch(struct model *m, uint32_t object, uint64_t offset,
		uint64_t size, bool keep_size)
{
	struct object *o = &m->object[object];
	int rc = check_file(o);
	if (rc)
		return rc;
	size_t was = o->value->size;
	uint64_t end = offset + size;
	struct value *v =
		value_new(!keep_size && end > was ? end : was, o->value);
	if (end > v->size)
		end = v->size;
	if (offset < end)
		memset(v->bytes + offset, 0, end - offset);
	replace_value(o, v);
	return 0;
}

int64_t model_clone(struct model *m, uint32_t source, uint64_t source_offset,
		    uint32_t target, uint64_t target_offset, uint64_t size)
{
	struct object *from = &m->object[source];
	if (size == 0)
		return 0;
	int rc = check_file(from);
	if (!rc)
		rc = check_file(&m->object[target]);
	if (rc)
		return rc;
	if (source_offset >= from->value->size)
		return 0;
	if (size > from->value->size - source_offset)
		size = from->value->size - source_offset;
	uint64_t apart = source_offset < target_offset ?
				 target_offset - source_offset :
				 source_offset - target_offset;
	if (source == target && apart < size)
		return -EINVAL;
	struct value *v = value_ref(from->value);
	write_value(&m->object[target], v->bytes + source_offset, size,
		    target_offset);
	value_unref(v);
	return (int64_t)size;
}

/* ---- extended attributes ---------------------------------------------- */

int model_set_xattr(struct model *m, uint32_t object, unsigned which,
		    const void *bytes, size_t size, unsigned flags)
{
	struct value **x = &m->object[object].xattr[which];
	if (size > BANYAN_XATTR_MAX)
		return -E2BIG;
	if (*x && (flags & BANYAN_XATTR_CREATE))
		return -EEXIST;
	if (!*x && (flags & BANYAN_XATTR_REPLACE))
		return -ENODATA;
	value_unref(*x);
	*x = value_of(bytes, size);
	return 0;
}

int model_remove_xattr(struct model *m, uint32_t object, unsigned which)
{
	struct value **x = &m->object[object].xattr[which];
	if (!*x)
		return -ENODATA;
	value_unref(*x);
	*x = NULL;
	return 0;
}
