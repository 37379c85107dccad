/* SPDX-License-Identifier: MIT */
/*
 * Crash after crash after crash, with writing between them: each time the log
 * goes on in another segment, and what was promised by any of the processes is
 * there. Some of them die because a write or a sync has failed; then what that
 * sync was to cover may be clean in the cache and nowhere else, and is never
 * called durable later.
 *
 * BANYAN_SEED says what happens. With BANYAN_LONG there is more of it.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log/format.h"
#include "crash.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"

/* Steps until one fails with -EIO; false if none does */
static bool run_to_failure(struct workload *w, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		int rc = workload_step(w, n);
		if (rc) {
			assert_int_equal(rc, -EIO);
			return true;
		}
	}
	return false;
}

/* ---- a sync that fails ------------------------------------------------ */

/* Processes that find what a failed sync has left, and machines that do */
static void look_behind_failure(struct trial *t, struct workload *w)
{
	struct scene *s = &t->scene;
	struct file *after = NULL;
	size_t events = fault_file_events(w->file);
	for (unsigned i = 0; i < 10; i++) {
		size_t low = 0;
		size_t high = 0;
		/* What a kill leaves, and no more promised than a cut keeps */
		history_bounds(&w->history, events, false, &low, &high);
		assert_int_equal(fault_file_after_kill(w->file, events, &after),
				 0);
		s->killed = true;
		s->events = events;
		t->cuts++;
		trial_go_on(t, after, &w->history, low, high, 0);
		trial_cut(t, w->file, &w->history, events, trial_kind(t), false,
			  0);
	}
}

static bool fail_sync(struct trial *t, uint64_t nth)
{
	struct scene *s = &t->scene;
	struct workload w = { .seed = crash_seed(), .stays = true };
	scene_start(s, &w);
	trial_at(t, nth);
	fault_file_fail(w.file, FAULT_SYNC, nth, -EIO, false);
	bool failed = run_to_failure(&w, 80);
	if (failed) {
		scene_expect_poisoned(s, w.db);
		scene_expect(s, w.db,
			     w.history.moment[w.history.count - 1].print);
		assert_int_not_equal(banyan_close(w.db), 0);
		look_behind_failure(t, &w);
	} else {
		(void)banyan_close(w.db);
	}
	workload_free(&w);
	return failed;
}

static void a_failed_sync_is_never_a_success_later(void **state)
{
	struct trial *t = calloc(1, sizeof(*t));
	uint64_t nth = 1;
	(void)state;
	assert_non_null(t);
	(void)test_seed();
	t->depth_max = 2;
	while (fail_sync(t, nth))
		nth += test_one_in(4);
	print_message("%zu cut points, %llu syncs failed\n", t->cuts,
		      (unsigned long long)nth - 1);
	assert_true(nth > 10);
	free(t);
}

/* The first, second ... sync of a close fails: it says so, and nothing is lost
 * that was promised before */
static void nor_is_one_that_fails_in_a_close(void **state)
{
	struct trial *t = calloc(1, sizeof(*t));
	unsigned failed = 0;
	(void)state;
	assert_non_null(t);
	(void)test_seed();
	t->depth_max = 1;
	for (uint64_t i = 0; i < 30 / test_one_in(2); i++) {
		struct workload w = { .seed = crash_seed() + i, .stays = true };
		scene_start(&t->scene, &w);
		trial_at(t, i);
		workload_run(&w, 0, 20);
		fault_file_fail(w.file, FAULT_SYNC, 1 + i % 3, -EIO, false);
		uint64_t syncs = fault_file_calls(w.file, FAULT_SYNC);
		int rc = banyan_close(w.db);
		syncs = fault_file_calls(w.file, FAULT_SYNC) - syncs;
		assert_int_equal(rc, syncs > i % 3 ? -EIO : 0);
		failed += rc != 0;
		look_behind_failure(t, &w);
		workload_free(&w);
	}
	print_message("%zu cut points, %u closes failed\n", t->cuts, failed);
	assert_true(failed > 4);
	free(t);
}

