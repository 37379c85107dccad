/* SPDX-License-Identifier: MIT */
/*
 * temp.h - where tests have their files: in a new directory below TMPDIR, or
 * /tmp if that is not set. It is named for the program, so that one can tell who
 * has left it behind.
 */
#ifndef TESTS_TEMP_H
#define TESTS_TEMP_H

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMP_MAX 200 /* bytes of a directory's name, with the zero */
#define TEMP_FILE_MAX (TEMP_MAX + 16) /* and of a file's in it */

enum temp_where {
	TEMP_ON_DISK,
	/* If TMPDIR says nothing else and it can be had: for those that sync a
	 * thousand times and for whom the disk does not matter */
	TEMP_IN_MEMORY,
};

/* A name for mkdtemp() or mkstemp(); absolute. 0, or -1 with a message. */
static inline int temp_template(char name[TEMP_MAX], enum temp_where where)
{
	char absolute[PATH_MAX];
	const char *root = getenv("TMPDIR");
	if (!root || !*root)
		root = where == TEMP_IN_MEMORY && !access("/dev/shm", W_OK) ?
			       "/dev/shm" :
			       "/tmp";
	if (!realpath(root, absolute)) {
		fprintf(stderr, "%s: %s\n", root, strerror(errno));
		return -1;
	}
	int n = snprintf(name, TEMP_MAX, "%s/banyan-%s.XXXXXX", absolute,
			 program_invocation_short_name);
	if (n >= TEMP_MAX)
		fprintf(stderr, "%s: TMPDIR is too long\n", root);
	return n < TEMP_MAX ? 0 : -1;
}

/* The new directory. 0, or -1 with a message. */
static inline int temp_directory(char dir[TEMP_MAX], enum temp_where where)
{
	if (temp_template(dir, where))
		return -1;
	if (mkdtemp(dir))
		return 0;
	perror(dir);
	return -1;
}

/* A new file, open to read and write, or -1 with a message */
static inline int temp_file(char path[TEMP_MAX], enum temp_where where)
{
	if (temp_template(path, where))
		return -1;
	int fd = mkstemp(path);
	if (fd < 0)
		perror(path);
	return fd;
}

static inline void temp_path(char path[TEMP_FILE_MAX], const char dir[TEMP_MAX],
			     const char *name)
{
	snprintf(path, TEMP_FILE_MAX, "%s/%s", dir, name);
}

#endif
