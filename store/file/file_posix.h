/* SPDX-License-Identifier: MIT */
/*
 * file_posix.h - a local file: what its bytes (file_posix.c) and its name
 * (file_name.c) share.
 *
 * Threads: `reserved` and `temporary` belong to the one thread that appends;
 * reading and syncing only look at `fd`.
 */
#ifndef STORE_FILE_FILE_POSIX_H
#define STORE_FILE_FILE_POSIX_H

#include "file/file.h"

struct posix_file {
	struct file file;
	int fd;
	int dir; /* O_PATH: the directory of name */
	char *name; /* within dir, no symbolic link when opened */
	char *temporary; /* within dir; NULL once published */
	bool writable;
	bool cannot_reserve;
	uint64_t reserved; /* allocated by us up to here; 0: nothing */
};

static inline struct posix_file *posix_of(struct file *f)
{
	return (struct posix_file *)f;
}

/* The calls of a struct file */
extern const struct file_ops posix_ops;
int posix_publish(struct file *f, bool replace);

#endif
