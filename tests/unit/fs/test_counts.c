/* SPDX-License-Identifier: MIT */
/* Counts of lookups, in a process that is killed at any time */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/counts.h"
#include "tests/support/random.h"

#define THREADS 3u
#define IDS 3000u /* of each thread */

/* In memory that outlives the process */
struct work {
	struct counts *counts;
	uint32_t told[THREADS][IDS]; /* how often each was counted */
	uint32_t forgotten[THREADS];
	uint64_t seed;
};

static struct work *work;

static int setup(void **state)
{
	(void)state;
	work = mmap(NULL, sizeof(*work), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (work == MAP_FAILED)
		return -1;
	work->counts = counts_new();
	return work->counts ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	counts_free(work->counts);
	return munmap(work, sizeof(*work));
}

static uint64_t count_of(uint64_t id)
{
	struct banyan_holds *all = NULL;
	size_t count = 0;
	uint64_t times = 0;

	assert_int_equal(counts_all(work->counts, &all, &count), 0);
	for (size_t i = 0; i < count; i++)
		if (all[i].id == id)
			times = all[i].times;
	free(all);
	return times;
}

static void count_and_progress_change_together(void **state)
{
	uint32_t progress = 0;

	(void)state;
	assert_int_equal(counts_add(work->counts, 7, 3, &progress, 5), 0);
	assert_int_equal(progress, 5);
	assert_int_equal(count_of(7), 3);
	assert_int_equal(count_of(8), 0);
	assert_int_equal(counts_add(work->counts, 7, -3, &progress, 6), 0);
	assert_int_equal(count_of(7), 0);
}

static void many_ids_are_counted_and_go(void **state)
{
	struct banyan_holds *all = NULL;
	uint32_t progress = 0;
	size_t count = 0;

	(void)state;
	for (uint64_t id = 1; id <= 200000; id++)
		assert_int_equal(
			counts_add(work->counts, id * id, 2, &progress, 0), 0);
	assert_int_equal(counts_all(work->counts, &all, &count), 0);
	assert_int_equal(count, 200000);
	free(all);
	for (uint64_t id = 1; id <= 200000; id++)
		if (id % 1000)
			counts_add(work->counts, id * id, -2, &progress, 0);
	counts_repair(work->counts);
	assert_int_equal(counts_all(work->counts, &all, &count), 0);
	assert_int_equal(count, 200);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(all[i].times, 2);
	free(all);
}

/* Up and down, so that tables grow and shrink */
static void *change(void *arg)
{
	unsigned t = (unsigned)(uintptr_t)arg;
	uint64_t r = work->seed + t;

	for (bool up = true;; up = !up) {
		for (unsigned i = 0; i < IDS; i++) {
			uint32_t *told = &work->told[t][i];
			int64_t times = up ? 1 + (int64_t)test_below(&r, 3) :
					     -(int64_t)*told;

			if (times)
				counts_add(work->counts, t * IDS + i + 1, times,
					   told, *told + (uint32_t)times);
		}
	}
	return NULL;
}

static void work_until_killed(void)
{
	pthread_t thread[THREADS];
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		for (uintptr_t t = 0; t < THREADS; t++)
			pthread_create(&thread[t], NULL, change, (void *)t);
		pause();
	}
	usleep(2000 + (useconds_t)(work->seed % 5000));
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_process_that_is_killed_leaves_both_or_none(void **state)
{
	unsigned rounds = getenv("BANYAN_LONG") ? 3000 : 150;

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		struct banyan_holds *all = NULL;
		size_t count = 0, live = 0;

		work->seed = i * 7919;
		work_until_killed();
		counts_repair(work->counts);
		assert_int_equal(counts_all(work->counts, &all, &count), 0);
		for (size_t n = 0; n < count; n++) {
			uint64_t at = all[n].id - 1;

			assert_int_equal(all[n].times,
					 work->told[at / IDS][at % IDS]);
		}
		for (unsigned n = 0; n < THREADS * IDS; n++)
			live += work->told[n / IDS][n % IDS] != 0;
		assert_int_equal(count, live);
		free(all);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(count_and_progress_change_together),
		TEST(many_ids_are_counted_and_go),
		TEST(a_process_that_is_killed_leaves_both_or_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
