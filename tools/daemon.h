/* SPDX-License-Identifier: MIT */
/*
 * daemon.h - which file does a mount belong to? The kernel knows the path that
 * the file had when it was mounted; it may have been moved since, and another
 * may have come in its place.
 */
#ifndef TOOLS_DAEMON_H
#define TOOLS_DAEMON_H

#include <stdbool.h>

#include "mounts.h"

/* Is the file open in a daemon that may write to it? True if in doubt. */
bool daemon_holds(const char *file);

/*
 * The path at which the file of a mount is now, of malloc: its daemon knows. NULL
 * if it is not to be had.
 */
char *daemon_find_file(const struct mount *mount);

/* Is this file what is mounted there? Asks the daemon, too. */
bool daemon_shows(const struct mount *mount, const char *file);

#endif
