/* SPDX-License-Identifier: MIT */
/*
 * counts.h - how often the kernel has been told of each Data, in memory that outlives
 * the process.
 *
 * A count changes together with a number that tells how far a request has been dealt
 * with: a process that is killed at any time has changed both or, once the next one
 * has called counts_repair(), both.
 *
 * Safe to call from any thread of one process at a time.
 */
#ifndef FS_COUNTS_H
#define FS_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "banyan.h"

struct counts;

/* Memory for it is taken when it is used. Children of this process share it. NULL:
 * there is none. */
struct counts *counts_new(void);
void counts_free(struct counts *c); /* NULL is fine */

/*
 * Add times, which may be negative, to the count of id, and let *progress, which is in
 * memory that outlives the process, become value. 0 or -ENOMEM.
 */
int counts_add(struct counts *c, uint64_t id, int64_t times, uint32_t *progress,
	       uint32_t value);

/* In a process that comes after one that has died, before all else */
void counts_repair(struct counts *c);

/* All counts that are not 0, to be freed by the caller. 0 or -ENOMEM. */
int counts_all(const struct counts *c, struct banyan_holds **all,
	       size_t *count);

#endif
