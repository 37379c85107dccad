/* SPDX-License-Identifier: MIT */
/*
 * vacuum.h - what is live into a new file, which takes the place of the old
 * one.
 *
 * First the oldest state that is kept, which a snapshot names, is copied in key
 * order, beside readers and writers; then what differs from it in the next one,
 * and so on up to one moment of the present. Each is a freeze in the new file, and
 * what did not change between two of them is there once. Then the operations that
 * came in meanwhile are applied, in rounds, of which each has less to do than the
 * one before. Writers wait for the last.
 */
#ifndef STORE_VACUUM_VACUUM_H
#define STORE_VACUUM_VACUUM_H

#include "engine/store.h"

struct vacuum_order {
	uint64_t rate; /* bytes a second at most; 0: as fast as it goes */
	uint64_t keep; /* ns: freezes that are no older are carried; 0: none */
	/* May be NULL. It is told now and then how many bytes were written, of
	 * about how many: what it returns, if not 0, ends the vacuum. */
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct vacuum_result {
	uint64_t before; /* bytes of the old file when the new one took over */
	uint64_t after; /* of the new one then */
	uint64_t dropped; /* freezes that were in the old one when it began */
	uint64_t kept; /* freezes that are in the new one as well */
};

/*
 * -EBUSY: one is running. -EROFS, -ECANCELED; as plan_make(), plan_check() and
 * file_beside(); -EUCLEAN, -EBADMSG: damaged.
 */
int store_vacuum(struct store *store, const struct vacuum_order *order,
		 struct vacuum_result *result);

/*
 * The same of one state, whose view it takes over, into a new file at path with
 * that mode; the store goes on in its own. -EEXIST: there is one already.
 */
int store_backup(struct store *store, const struct view_state *state,
		 const char *path, mode_t mode,
		 const struct vacuum_order *order,
		 struct vacuum_result *result);

#endif
