/* SPDX-License-Identifier: MIT */
/*
 * Power cuts and killed processes: behind every write and every sync, whatever
 * of the rest is on the disk, the database opens as it was after some of its
 * operations, the first ones, and no promise that was given before is broken.
 * Nor is it where recovery, and what comes after it, is cut short in turn.
 *
 * BANYAN_SEED says which operations, BANYAN_EVENTS behind which event only,
 * BANYAN_CUTS how many dice are thrown there. With BANYAN_LONG there are at
 * least 100 000 cuts.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "crash.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"

/* Of the processor, a workload, in the short form */
#define SECONDS_MAX 10
#define SECONDS_VACUUM 4 /* there are three */
#define PARTS 8u
#define CUTS_LONG 100000u

struct form {
	bool big;
	bool thread;
	bool vacuums;
	bool snapshots;
	bool punches;
	unsigned operations;
	unsigned depth;
	unsigned seeds; /* so many workloads in the long form */
};

static size_t number(const char *name, size_t otherwise)
{
	const char *text = getenv(name);
	return text ? (size_t)strtoull(text, NULL, 0) : otherwise;
}

/* Each kind of cut behind one event, those with dice in them more often */
static void cut_here(struct trial *t, struct workload *w, size_t events)
{
	size_t each = number("BANYAN_CUTS", crash_long() ? 8 : 1);
	trial_at(t, events);
	trial_cut(t, w->file, &w->history, events, FAULT_KEEP, true, 0);
	for (int kind = 0; kind < FAULT_CUTS; kind++)
		trial_cut(t, w->file, &w->history, events, (enum fault_cut)kind,
			  false, 0);
	for (size_t i = 0; i < each; i++)
		trial_cut(t, w->file, &w->history, events, trial_kind(t), false,
			  0);
}

/* Below a sanitizer or valgrind not all can be done: then some of each part */
static bool late(clock_t began, const struct workload *w)
{
	clock_t most = w->vacuums || w->punches ? SECONDS_VACUUM : SECONDS_MAX;
	return !crash_long() && !getenv("BANYAN_EVENTS") &&
	       clock() - began > most * CLOCKS_PER_SEC;
}

static void cut_everywhere(struct trial *t, struct workload *w)
{
	size_t first = w->history.moment[0].end;
	size_t last = fault_file_events(w->file);
	size_t only = number("BANYAN_EVENTS", SIZE_MAX);
	clock_t began = clock();
	for (size_t part = 0; part < PARTS; part++)
		for (size_t events = first + part; events <= last;
		     events += PARTS) {
			if (late(began, w))
				return;
			if (only == SIZE_MAX || only == events)
				cut_here(t, w, events);
		}
}

/* How many vacuums or punches there were: chance decides that */
static uint64_t cut_workload(const struct form *form, struct trial *t,
			     uint64_t seed)
{
	struct workload w = { .seed = seed,
			      .big = form->big,
			      .thread = form->thread,
			      .vacuums = form->vacuums,
			      .snapshots = form->snapshots,
			      .punches = form->punches };
	t->depth_max = form->depth;
	scene_start(&t->scene, &w);
	workload_run(&w, 0, form->operations);
	assert_int_equal(banyan_close(w.db), 0);
	if (form->vacuums || form->punches) {
		print_message("%llu vacuums, %llu events in their course\n",
			      (unsigned long long)w.vacuumed,
			      (unsigned long long)w.amid);
		assert_true(w.vacuumed > 0);
	}
	if (form->snapshots) {
		print_message("%llu snapshots taken, dropped, renamed\n",
			      (unsigned long long)w.snapshots_done);
		assert_true(w.snapshots_done > 0);
	}
	cut_everywhere(t, &w);
	workload_free(&w);
	return w.vacuumed;
}

static size_t cut_workloads(const struct form *form)
{
	uint64_t seed = test_seed();
	struct trial *t = calloc(1, sizeof(*t));
	unsigned seeds =
		crash_long() && !getenv("BANYAN_EVENTS") ? form->seeds : 1;
	uint64_t vacuums = 0;
	assert_non_null(t);
	for (unsigned i = 0; i < seeds; i++)
		vacuums += cut_workload(form, t, seed + i);
	size_t cuts = t->cuts;
	if (form->vacuums || form->punches)
		assert_true(vacuums > seeds);
	print_message("%zu cut points, seeds %llu to %llu\n", cuts,
		      (unsigned long long)seed,
		      (unsigned long long)seed + seeds - 1);
	free(t);
	return cuts;
}

