/* SPDX-License-Identifier: MIT */
/*
 * damage_map.h - what each byte of a sound file is, and what it means that it is
 * damaged: by docs/FORMAT.md, from the layout alone.
 */
#ifndef TESTS_DAMAGE_MAP_H
#define TESTS_DAMAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/format.h"

enum region_kind {
	REGION_SUPERBLOCK,
	REGION_SEGMENT, /* the header of a segment */
	REGION_RECORD, /* header, body and array: what its checksum covers */
	REGION_PAYLOAD,
	/* The zeros behind a record: to open a file is not to look at them, but
	 * a check does */
	REGION_PADDING,
	REGION_GAP, /* between the log and the end of a segment, or of the file */
};

struct region {
	enum region_kind kind;
	uint64_t start;
	uint64_t end;
	uint64_t record; /* the offset of that which it belongs to */
	/* Segments: where the log before it ends. Else of no meaning. */
	uint64_t prev;
	enum record_type type; /* of records, payloads and padding */
};

/* Bytes that tell up to where the log was durable: a header, mark or freeze */
struct promise {
	uint64_t start;
	uint64_t end;
	uint64_t durable_to;
};

/* Without gaps, in the order of the file */
struct damage_map {
	struct region *regions;
	size_t count;
	size_t room;
	struct promise *promises;
	size_t promise_count;
	size_t promise_room;
	uint64_t end; /* of the log */
	uint64_t first_freeze_end; /* below it there is no database */
};

/* The file must be sound, and of one process: it has no torn places */
void damage_map_make(struct damage_map *m, const uint8_t *bytes, uint64_t size);
void damage_map_free(struct damage_map *m);

const struct region *damage_map_at(const struct damage_map *m, uint64_t offset);

/* The highest durable_to that is told outside of the damage in [from, to) */
uint64_t damage_map_durable(const struct damage_map *m, uint64_t from,
			    uint64_t to);

/* Where the log ends if this is not there */
uint64_t region_log_end(const struct region *r);

/*
 * Why nobody needs to notice damage there, in words; NULL: it is noticed.
 * durable_to: as far as it is told elsewhere.
 */
const char *region_unread(const struct region *r, uint64_t durable_to);

#endif
