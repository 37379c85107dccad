/* SPDX-License-Identifier: MIT */
/*
 * xattr.h - extended attributes: XATTR rows.
 *
 * The row's value is 00 and the bytes, or 01, a count and as many extents.
 */
#ifndef STORE_XATTR_H
#define STORE_XATTR_H

#include "change.h"

/* The value replaces what is in *value. -ENODATA if there is none. */
int xattr_get(const struct state *s, uint64_t id, const char *name,
	      struct buf *value);

/* flags: BANYAN_XATTR_CREATE or _REPLACE */
int xattr_set(struct change *c, uint64_t id, const char *name,
	      const void *value, size_t size, unsigned flags);
int xattr_remove(struct change *c, uint64_t id, const char *name);

/* Names, each with a NUL behind it, replace what is in *names */
int xattr_list(const struct state *s, uint64_t id, struct buf *names);

#endif
