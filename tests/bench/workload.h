/* SPDX-License-Identifier: MIT */
/*
 * workload.h - what is done to an engine, and what is measured.
 *
 * A plan begins with an empty directory and a load, in one order and with or
 * without a sync at each commit; the tasks that it has follow.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

enum task {
	PROBE,
	LOAD,
	LOAD_WRITES,
	LOAD_SIZE,
	LOAD_MEMORY,
	OPEN_FIRST,
	OPEN_AGAIN,
	GET,
	GET_THREADS,
	SCAN,
	SCAN_KEYS,
	SINGLE,
	OVERWRITE,
	DELETE,
	MEMORY,
	MEMORY_ANONYMOUS,
	TASKS
};

struct task_type {
	const char *name; /* for options and CSV */
	const char *title;
	const char *unit;
	bool more_is_better;
};
extern const struct task_type task_types[TASKS];

struct plan {
	const char *name; /* for options and CSV */
	const char *title;
	bool ordered;
	bool durable;
	unsigned tasks; /* a bit for each */
};
#define PLANS 4
extern const struct plan plans[PLANS];

struct amounts {
	uint64_t keys; /* to load */
	uint64_t most; /* random reads, overwrites, deletes at the most */
	uint64_t singles;
	unsigned threads;
	size_t value_size;
	uint64_t cache;
	unsigned tasks; /* those that are wanted */
};

/*
 * Run a plan on an engine in this process, which is best a new one, in the
 * empty directory dir. figures gets what was measured, NAN for what was not.
 */
void run_plan(const struct engine *engine, const struct plan *plan,
	      const struct amounts *amounts, const char *dir,
	      double figures[TASKS]);

#endif
