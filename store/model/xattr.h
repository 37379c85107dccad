/* SPDX-License-Identifier: MIT */
/*
 * xattr.h - extended attributes: XATTR rows.
 *
 * The row's value is 00 and the bytes, or 01, a count and as many extents.
 */
#ifndef STORE_MODEL_XATTR_H
#define STORE_MODEL_XATTR_H

#include "model/txn.h"
#include "model/extents.h"

/* The value replaces what is in *value. -ENODATA if there is none. */
int xattr_get(const struct state *s, uint64_t id, const char *name,
	      struct buf *value);

/* flags: BANYAN_XATTR_CREATE or _REPLACE. -ENOSPC: the names could not be
 * listed any more. */
int xattr_set(struct txn *txn, uint64_t id, const char *name, const void *value,
	      size_t size, unsigned flags);
/* 0, or -ENODATA */
int xattr_has(const struct state *s, uint64_t id, const char *name);
int xattr_remove(struct txn *txn, uint64_t id, const char *name);

/* Names, each with a NUL behind it, replace what is in *names: no more than
 * BANYAN_XATTR_LIST_MAX bytes */
int xattr_list(const struct state *s, uint64_t id, struct buf *names);

/* ---- rows, for those who look at them one by one ---------------------- */

/* Is there a name in the key of an XATTR row? */
bool xattr_named(const uint8_t *key, size_t len);

/* A value of 64 KiB crosses at most one segment boundary, and so do pieces */
#define XATTR_EXTENTS_MAX 8u

/* The extents of a row's value: how many. 0: its bytes are in the row, from the
 * second on. -EUCLEAN. */
int xattr_extents(const uint8_t *value, size_t len,
		  struct extent e[XATTR_EXTENTS_MAX]);

/* The value of a row, for a value whose bytes lie in these runs; row is empty.
 * -E2BIG: there are too many; -ENOMEM. */
int xattr_put_extents(const struct runs *runs, struct buf *row);

#endif
