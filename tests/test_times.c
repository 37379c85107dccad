/* SPDX-License-Identifier: MIT */
/*
 * Times of Datas: which can be kept, what becomes of others, and how the clock
 * sets them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../store/engine/db.h"
#include "fault_file.h"

#define LAST_NSEC 709551615u /* of the last second */

#define FIRST                      \
	{                          \
		BANYAN_TIME_MIN, 0 \
	}
#define LAST                               \
	{                                  \
		BANYAN_TIME_MAX, LAST_NSEC \
	}

/* ---- what can be kept ------------------------------------------------- */

static const struct case_of_time {
	struct banyan_time given;
	struct banyan_time kept;
} cases[] = {
	/* From the first to the last: exactly */
	{ FIRST, FIRST }, /* 1901-12-13 20:45:52 */
	{ { BANYAN_TIME_MIN, 1 }, { BANYAN_TIME_MIN, 1 } },
	{ { -2147483647, 999999999 }, { -2147483647, 999999999 } },
	{ { -1, 0 }, { -1, 0 } },
	{ { -1, 999999999 }, { -1, 999999999 } }, /* 1 ns before 1970 */
	{ { 0, 0 }, { 0, 0 } },
	{ { 0, 1 }, { 0, 1 } },
	{ { 1700000000, 123456789 }, { 1700000000, 123456789 } },
	{ { 9223372036, 854775807 }, { 9223372036, 854775807 } }, /* 2262 */
	{ { 9223372036, 854775808 }, { 9223372036, 854775808 } },
	{ { 15032385535, 999999999 }, { 15032385535, 999999999 } }, /* 2446 */
	{ { 15032385536, 0 }, { 15032385536, 0 } }, /* ext4 has it no more */
	{ { BANYAN_TIME_MAX, LAST_NSEC - 1 },
	  { BANYAN_TIME_MAX, LAST_NSEC - 1 } },
	{ LAST, LAST }, /* 2486-07-02 20:20:25 */
	/* Before and behind: the nearest */
	{ { BANYAN_TIME_MIN - 1, 999999999 }, FIRST },
	{ { -11676096000, 0 }, FIRST }, /* 1600 */
	{ { INT64_MIN, 0 }, FIRST },
	{ { INT64_MIN, 999999999 }, FIRST },
	{ { BANYAN_TIME_MAX, LAST_NSEC + 1 }, LAST },
	{ { BANYAN_TIME_MAX + 1, 0 }, LAST },
	{ { 16725225600, 0 }, LAST }, /* 2500 */
	{ { INT64_MAX, 0 }, LAST },
	{ { INT64_MAX, 999999999 }, LAST },
};

#define CASES (sizeof(cases) / sizeof(*cases))

static void assert_time(struct banyan_time is, struct banyan_time should)
{
	assert_true(is.sec == should.sec);
	assert_int_equal(is.nsec, should.nsec);
}

static void a_timestamp_is_the_nearest_and_comes_back(void **state)
{
	(void)state;
	assert_true(timestamp_of((struct banyan_time)FIRST) == 0);
	assert_true(timestamp_of((struct banyan_time)LAST) == UINT64_MAX);
	assert_true(timestamp_of((struct banyan_time){ 0, 0 }) ==
		    0x1dcd650000000000);
	for (size_t i = 0; i < CASES; i++) {
		timestamp t = timestamp_of(cases[i].given);
		assert_time(timestamp_split(t), cases[i].kept);
		assert_true(timestamp_of(cases[i].kept) == t);
	}
}

static void timestamps_are_in_the_order_of_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		for (size_t k = 0; k < CASES; k++) {
			struct banyan_time a = cases[i].kept;
			struct banyan_time b = cases[k].kept;
			bool before = a.sec < b.sec ||
				      (a.sec == b.sec && a.nsec < b.nsec);
			assert_int_equal(timestamp_of(a) < timestamp_of(b),
					 before);
		}
	}
}

/* ---- a database ------------------------------------------------------- */

struct fixture {
	struct file *file;
	banyan *db;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct banyan_options o = { 0 };
	*state = x;
	return !x || fault_file_new(NULL, 0, &x->file) ||
	       db_open_file(x->file, &o, true, &x->db);
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	int rc = banyan_close(x->db);
	fault_file_free(x->file);
	free(x);
	return rc;
}

