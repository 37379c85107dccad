/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_SPACE_PATH_H
#define STORE_API_SPACE_PATH_H

#include "model/txn.h"

/*
 * The path of a key space, with a slash at its end and none at its beginning;
 * of the root it is empty. 0, 1 if no key leads there, or an error: -ELOOP if a
 * key space of a damaged file lies in itself.
 */
int space_path(const struct state *s, uint64_t space, struct buf *path);

#endif
