/* SPDX-License-Identifier: MIT */
/* The threads of a run, and the judge; see linear_run.h */
#include "linear_run.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/clock.h"

#define CROWD 1000u /* other keys */
#define SHORT_MS 900u /* a form may take; what is begun is finished */
#define LONG_MS 40000u

static void *work(void *arg)
{
	struct linear_worker *w = arg;
	struct linear_run *r = w->run;
	for (;;) {
		pthread_barrier_wait(&r->barrier);
		if (r->stop)
			return NULL;
		w->random = r->seed + r->window * 1000003ull + w->number * 7919;
		w->count = 0;
		/* They do not wake up at once, and are done in no time */
		while (test_now() < r->start)
			sched_yield();
		while (linear_room(w))
			linear_work(w);
		pthread_barrier_wait(&r->barrier);
	}
}

/*
 * All the time keys that nobody asks for come between those that count, and go:
 * the blocks of the redo table are shifted and split under those who read.
 */
static void *crowd(void *arg)
{
	struct linear_run *r = arg;
	uint64_t random = r->seed;
	while (!r->crowd_stop) {
		char path[32] = "";
		banyan *batch = NULL;
		int rc = banyan_begin(r->db, &batch);
		for (unsigned i = 0; i < 30 && !rc; i++) {
			unsigned n = (unsigned)test_below(&random, CROWD);
			snprintf(path, sizeof(path), "%s-%u",
				 linear_keys[n % LINEAR_KEYS].path, n);
			rc = test_below(&random, 3) ?
				     banyan_put(batch, path, path, 9, 0) :
				     banyan_remove(batch, path);
			rc = rc == -ENOENT ? 0 : rc;
		}
		if (!rc)
			rc = banyan_commit(batch);
		if (rc) {
			linear_wrong(r, "the crowd", rc);
			break;
		}
		/* The lock is not fair: let others have it, too */
		usleep(200);
	}
	return NULL;
}

/* How many operations were not alone */
static size_t overlaps(const struct linear_op *ops, size_t count)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++) {
		bool alone = true;
		for (size_t j = 0; j < count; j++)
			if (j != i && ops[j].begin <= ops[i].end &&
			    ops[i].begin <= ops[j].end)
				alone = false;
		n += !alone;
	}
	return n;
}

/* All threads are done: does an order lead to what there is now? */
static void judge(struct linear_run *r)
{
	size_t count = (size_t)r->form->threads * r->form->operations;
	struct linear_op *last = &r->ops[count];
	*last = (struct linear_op){ .thread = r->form->threads, .count = 1 };
	last->step[0].kind = LINEAR_SCAN;
	last->keys = (1u << LINEAR_KEYS) - 1;
	last->begin = test_now();
	linear_scan_all(r, r->db, last->rows);
	last->end = test_now();
	enum linear_verdict v =
		linear_check(r->rows, r->ops, count + 1, stderr);
	if (v != LINEAR_YES)
		linear_wrong(r,
			     v == LINEAR_NO ? "no order" : "too long a search",
			     0);
	memcpy(r->rows, last->rows, sizeof(r->rows));
	r->operations += count;
	r->overlaps += overlaps(r->ops, count);
}

void linear_run_windows(struct linear_run *r)
{
	struct linear_worker *w = calloc(r->form->threads, sizeof(*w));
	pthread_t other;
	uint64_t limit = getenv("BANYAN_LONG") ? LONG_MS : SHORT_MS;
	limit *= test_one_in(3); /* the other way round: it is slow there */
	uint64_t until = test_now() + limit * TEST_MS;
	assert_non_null(w);
	pthread_barrier_init(&r->barrier, NULL, r->form->threads + 1);
	for (unsigned i = 0; i < r->form->threads; i++) {
		w[i].run = r;
		w[i].number = i;
		w[i].db = r->db;
		w[i].space[0] = r->space[0];
		w[i].space[1] = r->space[1];
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	if (r->form->crowded)
		assert_int_equal(pthread_create(&other, NULL, crowd, r), 0);
	while (!r->failures && (test_now() < until || r->window < 5)) {
		r->start = test_now() + r->form->threads * 20000;
		pthread_barrier_wait(&r->barrier);
		pthread_barrier_wait(&r->barrier);
		judge(r);
		r->window++;
	}
	r->stop = true;
	pthread_barrier_wait(&r->barrier);
	for (unsigned i = 0; i < r->form->threads; i++)
		pthread_join(w[i].thread, NULL);
	r->crowd_stop = true;
	if (r->form->crowded)
		pthread_join(other, NULL);
	pthread_barrier_destroy(&r->barrier);
	free(w);
}
