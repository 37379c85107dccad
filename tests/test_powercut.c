/* SPDX-License-Identifier: MIT */
/*
 * Power cuts, killed processes, full and broken disks: whatever happens to the
 * file, the database opens as it was after some of its operations, the first
 * ones, and no promise that was given before is broken.
 *
 * BANYAN_SEED says which operations, BANYAN_CUTS how many cuts an event.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../store/check.h"
#include "../store/db.h"
#include "random.h"
#include "workload.h"

static uint64_t test_seed_quiet(void)
{
	const char *text = getenv("BANYAN_SEED");
	return text ? strtoull(text, NULL, 0) : 20240607;
}

#define SECONDS_MAX 10 /* of the processor, a workload */
#define PARTS 8u

#define TABLE_LIMIT 6000u /* bytes: a few operations */

/* What was going on, to be told when a check fails */
struct scene {
	uint64_t seed;
	size_t events;
	enum fault_cut kind;
	uint64_t cut_seed;
	bool killed;
	unsigned depth;
	char said[1024]; /* what the library has reported */
};

static void hear(void *arg, const char *line)
{
	struct scene *s = arg;
	size_t len = strlen(s->said);
	snprintf(s->said + len, sizeof(s->said) - len, "  %s\n", line);
}

static void wrong(const struct scene *s, const char *what, long long n)
{
	fail_msg("%s (%lld), seed %llu: %s after %zu events, depth %u, "
		 "kind %d, cut seed %llu\n%s",
		 what, n, (unsigned long long)s->seed,
		 s->killed ? "killed" : "cut", s->events, s->depth,
		 (int)s->kind, (unsigned long long)s->cut_seed, s->said);
}

static banyan *open_file(struct file *f, unsigned flags, struct scene *s)
{
	banyan *db = NULL;
	struct banyan_options o = { .flags = flags & ~(unsigned)BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = hear,
				    .report_arg = s };
	s->said[0] = '\0';
	int rc = db_open_file(f, &o, flags & BANYAN_CREATE, &db);
	if (rc)
		wrong(s, "cannot be opened", rc);
	/* Freezes nobody asked for, with operations going on beside them */
	db->table_limit = TABLE_LIMIT;
	return db;
}

/* The process dies here: nothing more reaches the file */
static void die(struct file *f, banyan *db)
{
	fault_file_fail_after(f, 0);
	fault_file_fail(f, FAULT_APPEND, 1, -EIO, true);
	fault_file_fail(f, FAULT_SYNC, 1, -EIO, true);
	(void)banyan_close(db);
}

static void found(void *arg, const char *line)
{
	hear(arg, line);
}

/* Nodes, rows and values agree with each other */
static void check_sound(banyan *db, struct scene *s)
{
	struct banyan_check options = { .found = found, .arg = s };
	struct checker k = { .options = &options };
	int rc = check_tree(&k, db);
	if (!rc)
		rc = check_rows(&k, db);
	if (rc || k.damages)
		wrong(s, "unsound", rc ? rc : k.damages);
}

static size_t see(banyan *db, const struct history *h, size_t low, size_t high,
		  struct scene *s)
{
	uint64_t print = 0;
	int rc = fingerprint(db, &print);
	if (rc)
		wrong(s, "cannot be read", rc);
	size_t i = history_find(h, print, low, high);
	if (i == SIZE_MAX) {
		size_t any = history_find(h, print, 0, h->count - 1);
		wrong(s,
		      any == SIZE_MAX ? "a state that never was" :
					"too old or too new a state",
		      any == SIZE_MAX ? -1 : (long long)any);
	}
	return i;
}

/* ---- cuts ------------------------------------------------------------- */

struct trial {
	uint64_t random;
	size_t cuts;
	unsigned depth_max;
	struct scene scene;
};

static enum fault_cut random_kind(struct trial *t)
{
	static const enum fault_cut kinds[] = { FAULT_PREFIX, FAULT_PREFIX,
						FAULT_RANDOM, FAULT_RANDOM,
						FAULT_RANDOM, FAULT_DROP,
						FAULT_ZEROS,  FAULT_KEEP };
	return kinds[test_below(&t->random, 8)];
}

