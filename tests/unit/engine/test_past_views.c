/* SPDX-License-Identifier: MIT */
/*
 * Views of the past of an open database: each operation is a moment that can be
 * gone back to, until a vacuum.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/random.h"
#include "tests/support/temp.h"

#define OK(call) assert_int_equal((call), 0)
#define KEYS 12u
#define OPERATIONS 400u
#define VALUE_MAX 3000u

/* What each key has: the number of the operation that wrote it, 0: none */
struct moment_known {
	timestamp time;
	unsigned value[KEYS];
};

struct history {
	banyan *db;
	struct moment_known moments[2 * OPERATIONS];
	unsigned count;
	struct {
		uint64_t number;
		unsigned moment;
	} freezes[64];
	unsigned frozen;
};

static void key_of(unsigned i, char *key)
{
	sprintf(key, "key%u", i);
}

/* Of very different sizes: in the row, in one extent */
static size_t value_of(unsigned operation, unsigned char *value)
{
	size_t size = operation * 7919u % VALUE_MAX + 4;
	memset(value, (int)operation, size);
	memcpy(value, &operation, sizeof(operation));
	return size;
}

static void note_moment(struct history *h, const unsigned *value)
{
	struct moment_known *m = &h->moments[h->count++];
	m->time = h->db->store->stamped;
	memcpy(m->value, value, sizeof(m->value));
}

static int last_freeze(void *arg, const struct banyan_freeze_info *info)
{
	uint64_t *number = arg;
	*number = info->number;
	return 1;
}

static void note_freeze(struct history *h)
{
	uint64_t number = 0;
	if (h->frozen == 64)
		return;
	OK(banyan_freeze(h->db));
	assert_int_equal(banyan_freezes(h->db, last_freeze, &number), 1);
	h->freezes[h->frozen].number = number;
	h->freezes[h->frozen++].moment = h->count - 1;
}

static void change(struct history *h, uint64_t *r, unsigned *now)
{
	unsigned char value[VALUE_MAX + 4];
	char key[16], other[16];
	unsigned i = (unsigned)test_below(r, KEYS);
	unsigned k = (unsigned)test_below(r, KEYS);
	unsigned operation = h->count;
	key_of(i, key);
	key_of(k, other);
	if (now[i] && test_below(r, 4) == 0) {
		OK(banyan_remove(h->db, key));
		now[i] = 0;
	} else if (now[i] && i != k && test_below(r, 4) == 0) {
		OK(banyan_rename(h->db, key, other, 0));
		now[k] = now[i];
		now[i] = 0;
	} else {
		size_t size = value_of(operation, value);
		OK(banyan_put(h->db, key, value, size, 0));
		now[i] = operation;
	}
}

static void make_history(struct history *h, uint64_t *r)
{
	unsigned now[KEYS] = { 0 };
	note_moment(h, now);
	while (h->count <= OPERATIONS) {
		change(h, r, now);
		note_moment(h, now);
		if (test_below(r, 20) == 0)
			note_freeze(h);
	}
}

static void compare(banyan *view, const struct moment_known *m)
{
	unsigned char wanted[VALUE_MAX + 4];
	unsigned char found[VALUE_MAX + 4];
	struct banyan_stat st = { 0 };
	char key[16];
	unsigned keys = 0;
	for (unsigned i = 0; i < KEYS; i++) {
		size_t size = value_of(m->value[i], wanted);
		key_of(i, key);
		ssize_t n = banyan_fetch(banyan_root(view), key, strlen(key),
					 found, sizeof(found));
		if (!m->value[i]) {
			assert_int_equal(n, -ENOENT);
			continue;
		}
		keys++;
		assert_int_equal(n, size);
		assert_memory_equal(found, wanted, size);
	}
	OK(banyan_get_stat(view, &st));
	assert_int_equal(st.keys, keys);
	assert_true(banyan_read_only(view));
	assert_int_equal(banyan_remove(view, "key0"), -EROFS);
}

static void compare_at(struct history *h, unsigned i)
{
	banyan *view = NULL;
	OK(banyan_view_at_time(h->db, timestamp_split(h->moments[i].time),
			       &view));
	compare(view, &h->moments[i]);
	OK(banyan_close(view));
}

static struct history *open_history(uint64_t *r)
{
	struct history *h = calloc(1, sizeof(*h));
	struct banyan_options o = { 0 };
	assert_non_null(h);
	OK(banyan_open(":memory:", &o, &h->db));
	make_history(h, r);
	return h;
}

