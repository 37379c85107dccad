/* SPDX-License-Identifier: MIT */
/*
 * place.h - the way to a key through a mount.
 *
 * A key is looked up name by name from the root directory, so that it may be
 * longer than a path can be, no symlink is followed, and nothing is reached
 * that is mounted on a directory of the mount.
 */
#ifndef TOOLS_PLACE_H
#define TOOLS_PLACE_H

#include "store.h"

#define PLACE_DIRECTORY (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) /* for open(2) */

/* The directory that a key lies in, to be closed, and the key's last name */
struct place {
	int dir;
	char name[BANYAN_NAME_MAX + 1];
};

/* The place of a key that is not the root; make: the key spaces that it lacks */
int place_find(const struct store *store, const char *key, bool make,
	       struct place *place);

bool place_is_root(const char *key);
void place_copy_name(char *to, const char *name, size_t len);

/* Descriptors for paths (O_PATH), or errors. A directory in another, made if it is to
 * be; closes the other. */
int place_enter(const struct store *store, int dir, const char *name,
		bool make);
int place_open_root(const struct store *store);
/* The directory that a key points to, which may be the root */
int place_open_space(const struct store *store, const char *key);

/* -EXDEV: another file system is mounted there */
int place_check_device(const struct store *store, int fd);

/* Whatever it is: only the kernel can tell without a race */
int place_unlink(int dir, const char *name);

/* Remove all that is in a key space: as struct store_ops has it */
int place_empty(const struct store *store, const char *key);

/* The error of the last call. EBUSY: another file system is mounted there. */
int place_error(void);

#endif
