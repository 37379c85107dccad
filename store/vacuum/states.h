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

/* One more, of a greater number than all others. 0 or -ENOMEM. */
int states_add(struct states *s, const struct carried *c);
/* NULL: it is not among them */
const struct carried *states_find(const struct states *s, uint64_t number);

#endif
