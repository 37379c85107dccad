/* SPDX-License-Identifier: MIT */
/* A compact copy elsewhere: of each kind of handle, while others go on */
#include "vacuum_fixture.h"

#include <pthread.h>

static const char *other(const struct place *p)
{
	static char path[TEMP_FILE_MAX];
	temp_path(path, p->dir, "other");
	return path;
}

/* The copy shows this, is sound, and goes */
static void expect_copy(const struct place *p, uint64_t print)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	banyan *copy = NULL;
	expect_sound(other(p));
	OK(banyan_open(other(p), &o, &copy));
	assert_true(print_of(copy) == print);
	assert_memory_equal(stat_of(copy).uuid, stat_of(p->db).uuid, 16);
	assert_memory_not_equal(stat_of(copy).file_uuid,
				stat_of(p->db).file_uuid, 16);
	OK(banyan_close(copy));
	OK(unlink(other(p)));
	assert_int_equal(files_in(p), 1);
}

static void fill_some(banyan *db)
{
	char key[40];
	for (unsigned i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "in/key%u", i % 70);
		put_random(db, key, i % 9 ? 20 * i : 300000, i);
	}
}

static void each_handle_can_be_copied(void **state)
{
	struct place *p = *state;
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	banyan *reader = NULL, *view = NULL, *batch = NULL;
	open_at(p, 0);
	fill_some(p->db);
	uint64_t print = print_of(p->db);
	OK(banyan_backup(p->db, other(p), NULL, &r));
	assert_true(r.bytes_after < r.bytes_before);
	assert_int_equal(r.bytes_after, size_at(other(p)));
	expect_copy(p, print);
	OK(banyan_open(p->path, &o, &reader));
	OK(banyan_view(p->db, &view));
	put(p->db, "later", "x");
	OK(banyan_backup(reader, other(p), NULL, NULL));
	expect_copy(p, print);
	OK(banyan_backup(view, other(p), NULL, NULL));
	expect_copy(p, print);
	/* its file may have been replaced */
	OK(banyan_vacuum(p->db, NULL, NULL));
	OK(banyan_backup(view, other(p), NULL, NULL));
	expect_copy(p, print);
	OK(banyan_backup(reader, other(p), NULL, NULL));
	expect_copy(p, print);
	OK(banyan_close(reader));
	OK(banyan_close(view));
	OK(banyan_begin(p->db, &batch));
	assert_int_equal(banyan_backup(batch, other(p), NULL, NULL), -EINVAL);
	banyan_abort(batch);
	assert_int_equal(files_in(p), 1);
}

static void snapshots_are_copied_and_the_deleted_is_not(void **state)
{
	struct place *p = *state;
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	banyan *copy = NULL, *view = NULL;
	open_at(p, 0);
	fill_some(p->db);
	put(p->db, "kept", "this-is-in-a-snapshot");
	uint64_t print = print_of(p->db);
	OK(banyan_snapshot(p->db, "then", 4));
	OK(banyan_remove(p->db, "kept"));
	put(p->db, "gone", "this-is-in-none");
	OK(banyan_remove(p->db, "gone"));
	OK(banyan_backup(p->db, other(p), NULL, NULL));
	assert_int_equal(times_in_file(other(p), "this-is-in-none"), 0);
	assert_true(times_in_file(other(p), "this-is-in-a-snapshot") > 0);
	OK(banyan_open(other(p), &o, &copy));
	OK(banyan_view_snapshot(copy, "then", 4, &view));
	assert_true(print_of(view) == print);
	OK(banyan_close(view));
	OK(banyan_close(copy));
	expect_copy(p, print_of(p->db));
}

static void nothing_is_written_over(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put(p->db, "a", "b");
	assert_int_equal(banyan_backup(p->db, p->path, NULL, NULL), -EEXIST);
	OK(symlink("nowhere", other(p)));
	assert_int_equal(banyan_backup(p->db, other(p), NULL, NULL), -EEXIST);
	OK(unlink(other(p)));
	assert_int_equal(files_in(p), 1);
	assert_key(p->db, "a", "b");
}

static void make_empty(int dir, const char *name)
{
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_true(fd >= 0);
	OK(close(fd));
}

static void what_a_killed_one_has_left_goes_with_the_next(void **state)
{
	static const char stale[] = ".other.banyan-0123abcd";
	static const char others[] = ".others.banyan-0123abcd";
	struct place *p = *state;
	int dir = open(p->dir, O_PATH | O_DIRECTORY);
	assert_true(dir >= 0);
	open_at(p, 0);
	put(p->db, "a", "b");
	make_empty(dir, stale);
	make_empty(dir, others);
	OK(banyan_backup(p->db, other(p), NULL, NULL));
	assert_int_equal(faccessat(dir, stale, F_OK, 0), -1);
	OK(unlinkat(dir, others, 0));
	OK(close(dir));
	expect_copy(p, print_of(p->db));
}

static int end_it(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return -ECANCELED;
}

static void nothing_is_left_of_one_that_is_cancelled(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_options o = { .progress = end_it };
	open_at(p, 0);
	fill_some(p->db);
	assert_int_equal(banyan_backup(p->db, other(p), &o, NULL), -ECANCELED);
	assert_int_equal(files_in(p), 1);
	assert_int_equal(banyan_backup(p->db, "/proc/none", NULL, NULL),
			 -ENOENT);
}

static void *vacuum_on(void *arg)
{
	struct place *p = arg;
	for (unsigned i = 0; i < 5; i++) {
		int rc = banyan_vacuum(p->db, NULL, NULL);
		if (rc)
			return (void *)(intptr_t)rc;
		put_random(p->db, "while", 100000, i);
	}
	return NULL;
}

static void vacuums_run_beside_it(void **state)
{
	struct place *p = *state;
	pthread_t thread;
	void *rc = NULL;
	open_at(p, 0);
	fill_some(p->db);
	OK(pthread_create(&thread, NULL, vacuum_on, p));
	for (unsigned i = 0; i < 10; i++) {
		OK(banyan_backup(p->db, other(p), NULL, NULL));
		expect_sound(other(p));
		OK(unlink(other(p)));
	}
	OK(pthread_join(thread, &rc));
	assert_null(rc);
}

static void one_in_memory_can_be_saved(void **state)
{
	struct place *p = *state;
	banyan *db = open_memory();
	fill_some(db);
	uint64_t print = print_of(db);
	OK(banyan_backup(db, p->path, NULL, NULL));
	OK(banyan_close(db));
	open_at(p, 0);
	assert_true(print_of(p->db) == print);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_handle_can_be_copied),
		TEST(snapshots_are_copied_and_the_deleted_is_not),
		TEST(nothing_is_written_over),
		TEST(what_a_killed_one_has_left_goes_with_the_next),
		TEST(nothing_is_left_of_one_that_is_cancelled),
		TEST(vacuums_run_beside_it),
		TEST(one_in_memory_can_be_saved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
#undef TEST
}
