/* SPDX-License-Identifier: MIT */
/*
 * estimate.h - how large the file will be that a vacuum makes, about.
 *
 * Of one state that follows from counters. What a further state adds nobody
 * counts: it is at most the bytes by which the file has grown since the state
 * before, and at most those of a copy of the state alone. The smaller of the two
 * is taken. So if the same bytes are written over and over between two snapshots
 * of a database that is larger than all of that, the estimate of the new file is
 * too large, and that of what a vacuum gives back too small, never too great.
 */
#ifndef STORE_VACUUM_ESTIMATE_H
#define STORE_VACUUM_ESTIMATE_H

#include "engine/store.h"
#include "vacuum/size.h"

/* Of the store, whose present state is this. 0, -ENOMEM, or: the freeze of a
 * snapshot is damaged, so there will be no new file. */
int estimate_vacuum(struct store *store, const struct state_size *now,
		    uint64_t file_bytes, uint64_t *bytes);

#endif
