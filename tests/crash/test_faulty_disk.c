/* SPDX-License-Identifier: MIT */
/*
 * Full and broken disks: an operation that fails changes nothing, a failure to
 * write is the last word, and a full disk can be emptied.
 *
 * BANYAN_SEED says which operations.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crash.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"

#define FAULTY_OPS 30u

/* ---- a disk that fails ------------------------------------------------ */

/* A database on which an append fails, and one beside it on which none does */
struct pair {
	struct workload w;
	struct workload reference;
	struct scene *scene;
	int error; /* with which it fails */
	int said; /* the error that an operation gave, if any did */
};

static void start_pair(struct pair *p, uint64_t nth, size_t partly)
{
	p->w = (struct workload){ .seed = crash_seed() };
	p->reference = p->w;
	scene_start(p->scene, &p->reference);
	scene_start(p->scene, &p->w);
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
		/* A freeze that finds no room is tried again later */
		int rc = workload_settle(&p->w, n);
		if (rc == -ENOSPC) {
			p->said = rc;
			rc = 0;
		}
		if (!rc)
			rc = workload_do(&p->w, n, &syncs);
		if (rc && rc != p->error)
			scene_wrong(p->scene, "another error", rc);
		p->said = rc ? rc : p->said;
		assert_int_equal(workload_settle(&p->reference, n), 0);
		if (!rc)
			assert_int_equal(workload_do(&p->reference, n, &syncs),
					 0);
		assert_int_equal(fingerprint(p->reference.db, &print), 0);
		scene_expect(p->scene, p->w.db, print);
		if (rc && !go_on_after)
			return;
	}
}

/* What is left when the process has ended, be it with a proper close */
static void open_again(struct scene *s, const struct workload *w,
		       struct workload *again)
{
	*again = (struct workload){ 0 };
	assert_int_equal(fault_file_after_kill(w->file,
					       fault_file_events(w->file),
					       &again->file),
			 0);
	scene_open(s, again, false);
}

/* How it is found by the next process */
static void reopen_pair(struct pair *p)
{
	uint64_t print = 0;
	struct workload again;
	open_again(p->scene, &p->w, &again);
	assert_int_equal(fingerprint(p->reference.db, &print), 0);
	scene_expect(p->scene, again.db, print);
	scene_expect_sound(p->scene, again.db);
	assert_int_equal(banyan_close(again.db), 0);
	workload_free(&again);
	assert_int_equal(banyan_close(p->reference.db), 0);
	workload_free(&p->reference);
	workload_free(&p->w);
}

static void fail_append(struct scene *s, uint64_t nth, int error, size_t partly,
			unsigned *failed)
{
	struct pair p = { .scene = s, .error = error };
	start_pair(&p, nth, partly);
	run_pair(&p, error == -ENOSPC);
	if (p.said)
		++*failed;
	fault_file_fail(p.w.file, FAULT_APPEND, 0, 0, false);
	if (error == -EIO && p.said)
		scene_expect_poisoned(s, p.w.db);
	int rc = banyan_close(p.w.db);
	if (error == -ENOSPC && rc)
		scene_wrong(s, "close after a full disk", rc);
	if (error == -EIO && p.said && !rc)
		scene_wrong(s, "close does not tell of the failure", rc);
	reopen_pair(&p);
}

static void an_append_that_fails_changes_nothing(void **state)
{
	static const size_t partly[] = { 0, 8, 24, 2000 };
	struct scene *s = calloc(1, sizeof(*s));
	unsigned failed = 0;
	(void)state;
	assert_non_null(s);
	(void)test_seed();
	for (uint64_t nth = 1; nth <= 60; nth += test_one_in(4)) {
		for (unsigned i = 0; i < 4; i++) {
			s->depth = i;
			fail_append(s, nth, -ENOSPC, partly[i], &failed);
			fail_append(s, nth, -EIO, partly[i], &failed);
		}
	}
	print_message("%u operations failed\n", failed);
	assert_true(failed > 100 / test_one_in(4));
	free(s);
}

/* ---- a full disk ------------------------------------------------------ */

#define FILL_BYTES 300000u

static unsigned fill_disk(struct scene *s, banyan *db)
{
	static uint8_t bytes[FILL_BYTES];
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
			scene_expect(s, db, print);
			return n;
		}
	}
}

/* What is put beside a delete needs room of its own */
static void expect_full(banyan *db)
{
	static const uint8_t bytes[250];
	char path[32];
	banyan *batch = NULL;
	assert_int_equal(banyan_begin(db, &batch), 0);
	assert_int_equal(banyan_remove(batch, "key0"), 0);
	assert_int_equal(banyan_remove(batch, "key1"), 0);
	/* More than the value that did not fit */
	for (unsigned i = 0; i <= FILL_BYTES / sizeof(bytes); i++) {
		sprintf(path, "small%u", i);
		assert_int_equal(
			banyan_put(batch, path, bytes, sizeof(bytes), 0), 0);
	}
	assert_int_equal(banyan_commit(batch), -ENOSPC);
}

static void empty_disk(banyan *db, unsigned n, bool batch)
{
	char path[32];
	banyan *to = db;
	if (batch)
		assert_int_equal(banyan_begin(db, &to), 0);
	for (unsigned i = 0; i < n; i++) {
		sprintf(path, "key%u", i);
		assert_int_equal(banyan_remove(to, path), 0);
		if (i % 8 == 0 && !batch)
			assert_int_equal(banyan_freeze(db), 0);
	}
	if (batch)
		assert_int_equal(banyan_commit(to), 0);
}

static void fill_and_empty(bool batch)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct workload w = { .seed = 1, .thread = true };
	struct workload again;
	assert_non_null(s);
	scene_start(s, &w);
	fault_file_limit(w.file, 20u << 20);
	unsigned n = fill_disk(s, w.db);
	assert_true(n > 20);
	if (batch)
		expect_full(w.db);
	empty_disk(w.db, n, batch);
	scene_expect(s, w.db, w.history.moment[0].print);
	assert_int_equal(banyan_close(w.db), 0);
	open_again(s, &w, &again);
	scene_expect(s, again.db, w.history.moment[0].print);
	scene_expect_sound(s, again.db);
	assert_int_equal(banyan_close(again.db), 0);
	workload_free(&again);
	workload_free(&w);
	free(s);
}

static void a_full_disk_can_be_emptied(void **state)
{
	(void)state;
	fill_and_empty(false);
}

static void by_a_batch_of_deletes_too(void **state)
{
	(void)state;
	fill_and_empty(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_append_that_fails_changes_nothing),
		cmocka_unit_test(a_full_disk_can_be_emptied),
		cmocka_unit_test(by_a_batch_of_deletes_too),
	};
	/* Files are made and dropped by the thousand: keep their memory */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
