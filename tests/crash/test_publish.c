/* SPDX-License-Identifier: MIT */
/*
 * A new file gets its name when all of it is durable, and the name is durable
 * before anybody is told. The program is linked with --wrap for the functions
 * below: see the Makefile.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "banyan.h"
#include "tests/support/temp.h"

/* What was done, a letter each: f, the file was synced; d, the directory; r, a
 * file got its name; w, there was a write */
static char done[4096];
static size_t count;
static int fail_fsync; /* with this errno */

static void note(char what)
{
	if (count + 1 < sizeof(done) && (!count || done[count - 1] != what))
		done[count++] = what;
}

static int sync_is_noted(int fd)
{
	struct stat st;
	if (fail_fsync) {
		errno = fail_fsync;
		return -1;
	}
	assert_int_equal(fstat(fd, &st), 0);
	note(S_ISDIR(st.st_mode) ? 'd' : 'f');
	return 0;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return sync_is_noted(fd);
}

int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to,
		     unsigned flags);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to,
		     unsigned flags);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to,
		     unsigned flags)
{
	note('r');
	return __real_renameat2(from_dir, from, to_dir, to, flags);
}

int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	note('r');
	return __real_renameat(from_dir, from, to_dir, to);
}

ssize_t __real_pwritev64(int fd, const struct iovec *v, int n, off_t at);
ssize_t __wrap_pwritev64(int fd, const struct iovec *v, int n, off_t at);
ssize_t __wrap_pwritev64(int fd, const struct iovec *v, int n, off_t at)
{
	note('w');
	return __real_pwritev64(fd, v, n, at);
}

static char directory[TEMP_MAX];
static char path[TEMP_FILE_MAX];

static int set_up(void **state)
{
	(void)state;
	if (temp_directory(directory, TEMP_ON_DISK))
		return -1;
	temp_path(path, directory, "new.banyan");
	memset(done, 0, sizeof(done));
	count = 0;
	fail_fsync = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static void a_name_comes_after_the_bytes_and_is_synced(void **state)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(path, &o, &db), 0);
	assert_string_equal(done, "wfrd");
	assert_int_equal(banyan_close(db), 0);
}

static void there_is_no_file_if_it_cannot_be_synced(void **state)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	(void)state;
	fail_fsync = EIO;
	assert_int_equal(banyan_open(path, &o, &db), -EIO);
	assert_int_equal(access(path, F_OK), -1);
	fail_fsync = 0;
	assert_int_equal(banyan_open(path, &o, &db), 0);
	assert_int_equal(banyan_close(db), 0);
}

/* Other syncs of both files are calls of fdatasync(), which is not noted */
static void a_vacuum_renames_what_is_synced(void **state)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(path, &o, &db), 0);
	assert_int_equal(banyan_put(db, "a", "b", 1, 0), 0);
	memset(done, 0, sizeof(done));
	count = 0;
	assert_int_equal(banyan_vacuum(db, NULL, NULL), 0);
	assert_string_equal(done, "wfrd");
	fail_fsync = EIO;
	assert_int_equal(banyan_vacuum(db, NULL, NULL), -EIO);
	fail_fsync = 0;
	assert_int_equal(banyan_vacuum(db, NULL, NULL), 0);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_name_comes_after_the_bytes_and_is_synced),
		TEST(there_is_no_file_if_it_cannot_be_synced),
		TEST(a_vacuum_renames_what_is_synced),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
