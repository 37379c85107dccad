/* SPDX-License-Identifier: MIT */
/*
 * absent_range.h - a range of keys in which there is known to be no row.
 *
 * Before a key is made all layers are asked whether it exists. Rows that come
 * in order mostly go into one and the same gap between the rows of the frozen
 * table and of the tree: the writer keeps it, and asks these no more.
 *
 * To find out how far a gap goes is worth it only if many keys follow. If too
 * few did the last time, it is left for a while, and longer each time.
 */
#ifndef STORE_TABLE_ABSENT_RANGE_H
#define STORE_TABLE_ABSENT_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/row_limits.h"

struct absent_range {
	bool known;
	bool endless; /* no row behind it */
	size_t low_len;
	size_t high_len;
	uint8_t low[ROW_KEY_MAX]; /* inclusive */
	uint8_t high[ROW_KEY_MAX]; /* exclusive */
	uint32_t used; /* times, since it is known */
	uint32_t wait; /* times not to look for one */
	uint32_t next_wait;
};

/* Is the key in the gap? */
bool absent_range_has(struct absent_range *g, const void *key, size_t len);
/* Is it time to find out how far the gap goes that a key lies in? */
bool absent_range_wanted(struct absent_range *g);
/* From low on there is no row before high; NULL: none at all */
void absent_range_set(struct absent_range *g, const void *low, size_t low_len,
		      const void *high, size_t high_len);
/* The layers are others now */
void absent_range_forget(struct absent_range *g);

#endif
