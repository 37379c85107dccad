/* SPDX-License-Identifier: MIT */
/*
 * snapshots.h - rows that give a freeze a name.
 *
 * The value of such a row is the number of the freeze and the offset of its
 * record, two varints. What lies at the offset must be compared with the number
 * before it is used: see past.h.
 */
#ifndef STORE_MODEL_SNAPSHOTS_H
#define STORE_MODEL_SNAPSHOTS_H

#include "model/txn.h"

struct snapshot {
	const char *name; /* in the row's key */
	size_t len;
	uint64_t number;
	uint64_t offset;
};

/* From a row whose key begins with ROW_SNAPSHOT: 0 or -EUCLEAN */
int snapshot_decode(struct snapshot *s, const uint8_t *key, size_t len,
		    const uint8_t *value, size_t value_len);
void snapshot_encode(const struct snapshot *s, struct buf *value);

/* The snapshot with this name, which is borrowed. -ENOENT, -EUCLEAN; what is no
 * name: -EINVAL, -ENAMETOOLONG. */
int snapshots_find(const struct state *state, const char *name, size_t len,
		   struct snapshot *s);
/* Visit all of them in order of their names; non-zero ends it and comes back */
int snapshots_visit(const struct state *state,
		    int (*visit)(void *arg, const struct snapshot *s),
		    void *arg);

/* Let there be this one; or none of this name */
int snapshots_put(struct txn *txn, const struct snapshot *s);
int snapshots_delete(struct txn *txn, const char *name, size_t len);

#endif
