/* SPDX-License-Identifier: MIT */
/*
 * punch.h - give the dead blocks of the file back in place, as holes.
 *
 * For a disk with no room for a second file. The past ends with a freeze. Of the
 * log before its replay position only those blocks stay that its tree refers to, or
 * that of a snapshot: nodes, values, and the headers of segments. What had been deleted may survive
 * beside them in the same block, so this does not erase.
 *
 * Recovery begins in the last segment, and trusts the freeze that its header
 * names. So before anything is punched a new segment is begun, whose header names
 * the freeze that ended the past, durably.
 */
#ifndef STORE_VACUUM_PUNCH_H
#define STORE_VACUUM_PUNCH_H

#include "vacuum/vacuum.h"

/*
 * result: what the disk has for the file, before and after. -EROFS; -EBUSY: a
 * vacuum or another punch is running, or somebody reads an earlier state, here or
 * in another process; -EOPNOTSUPP: the file cannot have holes. If it fails midway
 * the past has ended, and some of what is dead is still there.
 */
int store_punch(struct store *store,
		int (*progress)(void *arg, uint64_t done, uint64_t total),
		void *arg, struct vacuum_result *result);

/*
 * What a punch would leave at this moment, as result tells it: of a store that only
 * reads, too. It takes as long as reading the keys. -EOPNOTSUPP, what progress has
 * returned, -EUCLEAN, -EBADMSG.
 */
int store_punch_ahead(struct store *store,
		      int (*progress)(void *arg, uint64_t done, uint64_t total),
		      void *arg, struct vacuum_result *result);

#endif
