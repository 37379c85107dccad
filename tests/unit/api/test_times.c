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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/fault_file.h"

#define LAST_NSEC 709551615u /* of the last second */

/* What the clock of the kernel's file systems says, if frozen */
static bool frozen;
static struct banyan_time clock_says;

/* In place of libc's */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	if ((clock != CLOCK_REALTIME_COARSE && clock != CLOCK_REALTIME) ||
	    !frozen)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	ts->tv_sec = (time_t)clock_says.sec;
	ts->tv_nsec = clock_says.nsec;
	return 0;
}

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
	       handle_open_file(x->file, &o, true, &x->db);
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	frozen = false;
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
	assert_int_equal(handle_open_file(x->file, &o, false, &x->db), 0);
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

/* ---- the clock -------------------------------------------------------- */

struct held {
	banyan *db;
	banyan_data *space; /* "space" */
	banyan_data *data; /* "space/key" */
	banyan_data *other; /* "other" */
};

static int set(banyan_data *d, unsigned which)
{
	struct banyan_attr a = { .mode = 0640, .uid = 1, .size = 7 };
	return banyan_set_attr(d, &a, which, NULL);
}

static int set_mode(struct held *h)
{
	return set(h->data, BANYAN_SET_MODE | BANYAN_SET_UID);
}

static int set_times(struct held *h)
{
	return set(h->data, BANYAN_SET_ATIME | BANYAN_SET_MTIME);
}

static int set_times_to_now(struct held *h)
{
	return set(h->data, BANYAN_SET_ATIME_NOW | BANYAN_SET_MTIME_NOW);
}

static int set_size(struct held *h)
{
	return set(h->data, BANYAN_SET_SIZE);
}

static int set_mode_of_space(struct held *h)
{
	return set(h->space, BANYAN_SET_MODE);
}

static int write_value(struct held *h)
{
	return banyan_write(h->data, "value", 5, 3000, 0, NULL);
}

static int append(struct held *h)
{
	return banyan_write(h->data, "value", 5, 0, BANYAN_APPEND, NULL);
}

static int cut(struct held *h)
{
	return banyan_truncate(h->data, 2000);
}

static int punch(struct held *h)
{
	return banyan_punch(h->data, 10, 100, true);
}

static int clone_part(struct held *h)
{
	int64_t n = banyan_clone(h->other, 0, h->data, 100, 1000);
	return n < 0 ? (int)n : 0;
}

static int put(struct held *h)
{
	return banyan_put(h->db, "space/key", "value", 5, 0);
}

static int put_data(struct held *h)
{
	return banyan_put_data(h->db, "space/key", h->other, 0);
}

static int set_xattr(struct held *h)
{
	return banyan_set_xattr(h->data, "user.a", "value", 5, 0);
}

static int remove_xattr(struct held *h)
{
	return banyan_remove_xattr(h->data, "user.a");
}

static int set_xattr_of_space(struct held *h)
{
	return banyan_set_xattr(h->space, "user.a", "value", 5, 0);
}

static int alias(struct held *h)
{
	return banyan_alias(h->db, "space/key", "space/alias");
}

static int remove_alias(struct held *h)
{
	return banyan_remove(h->db, "space/alias");
}

static int move_within(struct held *h)
{
	int rc = banyan_rename(h->db, "space/key", "space/moved", 0);
	return rc ? rc : banyan_rename(h->db, "space/moved", "space/key", 0);
}

static int move_out(struct held *h)
{
	return banyan_rename(h->db, "space/key", "moved", 0);
}

static int move_back(struct held *h)
{
	return banyan_rename(h->db, "moved", "space/key", 0);
}

static int exchange(struct held *h)
{
	int rc = banyan_rename(h->db, "space/key", "other", BANYAN_EXCHANGE);
	return rc ? rc :
		    banyan_rename(h->db, "other", "space/key", BANYAN_EXCHANGE);
}

static int insert(struct held *h)
{
	return banyan_put(h->db, "space/new", "value", 5, 0);
}

static int remove_new(struct held *h)
{
	return banyan_remove(h->db, "space/new");
}

static int make_space(struct held *h)
{
	return banyan_make_space(h->db, "space/inner", 0);
}

static int remove_space(struct held *h)
{
	return banyan_remove(h->db, "space/inner");
}

static int lose_key(struct held *h)
{
	return banyan_remove(h->db, "space/key");
}

static int get_key(struct held *h)
{
	return banyan_insert_data(h->space, "key", 3, h->data);
}

enum { DATA = 1, SPACE = 2, VALUE = 4 /* of the Data */ };

static const struct {
	int (*run)(struct held *h);
	unsigned changes;
} steps[] = {
	{ set_mode, DATA },
	{ set_times, DATA },
	{ set_times_to_now, DATA | VALUE },
	{ set_size, DATA | VALUE },
	{ set_mode_of_space, 0 },
	{ write_value, DATA | VALUE },
	{ append, DATA | VALUE },
	{ cut, DATA | VALUE },
	{ punch, DATA | VALUE },
	{ clone_part, DATA | VALUE },
	{ put, DATA | VALUE },
	{ put_data, DATA | VALUE },
	{ set_xattr, DATA },
	{ remove_xattr, DATA },
	{ set_xattr_of_space, 0 },
	{ alias, DATA | SPACE },
	{ remove_alias, DATA | SPACE },
	{ move_within, DATA | SPACE },
	{ move_out, DATA | SPACE },
	{ move_back, DATA | SPACE },
	{ exchange, DATA | SPACE },
	{ insert, SPACE },
	{ remove_new, SPACE },
	{ make_space, SPACE },
	{ remove_space, SPACE },
	{ lose_key, DATA | SPACE },
	{ get_key, DATA | SPACE },
};

