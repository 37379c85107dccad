/* SPDX-License-Identifier: MIT */
/*
 * workload.h - operations to be cut short, and the states that they lead to.
 *
 * A state is known by its fingerprint, a hash of all that can be reached: paths,
 * types, link counts, contents, extended attributes; and of each snapshot that a
 * database has, its name and the same. What an operation does
 * depends on its number and the seed alone, so that it can be done again
 * elsewhere.
 */
#ifndef TESTS_WORKLOAD_H
#define TESTS_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"
#include "tests/support/fault_file.h"

/* 0, or the error of reading the database */
int fingerprint(banyan *db, uint64_t *print);

#define NOTHING SIZE_MAX

/* The state after an operation, and where the file's events were */
struct moment {
	uint64_t print;
	uint64_t size; /* of the file then */
	size_t begin; /* events when the operation began */
	size_t end; /* and when it had returned */
	size_t durable; /* the moment that is promised from then on; NOTHING */
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

/*
 * Freezes that nobody asks for come when a redo table has a few operations. So
 * that a seed says all about a run, no thread does them: while one waits to be
 * done the operations go on, and what is `beside` it happens inside its syncs.
 */
struct workload {
	uint64_t seed;
	bool big; /* values of up to a MiB and more */
	bool tiny; /* values of some hundred bytes at the most */
	bool stays; /* no step closes it and opens it again */
	bool thread; /* the store's own thread freezes: never the same twice */
	bool snapshots; /* some steps take, drop or rename one, in a vacuum, too */
	bool vacuums; /* some steps are vacuums, with operations in between */
	bool punches; /* so, but every second one is a punch */
	struct file *file; /* a fault file; or NULL: history has no events */
	banyan *db;
	struct history history;
	bool in_snapshot; /* one is being taken */
	size_t seen_in_sync; /* the moment that was noted in its last sync */
	uint64_t snapshots_done;
	uint64_t beside; /* operations that were done inside of syncs */
	unsigned asked; /* how often the vacuum that runs has asked */
	uint64_t vacuumed; /* so many vacuums went well, */
	uint64_t amid; /* with so many events in their course */
	void (*report)(void *arg, const char *line);
	void *report_arg;
};

/* Open w->file, or make a database in it if it is fresh: 0, or an error */
int workload_open(struct workload *w, bool fresh);

/* Note the state now as one that an operation begun at `begin` has led to */
void workload_note(struct workload *w, size_t begin, bool synced);

/*
 * Do operation number n. What it returned: 0, also where the operation has
 * found nothing to do, or the error of the disk. *syncs: it was a sync or a
 * freeze.
 */
int workload_do(struct workload *w, unsigned n, bool *syncs);

/* A vacuum, with operations between its steps. What banyan_vacuum() has said. */
int workload_vacuum(struct workload *w);

/* A freeze, if one waits and operation number n is to find it done */
int workload_settle(struct workload *w, unsigned n);

/*
 * Settle and do operation number n, with others beside its syncs, and note all
 * of them. Some close the database and open it again: w->file is another one
 * then. What the disk has said.
 */
int workload_step(struct workload *w, unsigned n);

/* Do so many operations from number n on, all of which must succeed */
void workload_run(struct workload *w, unsigned n, unsigned count);

/* Free the file and the history; the database was closed */
void workload_free(struct workload *w);

#endif
