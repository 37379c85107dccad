/* SPDX-License-Identifier: MIT */
/*
 * model.h - what a database is, said in the plainest way: arrays, no disk.
 *
 * The functions are named after those of banyan.h that they stand for, change
 * the model alike and give the same errors. Values are never changed, only
 * replaced, so that a copy of a model is cheap: batches are undone by taking
 * the copy back.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_OBJECTS 1400u
#define MODEL_KEYS 1400u
#define MODEL_XATTRS 6u
#define MODEL_ROOT 0u /* the object that is the root key space */
#define MODEL_NONE UINT32_MAX

struct value {
	unsigned refs;
	size_t size;
	uint8_t bytes[];
};

struct object {
	bool used;
	bool held; /* set by the test: lives without a key */
	uint32_t type; /* of the mode, S_IFREG ... */
	uint64_t serial; /* no two objects ever have the same */
	uint64_t id; /* of the Data; 0 until the test has seen it */
	uint32_t nlink;
	uint32_t parent; /* of a space */
	struct value *value; /* never NULL but of spaces */
	struct value *xattr[MODEL_XATTRS]; /* NULL: there is none */
};

struct model_key {
	uint32_t space;
	uint32_t object;
	size_t len;
	char name[256];
};

struct model {
	struct object object[MODEL_OBJECTS];
	struct model_key key[MODEL_KEYS]; /* by space, then by name */
	size_t keys;
	uint64_t serials;
	/* Objects without a key stay: somebody may come to hold one yet */
	bool keep;
};

void model_init(struct model *m);
void model_copy(struct model *to, const struct model *from); /* to is empty */
void model_free(struct model *m); /* then it is empty */
bool model_full(const struct model *m);
/* Drop what has neither a key nor is held, unless all is kept */
void model_collect(struct model *m);

bool model_is_space(const struct model *m, uint32_t object);
/* The object at a path */
int model_find(const struct model *m, const char *path, uint32_t *object);
int model_search(const struct model *m, uint32_t space, const char *name,
		 size_t len, uint32_t *object);
/* First key of the space; those of it follow */
size_t model_first(const struct model *m, uint32_t space);

int model_put(struct model *m, const char *path, const void *bytes, size_t size,
	      unsigned flags);
int model_put_data(struct model *m, const char *path, uint32_t source,
		   unsigned flags);
int model_remove(struct model *m, const char *path);
int model_alias(struct model *m, const char *path, const char *alias);
int model_rename(struct model *m, const char *path, const char *new_path,
		 unsigned flags);
int model_make_space(struct model *m, const char *path, unsigned flags);

int model_insert(struct model *m, uint32_t space, const char *name, size_t len,
		 uint32_t type, const void *bytes, size_t size,
		 uint32_t *object);
/* Without a key, held */
uint32_t model_unnamed(struct model *m, const void *bytes, size_t size);
int model_insert_data(struct model *m, uint32_t space, const char *name,
		      size_t len, uint32_t object);
int model_delete(struct model *m, uint32_t space, const char *name, size_t len,
		 unsigned flags);

int model_write(struct model *m, uint32_t object, const void *bytes,
		size_t size, uint64_t offset, unsigned flags);
int model_truncate(struct model *m, uint32_t object, uint64_t size);
int model_punch(struct model *m, uint32_t object, uint64_t offset,
		uint64_t size, bool keep_size);
int64_t model_clone(struct model *m, uint32_t source, uint64_t source_offset,
		    uint32_t target, uint64_t target_offset, uint64_t size);

int model_set_xattr(struct model *m, uint32_t object, unsigned which,
		    const void *bytes, size_t size, unsigned flags);
int model_remove_xattr(struct model *m, uint32_t object, unsigned which);

#endif