static void try_cut(struct trial *t, struct file *f, const struct history *h,
		    size_t events, enum fault_cut kind, bool killed,
		    unsigned depth);

/* Open what is left, see what is there, work on, and cut again */
static void go_on(struct trial *t, struct file *f, const struct history *h,
		  size_t low, size_t high, unsigned depth)
{
	struct scene *s = &t->scene;
	struct workload w = { .seed = test_random(&t->random), .file = f };
	size_t before = fault_file_events(f);
	w.db = open_file(f, 0, s);
	see(w.db, h, low, high, s);
	if (t->cuts % 8 == 0)
		check_sound(w.db, s);
	if (depth == t->depth_max) {
		die(f, w.db);
		return;
	}
	/* To have been opened for writing makes durable what was seen */
	workload_note(&w, before, true);
	workload_run(&w, 0, 1 + (unsigned)test_below(&t->random, 6));
	die(f, w.db);
	size_t opened = w.history.moment[0].end;
	size_t last = w.history.moment[w.history.count - 1].end;
	for (unsigned i = 0; i < 2; i++) {
		size_t events =
			opened + test_below(&t->random, last - opened + 1);
		try_cut(t, f, &w.history, events, random_kind(t),
			test_below(&t->random, 5) == 0, depth + 1);
	}
	/* Recovery itself is cut short: it is as if it had not begun */
	if (opened > before) {
		struct file *after = NULL;
		size_t events =
			before + test_below(&t->random, opened - before);
		assert_int_equal(fault_file_after_cut(f, events, random_kind(t),
						      test_random(&t->random),
						      &after),
				 0);
		banyan *db = open_file(after, 0, s);
		see(db, h, 0, high, s);
		die(after, db);
		fault_file_free(after);
		t->cuts++;
	}
	history_free(&w.history);
}

static void try_cut(struct trial *t, struct file *f, const struct history *h,
		    size_t events, enum fault_cut kind, bool killed,
		    unsigned depth)
{
	struct scene *s = &t->scene;
	struct file *after = NULL;
	size_t low = 0;
	size_t high = 0;
	s->events = events;
	s->kind = kind;
	s->killed = killed;
	s->cut_seed = test_random(&t->random);
	s->depth = depth;
	t->cuts++;
	history_bounds(h, events, killed, &low, &high);
	int rc = killed ? fault_file_after_kill(f, events, &after) :
			  fault_file_after_cut(f, events, kind, s->cut_seed,
					       &after);
	assert_int_equal(rc, 0);
	go_on(t, after, h, low, high, depth);
	fault_file_free(after);
}

static size_t cuts_wanted(size_t otherwise)
{
	const char *text = getenv("BANYAN_CUTS");
	return text ? (size_t)strtoull(text, NULL, 0) : otherwise;
}

/* Each kind of cut behind one event */
static void cut_here(struct trial *t, struct workload *w, size_t events,
		     size_t each)
{
	try_cut(t, w->file, &w->history, events, FAULT_KEEP, true, 0);
	for (int kind = 0; kind < FAULT_CUTS; kind++)
		try_cut(t, w->file, &w->history, events, (enum fault_cut)kind,
			false, 0);
	for (size_t i = 0; i < each; i++)
		try_cut(t, w->file, &w->history, events,
			i % 3 ? FAULT_RANDOM : FAULT_PREFIX, false, 0);
}

/* Below a sanitizer or valgrind not all can be done: then some of each part */
static void cut_everywhere(struct trial *t, struct workload *w, size_t each)
{
	size_t first = w->history.moment[0].end;
	size_t last = fault_file_events(w->file);
	clock_t end = clock() + SECONDS_MAX * CLOCKS_PER_SEC;
	for (size_t part = 0; part < PARTS; part++)
		for (size_t events = first + part; events <= last;
		     events += PARTS) {
			if (clock() > end && !getenv("BANYAN_CUTS"))
				return;
			cut_here(t, w, events, each);
		}
}

