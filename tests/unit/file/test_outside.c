/* SPDX-License-Identifier: MIT */
/*
 * What is done to the file of an open database from outside: another program
 * cuts it, appends to it, deletes it, replaces it or moves it, and the limit on
 * the size of files (RLIMIT_FSIZE) is reached.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/fault_file.h"
#include "tests/support/temp.h"

struct scene {
	char dir[TEMP_MAX];
	banyan *db;
	char said[1024]; /* by the report callback, since the last open */
	unsigned lines;
};

static void take_line(void *arg, const char *line)
{
	struct scene *s = arg;
	s->lines++;
	snprintf(s->said, sizeof(s->said), "%s", line);
}

static void open_db(struct scene *s, const char *path, unsigned flags)
{
	struct banyan_options o = { .flags = flags,
				    .report = take_line,
				    .report_arg = s };
	s->lines = 0;
	assert_int_equal(banyan_open(path, &o, &s->db), 0);
}

static int close_db(struct scene *s)
{
	banyan *db = s->db;
	s->db = NULL;
	return banyan_close(db);
}

/* In a new directory, which becomes the working directory: database "x" */
static int set_up_in(void **state, enum temp_where where)
{
	struct scene *s = calloc(1, sizeof(*s));
	*state = s;
	if (!s || temp_directory(s->dir, where) || chdir(s->dir))
		return -1;
	open_db(s, "x", BANYAN_CREATE);
	return banyan_put(s->db, "before", "b", 1, 0);
}

static int set_up(void **state)
{
	return set_up_in(state, TEMP_ON_DISK);
}

static int set_up_in_memory(void **state)
{
	return set_up_in(state, TEMP_IN_MEMORY);
}

static int tear_down(void **state)
{
	static const char *const names[] = { "x", "y", "other" };
	struct scene *s = *state;
	(void)banyan_close(s->db);
	if (chdir(s->dir))
		return -1;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		(void)unlink(names[i]);
	int rc = rmdir(s->dir);
	free(s);
	return rc;
}

