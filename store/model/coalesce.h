/* SPDX-License-Identifier: MIT */
/*
 * coalesce.h - a value that grows by very small appends is kept in few extents.
 *
 * Now and then such an append writes the small extents in front of it again,
 * together with its own bytes, as one extent. Which ones is told by offsets in
 * the value alone. It is cut into blocks of 256 bytes, of 8 KiB and of 1 MiB. An
 * append of less than 512 bytes, and less than an eighth of a block, that leaves
 * the block joins the extents that begin in it, those at the end that touch each
 * other, provided that each is smaller than an eighth of the block and that they
 * are 8 or more. If it leaves several blocks, the largest for which that holds
 * counts. So
 *
 * - nothing has to be kept or counted, and most appends do not even look: they
 *   leave no block;
 * - an extent begins in one block of each size, hence appends of less than 32
 *   bytes are written at most three times more, of less than 512 twice;
 * - a value that is cut and appended to over and over does not have its large
 *   extents written again each time.
 *
 * Longer appends are never written again: what is written in pieces of 4 KiB, as
 * stdio does, takes its own size in the log. A read fetches many extents of up to
 * 8 KiB with one call (extent_io.h), as they lie one behind the other in the log.
 * The log of very small appends has more bytes of operations than of values, so
 * these extents lie too far apart for that, and a row for 100 bytes is dear.
 *
 * One value that grows to 60 MiB, before (blocks of 4 KiB, 64 KiB and 1 MiB, for
 * appends of less than 16 KiB) and now: bytes in the log a byte, us of CPU time an
 * append, MB/s of reading in pieces of 128 KiB, and us of a random read of 4 KiB,
 * both after a freeze; written at once it is read at 5800 MB/s, and 4.0 us.
 *
 *   append  written/byte  us an append  MB/s         4 KiB
 *   10      20.1   19.2    3.8   4.3           5000
 *   100      5.4    4.5    5.3   3.9    5100   5000   5.0   5.0
 *   500      3.4    3.2           4.6           4900
 *   1024     3.1    1.15   5.3   3.1    5400   4050   4.0   3.0
 *   4096     2.03   1.04   8.3   4.5    5600   5200   4.0   2.2
 *   8192     2.01   1.02  11.4   6.1    5700   5450   3.8   3.0
 *
 * What it costs is rows: 1 GiB in pieces of 4 KiB has 262 000, which take 8 MB in
 * the tree. To remove that value takes 0.2 s instead of 1 ms, a vacuum, which
 * joins all extents, 1.3 s instead of 0.7 s.
 *
 * A level of 64 KiB in between would have kept values of some 100 KiB in fewer
 * extents, for one more byte a byte. With 64 KiB as the largest block values were
 * read at 3700 MB/s, since the extents then lie apart in the log.
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