static void start(struct workload *w, struct scene *s, uint64_t seed, bool big)
{
	*w = (struct workload){ .seed = seed, .big = big };
	s->seed = seed;
	assert_int_equal(fault_file_new(NULL, 0, &w->file), 0);
	w->db = open_file(w->file, BANYAN_CREATE, s);
	workload_note(w, fault_file_events(w->file), true);
}

static void forget(struct workload *w)
{
	fault_file_free(w->file);
	history_free(&w->history);
}

static void cut_workload(bool big, unsigned operations, unsigned depth,
			 size_t each)
{
	uint64_t seed = test_seed();
	struct trial *t = calloc(1, sizeof(*t));
	assert_non_null(t);
	struct workload w;
	t->random = seed;
	t->depth_max = depth;
	start(&w, &t->scene, seed, big);
	workload_run(&w, 0, operations);
	assert_int_equal(banyan_close(w.db), 0);
	cut_everywhere(t, &w, each);
	forget(&w);
	print_message("%zu cut points\n", t->cuts);
	free(t);
}

static void a_power_cut_leaves_a_state_that_was(void **state)
{
	(void)state;
	cut_workload(false, 100, 2, cuts_wanted(1));
}

static void nor_is_it_lost_where_the_log_changes_segments(void **state)
{
	(void)state;
	cut_workload(true, 60, 1, cuts_wanted(1));
}

/* ---- disks that fail -------------------------------------------------- */

static void expect_state(banyan *db, uint64_t print, struct scene *s)
{
	uint64_t now = 0;
	int rc = fingerprint(db, &now);
	if (rc || now != print)
		wrong(s, "not the state that was expected", rc);
}

static void expect_poisoned(banyan *db, struct scene *s)
{
	int rc = banyan_put(db, "late", "x", 1, 0);
	if (rc != -EIO)
		wrong(s, "a put after a failure", rc);
	rc = banyan_sync(db);
	if (rc != -EIO)
		wrong(s, "a sync after a failure", rc);
	rc = banyan_freeze(db);
	if (rc != -EIO)
		wrong(s, "a freeze after a failure", rc);
}

/* What is left when the process has ended, be it with a proper close */
static banyan *open_again(struct file *f, struct file **after, struct scene *s)
{
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), after),
			 0);
	return open_file(*after, 0, s);
}

#define FAULTY_OPS 30u

/* A database on which an append fails, and one beside it on which none does */
struct pair {
	struct workload w;
	struct workload reference;
	struct scene *scene;
	int error; /* with which it fails */
	int said; /* the error that an operation gave, if any did */
};

static void start_pair(struct pair *p, uint64_t seed, uint64_t nth,
		       size_t partly)
{
	struct file *memory = NULL;
	start(&p->w, p->scene, seed, false);
	assert_int_equal(file_memory(&memory), 0);
	p->reference = (struct workload){ .seed = seed };
	p->reference.db = open_file(memory, BANYAN_CREATE, p->scene);
	p->scene->events = nth;
	fault_file_fail_after(p->w.file, partly);
	fault_file_fail(p->w.file, FAULT_APPEND, nth, p->error, false);
}

/* Both always show the same. With an EIO the first error is the last. */
static void run_pair(struct pair *p, bool go_on_after)
{
	bool syncs = false;
	uint64_t print = 0;
	p->said = 0;
	for (unsigned n = 0; n < FAULTY_OPS; n++) {
		int rc = workload_do(&p->w, n, &syncs);
		if (rc && rc != p->error)
			wrong(p->scene, "another error", rc);
		p->said = rc ? rc : p->said;
		if (!rc)
			assert_int_equal(workload_do(&p->reference, n, &syncs),
					 0);
		assert_int_equal(fingerprint(p->reference.db, &print), 0);
		expect_state(p->w.db, print, p->scene);
		if (rc && !go_on_after)
			return;
	}
}

/* How it is found by the next process */
static void reopen_pair(struct pair *p)
{
	uint64_t print = 0;
	struct file *after = NULL;
	banyan *db = open_again(p->w.file, &after, p->scene);
	assert_int_equal(fingerprint(p->reference.db, &print), 0);
	expect_state(db, print, p->scene);
	check_sound(db, p->scene);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(after);
	assert_int_equal(banyan_close(p->reference.db), 0);
	forget(&p->w);
}

