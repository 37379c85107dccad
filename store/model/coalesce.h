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
 *   they are, to halve what is written: joined, those of 16 KiB were read at
 *   6.4 GB/s rather than 4.2;
 * - a value that is cut and appended to over and over does not have its large
 *   extents written again each time.
 *
 * One value that grows to 64 MiB, with and without (read from RAM, the median
 * of three runs, of 10 bytes one; reads after a freeze: all of it in pieces of
 * 128 KiB, and 4 KiB at random, which is told before the freeze, too):
 *
 *   append written/byte      extents  CPU/append MB/s      4 KiB: before, after
 *   10     20.1  17.3   155  6710861  3.8  2.0us 4500   35  32  128us  4.3  114
 *   100     5.4   2.5   150   671086  3.5  1.8   6000  300  26   16    4.2   16
 *   1000    3.1   1.2   158    67108  4.2  2.1   6200 1800   7.1  4.8  3.8  4.1
 *   4096    2.0   1.0    81    16384  6.5  3.5   6700 3100   5.2  4.0  3.8  3.4
 *   16384   1.0   1.0  4109     4109  7.5  6.9   4700 4800   5.7  5.2  3.9  4.0
 *
 * An operation record takes 150 to 200 bytes, however few the append has. What
 * random reads lose before a freeze, but for the smallest appends, is probably
 * due to deleted rows in the redo table. Without the blocks of 64 KiB 4.5 bytes
 * would be written at 100 and 2.1 at 1000, but values of some 100 KiB would
 * keep dozens or hundreds of extents.
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
#ifndef STORE_MODEL_COALESCE_H
#define STORE_MODEL_COALESCE_H

#include "model/txn.h"
#include "model/data.h"

/*
 * Write bytes that make the value longer together with the small extents before
 * them, if it is time to. 0: done. 1: not, nothing has changed; write them
 * without. Negative: the rows could not be changed.
 */
int coalesce_write(struct txn *txn, struct data *d, const void *bytes,
		   size_t size, uint64_t offset);

#endif
