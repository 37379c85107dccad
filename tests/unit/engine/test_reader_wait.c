/* SPDX-License-Identifier: MIT */
/*
 * Readers never wait for a sync: the longest that a read took while a writer
 * made each of its batches durable, freezes among them, in a file whose syncs
 * take a fifth of a second.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/clock.h"
#include "tests/support/random.h"
#include "tests/support/slow_file.h"

#define KEYS 3000u
#define SYNC_US 200000u
/* A reader that waits for a sync does one read meanwhile; one that does not does
 * tens of thousands, unless the system has given the processor to others */
#define READS_LEAST 10u

struct scene {
	banyan *db;
	_Atomic bool stop;
	_Atomic unsigned failed;
};

struct looker {
	struct scene *s;
	uint64_t random;
	_Atomic uint64_t reads;
	uint64_t longest; /* ns */
	uint64_t waits; /* syncs in which it read next to nothing */
};

/* A key, or a few of a scan */
static int read_something(struct looker *r)
{
	struct banyan_range range = { .values = true };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	char name[32];
	char value[100];
	int len =
		sprintf(name, "key%u", (unsigned)test_below(&r->random, KEYS));
	if (test_below(&r->random, 4))
		return banyan_fetch(banyan_root(r->s->db), name, (size_t)len,
				    value, sizeof(value)) == sizeof(value) ?
			       0 :
			       -1;
	range.from = name;
	range.from_len = (size_t)len;
	int rc = banyan_scan(banyan_root(r->s->db), &range, &c);
	for (unsigned i = 0; !rc && i < 10; i++)
		rc = banyan_next(c, &e);
	banyan_scan_end(c);
	return rc < 0 ? rc : 0;
}

static void *read_on(void *arg)
{
	struct looker *r = arg;
	while (!r->s->stop) {
		uint64_t began = test_now();
		if (read_something(r))
			r->s->failed++;
		uint64_t took = test_now() - began;
		if (took > r->longest)
			r->longest = took;
		r->reads++;
	}
	return NULL;
}

static int write_batch(banyan *db, uint64_t *random, unsigned keys)
{
	char value[100] = { 0 };
	banyan *batch = NULL;
	int rc = banyan_begin(db, &batch);
	for (unsigned i = 0; !rc && i < keys; i++) {
		char name[32];
		sprintf(name, "key%u",
			keys == KEYS ? i : (unsigned)test_below(random, KEYS));
		value[0] = (char)i;
		rc = banyan_put(batch, name, value, sizeof(value), 0);
	}
	return rc ? rc : banyan_commit(batch);
}

static void readers_never_wait_for_a_sync(void **in)
{
	const struct slow slow = { .sync_always = SYNC_US };
	struct banyan_options o = { 0 };
	struct scene s = { 0 };
	struct looker readers[2];
	pthread_t threads[2];
	struct file *below = NULL;
	struct file *f = NULL;
	uint64_t random = test_seed();
	uint64_t longest_sync = 0;
	(void)in;
	assert_int_equal(file_memory(&below), 0);
	assert_int_equal(slow_file_new(below, true, &slow, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &s.db), 0);
	assert_int_equal(write_batch(s.db, &random, KEYS), 0);
	s.db->store->table_limit = 100000;
	for (unsigned i = 0; i < 2; i++) {
		readers[i] = (struct looker){ .s = &s, .random = random + i };
		assert_int_equal(pthread_create(&threads[i], NULL, read_on,
						&readers[i]),
				 0);
	}
	uint64_t before = slow_file_syncs(f, &longest_sync);
	uint64_t end =
		test_now() + (getenv("BANYAN_LONG") ? 20000 : 2500) * TEST_MS;
	for (unsigned n = 0; test_now() < end; n++) {
		assert_int_equal(write_batch(s.db, &random, 500), 0);
		uint64_t read[2] = { readers[0].reads, readers[1].reads };
		assert_int_equal(banyan_sync(s.db), 0);
		for (unsigned i = 0; i < 2; i++)
			readers[i].waits += readers[i].reads - read[i] <
					    READS_LEAST;
		if (n % 4 == 3)
			assert_int_equal(banyan_freeze(s.db), 0);
	}
	uint64_t syncs = slow_file_syncs(f, &longest_sync) - before;
	s.stop = true;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		print_message("reader %u: %llu reads, the longest %.2f ms, "
			      "beside %llu syncs of %u ms\n",
			      i, (unsigned long long)readers[i].reads,
			      (double)readers[i].longest / TEST_MS,
			      (unsigned long long)syncs, SYNC_US / 1000);
	assert_int_equal(banyan_close(s.db), 0);
	assert_int_equal(s.failed, 0);
	assert_true(syncs > 8);
	for (unsigned i = 0; i < 2; i++)
		assert_true(readers[i].waits * 2 < syncs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_never_wait_for_a_sync),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
