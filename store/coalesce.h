/* SPDX-License-Identifier: MIT */
/*
 * coalesce.h - a value that grows by small appends is kept in few extents.
 *
 * Now and then an append writes the small extents in front of it again,
 * together with its own bytes, as one extent. Which ones is told by offsets in
 * the value alone. It is cut into blocks of 256 bytes, of 4 KiB, 64 KiB and
 * 1 MiB, each 16 of the size before. An append of less than a 16th of a block
 * that leaves it joins the extents that begin in that block, those at the end
 * that touch each other, provided that each is smaller than an eighth of it and
 * that they are 16 or more. If it leaves several blocks, the largest for which
 * that holds counts. So
 *
 * - nothing has to be kept or counted, and most appends do not even look: they
 *   leave no block;
 * - an extent begins in one block of each size, hence appends of less than 16
 *   bytes are written at most four times more, of less than 256 three times, of
 *   less than 4 KiB twice, of less than 16 KiB once. Longer ones are left as
 *   they are: joined, they were not read any faster;
 * - a value that is cut and appended to over and over does not have its large
 *   extents written again each time.
 *
 * Growing to 64 MiB, with and without (warm reads in pieces of 128 KiB, after a
 * freeze; on a disk of a virtual machine that is busy with other things):
 *
 *   append     written/byte  extents         CPU/append    read, MB/s
 *   10         20.1   17.2   159  6710861   3.9  2.0 us    2700    17
 *   100         5.4    2.5   152   671086   3.6  1.7       1700   140
 *   1000        3.1    1.2   158    67108   4.1  2.2       3500  1100
 *   4096        2.0    1.0    81    16384   6.1  3.2       2000  2900
 *   16384       1.0    1.0  4109     4109   7.5  7.1
 *
 * (An operation record takes 150 to 200 bytes, however few the append has.)
 * Without the blocks of 64 KiB it would be 4.4 at 100 and 2.1 at 1000, but then
 * values of some 100 KiB, and most logs are, keep hundreds of extents.
 *
 * This is part of the append: one operation, with its times. It is also
 * optional. If the old bytes cannot be read, or memory or the disk is short,
 * the append goes on without it.
 *
 * What others refer to as well (shared extents) stays as it is, since to write
 * it again would store it twice. Holes stay holes. Only appends join extents:
 * small overwrites in the middle of a value cut its extents into more, two for
 * each at the most, and these stay until the value is written anew.
 */
#ifndef STORE_COALESCE_H
#define STORE_COALESCE_H

#include "change.h"
#include "data.h"

/*
 * Write bytes that make the value longer together with the small extents before
 * them, if it is time to. 0: done. 1: not, nothing has changed; write them
 * without. Negative: the rows could not be changed.
 */
int coalesce_write(struct change *c, struct data *d, const void *bytes,
		   size_t size, uint64_t offset);

#endif
