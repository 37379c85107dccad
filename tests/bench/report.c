/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"

void report_begin(struct report *report, const char *csv_path)
{
	if (!csv_path)
		return;
	report->csv = fopen(csv_path, "w");
	if (!report->csv)
		die("%s: %s", csv_path, strerror(errno));
	fputs("round,plan,task,engine,value,unit\n", report->csv);
}

void report_add(struct report *report, unsigned round, unsigned plan,
		unsigned engine, const double figures[TASKS])
{
	for (int task = 0; task < TASKS; task++) {
		report->figures[plan][task][engine][round] = figures[task];
		if (report->csv && !isnan(figures[task]))
			fprintf(report->csv, "%u,%s,%s,%s,%.6g,%s\n", round + 1,
				plans[plan].name, task_types[task].name,
				report->engines[engine]->name, figures[task],
				task_types[task].unit);
	}
	if (report->csv && fflush(report->csv) != 0)
		die("the CSV file: %s", strerror(errno));
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] :
			   (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void print_number(double number)
{
	if (isnan(number))
		printf(" %8s", "-");
	else
		printf(" %8.*f",
		       number < 9.995 ? 2 :
		       number < 99.95 ? 1 :
					0,
		       number);
}

/* Nothing was measured for any plan or task that was not wanted */
static bool is_empty(const struct report *report, unsigned plan, int task)
{
	return isnan(report->figures[plan][task][0][0]);
}

static void print_row(struct report *report, unsigned plan, int task)
{
	const struct task_type *type = &task_types[task];
	double medians[ENGINES_MOST];

	for (unsigned n = 0; n < report->engine_count; n++)
		medians[n] =
			median(report->figures[plan][task][n], report->rounds);
	printf("%-23s %-5s", type->title, type->unit);
	for (unsigned n = 0; n < report->engine_count; n++)
		print_number(medians[n]);
	printf("  ");
	for (unsigned n = 1; n < report->engine_count; n++)
		print_number(type->more_is_better ? medians[0] / medians[n] :
						    medians[n] / medians[0]);
	putchar('\n');
}

static void print_plan(struct report *report, unsigned plan)
{
	const struct engine *const *engines = report->engines;

	printf("\n%s:\n%-29s", plans[plan].title, "");
	for (unsigned n = 0; n < report->engine_count; n++)
		printf(" %8s", engines[n]->name);
	printf("  ");
	for (unsigned n = 1; n < report->engine_count; n++)
		printf(" /%7s", engines[n]->name);
	putchar('\n');
	for (int task = 0; task < TASKS; task++)
		if (!is_empty(report, plan, task))
			print_row(report, plan, task);
}

static bool is_empty_plan(const struct report *report, unsigned plan)
{
	for (int task = 0; task < TASKS; task++)
		if (!is_empty(report, plan, task))
			return false;
	return true;
}

static void print_notes(const struct report *report)
{
	puts("\n"
	     "Behind the figures, in columns \"/...\": how many times better "
	     "the "
	     "first engine is\nthan each other: above 1 it is better, whether "
	     "much or little is good.\n\n"
	     "Durability. Where batches are durable, and for single inserts, "
	     "every engine has\nfdatasync or the like behind it before a "
	     "commit "
	     "returns, and would keep it through\na power loss. Where they are "
	     "not, what was committed survives the process, and\nclose makes "
	     "it "
	     "durable. Load, overwrite and delete count to the end of close.\n"
	     "\n"
	     "Per byte of keys and values: bytes written is wchar of "
	     "/proc/self/io, what write\ncalls were given; files is the blocks "
	     "of "
	     "all files, after close. Memory is VmHWM,\nwhich for engines that "
	     "map files has the pages of the maps, once for each map;\nthe "
	     "anonymous part is sampled. Where the disk's append and sync "
	     "differ "
	     "between\nengines, something else was busy meanwhile.\n");
	for (unsigned n = 0; n < report->engine_count; n++)
		printf("%-8s %s\n", report->engines[n]->name,
		       report->engines[n]->settings);
}

void report_print(struct report *report, const struct amounts *amounts)
{
	printf("%ju keys of %d + %zu bytes, batches of %d, cache of %ju MiB, "
	       "medians of %u rounds.\nUp to %ju random reads, overwrites, "
	       "deletes; %ju single inserts; %u threads.\n",
	       (uintmax_t)amounts->keys, KEY_SIZE, amounts->value_size, BATCH,
	       (uintmax_t)(amounts->cache >> 20), report->rounds,
	       (uintmax_t)amounts->most, (uintmax_t)amounts->singles,
	       amounts->threads);
	for (unsigned plan = 0; plan < PLANS; plan++)
		if (!is_empty_plan(report, plan))
			print_plan(report, plan);
	print_notes(report);
	if (report->csv && fclose(report->csv) != 0)
		die("the CSV file: %s", strerror(errno));
}
