/* SPDX-License-Identifier: MIT */
/*
 * target.h - which database is meant: every subcommand takes the file, or the
 * directory that it is mounted on.
 */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

struct target {
	char *file; /* path to open; empty if it is lost */
	char *shown; /* the same as people would write it, for messages */
	char *mount; /* directory that it is mounted on, likewise, or NULL */
	char *point; /* the same as the kernel has it: absolute; or NULL */
	dev_t device; /* of the files there */
	uid_t owner; /* who has mounted it; -1: unknown */
	bool by_mount; /* the directory was given, not the file */
	bool read_only; /* the mount is */
	bool lost; /* the file is not where it was when it was mounted */
};

/*
 * Find the database that an argument means. The file need not exist. 0, or
 * EXIT_FAILURE after saying that it is a directory with no database on it;
 * *target is all zeros then.
 */
int target_find(struct target *target, const char *argument);

/*
 * 0, or EXIT_FAILURE after saying that nobody knows where the file of the mount
 * is now
 */
int target_has_file(const struct target *target);

/* Free what is in it; one that is all zeros is fine */
void target_free(struct target *target);

#endif
