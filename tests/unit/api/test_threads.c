/* SPDX-License-Identifier: MIT */
/*
 * Many threads on few keys: whatever they do to each other, held Data stay
 * usable, values are never torn, and the database is sound afterwards.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "banyan.h"
#include "tests/support/temp.h"

#define THREADS 4
#define KEYS 12

struct shared {
	banyan *db;
	_Atomic unsigned failures;
	_Atomic unsigned done; /* writers that have ended */
	unsigned steps;
	unsigned seed;
};

struct worker {
	struct shared *shared;
	unsigned random;
	pthread_t thread;
};

static unsigned number(struct worker *w, unsigned below)
{
	w->random = w->random * 1664525u + 1013904223u;
	return (w->random >> 8) % below;
}

static void wrong(struct worker *w, const char *what, long long rc)
{
	if (atomic_fetch_add(&w->shared->failures, 1) < 10)
		fprintf(stderr, "%s: %lld (%s)\n", what, rc,
			banyan_strerror((int)rc));
}

/* Results that the other threads explain */
static void expect(struct worker *w, const char *what, long long rc)
{
	if (rc < 0 && rc != -ENOENT && rc != -EEXIST)
		wrong(w, what, rc);
}

static size_t random_name(struct worker *w, char *name)
{
	return (size_t)sprintf(name, "key%u", number(w, KEYS));
}

/* A value is one byte value, repeated: anything else is torn */
static void check_whole(struct worker *w, banyan_data *d)
{
	unsigned char bytes[5000];
	ssize_t n = banyan_read(d, bytes, sizeof(bytes), 0);
	if (n < 0)
		wrong(w, "read of a held Data", n);
	for (ssize_t i = 1; i < n; i++)
		if (bytes[i] != bytes[0]) {
			wrong(w, "torn value", 0);
			return;
		}
}

static void overwrite(struct worker *w, const char *name)
{
	char value[5000];
	size_t size = number(w, 2) ? 100 : sizeof(value);
	memset(value, (int)(1 + number(w, 200)), size);
	expect(w, "put", banyan_put(w->shared->db, name, value, size, 0));
}

static void use_held(struct worker *w, const char *name, size_t len)
{
	struct banyan_attr attr;
	banyan_data *d = NULL;
	banyan_data *root = banyan_root(w->shared->db);
	int rc = banyan_search(root, name, len, &d, NULL);
	expect(w, "search", rc);
	if (rc)
		return;
	for (int i = 0; i < 3; i++) {
		rc = banyan_get_attr(d, &attr);
		if (rc)
			wrong(w, "attributes of a held Data", rc);
		check_whole(w, d);
	}
	struct banyan_attr set = { .mode = 0600 + number(w, 8) };
	rc = banyan_set_attr(d, &set, BANYAN_SET_MODE, NULL);
	if (rc)
		wrong(w, "chmod of a held Data", rc);
	if (number(w, 4) == 0)
		expect(w, "alias of a held Data",
		       banyan_insert_data(root, "key0", 4, d));
	banyan_release(d, 1);
}

static void list(struct worker *w)
{
	banyan_cursor *cursor = NULL;
	struct banyan_entry e;
	char last[BANYAN_NAME_MAX + 1] = "";
	int rc = banyan_scan(banyan_root(w->shared->db), NULL, &cursor);
	expect(w, "scan", rc);
	while (!rc && (rc = banyan_next(cursor, &e)) == 0) {
		banyan_data *d = NULL;
		if (strcmp(e.name, last) <= 0)
			wrong(w, "order of a listing", 0);
		strcpy(last, e.name);
		int held = banyan_entry_data(cursor, &d);
		if (held && held != -ESTALE)
			wrong(w, "hold in a listing", held);
		if (!held) {
			check_whole(w, d);
			banyan_release(d, 1);
		}
	}
	if (rc < 0)
		wrong(w, "listing", rc);
	banyan_scan_end(cursor);
}

static void delete_held(struct worker *w, const char *name, size_t len)
{
	banyan_data *d = NULL;
	banyan_data *root = banyan_root(w->shared->db);
	int rc = banyan_delete(root, name, len, 0, &d);
	expect(w, "delete", rc);
	if (rc)
		return;
	check_whole(w, d);
	if (number(w, 2))
		expect(w, "insert of what was deleted",
		       banyan_insert_data(root, name, len, d));
	banyan_release(d, 1);
}