static void fail_append(struct scene *s, uint64_t nth, int error, size_t partly,
			unsigned *failed)
{
	struct pair p = { .scene = s, .error = error };
	start_pair(&p, test_seed_quiet(), nth, partly);
	run_pair(&p, error == -ENOSPC);
	if (p.said)
		++*failed;
	fault_file_fail(p.w.file, FAULT_APPEND, 0, 0, false);
	if (error == -EIO && p.said)
		expect_poisoned(p.w.db, s);
	int rc = banyan_close(p.w.db);
	if (error == -ENOSPC && rc)
		wrong(s, "close after a full disk", rc);
	if (error == -EIO && p.said && !rc)
		wrong(s, "close does not tell of the failure", rc);
	reopen_pair(&p);
}

static void an_append_that_fails_changes_nothing(void **state)
{
	static const size_t partly[] = { 0, 8, 24, 2000 };
	struct scene *s = calloc(1, sizeof(*s));
	unsigned failed = 0;
	(void)state;
	assert_non_null(s);
	for (uint64_t nth = 1; nth <= 60; nth++) {
		for (unsigned i = 0; i < 4; i++) {
			s->depth = i;
			fail_append(s, nth, -ENOSPC, partly[i], &failed);
			fail_append(s, nth, -EIO, partly[i], &failed);
		}
	}
	print_message("%u operations failed\n", failed);
	assert_true(failed > 100);
	free(s);
}

/* ---- a full disk ------------------------------------------------------ */

static unsigned fill_disk(banyan *db, struct scene *s)
{
	static uint8_t bytes[300000];
	unsigned n = 0;
	for (;; n++) {
		char path[32];
		uint64_t print = 0;
		sprintf(path, "key%u", n);
		memset(bytes, (int)n, sizeof(bytes));
		assert_int_equal(fingerprint(db, &print), 0);
		int rc = banyan_put(db, path, bytes, sizeof(bytes), 0);
		if (rc) {
			assert_int_equal(rc, -ENOSPC);
			expect_state(db, print, s);
			return n;
		}
	}
}

static void a_full_disk_can_be_emptied(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct workload w;
	struct file *after = NULL;
	char path[32];
	(void)state;
	assert_non_null(s);
	start(&w, s, 1, false);
	fault_file_limit(w.file, 20u << 20);
	unsigned n = fill_disk(w.db, s);
	assert_true(n > 20);
	for (unsigned i = 0; i < n; i++) {
		sprintf(path, "key%u", i);
		assert_int_equal(banyan_remove(w.db, path), 0);
		if (i % 8 == 0)
			assert_int_equal(banyan_freeze(w.db), 0);
	}
	expect_state(w.db, w.history.moment[0].print, s);
	assert_int_equal(banyan_close(w.db), 0);
	banyan *db = open_again(w.file, &after, s);
	expect_state(db, w.history.moment[0].print, s);
	check_sound(db, s);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(after);
	forget(&w);
	free(s);
}

/* ---- a sync that fails ------------------------------------------------ */

/* Operations until one fails; false if none does */
static bool run_to_failure(struct workload *w, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		bool syncs = false;
		size_t begin = fault_file_events(w->file);
		int rc = workload_do(w, n, &syncs);
		if (rc) {
			assert_int_equal(rc, -EIO);
			workload_note(w, begin, false);
			return true;
		}
		workload_note(w, begin, syncs);
	}
	return false;
}

