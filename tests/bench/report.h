/* SPDX-License-Identifier: MIT */
/* report.h - all figures of a run, as CSV and as a table of medians */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "workload.h"

#define ENGINES_MOST 8
#define ROUNDS_MOST 25

struct report {
	const struct engine *engines[ENGINES_MOST];
	unsigned engine_count;
	unsigned rounds; /* that are over */
	double figures[PLANS][TASKS][ENGINES_MOST][ROUNDS_MOST];
	FILE *csv; /* NULL: none */
};

/* csv_path may be NULL */
void report_begin(struct report *report, const char *csv_path);

/* What an engine has reached in a round, counted from 0; to the CSV at once */
void report_add(struct report *report, unsigned round, unsigned plan,
		unsigned engine, const double figures[TASKS]);

/* The table, to stdout */
void report_print(struct report *report, const struct amounts *amounts);

#endif
