/* SPDX-License-Identifier: MIT */
/* A disk on which some reads fail or take very long: what do others notice? */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../store/db.h"
#include "random.h"

/* A file in memory in which reads of one place fail, or wait */
struct odd_file {
	struct file file;
	struct file *below;
	uint64_t bad; /* reads of it give another byte; 0: none */
	_Atomic uint64_t slow; /* reads that cover it wait; 0: none */
	_Atomic bool waiting;
	_Atomic bool go;
};

static struct odd_file *odd(struct file *f)
{
	return (struct odd_file *)f;
}
static int odd_read(struct file *f, void *b, size_t n, uint64_t at)
{
	struct odd_file *o = odd(f);
	uint64_t slow = atomic_load(&o->slow);
	if (o->bad && at <= o->bad && o->bad < at + n) {
		int rc = file_read(o->below, b, n, at);
		((char *)b)[o->bad - at] ^= 1;
		return rc;
	}
	if (slow && at <= slow && slow < at + n) {
		atomic_store(&o->waiting, true);
		while (!atomic_load(&o->go))
			usleep(1000);
	}
	return file_read(o->below, b, n, at);
}
static int odd_append(struct file *f, struct iovec *v, int n, uint64_t at,
		      size_t *w)
{
	return file_append(odd(f)->below, v, n, at, w);
}
static int odd_sync(struct file *f)
{
	return file_sync(odd(f)->below);
}
static int odd_size(struct file *f, uint64_t *s)
{
	return file_size(odd(f)->below, s);
}
static int odd_reserve(struct file *f, uint64_t to)
{
	return file_reserve(odd(f)->below, to);
}
static int odd_drop(struct file *f, uint64_t to)
{
	return file_drop_cache(odd(f)->below, to);
}
static int odd_publish(struct file *f, bool r)
{
	return file_publish(odd(f)->below, r);
}
static void odd_close(struct file *f)
{
	(void)f;
}
static const struct file_ops odd_ops = { odd_read,    odd_append,  odd_sync,
					 odd_size,    odd_reserve, odd_drop,
					 odd_publish, odd_close };

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

/* Where the leaf lies that is in charge of a late key: found by its read */
static void a_bad_leaf_does_not_fill_the_disk(void **state)
{
	struct odd_file o = { .file.ops = &odd_ops };
	struct banyan_options opt = { .cache_bytes = 4u << 20 };
	banyan *db = NULL;
	char path[32], value[200] = "";
	uint64_t before = 0, after = 0;
	(void)state;
	assert_int_equal(file_memory(&o.below), 0);
	assert_int_equal(db_open_file(&o.file, &opt, true, &db), 0);
	put_many(db, 0, 20000);
	assert_int_equal(banyan_freeze(db), 0);
	/* the last leaf: it is written last but for its parents */
	struct tree tree = db->view->tree;
	const struct node *node = NULL, *child = NULL;
	assert_int_equal(
		cache_get(db->cache, &tree.root, tree.height - 1, &node), 0);
	uint64_t bad = 0;
	while (node->level) {
		assert_int_equal(cache_get_child(db->cache, node,
						 node->count - 1u, &child),
				 0);
		cache_put(db->cache, node);
		node = child;
	}
	bad = node->ref.offset + 10;
	cache_put(db->cache, node);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(db_open_file(&o.file, &opt, false, &db), 0);
	o.bad = bad;
	int rc = 0, fails = 0, n = 0;
	file_size(&o.file, &before);
	for (unsigned i = 100000; fails < 200 && n < 100000; i++, n++) {
		if (i * 2654435761u > 0xf0000000u)
			continue; /* not there */
		sprintf(path, "key%08x", i * 2654435761u);
		rc = banyan_put(db, path, value, sizeof(value), 0);
		if (rc && !fails++)
			file_size(&o.file, &before);
	}
	file_size(&o.file, &after);
	print_message("%d puts, %d failed (%d), file grew by %zu MB while all "
		      "failed\n",
		      n, fails, rc, (size_t)(after - before) >> 20);
	assert_true(after - before < 32u << 20);
	(void)banyan_close(db);
	file_close(o.below);
}

