/* SPDX-License-Identifier: MIT */
/*
 * file_fixture.h - what the tests of files share: an empty directory for each
 * test, as its working directory, and an empty file.
 */
#ifndef TESTS_FILE_FIXTURE_H
#define TESTS_FILE_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "file/file.h"
#include "tests/support/temp.h"

struct state {
	char directory[TEMP_MAX];
	struct file *f; /* empty; a local one is not published */
};

static inline int enter_directory(struct state *s, enum temp_where where)
{
	if (temp_directory(s->directory, where))
		return -1;
	return chdir(s->directory);
}

static inline int set_up_in(void **out, enum temp_where where)
{
	struct state *s = calloc(1, sizeof(*s));
	*out = s;
	if (!s || enter_directory(s, where))
		return -1;
	return file_create("a", 0600, NULL, &s->f);
}

static inline int set_up_local(void **out)
{
	return set_up_in(out, TEMP_ON_DISK);
}

static inline int tear_down(void **in)
{
	struct state *s = *in;
	file_close(s->f);
	if (chdir(s->directory))
		return -1;
	DIR *d = opendir(".");
	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		(void)remove(e->d_name);
	closedir(d);
	int rc = chdir("/") || rmdir(s->directory);
	free(s);
	return rc;
}

static inline size_t append_at(struct file *f, const void *bytes, size_t n,
			       uint64_t at)
{
	size_t written = 4711;
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	assert_int_equal(file_append(f, &iov, 1, at, &written), 0);
	assert_int_equal(written, n);
	return written;
}

static inline uint64_t size_of(struct file *f)
{
	uint64_t size = 0;
	assert_int_equal(file_size(f, &size), 0);
	return size;
}

static inline bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static inline void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
}

/* What file_open() says, the file closed again at once */
static inline int try_open(const char *path, bool writable)
{
	struct file *f = NULL;
	int rc = file_open(path, writable, NULL, &f);
	assert_int_equal(rc == 0, f != NULL);
	file_close(f);
	return rc;
}

#endif