/* The process ends, after a clean close or without, and another one opens */
static void open_again(struct fixture *x, bool clean)
{
	struct banyan_options o = { 0 };
	struct file *after = NULL;
	size_t events = fault_file_events(x->file);
	assert_int_equal(banyan_close(x->db), 0);
	if (clean)
		events = fault_file_events(x->file);
	assert_int_equal(fault_file_after_cut(x->file, events, FAULT_KEEP, 0,
					      &after),
			 0);
	fault_file_free(x->file);
	x->file = after;
	assert_int_equal(db_open_file(x->file, &o, false, &x->db), 0);
}

static banyan_data *find(struct fixture *x, const char *path)
{
	banyan_data *d = NULL;
	assert_int_equal(banyan_find(x->db, path, &d), 0);
	return d;
}

static struct banyan_attr attributes(banyan_data *d)
{
	struct banyan_attr a;
	assert_int_equal(banyan_get_attr(d, &a), 0);
	return a;
}

/* Each key "caseN" has both times: as its Data says, and as a scan does */
static void assert_cases(struct fixture *x)
{
	banyan_cursor *c = NULL;
	struct banyan_entry e;
	size_t seen = 0;
	assert_int_equal(banyan_scan(banyan_root(x->db), NULL, &c), 0);
	while (banyan_next(c, &e) == 0) {
		size_t i = (size_t)atoi(e.name + 4);
		banyan_data *d = find(x, e.name);
		struct banyan_attr a = attributes(d);
		assert_in_range(i, 0, CASES - 1);
		assert_time(a.mtime, cases[i].kept);
		assert_time(a.atime, cases[CASES - 1 - i].kept);
		assert_time(e.attr.mtime, a.mtime);
		assert_time(e.attr.atime, a.atime);
		assert_time(e.attr.ctime, a.ctime);
		assert_time(e.attr.birth, a.birth);
		banyan_release(d, 1);
		seen++;
	}
	banyan_scan_end(c);
	assert_int_equal(seen, CASES);
}

static void times_that_are_set_are_kept_or_become_the_nearest(void **state)
{
	struct fixture *x = *state;
	struct banyan_attr after;
	char name[16];
	for (size_t i = 0; i < CASES; i++) {
		struct banyan_attr a = { .mtime = cases[i].given,
					 .atime = cases[CASES - 1 - i].given };
		snprintf(name, sizeof(name), "case%zu", i);
		assert_int_equal(banyan_put(x->db, name, "v", 1, 0), 0);
		banyan_data *d = find(x, name);
		assert_int_equal(banyan_set_attr(d, &a,
						 BANYAN_SET_ATIME |
							 BANYAN_SET_MTIME,
						 &after),
				 0);
		assert_time(after.mtime, cases[i].kept);
		assert_time(after.atime, cases[CASES - 1 - i].kept);
		banyan_release(d, 1);
	}
	assert_cases(x);
	open_again(x, false);
	assert_cases(x);
	assert_int_equal(banyan_freeze(x->db), 0);
	assert_cases(x);
	open_again(x, true);
	assert_cases(x);
}

static void a_second_has_no_more_than_a_thousand_million_ns(void **state)
{
	static const uint32_t bad[] = { 1000000000, 1073741823, UINT32_MAX };
	struct fixture *x = *state;
	assert_int_equal(banyan_put(x->db, "k", "v", 1, 0), 0);
	banyan_data *d = find(x, "k");
	struct banyan_attr was = attributes(d);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct banyan_attr a = { .mode = 0600,
					 .mtime = { 0, bad[i] },
					 .atime = { 0, bad[i] } };
		assert_int_equal(banyan_set_attr(d, &a,
						 BANYAN_SET_MODE |
							 BANYAN_SET_MTIME,
						 NULL),
				 -EINVAL);
		assert_int_equal(banyan_set_attr(d, &a, BANYAN_SET_ATIME, NULL),
				 -EINVAL);
		/* Nothing was set, and what is not to be set does not matter */
		assert_time(attributes(d).ctime, was.ctime);
		assert_int_equal(banyan_set_attr(d, &a, BANYAN_SET_MODE, &was),
				 0);
	}
	banyan_release(d, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timestamp_is_the_nearest_and_comes_back),
		cmocka_unit_test(timestamps_are_in_the_order_of_time),
		cmocka_unit_test_setup_teardown(
			times_that_are_set_are_kept_or_become_the_nearest,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_second_has_no_more_than_a_thousand_million_ns, set_up,
			tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
