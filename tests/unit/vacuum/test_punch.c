/* SPDX-License-Identifier: MIT */
/* Dead blocks are given back in place: what stays, what goes, who is in the way */
#include "vacuum_fixture.h"

#include <pthread.h>

static uint64_t disk_of(const char *path)
{
	struct stat st;
	OK(stat(path, &st));
	return (uint64_t)st.st_blocks * 512;
}

static uint64_t generation_of(banyan *db)
{
	struct banyan_stat st = { .struct_size = sizeof(st) };
	OK(banyan_get_stat(db, &st));
	return st.generation;
}

static int count_freeze(void *arg, const struct banyan_freeze_info *info)
{
	unsigned *count = arg;
	(void)info;
	(*count)++;
	return 0;
}

static unsigned freezes_of(banyan *db)
{
	unsigned count = 0;
	OK(banyan_freezes(db, count_freeze, &count));
	return count;
}

/* Values of all sizes, of which every second one is overwritten or deleted */
static void churn(banyan *db, unsigned rounds)
{
	char key[40];
	for (unsigned i = 0; i < rounds; i++) {
		snprintf(key, sizeof(key), "some/large%u", i);
		put_random(db, key, 300000 + 1000 * i, i + 1);
		snprintf(key, sizeof(key), "some/small%u", i);
		put_random(db, key, i, i + 1);
		snprintf(key, sizeof(key), "some/middle%u", i);
		put_random(db, key, 3000 + 11 * i, i + 1);
	}
	for (unsigned i = 0; i < rounds; i += 2) {
		snprintf(key, sizeof(key), "some/large%u", i);
		OK(banyan_remove(db, key));
		snprintf(key, sizeof(key), "some/middle%u", i);
		put_random(db, key, 5000, i + 100);
	}
}

static void reopen(struct place *p)
{
	OK(banyan_close(p->db));
	p->db = NULL;
	open_at(p, 0);
}

static void dead_blocks_go_and_live_data_stays(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	open_at(p, 0);
	churn(p->db, 40);
	OK(banyan_freeze(p->db));
	churn(p->db, 20);
	uint64_t print = print_of(p->db);
	uint64_t size = (uint64_t)size_at(p->path);
	uint64_t disk = disk_of(p->path);
	uint64_t generation = generation_of(p->db);
	struct banyan_stat st = { .struct_size = sizeof(st) };
	OK(banyan_get_stat(p->db, &st));
	OK(banyan_vacuum_punch(p->db, NULL, &r));
	assert_true(print == print_of(p->db));
	assert_int_equal(generation_of(p->db), generation + 1);
	assert_int_equal(freezes_of(p->db), 1);
	assert_true((uint64_t)size_at(p->path) >= size);
	uint64_t freed = r.bytes_before - r.bytes_after;
	print_message("%llu of %llu reclaimable bytes, %llu live\n",
		      (unsigned long long)freed,
		      (unsigned long long)st.reclaimable_bytes,
		      (unsigned long long)st.live_bytes);
	assert_true(freed > st.reclaimable_bytes / 100 * 90);
	assert_true(disk_of(p->path) < disk);
	reopen(p);
	assert_true(print == print_of(p->db));
	assert_int_equal(generation_of(p->db), generation + 1);
}

/*
 * The checksums in front of 1 MB are 248 bytes. They are alone in their part of
 * a block where a block ends among them and what is before them is dead: the
 * values begin at places in their blocks that are some 200 bytes apart.
 */
static void checksums_alone_in_a_block_stay(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	const uint32_t live = 1000000;
	const uint32_t dead = 3 * 4096 - 364 - live % 4096;
	char key[40];
	open_at(p, 0);
	for (unsigned i = 0; i < 24; i++) {
		snprintf(key, sizeof(key), "dead%u", i);
		put_random(p->db, key, dead, i);
		snprintf(key, sizeof(key), "live%u", i);
		put_random(p->db, key, live, i);
	}
	for (unsigned i = 0; i < 24; i++) {
		snprintf(key, sizeof(key), "dead%u", i);
		OK(banyan_remove(p->db, key));
	}
	uint64_t print = print_of(p->db);
	OK(banyan_vacuum_punch(p->db, NULL, &r));
	reopen(p);
	assert_true(print == print_of(p->db));
}

static void writing_goes_on_behind_it(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	for (unsigned i = 0; i < 4; i++) {
		churn(p->db, 10);
		OK(banyan_vacuum_punch(p->db, NULL, NULL));
		put_random(p->db, "more", 5000000, i);
		uint64_t print = print_of(p->db);
		expect_sound(p->path);
		if (i % 2)
			reopen(p);
		assert_true(print == print_of(p->db));
	}
	assert_int_equal(generation_of(p->db), 5);
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_int_equal(generation_of(p->db), 6);
}

static void the_past_begins_with_it(void **state)
{
	struct place *p = *state;
	banyan *view = NULL;
	open_at(p, 0);
	put(p->db, "a", "before");
	OK(banyan_freeze(p->db));
	OK(banyan_vacuum_punch(p->db, NULL, NULL));
	put(p->db, "a", "after");
	OK(banyan_freeze(p->db));
	assert_int_equal(freezes_of(p->db), 2);
	assert_int_equal(banyan_view_at_freeze(p->db, 2, &view), -ENOENT);
	OK(banyan_view_at_freeze(p->db, 3, &view));
	assert_key(view, "a", "before");
	OK(banyan_close(view));
}

