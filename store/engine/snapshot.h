/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - freezes that have names.
 *
 * A snapshot is a freeze of its own, and a row that names it. The row is written
 * by an operation behind that freeze, so the freeze has the snapshots that were
 * taken before, and not its own. A vacuum carries what rows name (vacuum.h).
 */
#ifndef STORE_ENGINE_SNAPSHOT_H
#define STORE_ENGINE_SNAPSHOT_H

#include "engine/store.h"
#include "model/snapshots.h"

/*
 * Freeze, and name that freeze; durable when it returns. The name is checked
 * first, so a name that cannot be leaves no freeze behind. -EEXIST, -EINVAL,
 * -ENAMETOOLONG.
 */
int store_snapshot(struct store *store, const char *name, size_t len);
/* -ENOENT */
int store_snapshot_drop(struct store *store, const char *name, size_t len);
/* -ENOENT, -EEXIST; to its own name: 0 */
int store_snapshot_rename(struct store *store, const char *name, size_t len,
			  const char *new_name, size_t new_len);

/*
 * The freeze that a snapshot names, whose record is read from the volume and
 * compared with its number. -EUCLEAN, -EBADMSG: it is not there.
 */
int snapshot_freeze(struct store *store, const struct volume *volume,
		    const struct snapshot *s, struct freeze *f);

#endif
