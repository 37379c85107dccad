/* SPDX-License-Identifier: MIT */
/*
 * listing.h - all that a database holds, as text: a line for each key with all
 * attributes and a checksum of its value, one for each extended attribute.
 */
#ifndef TESTS_GOLDEN_LISTING_H
#define TESTS_GOLDEN_LISTING_H

#include "banyan.h"
#include "base/buf.h"

/* Append it to *text, with a NUL behind that does not count. 0 or an error. */
int listing(banyan *db, struct buf *text);

/* Append a line with the numbers of keys, live bytes, ids and freezes */
int listing_numbers(banyan *db, struct buf *text);

#endif
