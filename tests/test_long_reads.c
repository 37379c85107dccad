/* SPDX-License-Identifier: MIT */
/*
 * Readers wait neither for a sync nor for a freeze, nor for a writer who takes
 * his time: two of them read beside one who writes durably, and the longest
 * that any of their calls takes is measured. Where a sync takes 200 ms a reader
 * that waits for one cannot be missed.
 *
 * A machine that is busy with other things may let a thread wait, too: then the
 * measurement is made again. A reader that waits for a sync does it each time.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../store/db.h"
#include "random.h"
#include "slow_file.h"

#define READERS 2u
#define KEYS 6000u
#define VALUE_MAX 3000u
#define TABLE_LIMIT (100u << 10)
#define SYNC_US 200000u
#define WAIT_MAX_NS 100000000u
#define TRIES 4u

enum call {
	CALL_GET,
	CALL_FETCH,
	CALL_SEARCH,
	CALL_READ,
	CALL_ATTR,
	CALL_SCAN,
	CALL_NEXT,
	CALL_STAT,
	CALL_OPEN, /* a further open, to read only */
	CALLS,
};

static const char *const names[CALLS] = {
	"get",	"fetch", "search",   "read of what is held", "attributes",
	"scan", "next",	 "get_stat", "read-only open",
};

struct stage {
	struct file *file;
	banyan *db;
	banyan_data *held; /* of key "held", while the writer moves it about */
	char directory[64];
	char path[80];
	uint64_t seed;
	unsigned seconds;
	bool holds; /* readers hold Data */
	_Atomic bool stop;
	_Atomic unsigned failures;
	unsigned batches;
	unsigned freezes;
};

struct looker {
	struct stage *stage;
	uint64_t random;
	uint64_t calls;
	uint64_t longest[CALLS]; /* in ns */
	pthread_t thread;
};

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(struct stage *s, const char *what, long long rc)
{
	if (rc < 0 && atomic_fetch_add(&s->failures, 1) < 10)
		fprintf(stderr, "%s: %s\n", what, banyan_strerror((int)rc));
}

/* A call that began at `began` has returned */
static void timed(struct looker *r, enum call call, uint64_t began,
		  long long rc)
{
	uint64_t took = now() - began;
	if (took > r->longest[call])
		r->longest[call] = took;
	r->calls++;
	must(r->stage, names[call], rc);
}

static size_t key_name(unsigned n, char *name)
{
	return (size_t)sprintf(name, "key%05u", n);
}

/* ---- readers ---------------------------------------------------------- */

static void read_key(struct looker *r)
{
	char name[32];
	char bytes[VALUE_MAX];
	void *value = NULL;
	size_t size = 0;
	size_t len = key_name((unsigned)test_below(&r->random, KEYS), name);
	banyan *db = r->stage->db;
	banyan_data *d = NULL;
	banyan_data *root = banyan_root(db);
	struct banyan_attr attr;
	uint64_t began = now();
	timed(r, CALL_GET, began, banyan_get(db, name, &value, &size));
	free(value);
	began = now();
	timed(r, CALL_FETCH, began,
	      banyan_fetch(root, name, len, bytes, sizeof(bytes)));
	if (!r->stage->holds)
		return;
	began = now();
	timed(r, CALL_SEARCH, began, banyan_search(root, name, len, &d));
	if (!d)
		return;
	began = now();
	timed(r, CALL_READ, began, banyan_read(d, bytes, sizeof(bytes), 0));
	began = now();
	timed(r, CALL_ATTR, began, banyan_get_attr(d, &attr));
	banyan_release(d, 1);
}

static void read_held(struct looker *r)
{
	char bytes[VALUE_MAX];
	struct banyan_attr attr;
	uint64_t began = now();
	timed(r, CALL_READ, began,
	      banyan_read(r->stage->held, bytes, sizeof(bytes), 0));
	began = now();
	timed(r, CALL_ATTR, began, banyan_get_attr(r->stage->held, &attr));
}

