/* SPDX-License-Identifier: MIT */
/*
 * mounted.h - where is a database file mounted, and which file is a mount of?
 *
 * The kernel knows the path that the file had when it was mounted; it may have been
 * moved since, and another may have come in its place. The daemon of a mount for
 * writing has the file locked, and knows its path: it is asked only where it has to
 * be, since one that hangs makes whoever asks it hang.
 */
#ifndef COMMON_MOUNTED_H
#define COMMON_MOUNTED_H

#include <stdbool.h>

#include "common/mounts.h"

/* An attribute of a mount's root: the path at which its file is now */
#define MOUNTED_XATTR_FILE "system.banyan.file"

/*
 * The mount of a file: one that can be written before read-only ones beside it,
 * then the last. NULL: it is not mounted. It lies in the list.
 */
const struct mount *mounted_find(const struct mounts *mounts, const char *file);

/* Is the file that was mounted there still at the source of the mount? Not if the
 * mount was given another name. */
bool mounted_has_source(const struct mounts *mounts, const struct mount *mount);

/*
 * The path at which the file of a mount is now, of malloc: its daemon knows. NULL
 * if it is not to be had.
 */
char *mounted_ask(const struct mount *mount);

#endif
