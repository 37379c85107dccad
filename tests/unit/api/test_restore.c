/* SPDX-License-Identifier: MIT */
/*
 * A process goes on where another one has died: struct banyan_keeper, struct
 * banyan_note and banyan_restore_holds().
 *
 * The process that dies shares its table of descriptors, so what it opened stays open:
 * the test is the one that keeps the lock.
 */
#include "api_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp.h"

/* In memory that outlives the process */
struct kept {
	int file[2];
	uint32_t files;
	uint32_t calls;
	uint32_t unsure;
	struct banyan_note note;
	uint64_t id[4];
};

static char path[TEMP_FILE_MAX];
static struct kept *kept;

static void keep(void *arg, int fd, bool settled)
{
	(void)arg;
	kept->calls++;
	if (settled)
		kept->files = 0;
	kept->file[kept->files++] = dup(fd);
}

/* For the present process, after all that were before */
static int open_next(banyan **db)
{
	struct banyan_note *const notes[] = { &kept->note };
	const int files[] = { kept->file[0], kept->file[1] };
	const struct banyan_keeper keeper = {
		.files = files,
		.file_count = kept->files,
		.notes = notes,
		.note_count = 1,
		.unsure = &kept->unsure,
		.keep = keep,
	};
	const struct banyan_options o = { .flags = BANYAN_CREATE,
					  .keeper = &keeper };
	return banyan_open(path, &o, db);
}

static banyan *open_kept(void)
{
	banyan *db = NULL;
	OK(open_next(&db));
	return db;
}

