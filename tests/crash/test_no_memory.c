/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out: each chore is tried with its first call for memory
 * failing, then its second, until it has all that it wants. Each time it must
 * say -ENOMEM and leave all as it was, or go well; and the next try must find
 * nothing amiss. Beside it is a database that always has memory.
 *
 * BANYAN_SEED says which chores.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "chores.h"
#include "crash.h"
#include "tests/support/no_memory_main.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"
#include "tests/support/temp.h"

#define SECONDS_MAX 3 /* of the processor, a form, if not in the long one */
#define TABLE_LIMIT 6000u
#define TRIES_MAX 20000u

struct shortage {
	struct chores a; /* short of memory */
	struct chores b;
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	bool thread; /* a small redo table, frozen by the store's thread */
	bool lasting;
	uint64_t random;
	unsigned step;
	uint64_t nth;
	uint64_t tries;
	uint64_t failures;
	char said[1024];
};

static void wrong(const struct shortage *s, const char *what, long long n)
{
	fail_msg("%s (%lld) at step %u, call %llu%s:%s\n%s"
		 "again: BANYAN_SEED=%llu",
		 what, n, s->step, (unsigned long long)s->nth,
		 s->lasting ? " and all after it" : "", s->a.detail, s->said,
		 (unsigned long long)s->a.seed);
}

/* A shortage is no damage */
static void hear(void *arg, const char *line)
{
	struct shortage *s = arg;
	snprintf(s->said, sizeof(s->said), "  %s\n", line);
	if (strstr(line, "damage"))
		wrong(s, "damage is reported", 0);
}

static void choose_nth(struct shortage *s)
{
	s->nth = test_below(&s->random, 3) ? 1 : 1 + test_below(&s->random, 25);
	s->lasting = test_below(&s->random, 4) == 0;
}

static void begin_try(struct shortage *s)
{
	s->tries++;
	no_memory_on(s->nth, s->lasting);
}

/* Has the try met a failure? An error must be -ENOMEM, and must have a cause. */
static bool end_try(struct shortage *s, const char *what, int rc)
{
	bool met = no_memory_off() > 0;
	if (chore_is_fault(rc) && rc != -ENOMEM)
		wrong(s, what, rc);
	/* What the freezer met may come back later */
	if (rc == -ENOMEM && !met && !s->thread)
		wrong(s, "no memory without a shortage", rc);
	s->failures += rc == -ENOMEM || (met && s->a.failed);
	if (s->nth > TRIES_MAX)
		wrong(s, "it never has enough", 0);
	return met;
}

static void compare(struct shortage *s)
{
	uint64_t reached[2] = { 0 };
	uint64_t held[2] = { 0 };
	int rc = chores_print(&s->a, &reached[0], &held[0]);
	if (rc)
		wrong(s, "cannot be read", rc);
	assert_int_equal(chores_print(&s->b, &reached[1], &held[1]), 0);
	if (reached[0] != reached[1] || held[0] != held[1])
		wrong(s, "not the state that it has said", 0);
}

/* ---- chores ----------------------------------------------------------- */

static void do_it_there(struct shortage *s, int rc)
{
	s->b.skip = s->a.failed;
	int said = chore_do(&s->b, s->step);
	if (rc != said)
		wrong(s, "another answer than with memory", rc);
	if (!s->a.blurred && s->a.seen != s->b.seen)
		wrong(s, "saw another thing than with memory", rc);
}

static void one_chore(struct shortage *s)
{
	for (choose_nth(s);; s->nth++) {
		begin_try(s);
		int rc = chore_do(&s->a, s->step);
		(void)end_try(s, "another error", rc);
		if (rc != -ENOMEM)
			do_it_there(s, rc);
		compare(s);
		if (rc != -ENOMEM)
			return;
	}
}

/* ---- opening, closing, checking --------------------------------------- */

static void open_db(struct shortage *s)
{
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = hear,
				    .report_arg = s };
	for (choose_nth(s);; s->nth++) {
		begin_try(s);
		int rc = banyan_open(s->path, &o, &s->a.db);
		bool met = end_try(s, "opening", rc);
		if (!rc)
			break;
		if (rc != -ENOMEM && !(met && rc == -EAGAIN))
			wrong(s, "cannot be opened", rc);
	}
	s->a.db->store->table_limit = s->thread ? TABLE_LIMIT : UINT64_MAX / 4;
}

/* Whatever it says: the process lives, so all must be there */
static void close_db(struct shortage *s)
{
	chores_release(&s->a);
	chores_release(&s->b);
	s->nth = 1 + test_below(&s->random, 40);
	begin_try(s);
	int rc = banyan_close(s->a.db);
	(void)end_try(s, "closing", rc);
	if (rc && rc != -ENOMEM)
		wrong(s, "closing", rc);
}

/* Closed without memory, and nothing lost; read only, and nothing changed */
static void read_only(struct shortage *s)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = hear,
				    .report_arg = s };
	for (choose_nth(s);; s->nth++) {
		begin_try(s);
		int rc = banyan_open(s->path, &o, &s->a.db);
		(void)end_try(s, "opening read-only", rc);
		if (!rc)
			break;
		if (rc != -ENOMEM)
			wrong(s, "cannot be opened read-only", rc);
	}
	compare(s);
	assert_int_equal(banyan_close(s->a.db), 0);
}

