/* SPDX-License-Identifier: MIT */
/* What the history says of a file: up to the state that is shown, whatever the
 * clock did */
#include <sys/syscall.h>
#include <time.h>

#include "past_fixture.h"
#include "tests/unit/api/history_fixture.h"
#include "api/handle.h"
#include "tests/support/fault_calls.h"

/* The clock of times: that of the system, and so many seconds */
static int64_t ahead;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ts);
	if (clock == CLOCK_REALTIME_COARSE || clock == CLOCK_REALTIME)
		ts->tv_sec += ahead;
	return rc;
}

static int set_up(void **state)
{
	ahead = 0;
	return set_up_past(state);
}

static void a_reader_shows_its_own_past(void **in)
{
	struct past *s = *in;
	banyan *then = NULL, *now = NULL;
	put(s->db, "k", "1");
	put(s->db, "gone", "1");
	OK(banyan_remove(s->db, "gone"));
	OK(banyan_freeze(s->db));
	uint64_t freeze = past_last_freeze(s->db);
	put(s->db, "k", "22");
	OK(past_open(s, 0, &now));
	put(s->db, "k", "333");
	OK(banyan_remove(s->db, "k"));
	OK(banyan_freeze(s->db));
	OK(past_open(s, freeze, &then));
	assert_log(s->db, "k", "d3 c3 c2 n1 ");
	assert_deleted(s->db, "k:3 gone:1 ");
	assert_log(now, "k", "c2 n1 ");
	assert_deleted(now, "gone:1 ");
	assert_log(then, "k", "n1 ");
	assert_deleted(then, "gone:1 ");
	assert_int_equal(banyan_undelete(now, "gone", NULL, NULL, NULL),
			 -EROFS);
	OK(banyan_close(then));
	OK(banyan_close(now));
}

/* Times begin anew; all the same each operation is told, in its order */
static void the_clock_is_set_back(void **in)
{
	struct past *s = *in;
	static struct log_text t;
	put(s->db, "k", "1");
	put(s->db, "gone", "new");
	ahead = -100000;
	put(s->db, "k", "22");
	OK(banyan_remove(s->db, "gone"));
	OK(banyan_freeze(s->db));
	put(s->db, "k", "333");
	ahead = 100;
	put(s->db, "k", "4444");
	OK(banyan_remove(s->db, "k"));
	memset(&t, 0, sizeof(t));
	OK(banyan_log(s->db, "k", note_version, &t));
	assert_string_equal(t.text, "d4 c4 c3 c2 n1 ");
	assert_deleted(s->db, "k:4 gone:3 ");
	undelete(s->db, "gone");
	undelete(s->db, "k");
	assert_key(s->db, "gone", "new");
	assert_key(s->db, "k", "4444");
}

/* Also after it was closed, and with a cache that is smaller than the past */
static void after_many_freezes(void **in)
{
	struct past *s = *in;
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	char path[32], wanted[TEXT_MAX] = "";
	for (unsigned round = 1; round <= 60; round++) {
		OK(past_round(s->db, round));
		if (round % 7 == 0)
			OK(banyan_freeze(s->db));
		if (round % 20 == 0) {
			OK(banyan_close(s->db));
			OK(banyan_open(s->path, &o, &s->db));
		}
	}
	for (unsigned i = 0; i < KEYS; i++) {
		unsigned newest[KEYS], was = 0;
		char text[TEXT_MAX] = "";
		for (unsigned round = 1; round <= 60; round++) {
			char more[TEXT_MAX + 20];
			past_model(round, newest);
			if (newest[i] != was) {
				snprintf(more, sizeof(more), "%c%u %s",
					 !was	    ? 'n' :
					 !newest[i] ? 'd' :
						      'c',
					 i % 2 ? 600 : 60, text);
				assert_true(strlen(more) < sizeof(text));
				strcpy(text, more);
			}
			was = newest[i];
		}
		sprintf(path, "key%u", i);
		assert_log(s->db, path, text);
		if (!was && *text)
			sprintf(wanted + strlen(wanted), "%s ", path);
	}
	/* Each of them comes back with what the last round had put */
	for (char *at = strtok(wanted, " "); at; at = strtok(NULL, " ")) {
		undelete(s->db, at);
		assert_true(has_key(s->db, at));
	}
	assert_deleted(s->db, "");
}

/* What a vacuum has left of the past are states: what differs between two of
 * them has the time of the later one */
static void between_snapshots(void **in)
{
	struct past *s = *in;
	struct banyan_attr attr = { .mode = 0600 };
	put(s->db, "k", "1");
	put(s->db, "k", "22");
	put(s->db, "s/t/x", "1");
	put(s->db, "s/y", "1");
	put(s->db, "before", "1");
	put(s->db, "moved", "1");
	OK(banyan_snapshot(s->db, "one", 3));
	put(s->db, "brief", "1");
	OK(banyan_remove(s->db, "brief"));
	OK(banyan_remove(s->db, "before"));
	put(s->db, "k", "333");
	put(s->db, "tmp", "4444");
	OK(banyan_rename(s->db, "tmp", "k", 0));
	OK(banyan_rename(s->db, "moved", "to", 0));
	put(s->db, "s/z", "22");
	OK(banyan_remove(s->db, "s/y"));
	OK(banyan_snapshot(s->db, "two", 3));
	remove_tree(s->db, "s");
	banyan_data *k = find(s->db, "k");
	OK(banyan_set_attr(k, &attr, BANYAN_SET_MODE, NULL));
	banyan_release(k, 1);
	OK(banyan_vacuum(s->db, NULL, NULL));
	assert_log(s->db, "k", "a4 r4 k2 ");
	assert_log(s->db, "s/z", "d2 n2 ");
	assert_log(s->db, "moved", "m1 k1 ");
	assert_no_log(s->db, "brief");
	assert_deleted(s->db, "s/:0 s/t/:0 s/z:2 s/t/x:1 before:1 s/y:1 ");
	put(s->db, "k", "55555");
	OK(banyan_remove(s->db, "k"));
	assert_log(s->db, "k", "d5 c5 a4 r4 k2 ");
	undelete(s->db, "before");
	assert_key(s->db, "before", "1");
	undelete(s->db, "s");
	assert_key(s->db, "s/t/x", "1");
	assert_key(s->db, "s/z", "22");
	assert_key(s->db, "s/y", NULL);
	undelete(s->db, "s/y");
	undelete(s->db, "k");
	assert_key(s->db, "k", "55555");
	assert_deleted(s->db, "");
	OK(banyan_close(s->db));
	assert_int_equal(banyan_check(s->path, NULL), 0);
	OK(banyan_open(s->path, NULL, &s->db));
}

