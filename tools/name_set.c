/* SPDX-License-Identifier: MIT */
#include "name_set.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MOST (1u << 31)

/* FNV-1a, with the upper bits brought down */
static size_t hash(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3;
	return (size_t)(h ^ h >> 32);
}

/* Its slot, or the empty one where it belongs */
static uint32_t *find(const struct name_set *set, const char *name, size_t len)
{
	size_t at = hash(name, len);

	for (;; at++) {
		uint32_t *slot = &set->slots[at & (set->slot_count - 1)];
		const struct name_entry *entry;

		if (!*slot)
			return slot;
		entry = &set->entries[*slot - 1];
		if (entry->len == len &&
		    memcmp(set->bytes + entry->at, name, len) == 0)
			return slot;
	}
}

static bool grow_slots(struct name_set *set)
{
	size_t count = set->slot_count ? 2 * set->slot_count : 1024;
	uint32_t *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return false;
	free(set->slots);
	set->slots = slots;
	set->slot_count = count;
	for (size_t i = 0; i < set->count; i++) {
		const struct name_entry *entry = &set->entries[i];

		*find(set, set->bytes + entry->at, entry->len) =
			(uint32_t)i + 1;
	}
	return true;
}

/* Room for one name more of len bytes, and the table at most half full */
static bool make_room(struct name_set *set, size_t len)
{
	if (set->count == MOST)
		return false;
	if (set->count == set->capacity) {
		size_t capacity = set->capacity ? 2 * set->capacity : 512;
		struct name_entry *entries =
			reallocarray(set->entries, capacity, sizeof(*entries));

		if (!entries)
			return false;
		set->entries = entries;
		set->capacity = capacity;
	}
	if (set->room - set->size < len) {
		size_t room = 2 * set->room + len + 4096;
		char *bytes = realloc(set->bytes, room);

		if (!bytes)
			return false;
		set->bytes = bytes;
		set->room = room;
	}
	return set->count * 2 < set->slot_count || grow_slots(set);
}

int name_set_add(struct name_set *set, const char *name, size_t len,
		 uint64_t *line)
{
	uint32_t *slot;

	if (!make_room(set, len))
		return -ENOMEM;
	slot = find(set, name, len);
	if (*slot) {
		*line = set->entries[*slot - 1].line;
		return -EEXIST;
	}
	set->entries[set->count] = (struct name_entry){ set->size, len, *line };
	memcpy(set->bytes + set->size, name, len);
	set->size += len;
	*slot = (uint32_t)++set->count;
	return 0;
}

const char *name_set_get(const struct name_set *set, size_t index, size_t *len)
{
	*len = set->entries[index].len;
	return set->bytes + set->entries[index].at;
}

void name_set_free(struct name_set *set)
{
	free(set->entries);
	free(set->bytes);
	free(set->slots);
	memset(set, 0, sizeof(*set));
}