/* One value that is being read from a slow disk, and a scan beside it */
struct slow_read {
	banyan *db;
	banyan_data *d;
	pthread_t t;
};
static void *read_it(void *arg)
{
	struct slow_read *r = arg;
	static char b[4 << 20];
	(void)banyan_read(r->d, b, sizeof(b), 0);
	return NULL;
}

static void a_slow_read_does_not_keep_what_was_evicted(void **state)
{
	struct odd_file o = { .file.ops = &odd_ops };
	struct banyan_options opt = { .cache_bytes = BANYAN_CACHE_MIN };
	struct slow_read r;
	char path[32], value[200];
	static char big[4 << 20];
	(void)state;
	assert_int_equal(file_memory(&o.below), 0);
	assert_int_equal(db_open_file(&o.file, &opt, true, &r.db), 0);
	assert_int_equal(banyan_put(r.db, "big", big, sizeof(big), 0), 0);
	put_many(r.db, 0, 100000);
	assert_int_equal(banyan_freeze(r.db), 0);
	assert_int_equal(banyan_find(r.db, "big", &r.d), 0);
	atomic_store(&o.slow, 9000); /* in the value, which comes first */
	pthread_create(&r.t, NULL, read_it, &r);
	while (!atomic_load(&o.waiting))
		usleep(1000);
	for (unsigned k = 0; k < 10 / test_one_in(10); k++)
		for (unsigned i = 0; i < 100000; i += 7) {
			sprintf(path, "key%08x", i * 2654435761u);
			assert_int_equal(banyan_fetch(banyan_root(r.db), path,
						      strlen(path), value,
						      sizeof(value)),
					 sizeof(value));
		}
	struct cache_stat stat;
	cache_get_stat(r.db->cache, &stat);
	print_message("%zu bytes wait under a limit of 1 MiB\n",
		      (size_t)stat.waiting);
	atomic_store(&o.go, true);
	pthread_join(r.t, NULL);
	assert_true(stat.waiting < 1u << 20);
	banyan_release(r.d, 1);
	assert_int_equal(banyan_close(r.db), 0);
	file_close(o.below);
}

/* ... and writers do not wait for it */
static void *put_them(void *arg)
{
	banyan *db = arg;
	put_many(db, 200000, 30000 / test_one_in(3));
	return (void *)1;
}
static void a_slow_read_does_not_stop_writers(void **state)
{
	struct odd_file o = { .file.ops = &odd_ops };
	struct banyan_options opt = { .cache_bytes = BANYAN_CACHE_MIN };
	struct slow_read r;
	static char big[4 << 20];
	pthread_t w;
	void *done = NULL;
	(void)state;
	assert_int_equal(file_memory(&o.below), 0);
	assert_int_equal(db_open_file(&o.file, &opt, true, &r.db), 0);
	assert_int_equal(banyan_put(r.db, "big", big, sizeof(big), 0), 0);
	assert_int_equal(banyan_freeze(r.db), 0);
	assert_int_equal(banyan_find(r.db, "big", &r.d), 0);
	atomic_store(&o.slow, 9000);
	pthread_create(&r.t, NULL, read_it, &r);
	while (!atomic_load(&o.waiting))
		usleep(1000);
	pthread_create(&w, NULL, put_them, r.db);
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	int rc = pthread_timedjoin_np(w, &done, &until);
	print_message("writer beside a slow read: %s\n", rc ? "waits" : "done");
	atomic_store(&o.go, true);
	pthread_join(r.t, NULL);
	if (rc)
		pthread_join(w, &done);
	assert_int_equal(rc, 0);
	banyan_release(r.d, 1);
	assert_int_equal(banyan_close(r.db), 0);
	file_close(o.below);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_leaf_does_not_fill_the_disk),
		cmocka_unit_test(a_slow_read_does_not_keep_what_was_evicted),
		cmocka_unit_test(a_slow_read_does_not_stop_writers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