static void check_file(struct shortage *s)
{
	struct banyan_check check = { .found = hear, .arg = s };
	for (choose_nth(s);; s->nth++) {
		begin_try(s);
		int64_t n = banyan_check(s->path, &check);
		(void)end_try(s, "checking", (int)n);
		if (n == 0)
			return;
		if (n != -ENOMEM)
			wrong(s, "check", n);
	}
}

static void open_again(struct shortage *s)
{
	check_file(s);
	close_db(s);
	check_file(s);
	read_only(s);
	open_db(s);
	compare(s);
}

/* ---- forms ------------------------------------------------------------ */

static void start(struct shortage *s, uint64_t seed)
{
	assert_int_equal(temp_directory(s->dir, TEMP_IN_MEMORY), 0);
	temp_path(s->path, s->dir, "db");
	s->a.seed = seed;
	s->b.seed = seed;
	s->random = seed;
	steady_begin(seed);
	assert_int_equal(banyan_open(":memory:", NULL, &s->b.db), 0);
	open_db(s);
}

static void end(struct shortage *s)
{
	close_db(s);
	check_file(s);
	read_only(s);
	assert_int_equal(banyan_close(s->b.db), 0);
	unlink(s->path);
	rmdir(s->dir);
}

static void run_form(bool thread, uint64_t seed)
{
	struct shortage *s = calloc(1, sizeof(*s));
	clock_t began = clock();
	unsigned steps = crash_long() ? 1500 : 500;
	assert_non_null(s);
	s->thread = thread;
	start(s, seed);
	for (; s->step < steps; s->step++) {
		if (!crash_long() &&
		    clock() - began > SECONDS_MAX * CLOCKS_PER_SEC)
			break;
		one_chore(s);
		if (test_below(&s->random, 40) == 0)
			open_again(s);
	}
	end(s);
	print_message("%u steps, %llu tries, %llu failures\n", s->step,
		      (unsigned long long)s->tries,
		      (unsigned long long)s->failures);
	assert_true(s->failures > s->step);
	free(s);
}

static void run_forms(bool thread)
{
	uint64_t seed = test_seed();
	for (unsigned i = 0; i < (crash_long() ? 8 : 1); i++)
		run_form(thread, seed + i);
}

static void without_memory_nothing_changes(void **state)
{
	(void)state;
	run_forms(false);
}

static void nor_is_anything_lost_by_freezes_without(void **state)
{
	(void)state;
	run_forms(true);
}

/* ---- the freezer ------------------------------------------------------ */

static void count_failures(void *arg, const char *line)
{
	_Atomic unsigned *failures = arg;
	assert_non_null(strstr(line, "automatic freeze failed"));
	atomic_fetch_add(failures, 1);
}

/* Keys k0 ... that one has put, and no others */
static void expect_keys(banyan *db, unsigned count)
{
	struct banyan_stat stat = { 0 };
	for (unsigned i = 0; i < count; i++) {
		char key[16];
		void *value = NULL;
		size_t size = 0;
		sprintf(key, "k%u", i);
		assert_int_equal(banyan_get(db, key, &value, &size), 0);
		assert_int_equal(size, 50);
		free(value);
	}
	assert_int_equal(banyan_get_stat(db, &stat), 0);
	assert_int_equal(stat.keys, count);
}

static int put_next(banyan *db, unsigned *count)
{
	char key[16];
	char value[50] = { 0 };
	sprintf(key, "k%u", *count);
	int rc = banyan_put(db, key, value, sizeof(value), 0);
	*count += rc == 0;
	return rc;
}

static void a_freezer_without_memory_says_so_and_tries_again(void **state)
{
	_Atomic unsigned failures = 0;
	struct banyan_options o = { .report = count_failures,
				    .report_arg = &failures };
	struct banyan_stat stat = { 0 };
	banyan *db = NULL;
	unsigned count = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", &o, &db), 0);
	db->store->table_limit = TABLE_LIMIT;
	no_memory_elsewhere();
	int rc = 0;
	while (!rc && count < 100000)
		rc = put_next(db, &count);
	/* The next table is full as well, and there is nowhere to go */
	assert_int_equal(rc, -ENOMEM);
	assert_true(atomic_load(&failures) > 0);
	expect_keys(db, count);
	assert_true(no_memory_off() > 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(put_next(db, &count), 0);
	expect_keys(db, count);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(banyan_get_stat(db, &stat), 0);
	assert_true(stat.freezes > 5);
	expect_keys(db, count);
	assert_int_equal(banyan_close(db), 0);
}

/* What is looked for once and kept must not be kept as failed */
static void a_shortage_is_not_remembered(void **state)
{
	struct banyan_stat stat;
	banyan *db = NULL;
	unsigned failures = 0;
	char name[20];
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	for (unsigned nth = 1; nth < 30; nth++) {
		int len = snprintf(name, sizeof(name), "s%u", nth);
		assert_int_equal(banyan_snapshot(db, name, (size_t)len), 0);
		memset(&stat, 0, sizeof(stat));
		stat.struct_size = sizeof(stat);
		no_memory_on(nth, false);
		int rc = banyan_get_stat(db, &stat);
		no_memory_off();
		assert_true(rc == 0 || rc == -ENOMEM);
		failures += rc != 0;
		assert_int_equal(banyan_get_stat(db, &stat), 0);
	}
	assert_true(failures > 0);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_nothing_changes),
		cmocka_unit_test(nor_is_anything_lost_by_freezes_without),
		cmocka_unit_test(
			a_freezer_without_memory_says_so_and_tries_again),
		cmocka_unit_test(a_shortage_is_not_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
