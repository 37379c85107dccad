/* SPDX-License-Identifier: MIT */
/*
 * volume.h - a file of the database, and the log in it.
 *
 * There is one as a rule. A vacuum makes a new file; readers who began before
 * go on with the old one. So a volume is counted, and its file is closed when
 * the last view of it goes.
 */
#ifndef STORE_TABLE_VOLUME_H
#define STORE_TABLE_VOLUME_H

#include <stdatomic.h>

#include "log/log.h"
#include "tree/cache.h"

struct volume {
	_Atomic unsigned refs;
	struct file *file;
	struct superblock sb;
	struct log *log; /* NULL: nothing is written */
	_Atomic uint32_t punches; /* how often holes were punched into it */
	struct cache *cache; /* where its nodes are, and those of others */
};

/* Takes over the file, unless there is no memory: NULL */
struct volume *volume_new(struct file *file, struct cache *cache);
struct volume *volume_ref(struct volume *v);
void volume_unref(struct volume *v); /* NULL is fine */

#endif