static void nothing_is_punched_under_who_reads(void **state)
{
	struct place *p = *state;
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	banyan *view = NULL, *reader = NULL;
	open_at(p, 0);
	churn(p->db, 5);
	OK(banyan_freeze(p->db));
	uint64_t disk = disk_of(p->path);
	OK(banyan_open(p->path, &o, &reader));
	assert_int_equal(banyan_vacuum_punch(p->db, NULL, NULL), -EBUSY);
	OK(banyan_close(reader));
	OK(banyan_view(p->db, &view));
	uint64_t print = print_of(view);
	assert_int_equal(banyan_vacuum_punch(p->db, NULL, NULL), -EBUSY);
	put(p->db, "a", "b");
	OK(banyan_freeze(p->db));
	assert_int_equal(banyan_vacuum_punch(p->db, NULL, NULL), -EBUSY);
	assert_true(print == print_of(view));
	assert_true(disk_of(p->path) >= disk);
	assert_int_equal(freezes_of(p->db), 3);
	assert_int_equal(banyan_vacuum_punch(view, NULL, NULL), -EROFS);
	OK(banyan_close(view));
	OK(banyan_vacuum_punch(p->db, NULL, NULL));
	assert_true(disk_of(p->path) < disk);
}

/* Without its snapshots */
static uint64_t print_of_keys(banyan *db)
{
	banyan *view = NULL;
	OK(banyan_view(db, &view));
	uint64_t print = print_of(view);
	OK(banyan_close(view));
	return print;
}

static void expect_snapshot(struct place *p, const char *name, uint64_t print)
{
	banyan *view = NULL;
	OK(banyan_view_snapshot(p->db, name, strlen(name), &view));
	assert_true(print_of(view) == print);
	OK(banyan_close(view));
}

static void what_snapshots_have_stays(void **state)
{
	struct place *p = *state;
	uint64_t print[4];
	char name[8];
	open_at(p, 0);
	for (unsigned i = 0; i < 4; i++) {
		churn(p->db, 10 + i);
		snprintf(name, sizeof(name), "s%u", i);
		OK(banyan_snapshot(p->db, name, 2));
		print[i] = print_of_keys(p->db);
	}
	churn(p->db, 20);
	OK(banyan_snapshot_drop(p->db, "s1", 2));
	uint64_t disk = disk_of(p->path);
	OK(banyan_vacuum_punch(p->db, NULL, NULL));
	uint64_t left = disk_of(p->path);
	assert_true(left < disk);
	for (unsigned round = 0; round < 2; round++) {
		expect_snapshot(p, "s0", print[0]);
		expect_snapshot(p, "s2", print[2]);
		expect_snapshot(p, "s3", print[3]);
		reopen(p);
	}
	OK(banyan_snapshot_drop(p->db, "s2", 2));
	OK(banyan_vacuum_punch(p->db, NULL, NULL));
	assert_true(disk_of(p->path) < left);
	for (unsigned round = 0; round < 3; round++) {
		expect_snapshot(p, "s0", print[0]);
		expect_snapshot(p, "s3", print[3]);
		if (round == 0)
			OK(banyan_vacuum(p->db, NULL, NULL));
		else
			OK(banyan_vacuum_punch(p->db, NULL, NULL));
		reopen(p);
	}
	expect_snapshot(p, "s0", print[0]);
	expect_snapshot(p, "s3", print[3]);
}

static void cancel(struct amid *a)
{
	(void)a;
}

static void a_cancelled_one_loses_nothing(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	churn(p->db, 20);
	uint64_t print = print_of(p->db);
	for (unsigned at = 0; at < 3; at++) {
		struct amid a = {
			.p = p, .at = at, .says = -ECANCELED, .call = cancel
		};
		struct banyan_vacuum_options o = { .progress = do_amid,
						   .arg = &a };
		assert_int_equal(banyan_vacuum_punch(p->db, &o, NULL),
				 -ECANCELED);
		assert_true(print == print_of(p->db));
		expect_sound(p->path);
	}
	OK(banyan_vacuum_punch(p->db, NULL, NULL));
	reopen(p);
	assert_true(print == print_of(p->db));
}

struct writer {
	banyan *db;
	_Atomic bool stop;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	char key[40];
	for (unsigned i = 0; !w->stop; i++) {
		snprintf(key, sizeof(key), "writer/%u", i % 100);
		put_random(w->db, key, i % 7 ? i % 5000 : 200000, i);
	}
	return NULL;
}

static void others_write_and_read_meanwhile(void **state)
{
	struct place *p = *state;
	pthread_t thread;
	open_at(p, 4u << 20);
	churn(p->db, 20);
	struct writer w = { .db = p->db };
	OK(pthread_create(&thread, NULL, write_on, &w));
	for (unsigned i = 0; i < 5; i++) {
		OK(banyan_vacuum_punch(p->db, NULL, NULL));
		(void)print_of(p->db);
	}
	w.stop = true;
	OK(pthread_join(thread, NULL));
	uint64_t print = print_of(p->db);
	reopen(p);
	assert_true(print == print_of(p->db));
}

static void one_in_memory_has_no_holes(void **state)
{
	struct place *p = *state;
	banyan *db = NULL;
	open_at(p, 0);
	OK(banyan_open(":memory:", NULL, &db));
	assert_int_equal(banyan_vacuum_punch(db, NULL, NULL), -EOPNOTSUPP);
	OK(banyan_close(db));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dead_blocks_go_and_live_data_stays),
		TEST(checksums_alone_in_a_block_stay),
		TEST(writing_goes_on_behind_it),
		TEST(the_past_begins_with_it),
		TEST(nothing_is_punched_under_who_reads),
		TEST(what_snapshots_have_stays),
		TEST(a_cancelled_one_loses_nothing),
		TEST(others_write_and_read_meanwhile),
		TEST(one_in_memory_has_no_holes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
#undef TEST
}
