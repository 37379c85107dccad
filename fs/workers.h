/* SPDX-License-Identifier: MIT */
/* workers.h - threads that read requests from /dev/fuse and serve them */
#ifndef FS_WORKERS_H
#define FS_WORKERS_H

#include "fs.h"

struct workers;

/* As transport_start(). At least one thread, or an error. *w is set before the
 * first of them starts. */
int workers_start(struct fs *fs, unsigned threads, void (*ended)(void *arg),
		  void *arg, struct workers *_Atomic *w);

/* How many requests came in */
uint64_t workers_served(const struct workers *w);

/* End all, each after the request that it is at, and free. NULL is fine. */
void workers_stop(struct workers *w);

#endif