static timestamp ctime_of(banyan_data *d)
{
	return timestamp_of(attributes(d).ctime);
}

static timestamp mtime_of(banyan_data *d)
{
	return timestamp_of(attributes(d).mtime);
}

/* Each step moves the times that it should, whatever the clock says */
static void run_steps(struct held *h)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		unsigned changes = steps[i].changes;
		timestamp data = ctime_of(h->data);
		timestamp space = ctime_of(h->space);
		timestamp other = ctime_of(h->other);
		assert_int_equal(steps[i].run(h), 0);
		if (changes & DATA)
			assert_true(ctime_of(h->data) > data);
		if (changes & VALUE)
			assert_true(mtime_of(h->data) ==
				    timestamp_of(clock_says));
		if (changes & SPACE)
			assert_true(ctime_of(h->space) > space &&
				    mtime_of(h->space) ==
					    timestamp_of(clock_says));
		if (!changes)
			assert_true(ctime_of(h->space) > space);
		if (steps[i].run == exchange)
			assert_true(ctime_of(h->other) > other);
		assert_true(mtime_of(h->space) <= ctime_of(h->space));
		assert_true(mtime_of(h->data) <= ctime_of(h->data));
	}
}

/* Through the database, or a batch */
static void hold(banyan *db, struct held *h)
{
	*h = (struct held){ .db = db };
	assert_int_equal(banyan_find(db, "space", &h->space), 0);
	assert_int_equal(banyan_find(db, "space/key", &h->data), 0);
	assert_int_equal(banyan_find(db, "other", &h->other), 0);
}

static void release(struct held *h)
{
	banyan_release(h->space, 1);
	banyan_release(h->data, 1);
	banyan_release(h->other, 1);
}

/* The clock stands still, goes back by an hour, by years, out of all range */
static const struct banyan_time clocks[] = {
	{ 1700000000, 5 }, { 1700000000, 5 },	       { 1700000000 - 3600, 0 },
	{ -1, 999999999 }, { BANYAN_TIME_MIN - 1, 0 }, { 0, 0 },
};

static void fill(struct fixture *x)
{
	static const char bytes[3000] = { 'v' };
	frozen = true;
	clock_says = clocks[0];
	assert_int_equal(banyan_put(x->db, "space/key", bytes, sizeof(bytes),
				    BANYAN_PARENTS),
			 0);
	assert_int_equal(banyan_put(x->db, "other", bytes, sizeof(bytes), 0),
			 0);
}

static void ctime_grows_whatever_the_clock_says(void **state)
{
	struct fixture *x = *state;
	struct held h;
	fill(x);
	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		clock_says = clocks[i];
		hold(x->db, &h);
		timestamp data = ctime_of(h.data);
		timestamp space = ctime_of(h.space);
		run_steps(&h);
		data = ctime_of(h.data);
		space = ctime_of(h.space);
		release(&h);
		/* What the next process goes on from */
		open_again(x, i % 2);
		hold(x->db, &h);
		assert_true(ctime_of(h.data) == data);
		assert_true(ctime_of(h.space) == space);
		release(&h);
	}
}

/* All steps of a batch have one time */
static void ctime_grows_in_a_batch(void **state)
{
	struct fixture *x = *state;
	banyan *batch = NULL;
	struct held h;
	fill(x);
	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		clock_says = clocks[i];
		assert_int_equal(banyan_begin(x->db, &batch), 0);
		hold(batch, &h);
		run_steps(&h);
		timestamp data = ctime_of(h.data);
		release(&h);
		assert_int_equal(banyan_commit(batch), 0);
		hold(x->db, &h);
		assert_true(ctime_of(h.data) == data);
		release(&h);
	}
}

static void
a_clock_behind_the_last_time_stops_at_it_and_may_come_back(void **state)
{
	struct fixture *x = *state;
	struct held h;
	fill(x);
	hold(x->db, &h);
	clock_says = (struct banyan_time){ 16725225600, 0 }; /* 2500 */
	assert_int_equal(append(&h), 0);
	assert_time(attributes(h.data).ctime, (struct banyan_time)LAST);
	assert_time(attributes(h.data).mtime, (struct banyan_time)LAST);
	clock_says = clocks[0];
	assert_int_equal(append(&h), 0);
	assert_time(attributes(h.data).ctime, clocks[0]);
	run_steps(&h);
	release(&h);
}

static void a_new_data_is_as_old_as_the_clock_says(void **state)
{
	struct fixture *x = *state;
	fill(x);
	banyan_data *d = find(x, "other");
	struct banyan_attr a = attributes(d);
	assert_time(a.birth, clock_says);
	assert_time(a.atime, clock_says);
	assert_time(a.mtime, clock_says);
	assert_time(a.ctime, clock_says);
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
		cmocka_unit_test_setup_teardown(
			ctime_grows_whatever_the_clock_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ctime_grows_in_a_batch, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_clock_behind_the_last_time_stops_at_it_and_may_come_back,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_new_data_is_as_old_as_the_clock_says, set_up,
			tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