static void read_some(struct looker *r)
{
	char name[32];
	struct banyan_range range = { .values = true, .from = name };
	struct banyan_entry e;
	banyan_cursor *cursor = NULL;
	range.from_len = key_name((unsigned)test_below(&r->random, KEYS), name);
	uint64_t began = now();
	timed(r, CALL_SCAN, began,
	      banyan_scan(banyan_root(r->stage->db), &range, &cursor));
	for (int i = 0; cursor && i < 50; i++) {
		began = now();
		int rc = banyan_next(cursor, &e);
		timed(r, CALL_NEXT, began, rc);
		if (rc)
			break;
	}
	banyan_scan_end(cursor);
}

static void open_again(struct looker *r)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN };
	banyan *db = NULL;
	uint64_t began = now();
	timed(r, CALL_OPEN, began, banyan_open(r->stage->path, &o, &db));
	banyan_close(db);
}

static void *read_all(void *arg)
{
	struct looker *r = arg;
	struct banyan_stat stat;
	while (!r->stage->stop) {
		read_key(r);
		if (r->stage->holds)
			read_held(r);
		uint64_t dice = test_below(&r->random, 200);
		if (dice < 10)
			read_some(r);
		if (dice == 10)
			open_again(r);
		uint64_t began = now();
		timed(r, CALL_STAT, began,
		      banyan_get_stat(r->stage->db, &stat));
	}
	return NULL;
}

/* ---- the writer ------------------------------------------------------- */

static void put_keys(struct stage *s, uint64_t *random, unsigned n)
{
	char name[32];
	char value[VALUE_MAX];
	memset(value, (int)test_below(random, 256), sizeof(value));
	must(s, "batch", banyan_begin(s->db));
	for (unsigned i = 0; i < n; i++) {
		size_t size = 100 + test_below(random, 100);
		if (test_below(random, 50) == 0)
			size = 1000 + test_below(random, VALUE_MAX - 1000);
		key_name((unsigned)test_below(random, KEYS), name);
		must(s, "put", banyan_put(s->db, name, value, size, 0));
	}
	must(s, "commit", banyan_commit(s->db));
}

/* The Data that readers hold gets another home */
static void move_held(struct stage *s)
{
	const char *name = s->batches % 2 ? "moved" : "held";
	const char *other = s->batches % 2 ? "held" : "moved";
	must(s, "rename", banyan_rename(s->db, name, other, 0));
}

static void write_durably(struct stage *s)
{
	uint64_t random = s->seed;
	uint64_t until = now() + s->seconds * 1000000000ull;
	while (now() < until) {
		put_keys(s, &random, 100);
		move_held(s);
		must(s, "sync", banyan_sync(s->db));
		s->batches++;
		if (s->batches % 3)
			continue;
		must(s, "freeze", banyan_freeze(s->db));
		s->freezes++;
	}
}

/* A batch that takes as long as a sync, and moves what readers hold */
static void write_slowly(struct stage *s)
{
	uint64_t random = s->seed;
	struct timespec pause = { .tv_nsec = SYNC_US * 1000L };
	uint64_t until = now() + s->seconds * 1000000000ull;
	while (now() < until) {
		must(s, "batch", banyan_begin(s->db));
		for (unsigned i = 0; i < 20; i++) {
			char name[32];
			key_name((unsigned)test_below(&random, KEYS), name);
			must(s, "rename",
			     banyan_rename(s->db, name, "on its way", 0));
			must(s, "rename",
			     banyan_rename(s->db, "on its way", name, 0));
		}
		move_held(s);
		nanosleep(&pause, NULL);
		must(s, "commit", banyan_commit(s->db));
		s->batches++;
	}
}

/* ---- the stage -------------------------------------------------------- */

static void fill(struct stage *s)
{
	uint64_t random = s->seed + 1;
	char name[32];
	char value[100] = "";
	must(s, "batch", banyan_begin(s->db));
	for (unsigned i = 0; i < KEYS; i++) {
		key_name(i, name);
		must(s, "put", banyan_put(s->db, name, value, 100, 0));
	}
	must(s, "commit", banyan_commit(s->db));
	put_keys(s, &random, KEYS / 4);
	must(s, "put", banyan_put(s->db, "held", value, 100, 0));
	must(s, "hold", banyan_find(s->db, "held", &s->held));
}