static bool fail_sync(struct trial *t, uint64_t nth)
{
	struct workload w;
	struct file *after = NULL;
	size_t low = 0;
	size_t high = 0;
	start(&w, &t->scene, test_seed_quiet(), false);
	fault_file_fail(w.file, FAULT_SYNC, nth, -EIO, false);
	bool failed = run_to_failure(&w, 80);
	size_t events = fault_file_events(w.file);
	t->scene.events = events;
	if (failed) {
		expect_poisoned(w.db, &t->scene);
		expect_state(w.db, w.history.moment[w.history.count - 1].print,
			     &t->scene);
		assert_int_not_equal(banyan_close(w.db), 0);
		for (unsigned i = 0; i < 10; i++) {
			history_bounds(&w.history, events, false, &low, &high);
			assert_int_equal(fault_file_after_kill(w.file, events,
							       &after),
					 0);
			go_on(t, after, &w.history, low, high, 0);
			fault_file_free(after);
			try_cut(t, w.file, &w.history, events, FAULT_RANDOM,
				false, 0);
		}
	} else {
		(void)banyan_close(w.db);
	}
	forget(&w);
	return failed;
}

static void a_failed_sync_is_never_a_success_later(void **state)
{
	struct trial *t = calloc(1, sizeof(*t));
	uint64_t nth = 1;
	(void)state;
	assert_non_null(t);
	t->random = test_seed_quiet();
	t->depth_max = 2;
	while (fail_sync(t, nth))
		nth++;
	print_message("%llu syncs failed, %zu cut points\n",
		      (unsigned long long)nth - 1, t->cuts);
	assert_true(nth > 10);
	free(t);
}

/* ---- damage ----------------------------------------------------------- */

/* All bytes of a file as a power cut left it; to be freed */
static uint8_t *bytes_after(struct workload *w, uint64_t *size)
{
	struct file *after = NULL;
	assert_int_equal(fault_file_after_cut(w->file,
					      fault_file_events(w->file),
					      FAULT_KEEP, 0, &after),
			 0);
	assert_int_equal(file_size(after, size), 0);
	uint8_t *bytes = malloc(*size);
	assert_non_null(bytes);
	assert_int_equal(file_read(after, bytes, *size, 0), 0);
	fault_file_free(after);
	return bytes;
}

static void open_damaged(struct scene *s, const uint8_t *bytes, size_t size,
			 uint64_t print, unsigned *silent)
{
	struct file *f = NULL;
	banyan *db = NULL;
	uint64_t now = 0;
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN,
				    .report = hear,
				    .report_arg = s };
	assert_int_equal(fault_file_new(bytes, size, &f), 0);
	s->said[0] = '\0';
	int rc = db_open_file(f, &o, false, &db);
	if (!rc) {
		rc = fingerprint(db, &now);
		if (!rc && now != print)
			wrong(s, "damage has gone unnoticed", 0);
		*silent += rc == 0;
		die(f, db);
	}
	fault_file_free(f);
}

/* The log was synced, and a mark says so: a bad byte is no torn tail */
static void damage_is_never_taken_for_a_torn_tail(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct workload w;
	uint64_t size = 0;
	unsigned tries = 0;
	unsigned silent = 0;
	(void)state;
	assert_non_null(s);
	start(&w, s, test_seed_quiet(), false);
	workload_run(&w, 0, 60);
	assert_int_equal(banyan_put(w.db, "last", "x", 1, 0), 0);
	assert_int_equal(banyan_sync(w.db), 0);
	workload_note(&w, 0, true);
	uint8_t *bytes = bytes_after(&w, &size);
	uint64_t print = w.history.moment[w.history.count - 1].print;
	for (uint64_t at = 0; at < size; at += 1 + at / 499 % 241, tries++) {
		s->events = (size_t)at;
		bytes[at] ^= 0x10;
		open_damaged(s, bytes, (size_t)size, print, &silent);
		bytes[at] ^= 0x10;
	}
	print_message("%u damaged files, %u where it did not matter\n", tries,
		      silent);
	assert_true(silent < tries);
	die(w.file, w.db);
	forget(&w);
	free(bytes);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_leaves_a_state_that_was),
		cmocka_unit_test(nor_is_it_lost_where_the_log_changes_segments),
		cmocka_unit_test(an_append_that_fails_changes_nothing),
		cmocka_unit_test(a_full_disk_can_be_emptied),
		cmocka_unit_test(a_failed_sync_is_never_a_success_later),
		cmocka_unit_test(damage_is_never_taken_for_a_torn_tail),
	};
	/* Files are made and dropped by the thousand: keep their memory */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
