/* SPDX-License-Identifier: MIT */
/* name_set.h - names in the order in which they came, each with its line */
#ifndef TOOLS_NAME_SET_H
#define TOOLS_NAME_SET_H

#include <stddef.h>
#include <stdint.h>

struct name_entry {
	size_t at; /* of its bytes */
	size_t len;
	uint64_t line;
};

/* One that is all zeros is empty */
struct name_set {
	struct name_entry *entries;
	size_t count;
	size_t capacity;
	char *bytes; /* of all names */
	size_t size;
	size_t room;
	uint32_t *slots; /* a hash table: index + 1, 0 if empty */
	size_t slot_count; /* a power of two */
};

/*
 * Add a name: 0, -ENOMEM (of more than 2^31 names too), or -EEXIST, and then
 * *line is the one that the same name came with.
 */
int name_set_add(struct name_set *set, const char *name, size_t len,
		 uint64_t *line);

/* The bytes of a name; valid until the next is added */
const char *name_set_get(const struct name_set *set, size_t index, size_t *len);

void name_set_free(struct name_set *set);

#endif
