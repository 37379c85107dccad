/* SPDX-License-Identifier: MIT */
#include "vacuum/size.h"

#include "model/data.h"

/*
 * In bytes. A row without its value took 12 where all values lie in rows (16-byte
 * keys, 100-byte values), and 30 to 60 where they are extents, each of which has a
 * header as well.
 */
#define SMALL_ROW 12u
#define LARGE_ROW 64u
#define REDO_ROW 16u /* that is not in the tree yet */
#define FILE_OVERHEAD 4400u /* of an empty file */

/*
 * The bytes of values, and of the nodes of the tree less the values that lie in
 * nodes. Nobody counts those; there are as many as the nodes are larger than rows
 * without values would be.
 */
uint64_t size_alone(const struct state_size *s)
{
	bool small = s->live <= s->keys * INLINE_MAX;
	uint64_t rows = s->keys * (small ? SMALL_ROW : LARGE_ROW);
	uint64_t within = s->index > rows ? s->index - rows : 0;
	if (within > s->keys * INLINE_MAX)
		within = s->keys * INLINE_MAX;
	if (within > s->live)
		within = s->live;
	uint64_t records = small ? 0 : s->keys * EXTENT_OVERHEAD;
	return FILE_OVERHEAD + s->live + s->index - within + records +
	       s->redo_rows * REDO_ROW;
}