static void a_power_cut_leaves_a_state_that_was(void **state)
{
	static const struct form form = { .operations = 100,
					  .depth = 2,
					  .seeds = 8 };
	(void)state;
	size_t cuts = cut_workloads(&form);
	if (crash_long() && !getenv("BANYAN_EVENTS"))
		assert_true(cuts >= CUTS_LONG);
}

static void nor_is_it_lost_where_the_log_changes_segments(void **state)
{
	static const struct form form = {
		.big = true, .operations = 60, .depth = 1, .seeds = 8
	};
	(void)state;
	cut_workloads(&form);
}

/* The seed gives the operations, and not where the freezes fall between them */
static void nor_with_freezes_by_a_thread_beside_it(void **state)
{
	static const struct form form = {
		.thread = true, .operations = 40, .depth = 1, .seeds = 8
	};
	(void)state;
	cut_workloads(&form);
}

/* At every write, sync and rename of a vacuum: the old file or the new one */
static void nor_is_it_lost_by_a_vacuum(void **state)
{
	static const struct form form = {
		.vacuums = true, .operations = 50, .depth = 1, .seeds = 8
	};
	(void)state;
	cut_workloads(&form);
}

static void nor_by_a_vacuum_of_large_values(void **state)
{
	static const struct form form = { .vacuums = true,
					  .big = true,
					  .operations = 30,
					  .depth = 1,
					  .seeds = 4 };
	(void)state;
	cut_workloads(&form);
}

/* What it has taken and not dropped reads as it was, wherever the cut is */
static void nor_is_a_snapshot(void **state)
{
	static const struct form form = {
		.snapshots = true, .operations = 60, .depth = 1, .seeds = 8
	};
	(void)state;
	cut_workloads(&form);
}

/* Nor if it is taken, dropped or renamed while the vacuum runs */
static void nor_is_a_snapshot_by_a_vacuum(void **state)
{
	static const struct form form = { .vacuums = true,
					  .snapshots = true,
					  .operations = 60,
					  .depth = 1,
					  .seeds = 8 };
	(void)state;
	cut_workloads(&form);
}

/* The new file has many freezes before it takes over */
static void nor_by_a_vacuum_with_freezes_by_threads(void **state)
{
	static const struct form form = { .vacuums = true,
					  .thread = true,
					  .operations = 40,
					  .depth = 1,
					  .seeds = 8 };
	(void)state;
	cut_workloads(&form);
}

/* Holes behind any of them, and not behind others */
static void nor_by_a_punch(void **state)
{
	static const struct form form = {
		.punches = true, .operations = 60, .depth = 1, .seeds = 8
	};
	(void)state;
	cut_workloads(&form);
}

static void nor_by_a_punch_of_large_values(void **state)
{
	static const struct form form = { .punches = true,
					  .big = true,
					  .thread = true,
					  .operations = 30,
					  .depth = 1,
					  .seeds = 4 };
	(void)state;
	cut_workloads(&form);
}

/* What all of this rests on: a seed that is printed is worth something */
static void the_same_seed_is_the_same_file(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	uint64_t sum[2] = { 0 };
	(void)state;
	assert_non_null(s);
	for (unsigned i = 0; i < 2; i++) {
		struct workload w = { .seed = crash_seed() };
		scene_start(s, &w);
		workload_run(&w, 0, 150);
		scene_die(w.file, w.db);
		uint64_t size = fault_file_size(w.file);
		struct file *copy = NULL;
		assert_int_equal(fault_file_after_cut(w.file,
						      fault_file_events(w.file),
						      FAULT_KEEP, 0, &copy),
				 0);
		for (uint64_t at = 0; at < size; at++) {
			uint8_t byte = 0;
			assert_int_equal(file_read(copy, &byte, 1, at), 0);
			sum[i] = sum[i] * 31 + byte;
		}
		fault_file_free(copy);
		workload_free(&w);
	}
	assert_int_equal(sum[0], sum[1]);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_is_the_same_file),
		cmocka_unit_test(a_power_cut_leaves_a_state_that_was),
		cmocka_unit_test(nor_is_it_lost_where_the_log_changes_segments),
		cmocka_unit_test(nor_with_freezes_by_a_thread_beside_it),
		cmocka_unit_test(nor_is_it_lost_by_a_vacuum),
		cmocka_unit_test(nor_by_a_vacuum_of_large_values),
		cmocka_unit_test(nor_by_a_vacuum_with_freezes_by_threads),
		cmocka_unit_test(nor_is_a_snapshot),
		cmocka_unit_test(nor_is_a_snapshot_by_a_vacuum),
		cmocka_unit_test(nor_by_a_punch),
		cmocka_unit_test(nor_by_a_punch_of_large_values),
	};
	/* Files are made and dropped by the thousand: keep their memory */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