/* ---- chains ----------------------------------------------------------- */

struct chain {
	struct trial t;
	struct workload w; /* of the process that runs now */
	size_t low; /* which of its moments the next one may see */
	size_t high;
	unsigned failures;
	unsigned torn;
	unsigned refused; /* recoveries in which the sync failed */
};

/* One process, from its first operation to its end; did the disk fail it? */
static bool live(struct chain *c)
{
	uint64_t *random = &c->t.random;
	uint64_t dice = test_below(random, 8);
	size_t partly = test_below(random, 5000);
	fault_file_fail_after(c->w.file, partly);
	if (dice == 0)
		fault_file_fail(c->w.file, FAULT_APPEND,
				1 + test_below(random, 12), -EIO, false);
	if (dice == 1 || dice == 2)
		fault_file_fail(c->w.file, FAULT_SYNC,
				1 + test_below(random, 3), -EIO, false);
	bool failed =
		run_to_failure(&c->w, 1 + (unsigned)test_below(random, 14));
	if (failed) {
		c->failures++;
		scene_expect_poisoned(&c->t.scene, c->w.db);
	}
	scene_die(c->w.file, c->w.db);
	return failed;
}

/* How it ends: the file that is left */
static struct file *end(struct chain *c, bool failed)
{
	struct trial *t = &c->t;
	struct scene *s = &t->scene;
	struct file *after = NULL;
	const struct history *h = &c->w.history;
	size_t opened = h->moment[0].end;
	size_t last = h->moment[h->count - 1].end;
	size_t events = last;
	if (!failed || test_below(&t->random, 2))
		events = opened + test_below(&t->random, last - opened + 1);
	for (unsigned i = 0; i < 2; i++)
		trial_cut(t, c->w.file, h,
			  opened + test_below(&t->random, last - opened + 1),
			  trial_kind(t), false, 0);
	s->killed = test_below(&t->random, 3) == 0;
	s->events = events;
	s->kind = trial_kind(t);
	t->cuts++;
	/* A sync has failed behind a kill: less may be there than was seen */
	history_bounds(h, events, s->killed && !failed, &c->low, &c->high);
	if (s->killed)
		assert_int_equal(
			fault_file_after_kill(c->w.file, events, &after), 0);
	else
		assert_int_equal(
			fault_file_after_cut(c->w.file, events, s->kind,
					     test_random(&t->random), &after),
			0);
	return after;
}

/* Now and then the sync of a recovery fails, and the one after it must do */
static struct file *fail_recovery(struct chain *c, struct file *f)
{
	struct workload w = { .file = f };
	struct file *after = NULL;
	size_t unused = 0;
	if (test_below(&c->t.random, 6))
		return f;
	fault_file_fail(f, FAULT_SYNC, 1, -EIO, false);
	assert_int_equal(workload_open(&w, false), -EIO);
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &after),
			 0);
	fault_file_free(f);
	history_bounds(&c->w.history, c->t.scene.events, false, &c->low,
		       &unused);
	c->refused++;
	return after;
}

static void next_process(struct chain *c, struct file *f)
{
	struct scene *s = &c->t.scene;
	struct workload w = { .file = f, .stays = true };
	size_t before = fault_file_events(f);
	w.seed = test_random(&c->t.random);
	w.big = test_below(&c->t.random, 6) == 0;
	scene_open(s, &w, false);
	c->torn += strstr(s->said, "torn tail") != NULL;
	scene_see(s, w.db, &c->w.history, c->low, c->high);
	if (test_below(&c->t.random, 4) == 0)
		scene_expect_sound(s, w.db);
	workload_note(&w, before, true);
	workload_free(&c->w);
	c->w = w;
}

static void run_chain(struct chain *c, uint64_t seed, size_t rounds)
{
	c->w = (struct workload){ .seed = seed, .stays = true };
	c->t.depth_max = 0;
	scene_start(&c->t.scene, &c->w);
	for (size_t round = 0; round < rounds; round++) {
		trial_at(&c->t, round);
		bool failed = live(c);
		next_process(c, fail_recovery(c, end(c, failed)));
	}
	assert_int_equal(banyan_close(c->w.db), 0);
	workload_free(&c->w);
}

