/* SPDX-License-Identifier: MIT */
/*
 * states.h - the freezes that a vacuum carries into the new file: those that
 * snapshots name, and all that are not older than somebody wants.
 *
 * Of each only where it lies in both files is kept in RAM, 40 bytes.
 */
#ifndef STORE_VACUUM_STATES_H
#define STORE_VACUUM_STATES_H

#include "engine/store.h"

struct carried {
	uint64_t number;
	uint64_t offset; /* of its record in the old file */
	/* In the new file; 0: not there yet */
	uint64_t new_number;
	uint64_t new_offset;
	uint64_t alone; /* bytes if it was the only one, about */
};

struct states {
	struct carried *list; /* by number */
	size_t count;
	size_t capacity;
};

/* The time from which on freezes are kept that are not older than so many ns; 0:
 * none are */
timestamp states_since(uint64_t keep);

/*
 * Those of the host in this state: what snapshots name, and the freezes with that
 * time or a later one. 0, -ENOMEM, -EUCLEAN or -EBADMSG: a snapshot's freeze is
 * damaged.
 */
int states_collect(struct states *s, struct store *host,
		   const struct view_state *now, timestamp since);
void states_free(struct states *s); /* zeroed is fine */

/* What they take in the new file, about; *end: that of the last one's record in
 * the old file, 0 if there are none */
uint64_t states_bytes(const struct states *s, uint64_t *end);

/* What a state adds to those before, about: not more than a copy of it alone, nor
 * than the file has grown by since the last of them, whose record ends there */
static inline uint64_t states_further(uint64_t end, uint64_t now,
				      uint64_t alone)
{
	/* Hostile ones are in any order */
	uint64_t grown = now > end ? now - end : 0;
	return end && grown < alone ? grown : alone;
}

/* Count the freezes that lead to this view and are not among them: *count grows.
 * It takes a read for each. 0, -EUCLEAN or -EBADMSG. */
int states_others(const struct states *s, struct store *host,
		  const struct view *now, uint64_t *count);

/* One more, of a greater number than all others. 0 or -ENOMEM. */
int states_add(struct states *s, const struct carried *c);
/* Its freeze in the old file, as snapshot_freeze() has it */
int carried_freeze(const struct carried *c, struct store *host,
		   const struct volume *volume, struct freeze *f);
/* NULL: it is not among them */
const struct carried *states_find(const struct states *s, uint64_t number);

#endif
