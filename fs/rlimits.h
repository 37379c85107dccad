/* SPDX-License-Identifier: MIT */
/*
 * rlimits.h - limits of the daemon's memory, `ulimit -v` (address space) and
 * `ulimit -d` (data), and of its threads.
 */
#ifndef FS_RLIMITS_H
#define FS_RLIMITS_H

#include "options.h"

/*
 * Adapt the process to its limits, before the first thread starts: in o, the size of
 * the cache unless it was asked for, the number of threads, and how many there may
 * be. -ENOMEM: the limits are too small, which was said.
 */
int rlimits_start(struct options *o);

/* As strerror(-rc), where -EAGAIN says that a thread could not be started */
const char *rlimits_strerror(int rc);

#endif
