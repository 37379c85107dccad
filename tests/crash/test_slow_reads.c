/* SPDX-License-Identifier: MIT */
/* A disk on which some reads fail or take very long: what do others notice? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/clock.h"
#include "tests/support/random.h"
#include "tests/support/slow_file.h"

/* In s: how far the time of day was set back, and what it is later in truth */
static _Atomic int64_t set_back;
static _Atomic int64_t went_by;

/* In place of libc's */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);
	if (rc == 0 &&
	    (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ts->tv_sec -= atomic_load(&set_back);
	if (rc == 0)
		ts->tv_sec += atomic_load(&went_by);
	return rc;
}

static void put_many(banyan *db, unsigned from, unsigned n)
{
	char value[200] = "";
	char path[32];

	for (unsigned i = from; i < from + n; i++) {
		sprintf(path, "key%08x", i * 2654435761u);
		memset(value, (int)i, sizeof(value));
		assert_int_equal(banyan_put(db, path, value, sizeof(value), 0),
				 0);
	}
}

/* A database in memory, whose reads can be spoilt and stopped */
struct disk {
	struct file *below;
	struct file *f; /* of the database, as long as that is open */
	banyan *db;
};

static void open_disk(struct disk *d, size_t cache, bool fresh)
{
	const struct slow slow = { 0 };
	struct banyan_options o = { .cache_bytes = cache };
	if (fresh)
		assert_int_equal(file_memory(&d->below), 0);
	assert_int_equal(slow_file_new(d->below, false, &slow, &d->f), 0);
	assert_int_equal(handle_open_file(d->f, &o, fresh, &d->db), 0);
}

/* Where the last leaf lies: it is written last but for its parents */
static uint64_t last_leaf(banyan *db)
{
	struct tree tree = db->store->view->tree;
	const struct node *node = NULL;
	const struct node *child = NULL;
	assert_int_equal(cache_get(db->store->cache, db->store->volume->file,
				   &tree.root, tree.height - 1, &node),
			 0);
	while (node->level) {
		assert_int_equal(cache_get_child(db->store->cache, node,
						 node->count - 1u, &child),
				 0);
		cache_put(db->store->cache, node);
		node = child;
	}
	uint64_t offset = node->ref.offset;
	cache_put(db->store->cache, node);
	return offset;
}

/* One that has been opened again, and whose last leaf cannot be read */
static void open_spoilt(struct disk *d)
{
	open_disk(d, 4u << 20, true);
	put_many(d->db, 0, 20000);
	assert_int_equal(banyan_freeze(d->db), 0);
	uint64_t bad = last_leaf(d->db) + 10;
	assert_int_equal(banyan_close(d->db), 0);
	open_disk(d, 4u << 20, false);
	slow_file_spoil(d->f, bad);
}

static void a_bad_leaf_does_not_fill_the_disk(void **state)
{
	struct disk d = { 0 };
	char path[32];
	char value[200] = "";
	uint64_t before = 0;
	uint64_t after = 0;
	int rc = 0;
	int fails = 0;
	int n = 0;
	(void)state;
	open_spoilt(&d);
	file_size(d.f, &before);
	for (unsigned i = 100000; fails < 200 && n < 100000; i++, n++) {
		if (i * 2654435761u > 0xf0000000u)
			continue; /* not there */
		sprintf(path, "key%08x", i * 2654435761u);
		rc = banyan_put(d.db, path, value, sizeof(value), 0);
		if (rc && !fails++)
			file_size(d.f, &before);
	}
	file_size(d.f, &after);
	print_message("%d puts, %d failed (%d), file grew by %zu MB while all "
		      "failed\n",
		      n, fails, rc, (size_t)(after - before) >> 20);
	assert_true(after - before < 32u << 20);
	(void)banyan_close(d.db);
	file_close(d.below);
}

/* Once a freeze has failed often, the next one waits for a while: not for a time
 * of day that may be far off all at once */
static void a_clock_set_back_does_not_stop_freezes(void **state)
{
	struct disk d = { 0 };
	char path[32];
	char value[200] = "";
	unsigned fails = 0;
	(void)state;
	open_spoilt(&d);
	/* So many in a row: not for want of the leaf, but of room */
	for (unsigned i = 100000; fails < 20; i++) {
		assert_in_range(i, 100000, 200000);
		sprintf(path, "key%08x", i * 2654435761u);
		int rc = banyan_put(d.db, path, value, sizeof(value), 0);
		fails = rc ? fails + 1 : 0;
	}
	slow_file_spoil(d.f, 0);
	atomic_store(&set_back, 3600);
	atomic_store(&went_by, 11);
	int rc = banyan_put(d.db, path, value, sizeof(value), 0);
	atomic_store(&set_back, 0);
	atomic_store(&went_by, 0);
	assert_int_equal(rc, 0);
	assert_int_equal(banyan_close(d.db), 0);
	file_close(d.below);
}

/* ---- one value that is being read from a slow disk -------------------- */

struct slow_read {
	struct disk disk;
	banyan_data *data;
	pthread_t thread;
};

static char big[4 << 20];

static void *read_it(void *arg)
{
	static char bytes[sizeof(big)];
	(void)banyan_read(((struct slow_read *)arg)->data, bytes, sizeof(bytes),
			  0);
	return NULL;
}

/* Beside `others` keys */
static void begin_slow_read(struct slow_read *r, unsigned others)
{
	banyan *db;
	*r = (struct slow_read){ 0 };
	open_disk(&r->disk, BANYAN_CACHE_MIN, true);
	db = r->disk.db;
	assert_int_equal(banyan_put(db, "big", big, sizeof(big), 0), 0);
	put_many(db, 0, others);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(banyan_find(db, "big", &r->data), 0);
	slow_file_stop(r->disk.f, 9000); /* in the value, which comes first */
	assert_int_equal(pthread_create(&r->thread, NULL, read_it, r), 0);
	slow_file_wait(r->disk.f);
}

static void let_go(struct slow_read *r)
{
	slow_file_go(r->disk.f);
	pthread_join(r->thread, NULL);
}

static void end_slow_read(struct slow_read *r)
{
	banyan_release(r->data, 1);
	assert_int_equal(banyan_close(r->disk.db), 0);
	file_close(r->disk.below);
}

static void a_slow_read_does_not_keep_what_was_evicted(void **state)
{
	struct slow_read r;
	struct cache_stat stat;
	char path[32];
	char value[200];
	(void)state;
	begin_slow_read(&r, 100000);
	banyan *db = r.disk.db;
	for (unsigned k = 0; k < 10 / test_one_in(10); k++)
		for (unsigned i = 0; i < 100000; i += 7) {
			sprintf(path, "key%08x", i * 2654435761u);
			assert_int_equal(banyan_fetch(banyan_root(db), path,
						      strlen(path), value,
						      sizeof(value)),
					 sizeof(value));
		}
	cache_get_stat(db->store->cache, &stat);
	print_message("%zu bytes wait under a limit of 1 MiB\n",
		      (size_t)stat.waiting);
	let_go(&r);
	assert_true(stat.waiting < 1u << 20);
	end_slow_read(&r);
}

static void *put_them(void *db)
{
	put_many(db, 200000, 30000 / test_one_in(3));
	return NULL;
}

static void a_slow_read_does_not_stop_writers(void **state)
{
	struct slow_read r;
	pthread_t writer;
	(void)state;
	begin_slow_read(&r, 0);
	assert_int_equal(pthread_create(&writer, NULL, put_them, r.disk.db), 0);
	int rc = test_join(writer, NULL, 60);
	print_message("writer beside a slow read: %s\n", rc ? "waits" : "done");
	let_go(&r);
	if (rc)
		pthread_join(writer, NULL);
	assert_int_equal(rc, 0);
	end_slow_read(&r);
}

/* What goes over many rows does not count as one read: else all that it passes,
 * and all that others evict meanwhile, is kept until it has done */
static void a_long_seek_does_not_keep_what_was_evicted(void **state)
{
	struct banyan_new make = { .mode = 0100644 };
	struct cache_stat stat;
	struct disk d = { 0 };
	banyan_data *data;
	unsigned parts = 400000 / test_one_in(4);
	(void)state;
	open_disk(&d, BANYAN_CACHE_MIN, true);
	assert_int_equal(banyan_insert(banyan_root(d.db), "long", 4, &make,
				       &data, NULL),
			 0);
	/* Backwards, so that nothing is joined */
	for (unsigned i = parts; i-- > 0;)
		assert_int_equal(banyan_write(data, "part", 4, i * 4, 0, NULL),
				 0);
	assert_int_equal(banyan_freeze(d.db), 0);
	assert_int_equal(banyan_seek_hole(data, 0), parts * 4);
	cache_get_stat(d.db->store->cache, &stat);
	print_message("%zu bytes wait under a limit of 1 MiB\n",
		      (size_t)stat.waiting);
	assert_true(stat.waiting < 1u << 20);
	banyan_release(data, 1);
	assert_int_equal(banyan_close(d.db), 0);
	file_close(d.below);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_leaf_does_not_fill_the_disk),
		cmocka_unit_test(a_clock_set_back_does_not_stop_freezes),
		cmocka_unit_test(a_slow_read_does_not_keep_what_was_evicted),
		cmocka_unit_test(a_slow_read_does_not_stop_writers),
		cmocka_unit_test(a_long_seek_does_not_keep_what_was_evicted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