static void crash_after_crash_after_crash_keeps_every_promise(void **state)
{
	struct chain *c = calloc(1, sizeof(*c));
	uint64_t seed = test_seed();
	unsigned chains = crash_long() ? 100 : 4 / test_one_in(4);
	size_t rounds = 100;
	(void)state;
	assert_non_null(c);
	for (unsigned i = 0; i < chains; i++)
		run_chain(c, seed + i, rounds);
	print_message("%zu cut points, %u chains of %zu crashes, %u behind a "
		      "failure, %u torn tails, %u failed recoveries, "
		      "seeds %llu to %llu\n",
		      c->t.cuts, chains, rounds, c->failures, c->torn,
		      c->refused, (unsigned long long)seed,
		      (unsigned long long)seed + chains - 1);
	assert_true(c->torn > 12 * chains && c->failures > 5 * chains &&
		    c->refused > 2 * chains);
	free(c);
}

/* ---- takeovers -------------------------------------------------------- */

/*
 * The process dies behind so many events, and one takes over that keeps its file open
 * and trusts what is in the cache (struct banyan_keeper). What it sees is not durable
 * for that.
 */
static void take_over(struct scene *s, struct workload *w, size_t events)
{
	struct history *h = &w->history;
	struct file *after = NULL;
	size_t low = h->count - 1;
	size_t high = low;
	/* Of the last operation it may have been the middle */
	if (events < h->moment[high].end)
		low--;
	scene_die(w->file, w->db);
	assert_int_equal(fault_file_after_kill(w->file, events, &after), 0);
	fault_file_free(w->file);
	after->trusted = true;
	w->file = after;
	s->killed = true;
	s->events = events;
	scene_open(s, w, false);
	(void)scene_see(s, w->db, h, low, high);
	h->count = low + 1;
	workload_note(w, events, false);
}

/* Where the next one dies that has made n operations, of which the last is done again by
 * the one that takes over */
static size_t place_of_death(struct trial *t, struct workload *w, unsigned n)
{
	size_t moments = w->history.count;
	size_t begin;
	assert_int_equal(workload_step(w, n), 0);
	begin = w->history.moment[w->history.count - 1].begin;
	/* Those that made other operations beside them are left whole */
	if (w->history.count != moments + 1)
		return fault_file_events(w->file);
	return begin +
	       test_below(&t->random, fault_file_events(w->file) - begin + 1);
}

/* A power cut may come while each of them begins, too */
static void a_takeover_keeps_every_promise(void **state)
{
	struct trial *t = calloc(1, sizeof(*t));
	unsigned mounts = crash_long() ? 1000 : 100 / test_one_in(5);
	unsigned takeovers = 0;
	(void)state;
	assert_non_null(t);
	(void)test_seed();
	t->depth_max = 1;
	for (uint64_t i = 0; i < mounts; i++) {
		struct workload w = { .seed = crash_seed() + i, .stays = true };
		scene_start(&t->scene, &w);
		trial_at(t, i);
		for (unsigned n = 0; n < 30; n++, takeovers++) {
			unsigned count = (unsigned)test_below(&t->random, 3);
			workload_run(&w, n, count);
			n += count;
			take_over(&t->scene, &w, place_of_death(t, &w, n));
		}
		size_t last = fault_file_events(w.file);
		scene_die(w.file, w.db);
		for (unsigned k = 0; k < 40; k++)
			trial_cut(
				t, w.file, &w.history,
				w.history.moment[0].end +
					test_below(
						&t->random,
						last - w.history.moment[0].end +
							1),
				trial_kind(t), false, 0);
		workload_free(&w);
	}
	print_message("%u takeovers, %zu cut points\n", takeovers, t->cuts);
	free(t);
}

/* ---- where the log goes on -------------------------------------------- */