static void step(struct worker *w)
{
	char a[32];
	char b[32];
	size_t a_len = random_name(w, a);
	size_t b_len = random_name(w, b);
	banyan *db = w->shared->db;
	banyan_data *root = banyan_root(db);
	switch (number(w, 10)) {
	case 0:
	case 1:
		overwrite(w, a);
		break;
	case 2:
		expect(w, "move",
		       banyan_move(root, a, a_len, root, b, b_len, 0));
		break;
	case 3:
		expect(w, "exchange",
		       banyan_move(root, a, a_len, root, b, b_len,
				   BANYAN_EXCHANGE));
		break;
	case 4:
		expect(w, "alias", banyan_alias(db, a, b));
		break;
	case 5:
		expect(w, "remove", banyan_remove(db, a));
		break;
	case 6:
		delete_held(w, a, a_len);
		break;
	case 7:
		list(w);
		break;
	default:
		use_held(w, a, a_len);
		break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	for (unsigned i = 0; i < w->shared->steps; i++)
		step(w);
	atomic_fetch_add(&w->shared->done, 1);
	return NULL;
}

/* Freezes and syncs until all are done */
static void *disturb(void *arg)
{
	struct worker *w = arg;
	while (atomic_load(&w->shared->done) < THREADS) {
		int rc = banyan_freeze(w->shared->db);
		if (rc)
			wrong(w, "freeze", rc);
		rc = banyan_sync(w->shared->db);
		if (rc)
			wrong(w, "sync", rc);
		usleep(1000);
	}
	return NULL;
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	return text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

static void found(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "check: %s\n", line);
}

static void threads_never_see_what_is_torn_or_gone(void **state)
{
	(void)state;
	struct shared s = { .steps = from_environment("BANYAN_STEPS", 4000),
			    .seed = from_environment("BANYAN_SEED", 1) };
	struct worker w[THREADS + 1];
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = 1 << 20 };
	print_message("BANYAN_SEED=%u\n", s.seed);
	assert_int_equal(temp_directory(dir, TEMP_ON_DISK), 0);
	temp_path(path, dir, "db");
	assert_int_equal(banyan_open(path, &o, &s.db), 0);
	for (unsigned i = 0; i <= THREADS; i++) {
		w[i] = (struct worker){ .shared = &s,
					.random = s.seed * 7919 + i };
		assert_int_equal(pthread_create(&w[i].thread, NULL,
						i < THREADS ? work : disturb,
						&w[i]),
				 0);
	}
	for (unsigned i = 0; i <= THREADS; i++)
		pthread_join(w[i].thread, NULL);
	assert_int_equal(s.failures, 0);
	assert_int_equal(banyan_close(s.db), 0);
	struct banyan_check check = { .found = found };
	assert_int_equal(banyan_check(path, &check), 0);
	unlink(path);
	rmdir(dir);
}

/* ---- many who wait for a commit ----------------------------------------- */

#define CROWD 96 /* more than there are slots in the epoch */
#define CROWD_KEYS 300

struct crowd {
	banyan *db;
	_Atomic bool stop;
};

static void *seek(void *arg)
{
	struct crowd *c = arg;
	char name[16];
	for (unsigned i = 0; !c->stop; i++) {
		banyan_data *d = NULL;
		int len = snprintf(name, sizeof(name), "k%u",
				   i * 7919 % CROWD_KEYS);
		if (!banyan_search(banyan_root(c->db), name, (size_t)len, &d,
				   NULL))
			banyan_release(d, 1);
	}
	return NULL;
}

static void fill_and_empty(banyan *db)
{
	banyan *b = NULL;
	banyan_data *d = NULL;
	char name[16];
	assert_int_equal(banyan_begin(db, &b), 0);
	for (unsigned i = 0; i < CROWD_KEYS; i++) {
		snprintf(name, sizeof(name), "k%u", i);
		assert_int_equal(banyan_put(b, name, "v", 1, 0), 0);
		assert_int_equal(banyan_find(b, name, &d), 0);
		assert_int_equal(banyan_set_xattr(d, "user.a", "v", 1, 0), 0);
		banyan_release(d, 1);
	}
	assert_int_equal(banyan_commit(b), 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(banyan_begin(db, &b), 0);
	for (unsigned i = 0; i < CROWD_KEYS; i++) {
		snprintf(name, sizeof(name), "k%u", i);
		assert_int_equal(banyan_remove(b, name), 0);
	}
	assert_int_equal(banyan_commit(b), 0);
}

/* They must not keep what the commit needs to get on */
static void a_crowd_that_waits_does_not_stop_a_commit(void **state)
{
	struct crowd c = { 0 };
	pthread_t thread[CROWD];
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &c.db), 0);
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, seek, &c), 0);
	alarm(120);
	for (unsigned i = 0; i < 10; i++)
		fill_and_empty(c.db);
	alarm(0);
	c.stop = true;
	for (unsigned i = 0; i < CROWD; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(banyan_close(c.db), 0);
}

/* ---- the end of a batch and of its database ------------------------------ */

static void *commit(void *batch)
{
	int rc = banyan_commit(batch);
	return rc && rc != -ECANCELED ? batch : NULL;
}

static void a_close_and_a_commit_may_meet(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		banyan *db = NULL;
		banyan *b = NULL;
		pthread_t thread;
		void *failed = NULL;
		assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
		assert_int_equal(banyan_begin(db, &b), 0);
		assert_int_equal(banyan_put(b, "a", "v", 1, 0), 0);
		assert_int_equal(pthread_create(&thread, NULL, commit, b), 0);
		usleep(i % 60);
		assert_int_equal(banyan_close(db), 0);
		pthread_join(thread, &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_never_see_what_is_torn_or_gone),
		cmocka_unit_test(a_crowd_that_waits_does_not_stop_a_commit),
		cmocka_unit_test(a_close_and_a_commit_may_meet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
