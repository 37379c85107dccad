/* SPDX-License-Identifier: MIT */
/*
 * vacuum.h - what is live into a new file, which takes the place of the old
 * one.
 *
 * First the rows of one moment are copied in key order, beside readers and
 * writers. Then the operations that came in meanwhile are applied, in rounds,
 * of which each has less to do than the one before. Writers wait for the last.
 */
#ifndef STORE_VACUUM_VACUUM_H
#define STORE_VACUUM_VACUUM_H

#include "engine/store.h"

struct vacuum_result {
	uint64_t before; /* bytes of the old file when the new one took over */
	uint64_t after; /* of the new one then */
};

/*
 * rate: bytes a second at most, 0: as fast as it goes. progress (may be NULL)
 * is told now and then how many bytes were written, of about how many: what it
 * returns, if not 0, ends the vacuum. -EBUSY: one is running. -EROFS, -ENOSPC,
 * -ECANCELED; as file_beside(); -EUCLEAN, -EBADMSG: damaged.
 */
int store_vacuum(struct store *store, uint64_t rate,
		 int (*progress)(void *arg, uint64_t done, uint64_t total),
		 void *arg, struct vacuum_result *result);

#endif
