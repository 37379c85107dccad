/* SPDX-License-Identifier: MIT */
/* What takes memory or slots gives them back, and has a limit */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/clock.h"
#include "tests/support/fault_file.h"

/* Of the table now: the freezer may put another in its place meanwhile */
static size_t table_bytes(banyan *db)
{
	struct read_txn s;
	read_txn_begin_pinned(db->store, &s);
	size_t bytes = redo_table_bytes(s.view->active);
	read_txn_end(&s);
	return bytes;
}

/* What is aborted has had memory in the table */
static void aborted_batches_do_not_pile_up(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = 4u << 20 };
	char path[32];
	char value[200] = "";
	size_t most = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", &o, &db), 0);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(banyan_begin(db, &batch), 0);
		for (unsigned k = 0; k < 5000; k++) {
			sprintf(path, "key%u", k);
			assert_int_equal(banyan_put(batch, path, value,
						    sizeof(value), 0),
					 0);
		}
		banyan_abort(batch);
		size_t bytes = table_bytes(db);
		if (bytes > most)
			most = bytes;
	}
	print_message("table has %zu bytes under a limit of %u\n", most,
		      4u << 20);
	assert_true(most < (8u << 20));
	assert_int_equal(banyan_close(db), 0);
}

/* Likewise what fails on a full disk */
static void failed_operations_do_not_pile_up(void **state)
{
	struct file *f = NULL;
	banyan *db = NULL;
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	uint64_t end = 0;
	char value[250] = "";
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
	assert_int_equal(file_size(f, &end), 0);
	fault_file_limit(f, end + LOG_RESERVE / 2);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(banyan_put(db, "a", value, sizeof(value), 0),
				 -ENOSPC);
	size_t bytes = table_bytes(db);
	print_message("table has %zu bytes under a limit of %u\n", bytes,
		      BANYAN_CACHE_MIN);
	assert_true(bytes < 2 * BANYAN_CACHE_MIN);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(f);
}

/* One batch that changes the same few rows over and over */
static void a_batch_has_a_limit_of_memory(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN };
	char value[250] = "";
	int rc = 0;
	unsigned n = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", &o, &db), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	for (n = 0; !rc && n < 1000000; n++)
		rc = banyan_put(batch, "a", value, sizeof(value), 0);
	size_t bytes = table_bytes(db);
	print_message("%u puts of one key, %d: %zu MB\n", n, rc, bytes >> 20);
	assert_true(bytes < 64u << 20);
	banyan_abort(batch);
	assert_int_equal(banyan_close(db), 0);
}

/* A reader was there when the table went: who frees it? */
static void a_frozen_table_goes_when_readers_do(void **state)
{
	banyan *db = NULL;
	struct banyan_options o = { .flags = BANYAN_CREATE };
	(void)state;
	assert_int_equal(banyan_open(":memory:", &o, &db), 0);
	assert_int_equal(banyan_put(db, "a", "x", 1, 0), 0);
	unsigned slot = cache_enter(db->store->cache); /* as any reader does */
	const struct view *seen = atomic_load(&db->store->view);
	assert_int_equal(banyan_freeze(db), 0);
	/* Not before, nor by a writer that comes along */
	assert_int_equal(banyan_put(db, "b", "x", 1, 0), 0);
	const struct view *kept = db->store->retired;
	while (kept && kept != seen)
		kept = kept->retired;
	assert_ptr_equal(kept, seen);
	cache_leave(db->store->cache, slot);
	for (unsigned i = 0; i < 100; i++) {
		char path[20];
		sprintf(path, "b%u", i);
		assert_int_equal(banyan_put(db, path, "x", 1, 0), 0);
	}
	assert_null(db->store->retired);
	assert_int_equal(banyan_close(db), 0);
}

/* What was replayed takes memory as well, also of who only reads */
static void nodes_have_what_a_replayed_table_leaves(void **state)
{
	struct file *f = NULL, *after = NULL;
	banyan *db = NULL;
	struct banyan_options o = { .cache_bytes = 64u << 20 };
	struct cache_stat stat;
	char path[32];
	char value[250] = "";
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
	for (unsigned i = 0; i < 30000; i++) {
		sprintf(path, "key%u", i * 2654435761u);
		assert_int_equal(banyan_put(db, path, value, sizeof(value), 0),
				 0);
	}
	size_t events = fault_file_events(f);
	assert_int_equal(banyan_close(db), 0);
	o.cache_bytes = 16u << 20;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fault_file_after_cut(f, events, FAULT_KEEP, 1,
						      &after),
				 0);
		o.flags = i ? 0 : BANYAN_READ_ONLY;
		assert_int_equal(handle_open_file(after, &o, false, &db), 0);
		size_t table = redo_table_bytes(db->store->view->active);
		cache_get_stat(db->store->cache, &stat);
		print_message("%zu bytes of rows, nodes may have %zu\n", table,
			      (size_t)stat.limit);
		assert_true(table > 8u << 20);
		assert_true(table + stat.limit <= 16u << 20);
		assert_int_equal(banyan_close(db), 0);
		fault_file_free(after);
	}
	fault_file_free(f);
}

#define OTHERS 63 /* readers that are in as well: one slot is left */

static void *read_it(void *arg)
{
	char b[64];
	return banyan_read(arg, b, sizeof(b), 40000) == sizeof(b) ? arg : NULL;
}

static void a_reader_needs_one_slot(void **state)
{
	static char page[9000];
	banyan *db = NULL;
	banyan_data *d = NULL;
	struct banyan_options o = { .flags = BANYAN_CREATE };
	struct banyan_new make = { .mode = 0100644 };
	pthread_t t;
	void *ok = NULL;
	unsigned slot[OTHERS];
	(void)state;
	assert_int_equal(banyan_open(":memory:", &o, &db), 0);
	assert_int_equal(
		banyan_insert(banyan_root(db), "k", 1, &make, &d, NULL), 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(banyan_write(d, page, sizeof(page), i * 10000,
					      0, NULL),
				 0);
	assert_int_equal(banyan_freeze(db), 0);
	for (unsigned i = 0; i < OTHERS; i++)
		slot[i] = cache_enter(db->store->cache);
	assert_int_equal(pthread_create(&t, NULL, read_it, d), 0);
	int rc = test_join(t, &ok, 30);
	for (unsigned i = 0; i < OTHERS; i++)
		cache_leave(db->store->cache, slot[i]);
	if (rc)
		pthread_join(t, &ok);
	assert_int_equal(rc, 0);
	assert_non_null(ok);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aborted_batches_do_not_pile_up),
		cmocka_unit_test(failed_operations_do_not_pile_up),
		cmocka_unit_test(a_batch_has_a_limit_of_memory),
		cmocka_unit_test(a_frozen_table_goes_when_readers_do),
		cmocka_unit_test(nodes_have_what_a_replayed_table_leaves),
		cmocka_unit_test(a_reader_needs_one_slot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
