/* SPDX-License-Identifier: MIT */
/*
 * mounts.h - what the kernel has mounted. Its list also knows mounts whose
 * daemon has died, and it answers without asking any daemon.
 */
#ifndef COMMON_MOUNTS_H
#define COMMON_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mount {
	char *point; /* directory: absolute */
	char *source; /* of a database: absolute path when it was mounted */
	dev_t device; /* of the files there */
	uid_t owner; /* the user who has mounted it; -1: unknown */
	bool database; /* all of one: banyanfs has mounted it */
	bool read_only; /* its daemon, whatever a remount has made of it */
};

struct mounts {
	struct mount *list; /* the last one mounted comes last */
	size_t count;
	char *text; /* that the list points into */
};

/* No mounts at all if the list cannot be read. 0 or -ENOMEM. */
int mounts_read(struct mounts *mounts);

void mounts_free(struct mounts *mounts);

/* The mount on a directory, of several the last, which is the one that is seen; or
 * NULL. The directory's path is as realpath(3) gives it. */
const struct mount *mounts_at(const struct mounts *mounts,
			      const char *directory);

/* Has the daemon died, so that nobody serves this directory? */
bool mount_is_dead(const char *point);

#endif