static void close_history(struct history *h)
{
	OK(banyan_close(h->db));
	free(h);
}

static void each_operation_can_be_gone_back_to(void **state)
{
	uint64_t r = test_seed();
	struct history *h = open_history(&r);
	(void)state;
	for (unsigned i = 0; i < h->count; i++) {
		/* Each has a time of its own, however fast they come */
		if (i)
			assert_true(h->moments[i].time >
				    h->moments[i - 1].time);
		compare_at(h, i);
	}
	close_history(h);
}

static void each_freeze_can_be_gone_back_to(void **state)
{
	uint64_t r = test_seed();
	struct history *h = open_history(&r);
	banyan *view = NULL;
	(void)state;
	assert_true(h->frozen > 5);
	for (unsigned i = 0; i < h->frozen; i++) {
		OK(banyan_view_at_freeze(h->db, h->freezes[i].number, &view));
		compare(view, &h->moments[h->freezes[i].moment]);
		OK(banyan_close(view));
	}
	view = NULL;
	assert_int_equal(banyan_view_at_freeze(h->db, 100000, &view), -ENOENT);
	assert_null(view);
	close_history(h);
}

/* What the clock says goes before what is done next, however soon */
static void a_time_that_was_read_before_does_not_show_it(void **state)
{
	banyan *db = NULL, *view = NULL;
	struct timespec now;
	char key[16], value[4];
	(void)state;
	OK(banyan_open(":memory:", NULL, &db));
	for (unsigned i = 0; i < 200; i++) {
		size_t len = (size_t)sprintf(key, "key%u", i);
		clock_gettime(CLOCK_REALTIME, &now);
		OK(banyan_put(db, key, "x", 1, 0));
		const struct banyan_time before = { now.tv_sec,
						    (uint64_t)now.tv_nsec };
		OK(banyan_view_at_time(db, before, &view));
		assert_int_equal(banyan_fetch(banyan_root(view), key, len,
					      value, sizeof(value)),
				 -ENOENT);
		OK(banyan_close(view));
	}
	OK(banyan_close(db));
}

static void before_the_first_freeze_there_is_nothing(void **state)
{
	uint64_t r = test_seed();
	struct history *h = open_history(&r);
	banyan *view = NULL;
	struct banyan_time time = { 0 };
	(void)state;
	assert_int_equal(banyan_view_at_time(h->db, time, &view), -ENOENT);
	time.nsec = 1000000000;
	assert_int_equal(banyan_view_at_time(h->db, time, &view), -EINVAL);
	/* Of a time to come it is the present */
	time = timestamp_split(TIMESTAMP_MAX);
	OK(banyan_view_at_time(h->db, time, &view));
	compare(view, &h->moments[h->count - 1]);
	OK(banyan_close(view));
	close_history(h);
}

/* The past of before goes, open views keep it, and a new one begins */
static void a_vacuum_ends_the_past(void **state)
{
	uint64_t r = test_seed();
	struct history *h = open_history(&r);
	banyan *view = NULL, *none = NULL;
	unsigned middle = h->count / 2;
	unsigned last = h->count - 1;
	(void)state;
	OK(banyan_view_at_time(h->db, timestamp_split(h->moments[middle].time),
			       &view));
	OK(banyan_vacuum(h->db, NULL, NULL));
	compare(view, &h->moments[middle]);
	assert_int_equal(
		banyan_view_at_time(
			h->db, timestamp_split(h->moments[middle].time), &none),
		-ENOENT);
	for (unsigned i = 0; i < h->frozen; i++)
		assert_int_equal(banyan_view_at_freeze(
					 h->db, h->freezes[i].number, &none),
				 -ENOENT);
	unsigned now[KEYS];
	memcpy(now, h->moments[last].value, sizeof(now));
	for (unsigned i = 0; i < OPERATIONS / 4; i++) {
		change(h, &r, now);
		note_moment(h, now);
	}
	for (unsigned i = last + 1; i < h->count; i++)
		compare_at(h, i);
	compare(view, &h->moments[middle]);
	OK(banyan_close(view));
	close_history(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_can_be_gone_back_to),
		cmocka_unit_test(each_freeze_can_be_gone_back_to),
		cmocka_unit_test(a_time_that_was_read_before_does_not_show_it),
		cmocka_unit_test(before_the_first_freeze_there_is_nothing),
		cmocka_unit_test(a_vacuum_ends_the_past),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
