/* SPDX-License-Identifier: MIT */
/*
 * chores.h - all that one can do to a database, for tests in which some of it
 * fails.
 *
 * A chore is one operation, or a batch of some, with whatever must be read for
 * it. What it does depends on its number, on the seed and on the state that it
 * finds, so that it can be done to another database as well, which must then
 * look the same. A chore that fails has changed nothing.
 */
#ifndef TESTS_CHORES_H
#define TESTS_CHORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"

#define CHORES_HELD 3u

struct chores {
	banyan *db;
	uint64_t seed;
	bool big; /* values of up to a MiB and a half, too */
	banyan_data *held[CHORES_HELD];
	uint64_t skip; /* which operations of a batch are left out, as bits */

	/* About the last one */
	uint64_t failed; /* operations in a batch that a fault has met, as bits */
	uint64_t seen; /* a hash of everything that was said and read */
	bool blurred; /* or would be, had not a fault met some of that */
	bool synced; /* it was a sync or a freeze */
	char detail[160]; /* what it was about */
};

/* Is this what a call says that an injected fault has met? */
bool chore_is_fault(int rc);

/*
 * Do chore number n: 0, or what was wrong, be it that there is no such key.
 * Only if it changes nothing (see chore_is_fault()) may it be left out elsewhere.
 */
int chore_do(struct chores *c, unsigned n);

/* Hashes of all that can be reached, and of what is held. 0 or an error. */
int chores_print(struct chores *c, uint64_t *reached, uint64_t *held);

/* Give back what is held */
void chores_release(struct chores *c);

#endif