static void set_up(struct stage *s, unsigned sync_us)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	struct slow slow = { .sync_always = sync_us };
	struct file *below = NULL;
	const char *tmp = getenv("TMPDIR");
	s->seed = test_seed();
	snprintf(s->directory, sizeof(s->directory), "%s/banyan-wait-XXXXXX",
		 tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(s->directory));
	snprintf(s->path, sizeof(s->path), "%s/db", s->directory);
	assert_int_equal(file_create(s->path, 0600, &below), 0);
	assert_int_equal(slow_file_new(below, true, &slow, &s->file), 0);
	assert_int_equal(db_open_file(s->file, &o, true, &s->db), 0);
	s->db->table_limit = TABLE_LIMIT;
	fill(s);
	assert_int_equal(s->failures, 0);
}

static void tear_down(struct stage *s)
{
	banyan_release(s->held, 1);
	assert_int_equal(banyan_close(s->db), 0);
	unlink(s->path);
	rmdir(s->directory);
}

static uint64_t perform(struct stage *s, void (*write)(struct stage *s),
			const char **which, uint64_t *calls)
{
	struct looker r[READERS];
	uint64_t longest = 0;
	s->stop = false;
	*calls = 0;
	for (unsigned i = 0; i < READERS; i++) {
		r[i] = (struct looker){ .stage = s, .random = s->seed + i };
		assert_int_equal(
			pthread_create(&r[i].thread, NULL, read_all, &r[i]), 0);
	}
	write(s);
	s->stop = true;
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(r[i].thread, NULL);
		*calls += r[i].calls;
		for (unsigned call = 0; call < CALLS; call++) {
			if (r[i].longest[call] <= longest)
				continue;
			longest = r[i].longest[call];
			*which = names[call];
		}
	}
	return longest;
}

static void measure(unsigned sync_us, unsigned seconds, bool holds,
		    void (*write)(struct stage *s))
{
	struct stage s = { .seconds = seconds, .holds = holds };
	uint64_t longest = UINT64_MAX;
	set_up(&s, sync_us);
	for (unsigned i = 0; i < TRIES && longest > WAIT_MAX_NS; i++) {
		const char *which = "";
		uint64_t slowest = 0;
		uint64_t calls = 0;
		uint64_t before = slow_file_syncs(s.file, &slowest);
		longest = perform(&s, write, &which, &calls);
		uint64_t syncs = slow_file_syncs(s.file, &slowest) - before;
		print_message(
			"longest of %llu reads %.2f ms (%s), beside %llu "
			"syncs of up to %.1f ms, %u batches, %u freezes\n",
			(unsigned long long)calls, (double)longest / 1e6, which,
			(unsigned long long)syncs, (double)slowest / 1e6,
			s.batches, s.freezes);
	}
	tear_down(&s);
	assert_int_equal(s.failures, 0);
	assert_true(longest < WAIT_MAX_NS);
}

/* ---- tests ------------------------------------------------------------ */

static unsigned seconds(void)
{
	return getenv("BANYAN_LONG") ? 20 : 1;
}

static void readers_do_not_wait_for_a_sync_of_this_disk(void **state)
{
	(void)state;
	measure(0, seconds(), true, write_durably);
}

static void nor_for_syncs_and_freezes_of_a_slow_one(void **state)
{
	(void)state;
	measure(SYNC_US, 2 * seconds(), true, write_durably);
}

/* Who holds what the batch has moved waits until it is done: see db_read_data() */
static void nor_for_a_batch_that_stays_open(void **state)
{
	(void)state;
	measure(0, seconds(), false, write_slowly);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_do_not_wait_for_a_sync_of_this_disk),
		cmocka_unit_test(nor_for_syncs_and_freezes_of_a_slow_one),
		cmocka_unit_test(nor_for_a_batch_that_stays_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