static void write_file(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static off_t size_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* ---- what is done to it ----------------------------------------------- */

static void cut_to_nothing(void)
{
	assert_int_equal(truncate("x", 0), 0);
}

static void cut_by_a_byte(void)
{
	assert_int_equal(truncate("x", size_of("x") - 1), 0);
}

static void append_garbage(void)
{
	write_file("x", O_APPEND, "garbage");
}

static void make_longer(void)
{
	assert_int_equal(truncate("x", size_of("x") + 4096), 0);
}

static void copy_over(void)
{
	write_file("x", O_TRUNC, "another file");
}

static void delete (void)
{
	assert_int_equal(unlink("x"), 0);
}

static void replace(void)
{
	write_file("other", 0, "another file");
	assert_int_equal(rename("other", "x"), 0);
}

/* It has another name, which is not where it was moved to */
static void replace_though_linked(void)
{
	assert_int_equal(link("x", "y"), 0);
	replace();
}

static const struct {
	void (*do_it)(void);
	const char *say;
	bool append_fails; /* the next one, else only the next sync does */
	bool sync_fails; /* the next one, though nothing was appended */
} deeds[] = {
	{ cut_to_nothing, "it has 0 bytes", true, true },
	{ cut_by_a_byte, "bytes were written", true, true },
	{ append_garbage, "bytes were written", true, false },
	{ make_longer, "bytes were written", true, false },
	{ copy_over, "it has 12 bytes", true, true },
	{ delete, "deleted", false, true },
	{ replace, "replaced", false, true },
	{ replace_though_linked, "replaced", false, true },
};
#define DEEDS (sizeof(deeds) / sizeof(*deeds))

static void assert_poisoned(struct scene *s, const char *say)
{
	if (!strstr(s->said, say))
		print_error("no '%s' in: %s\n", say, s->said);
	assert_non_null(strstr(s->said, say));
	assert_non_null(strstr(s->said, s->dir));
	assert_int_equal(s->lines, 1);
	assert_int_equal(banyan_put(s->db, "more", "m", 1, 0), -EIO);
	assert_int_equal(banyan_remove(s->db, "before"), -EIO);
	assert_int_equal(banyan_sync(s->db), -EIO);
	assert_int_equal(banyan_freeze(s->db), -EIO);
	assert_int_equal(close_db(s), -EIO);
	assert_int_equal(s->lines, 1);
}

static void renew(struct scene *s)
{
	(void)unlink("x");
	(void)unlink("y");
	open_db(s, "x", BANYAN_CREATE);
	assert_int_equal(banyan_put(s->db, "before", "b", 1, 0), 0);
}

static void a_write_after_it_fails(void **state)
{
	struct scene *s = *state;
	for (unsigned i = 0; i < DEEDS; i++) {
		deeds[i].do_it();
		int rc = banyan_put(s->db, "after", "a", 1, 0);
		assert_int_equal(rc, deeds[i].append_fails ? -EIO : 0);
		assert_int_equal(banyan_sync(s->db), -EIO);
		assert_poisoned(s, deeds[i].say);
		renew(s);
	}
}

/* All was durable before: the sync has nothing to do but to look */
static void a_sync_after_it_fails(void **state)
{
	struct scene *s = *state;
	for (unsigned i = 0; i < DEEDS; i++) {
		assert_int_equal(banyan_sync(s->db), 0);
		assert_int_equal(banyan_sync(s->db), 0);
		deeds[i].do_it();
		int rc = banyan_sync(s->db);
		assert_int_equal(rc, deeds[i].sync_fails ? -EIO : 0);
		if (rc)
			assert_poisoned(s, deeds[i].say);
		else
			(void)close_db(s);
		renew(s);
	}
}

static void a_close_after_it_fails(void **state)
{
	struct scene *s = *state;
	for (unsigned i = 0; i < DEEDS; i++) {
		deeds[i].do_it();
		assert_int_equal(close_db(s), -EIO);
		assert_int_equal(s->lines, 1);
		renew(s);
	}
	/* With nothing left to write, too */
	assert_int_equal(banyan_freeze(s->db), 0);
	cut_to_nothing();
	assert_int_equal(close_db(s), -EIO);
}

/* What is there instead is not made shorter when reserved space is given
 * back */
static void what_replaced_it_stays_whole(void **state)
{
	struct scene *s = *state;
	copy_over();
	(void)close_db(s);
	assert_int_equal(size_of("x"), 12);
}

/* ---- what is no harm -------------------------------------------------- */

static void assert_whole(struct scene *s, const char *path)
{
	char *value = NULL;
	size_t size = 0;
	assert_int_equal(banyan_put(s->db, "after", "a", 1, 0), 0);
	assert_int_equal(banyan_sync(s->db), 0);
	assert_int_equal(close_db(s), 0);
	assert_int_equal(s->lines, 0);
	open_db(s, path, 0);
	assert_int_equal(banyan_get(s->db, "after", (void **)&value, &size), 0);
	free(value);
}

static void a_file_that_was_moved_goes_on(void **state)
{
	struct scene *s = *state;
	assert_int_equal(rename("x", "y"), 0);
	assert_whole(s, "y");
}

static void also_when_another_takes_its_name(void **state)
{
	struct scene *s = *state;
	assert_int_equal(rename("x", "y"), 0);
	write_file("x", 0, "another file");
	assert_whole(s, "y");
}

static void also_when_a_second_name_goes(void **state)
{
	struct scene *s = *state;
	assert_int_equal(link("x", "y"), 0);
	assert_int_equal(banyan_sync(s->db), 0);
	assert_int_equal(unlink("x"), 0);
	assert_whole(s, "y");
}

static void it_is_found_after_chdir(void **state)
{
	struct scene *s = *state;
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(banyan_put(s->db, "k", "v", 1, 0), 0);
	assert_int_equal(banyan_sync(s->db), 0);
	assert_int_equal(s->lines, 0);
	assert_int_equal(chdir(s->dir), 0);
	replace();
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(banyan_sync(s->db), -EIO);
}

/* ---- as other files tell of it ---------------------------------------- */

static void any_file_can_say_so(void **state)
{
	static const enum fault_call calls[] = { FAULT_APPEND, FAULT_SYNC,
						 FAULT_VERIFY };
	(void)state;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct banyan_options o = { 0 };
		struct file *f = NULL;
		banyan *db = NULL;
		assert_int_equal(fault_file_new(NULL, 0, &f), 0);
		assert_int_equal(handle_open_file(f, &o, true, &db), 0);
		assert_int_equal(banyan_sync(db), 0);
		fault_file_fail(f, calls[i], 1, -EIO, false);
		int rc = 0;
		if (calls[i] != FAULT_VERIFY)
			rc = banyan_put(db, "k", "v", 1, 0);
		if (!rc)
			rc = banyan_sync(db);
		assert_int_equal(rc, -EIO);
		assert_int_equal(log_poisoned(db->store->volume->log), -EIO);
		assert_int_equal(banyan_put(db, "k", "v", 1, 0), -EIO);
		assert_int_equal(banyan_close(db), -EIO);
		fault_file_free(f);
	}
}

/* ---- the limit on the size of files ----------------------------------- */

