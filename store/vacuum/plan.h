/* SPDX-License-Identifier: MIT */
/*
 * plan.h - what a vacuum or a backup would do, before it begins: how large the new
 * file will be, whether the disk has room for it, and which freezes it keeps.
 */
#ifndef STORE_VACUUM_PLAN_H
#define STORE_VACUUM_PLAN_H

#include "vacuum/states.h"

struct vacuum_plan {
	uint64_t allocated; /* bytes that the disk has for the file */
	uint64_t after; /* of the new file, about */
	uint64_t needed; /* on its disk while it is made */
	uint64_t room; /* free on its disk; UINT64_MAX: nobody can know */
	uint64_t dropped; /* freezes that the new file will not have */
	uint64_t kept; /* and that it will */
};

/*
 * Of the state `now`, for a file at path, or, if that is NULL, for one that takes
 * the place of the store's file. Freezes with the time `since` or a later one are
 * kept. states, which is empty, gets what is kept. It takes a read for each freeze
 * in the file, and what is needed is estimated as in estimate.h.
 *
 * 0, -ENOMEM, -EUCLEAN or -EBADMSG: a snapshot's freeze is damaged; or there can be
 * no file at that place: -EEXIST, -ENOENT, -EBUSY (the file is a mount point), -EMLINK,
 * ...
 */
int plan_make(struct store *store, const struct view_state *now,
	      timestamp since, const char *path, struct states *states,
	      struct vacuum_plan *plan);

/*
 * Estimate better what is needed if several states are kept: by what each has that
 * the one before has not. Takes as long as reading the keys in which they differ.
 * Bytes that a clone shares with others of the same step count several times.
 */
int plan_refine(struct store *store, const struct view_state *now,
		const struct states *states, struct vacuum_plan *plan);

/* -ENOSPC: there is less room than is needed; or 0 */
int plan_check(const struct vacuum_plan *plan);

#endif
