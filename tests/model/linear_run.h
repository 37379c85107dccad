/* SPDX-License-Identifier: MIT */
/*
 * linear_run.h - threads that work on one database, and note what they see.
 *
 * Each worker does operations on a few keys, at random, and writes into the
 * run's history when each was called, when it returned, and what it gave. It
 * goes window by window, so that the search for an order stays small: the
 * workers do a few operations each, and when all are done what there is now is
 * looked at, in which the order must end, and the next window begins.
 *
 * What a worker does in a window follows from the seed, its number and what it
 * has been answered before.
 */
#ifndef TESTS_LINEAR_RUN_H
#define TESTS_LINEAR_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "banyan.h"
#include "file/file.h"
#include "linear.h"
#include "linear_values.h"
#include "tests/support/random.h"
#include "tests/support/slow_file.h"
#include "tests/support/temp.h"

#define LINEAR_THREADS 8u /* at most */

struct linear_form {
	unsigned threads;
	unsigned operations; /* of a thread in a window */
	bool local; /* a file on the disk, with read-only opens beside */
	bool crowded; /* other keys come and go, and tables are larger */
	struct slow slow;
};

struct linear_run {
	const struct linear_form *form;
	banyan *db;
	banyan_data *space[2]; /* the root, and "s" in it */
	struct file *below; /* of the slow file; NULL: it is on the disk */
	char directory[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	uint64_t seed;
	unsigned window;
	bool stop;
	_Atomic bool crowd_stop;
	uint64_t start; /* of the window, when all have come */
	pthread_barrier_t barrier;
	_Atomic unsigned failures;
	struct linear_op ops[LINEAR_OPS];
	struct linear_row rows[LINEAR_KEYS]; /* when the window began */
	size_t operations;
	size_t overlaps;
};

struct linear_worker {
	struct linear_run *run;
	unsigned number;
	uint64_t random;
	uint32_t values; /* given out so far */
	unsigned count; /* operations in this window */
	banyan *db; /* of the run, or a batch that is open */
	banyan_data *space[2]; /* of it */
	char bytes[LINEAR_VALUE_MAX + 1];
	pthread_t thread;
};

struct linear_key {
	const char *path;
	const char *name;
	unsigned space;
};

extern const struct linear_key linear_keys[LINEAR_KEYS];

/* Say what is wrong, if not too much has been said, and count it */
void linear_wrong(struct linear_run *r, const char *what, long long rc);

static inline unsigned linear_number(struct linear_worker *w, unsigned below)
{
	return (unsigned)test_below(&w->random, below);
}

/* Sometimes let others go first */
void linear_breathe(struct linear_worker *w);

/* ---- linear_operations.c ---------------------------------------------- */

/* The next operation of this window, begun; its one step is made ready */
struct linear_op *linear_begin(struct linear_worker *w);

/* Has the worker operations left in this window? */
bool linear_room(const struct linear_worker *w);

/* Do something, most times one operation */
void linear_work(struct linear_worker *w);

/* ---- linear_scans.c: operations that read more than one key ----------- */

/* A key space, at some pace, others going on meanwhile */
void linear_scan(struct linear_worker *w);

/*
 * What a further open, to read only, finds beside the writers. It may see what
 * the writer has written and those who read beside it see a moment later.
 */
void linear_open_beside(struct linear_worker *w);

/* All keys, of a database that nobody changes any more; LINEAR_KEYS rows */
void linear_scan_all(struct linear_run *r, banyan *db, struct linear_row *rows);

/* ---- linear_windows.c ------------------------------------------------- */

/* Windows until the time is over or something is wrong (`failures`) */
void linear_run_windows(struct linear_run *r);

#endif
