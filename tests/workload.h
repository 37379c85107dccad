/* SPDX-License-Identifier: MIT */
/*
 * workload.h - operations to be cut short, and the states that they lead to.
 *
 * A state is known by its fingerprint, a hash of all that can be reached: paths,
 * types, link counts, contents, extended attributes. What an operation does
 * depends on its number and the seed alone, so that it can be done again
 * elsewhere.
 */
#ifndef TESTS_WORKLOAD_H
#define TESTS_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../store/banyan.h"
#include "fault_file.h"

/* 0, or the error of reading the database */
int fingerprint(banyan *db, uint64_t *print);

/* The state after an operation, and where the file's events were */
struct moment {
	uint64_t print;
	size_t begin; /* events when the operation began */
	size_t end; /* and when it had returned */
	bool synced; /* all that was before is durable from then on */
};

/* moment[0] is the state at the beginning */
struct history {
	struct moment *moment;
	size_t count;
	size_t room;
};

void history_free(struct history *h);

/*
 * Which moments may be seen when only the first `events` events happened: from
 * *low, what was promised, to *high. killed: the process died, not the machine.
 */
void history_bounds(const struct history *h, size_t events, bool killed,
		    size_t *low, size_t *high);

/* The last moment in [low, high] with this state, or SIZE_MAX */
size_t history_find(const struct history *h, uint64_t print, size_t low,
		    size_t high);

struct workload {
	uint64_t seed;
	bool big; /* values of up to a MiB and more */
	struct file *file; /* a fault file; or NULL: history has no events */
	banyan *db;
	struct history history;
};

/* Note the state now as one that an operation begun at `begin` has led to */
void workload_note(struct workload *w, size_t begin, bool synced);

/*
 * Do operation number n. What it returned: 0, also where the operation has
 * found nothing to do, or the error of the disk. *syncs: it was a sync or a
 * freeze.
 */
int workload_do(struct workload *w, unsigned n, bool *syncs);

/* Do so many operations from number n on, all of which must succeed */
void workload_run(struct workload *w, unsigned n, unsigned count);

#endif