static void behind_each_torn_place_the_next_segment_is_used(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct workload w = { .seed = crash_seed(), .stays = true };
	static const uint8_t bytes[3000] = { 1 };
	(void)state;
	assert_non_null(s);
	scene_start(s, &w);
	for (uint64_t i = 0; i < 20; i++) {
		struct file *after = NULL;
		char path[32];
		sprintf(path, "key%u", (unsigned)i);
		assert_int_equal(
			banyan_put(w.db, path, bytes, sizeof(bytes), 0), 0);
		assert_int_equal(fault_file_size(w.file) / SEGMENT_SIZE, i);
		assert_int_equal(banyan_sync(w.db), 0);
		uint64_t print = 0;
		assert_int_equal(fingerprint(w.db, &print), 0);
		/* The size of the next one gets there, and none of its bytes */
		assert_int_equal(
			banyan_put(w.db, "lost", bytes, sizeof(bytes), 0), 0);
		scene_die(w.file, w.db);
		assert_int_equal(fault_file_after_cut(
					 w.file, fault_file_events(w.file) - 1,
					 FAULT_ZEROS, 0, &after),
				 0);
		workload_free(&w);
		w.file = after;
		scene_open(s, &w, false);
		assert_non_null(strstr(s->said, "torn tail"));
		scene_expect(s, w.db, print);
	}
	assert_int_equal(banyan_close(w.db), 0);
	workload_free(&w);
	free(s);
}

/* The first `size` bytes of the file, as a disk has them */
static struct file *first_bytes(struct file *f, uint64_t size)
{
	struct file *copy = NULL;
	struct file *first = NULL;
	uint8_t *bytes = malloc((size_t)size);
	assert_non_null(bytes);
	assert_int_equal(fault_file_after_cut(f, fault_file_events(f),
					      FAULT_KEEP, 0, &copy),
			 0);
	assert_int_equal(file_read(copy, bytes, (size_t)size, 0), 0);
	assert_int_equal(fault_file_new(bytes, (size_t)size, &first), 0);
	fault_file_free(copy);
	free(bytes);
	return first;
}

/*
 * A record of which only zeros are missing is whole again when the file grows.
 * Who has seen the database without it does not see it later.
 */
static void what_was_given_up_does_not_come_back(void **state)
{
	static const uint8_t zeros[256];
	struct scene *s = calloc(1, sizeof(*s));
	struct workload w = { .seed = crash_seed(), .stays = true };
	struct file *after = NULL;
	(void)state;
	assert_non_null(s);
	scene_start(s, &w);
	uint64_t print = w.history.moment[0].print;
	assert_int_equal(banyan_put(w.db, "z", zeros, sizeof(zeros), 0), 0);
	uint64_t size = fault_file_size(w.file);
	scene_die(w.file, w.db);
	/* Four, as the DATA row of the root is the last in the record */
	after = first_bytes(w.file, size - 4);
	workload_free(&w);
	w.file = after;
	scene_open(s, &w, false);
	scene_expect(s, w.db, print);
	assert_int_equal(banyan_put(w.db, "other", "x", 1, 0), 0);
	size_t events = fault_file_events(w.file);
	scene_die(w.file, w.db);
	assert_int_equal(fault_file_after_cut(w.file, events, FAULT_ZEROS, 0,
					      &after),
			 0);
	workload_free(&w);
	w.file = after;
	scene_open(s, &w, false);
	scene_expect(s, w.db, print);
	assert_int_equal(banyan_close(w.db), 0);
	workload_free(&w);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_sync_is_never_a_success_later),
		cmocka_unit_test(nor_is_one_that_fails_in_a_close),
		cmocka_unit_test(
			crash_after_crash_after_crash_keeps_every_promise),
		cmocka_unit_test(a_takeover_keeps_every_promise),
		cmocka_unit_test(
			behind_each_torn_place_the_next_segment_is_used),
		cmocka_unit_test(what_was_given_up_does_not_come_back),
	};
	/* Files are made and dropped by the thousand: keep their memory */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