static void limit_size(rlim_t bytes)
{
	struct rlimit r;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* Run in a process of its own, whose limits are its own */
static void in_child(struct scene *s, void (*run)(struct scene *s))
{
	int status = -1;
	assert_int_equal(close_db(s), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		open_db(s, "x", 0);
		run(s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		print_error("ended by signal %d\n", WTERMSIG(status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	open_db(s, "x", 0);
	assert_int_equal(s->lines, 0);
}

/* How many values there was room for */
static unsigned fill(struct scene *s)
{
	static uint8_t bytes[100000];
	for (unsigned n = 0;; n++) {
		char path[32];
		sprintf(path, "key%u", n);
		int rc = banyan_put(s->db, path, bytes, sizeof(bytes), 0);
		if (rc) {
			assert_int_equal(rc, -EFBIG);
			return n;
		}
	}
}

static void fill_and_empty(struct scene *s)
{
	char path[32];
	limit_size(16u << 20);
	unsigned n = fill(s);
	assert_true(n > 50);
	assert_int_equal(banyan_sync(s->db), 0);
	for (unsigned i = 0; i < n; i++) {
		sprintf(path, "key%u", i);
		assert_int_equal(banyan_remove(s->db, path), 0);
	}
	assert_int_equal(banyan_freeze(s->db), 0);
	assert_true(size_of("x") < 16 << 20);
	assert_int_equal(banyan_put(s->db, "before", "", 0, 0), -EFBIG);
	limit_size(RLIM_INFINITY);
	assert_int_equal(banyan_put(s->db, "after", "a", 1, 0), 0);
	assert_int_equal(close_db(s), 0);
}

static void assert_values(banyan *db, unsigned keys)
{
	struct banyan_stat st = { 0 };
	void *value = NULL;
	size_t size = 0;
	assert_int_equal(banyan_get(db, "before", &value, &size), 0);
	assert_int_equal(size, 1);
	free(value);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.keys, keys);
}

/* And no signal, as nothing is written or reserved beyond the limit */
static void it_is_like_a_full_disk(void **state)
{
	struct scene *s = *state;
	in_child(s, fill_and_empty);
	assert_values(s->db, 2);
}

/* A write gets as far as the limit: what it has written is skipped */
static void write_across(struct scene *s)
{
	char value[3000] = { 0 };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(banyan_put(s->db, "k", "v", 1, 0), 0); /* reserves */
	off_t end = size_of("x");
	limit_size((rlim_t)end + 1000);
	assert_int_equal(banyan_put(s->db, "k1", value, sizeof(value), 0),
			 -EFBIG);
	assert_int_equal(size_of("x"), end + 1000);
	assert_int_equal(banyan_put(s->db, "k2", value, sizeof(value), 0),
			 -EFBIG);
	assert_int_equal(banyan_remove(s->db, "k"), -EFBIG);
	assert_int_equal(banyan_sync(s->db), 0);
	limit_size(RLIM_INFINITY);
	assert_int_equal(banyan_put(s->db, "k3", value, sizeof(value), 0), 0);
	assert_int_equal(banyan_remove(s->db, "k"), 0);
	assert_int_equal(close_db(s), 0);
}

static void a_write_across_it_is_none(void **state)
{
	struct scene *s = *state;
	in_child(s, write_across);
	assert_values(s->db, 2);
}

static void close_without_room(struct scene *s)
{
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(banyan_put(s->db, "after", "a", 1, 0), 0);
	limit_size((rlim_t)size_of("x"));
	assert_int_equal(close_db(s), -EFBIG); /* it cannot freeze */
}

static void what_cannot_be_frozen_is_still_there(void **state)
{
	struct scene *s = *state;
	in_child(s, close_without_room);
	assert_values(s->db, 2);
}

#define IN_DIRECTORY(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define ON_BOTH(name)                                                      \
	{ #name " (disk)", name, set_up, tear_down, NULL },                \
	{                                                                  \
#name " (memory)", name, set_up_in_memory, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(a_write_after_it_fails),
		IN_DIRECTORY(a_sync_after_it_fails),
		IN_DIRECTORY(a_close_after_it_fails),
		IN_DIRECTORY(what_replaced_it_stays_whole),
		IN_DIRECTORY(a_file_that_was_moved_goes_on),
		IN_DIRECTORY(also_when_another_takes_its_name),
		IN_DIRECTORY(also_when_a_second_name_goes),
		IN_DIRECTORY(it_is_found_after_chdir),
		cmocka_unit_test(any_file_can_say_so),
		ON_BOTH(it_is_like_a_full_disk),
		ON_BOTH(a_write_across_it_is_none),
		ON_BOTH(what_cannot_be_frozen_is_still_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