/* Freezes number 2 and on, after each of which the counter is one more, in
 * several segments */
static void freeze_often(banyan *db, unsigned count)
{
	static char value[80000];
	for (unsigned i = 0; i < count; i++) {
		memset(value, (int)(i % 251), sizeof(value));
		OK(banyan_put(db, "k", value, sizeof(value), 0));
		OK(banyan_freeze(db));
	}
}

static int take_time(void *arg, const struct banyan_freeze_info *info)
{
	*(struct banyan_time *)arg = info->time;
	return 1;
}

static struct banyan_time time_of_last(banyan *db)
{
	struct banyan_time time = { 0 };
	assert_int_equal(banyan_freezes(db, take_time, &time), 1);
	return time;
}

static void assert_first_byte(banyan *view, unsigned byte)
{
	uint8_t found = 255;
	banyan_data *data = NULL;
	OK(banyan_find(view, "k", &data));
	assert_int_equal(banyan_read(data, &found, 1, 0), 1);
	assert_int_equal(found, byte);
	banyan_release(data, 1);
	OK(banyan_close(view));
}

/* Headers of segments lead there: it is not gone back freeze by freeze */
static void a_view_does_not_cost_a_read_for_each_freeze(void **in)
{
	struct file *below = NULL;
	banyan *db = NULL, *view = NULL;
	(void)in;
	OK(file_memory(&below));
	struct file *file = calls_new(below);
	const struct banyan_options o = { .struct_size = sizeof(o),
					  .flags = BANYAN_CREATE };
	OK(handle_open_file(file, &o, true, &db));
	uint64_t first = past_last_freeze(db) + 1;
	freeze_often(db, 50);
	struct banyan_time time = time_of_last(db);
	freeze_often(db, 350);
	calls_fail(file, &(struct calls_plan){ .call = FAULT_READ });
	OK(banyan_view_at_freeze(db, first + 20, &view));
	assert_in_range(calls_counted(file, FAULT_READ), 1, 150);
	assert_first_byte(view, 20);
	calls_fail(file, &(struct calls_plan){ .call = FAULT_READ });
	OK(banyan_view_at_time(db, time, &view));
	assert_in_range(calls_counted(file, FAULT_READ), 1, 150);
	assert_first_byte(view, 49);
	assert_int_equal(banyan_view_at_freeze(db, first + 400, &view),
			 -ENOENT);
	OK(banyan_close(db));
	calls_free(file);
}

/* A time counts as the clock showed it last, though segments in between have
 * later ones */
static void the_clock_is_set_back_over_segments(void **in)
{
	struct past *s = *in;
	banyan *view = NULL;
	freeze_often(s->db, 40);
	ahead = 100000;
	freeze_often(s->db, 200);
	ahead = 1000;
	freeze_often(s->db, 60);
	struct banyan_time time = time_of_last(s->db);
	freeze_often(s->db, 100);
	OK(banyan_view_at_time(s->db, time, &view));
	assert_first_byte(view, 59);
}

static void a_punch_ends_the_past_in_all_segments(void **in)
{
	struct past *s = *in;
	banyan *view = NULL;
	uint64_t first = past_last_freeze(s->db) + 1;
	freeze_often(s->db, 150);
	OK(banyan_vacuum_punch(s->db, NULL, NULL));
	uint64_t last = past_last_freeze(s->db);
	freeze_often(s->db, 150);
	for (unsigned i = 0; i < 150; i += 7)
		assert_int_equal(banyan_view_at_freeze(s->db, first + i, &view),
				 -ENOENT);
	OK(banyan_view_at_freeze(s->db, last, &view));
	assert_first_byte(view, 149);
	OK(banyan_view_at_freeze(s->db, last + 20, &view));
	assert_first_byte(view, 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_reader_shows_its_own_past,
						set_up, tear_down_past),
		cmocka_unit_test_setup_teardown(the_clock_is_set_back, set_up,
						tear_down_past),
		cmocka_unit_test_setup_teardown(between_snapshots, set_up,
						tear_down_past),
		cmocka_unit_test_setup_teardown(after_many_freezes, set_up,
						tear_down_past),
		cmocka_unit_test(a_view_does_not_cost_a_read_for_each_freeze),
		cmocka_unit_test_setup_teardown(
			the_clock_is_set_back_over_segments, set_up,
			tear_down_past),
		cmocka_unit_test_setup_teardown(
			a_punch_ends_the_past_in_all_segments, set_up,
			tear_down_past),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
