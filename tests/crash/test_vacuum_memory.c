/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out in a vacuum: its first call for memory fails, then its
 * second, until it has all that it wants. Each time it says -ENOMEM and leaves all
 * as it was, also what was written in its course, and no file beside it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "crash.h"
#include "tests/support/no_memory_main.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"
#include "tests/support/temp.h"

#define SECONDS_MAX 4 /* of the processor, if not in the long form */

struct shortage {
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	banyan *db;
	bool snapshots; /* some states are kept, and one that is taken amid it */
	banyan *twin; /* in memory that never runs out */
	unsigned puts; /* tried so far */
	unsigned done[64]; /* those of this vacuum that went well */
	unsigned count;
	uint64_t nth;
	uint64_t failures;
};

static unsigned files_in(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned count = 0;
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		count += e->d_name[0] != '.' || strlen(e->d_name) > 2;
	closedir(d);
	return count;
}

static int put(banyan *db, unsigned n)
{
	static uint8_t bytes[9000];
	char path[32];
	sprintf(path, "k%u", n % 40);
	memset(bytes, (int)n, sizeof(bytes));
	return banyan_put(db, path, bytes, n % 3 ? 60 : sizeof(bytes), 0);
}

/* A snapshot is taken, or dropped if there is one */
#define SNAPSHOT UINT_MAX

static int change_snapshot(banyan *db)
{
	int rc = banyan_snapshot_drop(db, "amid", 4);
	return rc == -ENOENT ? banyan_snapshot(db, "amid", 4) : rc;
}

static void expect_same(struct shortage *s, const char *when)
{
	uint64_t print[2] = { 0 };
	assert_int_equal(fingerprint(s->db, &print[0]), 0);
	assert_int_equal(fingerprint(s->twin, &print[1]), 0);
	if (print[0] != print[1])
		fail_msg("another state %s, call %llu", when,
			 (unsigned long long)s->nth);
}

/* It may meet the shortage as well */
static int put_some(void *arg, uint64_t done, uint64_t total)
{
	struct shortage *s = arg;
	(void)done;
	(void)total;
	if (s->snapshots && s->count < 30 && !change_snapshot(s->db))
		s->done[s->count++] = SNAPSHOT;
	for (unsigned i = 0; i < 4 && s->count < 30; i++)
		if (!put(s->db, s->puts++))
			s->done[s->count++] = s->puts - 1;
	return 0;
}

static void open_both(struct shortage *s, uint64_t table_limit)
{
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN };
	assert_int_equal(temp_directory(s->dir, TEMP_IN_MEMORY), 0);
	temp_path(s->path, s->dir, "db");
	assert_int_equal(banyan_open(s->path, &o, &s->db), 0);
	assert_int_equal(banyan_open(":memory:", NULL, &s->twin), 0);
	s->db->store->table_limit = table_limit;
	for (unsigned n = 0; n < 40; n++) {
		assert_int_equal(put(s->db, n), 0);
		assert_int_equal(put(s->twin, n), 0);
		if (!s->snapshots || n % 10 != 9)
			continue;
		char name = (char)('a' + n / 10);
		assert_int_equal(banyan_snapshot(s->db, &name, 1), 0);
		assert_int_equal(banyan_snapshot(s->twin, &name, 1), 0);
	}
}

static void one_vacuum(struct shortage *s, bool lasting, bool punch)
{
	struct banyan_vacuum_options o = { .progress = put_some, .arg = s };
	s->count = 0;
	no_memory_on(s->nth, lasting);
	int rc = punch ? banyan_vacuum_punch(s->db, &o, NULL) :
			 banyan_vacuum(s->db, &o, NULL);
	bool met = no_memory_off() > 0;
	for (unsigned i = 0; i < s->count; i++)
		assert_int_equal(s->done[i] == SNAPSHOT ?
					 change_snapshot(s->twin) :
					 put(s->twin, s->done[i]),
				 0);
	if (rc != (met ? rc : 0) || (rc && rc != -ENOMEM && rc != -EAGAIN))
		fail_msg("%d, call %llu", rc, (unsigned long long)s->nth);
	s->failures += rc != 0;
	assert_int_equal(files_in(s->dir), 1);
	expect_same(s, "after it");
	/* It had all that it wants */
	if (!met)
		s->nth = 0;
}

static void close_both(struct shortage *s)
{
	assert_int_equal(banyan_vacuum(s->db, NULL, NULL), 0);
	expect_same(s, "at the end");
	assert_int_equal(banyan_close(s->db), 0);
	assert_int_equal(banyan_check(s->path, NULL), 0);
	assert_int_equal(banyan_open(s->path, NULL, &s->db), 0);
	expect_same(s, "when it is opened again");
	assert_int_equal(banyan_close(s->db), 0);
	assert_int_equal(banyan_close(s->twin), 0);
	unlink(s->path);
	rmdir(s->dir);
}

static void run(uint64_t table_limit, bool lasting, bool punch, bool snapshots)
{
	struct shortage *s = calloc(1, sizeof(*s));
	clock_t began = clock();
	uint64_t random = crash_seed();
	uint64_t most = 0;
	assert_non_null(s);
	s->snapshots = snapshots;
	steady_begin(1);
	open_both(s, table_limit);
	for (s->nth = 1; s->nth; s->nth++) {
		if (!crash_long() &&
		    clock() - began > SECONDS_MAX * CLOCKS_PER_SEC)
			break;
		/* There are hundreds that are much alike */
		if (!crash_long() && s->nth > 60)
			s->nth += test_below(&random, 8);
		most = s->nth;
		one_vacuum(s, lasting, punch);
		if (!s->nth)
			break;
	}
	print_message("%llu calls for memory, %llu vacuums failed\n",
		      (unsigned long long)most,
		      (unsigned long long)s->failures);
	assert_true(s->failures > 10);
	close_both(s);
	free(s);
}

static void a_vacuum_without_memory_changes_nothing(void **state)
{
	(void)state;
	run(UINT64_MAX / 4, false, false, false);
}

static void nor_where_there_is_none_any_more(void **state)
{
	(void)state;
	run(UINT64_MAX / 4, true, false, false);
}

static void nor_where_both_files_have_freezes(void **state)
{
	(void)state;
	run(4000, false, false, false);
}

static void nor_with_snapshots(void **state)
{
	(void)state;
	run(UINT64_MAX / 4, false, false, true);
}

static void nor_does_a_punch(void **state)
{
	(void)state;
	run(UINT64_MAX / 4, false, true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vacuum_without_memory_changes_nothing),
		cmocka_unit_test(nor_where_there_is_none_any_more),
		cmocka_unit_test(nor_where_both_files_have_freezes),
		cmocka_unit_test(nor_with_snapshots),
		cmocka_unit_test(nor_does_a_punch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