/* Let a process do it that dies at the end */
static void dies_after(void (*work)(banyan *db))
{
	int status = 0;
	long child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	assert_true(child >= 0);
	if (!child) {
		banyan *db = NULL;
		if (open_next(&db))
			_exit(1);
		banyan_set_note(&kept->note);
		work(db);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid((pid_t)child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int setup(void **state)
{
	char dir[TEMP_MAX];
	(void)state;
	if (temp_directory(dir, TEMP_ON_DISK))
		return -1;
	snprintf(path, sizeof(path), "%s/a.banyan", dir);
	kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return kept == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < kept->files; i++)
		close(kept->file[i]);
	munmap(kept, sizeof(*kept));
	unlink(path);
	*strrchr(path, '/') = '\0';
	return rmdir(path);
}

/* In the process that dies: a failed assertion would not end it */
#define DO(call)                  \
	do {                      \
		if (call)         \
			_exit(1); \
	} while (0)

static void put_one(banyan *db)
{
	DO(banyan_put(db, "key", "value", 5, 0));
}

static void nobody_gets_in_between(void **state)
{
	banyan *db = NULL, *other = NULL;
	(void)state;
	dies_after(put_one);
	assert_int_equal(banyan_open(path, NULL, &other), -EBUSY);
	db = open_kept();
	assert_key(db, "key", "value");
	assert_int_equal(banyan_open(path, NULL, &other), -EBUSY);
	put(db, "key", "new");
	OK(banyan_close(db));
	OK(banyan_open(path, NULL, &other)); /* a close gives it up for all */
	assert_key(other, "key", "new");
	OK(banyan_close(other));
}

/* The descriptor that is kept is of the file as it was before */
static void vacuum(banyan *db)
{
	put_one(db);
	DO(banyan_vacuum(db, NULL, NULL));
	DO(kept->calls !=
	   4); /* of each file before it has its name, and after */
	DO(banyan_put(db, "later", "value", 5, 0));
}

static void a_vacuum_hands_on_its_file(void **state)
{
	banyan *db = NULL;
	(void)state;
	dies_after(vacuum);
	assert_int_equal(banyan_open(path, NULL, &db), -EBUSY);
	db = open_kept();
	assert_key(db, "key", "value");
	assert_key(db, "later", "value");
	assert_int_equal(stat_of(db).generation, 2);
	OK(banyan_close(db));
}

static void another_file_lets_nobody_in(void **state)
{
	banyan *db = NULL;
	(void)state;
	dies_after(put_one);
	close(kept->file[0]);
	kept->file[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(open_next(&db), -EBUSY);
}

/* ---- syncs ---------------------------------------------------------------- */

static void put_and_sync(banyan *db)
{
	put_one(db);
	DO(kept->unsure);
	DO(banyan_sync(db));
	DO(kept->unsure);
	DO(banyan_put(db, "later", "value", 5, 0));
}

static void what_is_not_durable_is_still_not(void **state)
{
	banyan *db = NULL;
	(void)state;
	dies_after(put_and_sync);
	db = open_kept();
	assert_key(db, "later", "value");
	uint64_t end = stat_of(db).file_bytes;
	assert_true(stat_of(db).durable_to < end);
	OK(banyan_sync(db));
	assert_true(stat_of(db).durable_to >= end);
	OK(banyan_close(db));
}

/* Then what the kernel has may not be what the disk has */
static void after_a_sync_that_may_have_failed_all_is_synced(void **state)
{
	banyan *db = NULL;
	(void)state;
	dies_after(put_and_sync);
	kept->unsure = 1;
	db = open_kept();
	assert_int_equal(kept->unsure, 0);
	assert_key(db, "later", "value");
	assert_int_equal(stat_of(db).durable_to, stat_of(db).file_bytes);
	OK(banyan_close(db));
}

/* A sync that has failed is never one that succeeds later */
static void after_a_sync_that_failed_nobody_goes_on(void **state)
{
	banyan *db = NULL;
	(void)state;
	dies_after(put_and_sync);
	kept->unsure |= BANYAN_SYNC_FAILED;
	assert_int_equal(open_next(&db), -EIO);
	assert_int_equal(open_next(&db), -EIO);
}

/* ---- notes ---------------------------------------------------------------- */

static void put_two(banyan *db)
{
	put_one(db);
	DO(banyan_put(db, "other", "value", 5, 0));
}

static void a_note_counts_what_was_made(void **state)
{
	(void)state;
	dies_after(put_two);
	assert_int_equal(kept->note.made, 2);
	assert_int_equal(kept->note.offset, 0);
	OK(banyan_close(open_kept()));
	assert_int_equal(kept->note.made, 2);
}

static void fail_to_put(banyan *db)
{
	put_one(db);
	kept->note.made = 0;
	DO(banyan_put(db, "none/deep", "value", 5, 0) != -ENOENT);
	DO(banyan_put(db, "", "value", 5, 0) == 0);
}

static void a_note_does_not_count_what_fails(void **state)
{
	(void)state;
	dies_after(fail_to_put);
	assert_int_equal(kept->note.made, 0);
	assert_int_equal(kept->note.offset, 0);
}

/* As if it had died in the middle of the write, which has `more` bytes still to go */
static uint64_t made_with(uint64_t more)
{
	struct stat st;
	banyan *db = NULL;
	dies_after(put_two);
	OK(stat(path, &st));
	kept->note.offset = (uint64_t)st.st_size - 8;
	kept->note.end = (uint64_t)st.st_size + more;
	kept->note.made = 0;
	db = open_kept();
	uint64_t made = kept->note.made;
	assert_int_equal(kept->note.offset, 0);
	OK(banyan_close(db));
	return made;
}

static void a_record_that_is_in_the_file_was_made(void **state)
{
	(void)state;
	assert_int_equal(made_with(0), 1);
}

static void a_record_that_is_not_whole_was_not_made(void **state)
{
	(void)state;
	assert_int_equal(made_with(8), 0);
}

/* ---- holds ---------------------------------------------------------------- */

static void hold(banyan *db, unsigned at, const char *key)
{
	banyan_data *d = NULL;
	DO(banyan_find(db, key, &d));
	kept->id[at] = banyan_id(d);
}

static void hold_some(banyan *db)
{
	put_two(db);
	DO(banyan_put(db, "space/deep", "below", 5, BANYAN_PARENTS));
	DO(banyan_put(db, "deleted", "still there", 11, 0));
	hold(db, 0, "key");
	hold(db, 1, "space/deep");
	hold(db, 2, "deleted");
	hold(db, 3, "space");
	DO(banyan_remove(db, "deleted"));
}

static banyan *open_with_holds(void)
{
	banyan *db = NULL;
	dies_after(hold_some);
	db = open_kept();
	const struct banyan_holds holds[] = {
		{ kept->id[0], 1 }, { kept->id[1], 3 }, { kept->id[2], 2 },
		{ kept->id[3], 1 }, { 12345, 1 },	{ BANYAN_ROOT_ID, 1 },
	};
	OK(banyan_restore_holds(db, holds, 6));
	return db;
}

static void what_was_held_is_held_again(void **state)
{
	banyan *db = open_with_holds();
	(void)state;
	assert_data(banyan_held(db, kept->id[0]), "value");
	assert_data(banyan_held(db, kept->id[1]), "below");
	assert_true(S_ISDIR(attr_of(banyan_held(db, kept->id[3])).mode));
	assert_null(banyan_held(db, 12345));
	banyan_release(banyan_held(db, kept->id[1]), 2);
	assert_non_null(banyan_held(db, kept->id[1]));
	banyan_release(banyan_held(db, kept->id[1]), 1);
	assert_null(banyan_held(db, kept->id[1]));
	/* It is followed wherever it goes */
	OK(banyan_rename(db, "key", "space/moved", 0));
	assert_data(banyan_held(db, kept->id[0]), "value");
	OK(banyan_close(db));
}

static void what_has_no_key_is_swept_with_its_last_hold(void **state)
{
	banyan *db = open_with_holds();
	(void)state;
	OK(banyan_freeze(db)); /* sweeps */
	assert_data(banyan_held(db, kept->id[2]), "still there");
	uint64_t live = stat_of(db).live_bytes;
	banyan_release(banyan_held(db, kept->id[2]), 2);
	assert_null(banyan_held(db, kept->id[2]));
	assert_int_equal(stat_of(db).live_bytes, live - 11);
	OK(banyan_close(db));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_gets_in_between),
		TEST(a_vacuum_hands_on_its_file),
		TEST(another_file_lets_nobody_in),
		TEST(what_is_not_durable_is_still_not),
		TEST(after_a_sync_that_may_have_failed_all_is_synced),
		TEST(after_a_sync_that_failed_nobody_goes_on),
		TEST(a_note_counts_what_was_made),
		TEST(a_note_does_not_count_what_fails),
		TEST(a_record_that_is_in_the_file_was_made),
		TEST(a_record_that_is_not_whole_was_not_made),
		TEST(what_was_held_is_held_again),
		TEST(what_has_no_key_is_swept_with_its_last_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
