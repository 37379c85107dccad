/* SPDX-License-Identifier: MIT */
/*
 * record.h - how records and blocks of them look as bytes. What is called from
 * outside is in banyan.h. Numbers are those of bytes.h: little-endian, varints
 * in their shortest form.
 *
 * A record:
 *
 *   count    varint   fields told here; those of the schema behind are absent
 *   present  bits     bit i % 8 of byte i / 8 is set if field i has a value:
 *                     (count + 7) / 8 bytes, the bits beyond count are zero
 *   values            of the fields that are present, in the schema's order
 *
 * The last field that is told is present, so count is 0 if none is. That makes
 * the fields that a later version of a schema adds at its end absent in what
 * was packed before, and costs nothing.
 *
 * A value, by the type of its field:
 *
 *   integer  varint   zigzag: 0, -1, 1, -2 ... are 0, 1, 2, 3 ...
 *   float    8 bytes  IEEE 754, every bit as it is
 *   text     varint   the number of bytes, then these: UTF-8
 *   bytes    varint   the number of bytes, then these
 *   boolean  1 byte   0 or 1
 *
 * A block is records one after another, each behind its length as a varint. It
 * has no head and no end of its own, and one of no bytes holds no record.
 *
 * There is one form only for each record: what unpacks is what pack gives, byte
 * for byte. Types are not told, and a flipped byte may make another sound
 * record: the checksums are those of the store.
 */
#ifndef STORE_RECORD_RECORD_H
#define STORE_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "banyan.h"

/* Is this UTF-8: no overlong forms, no surrogates, at most U+10FFFF? */
bool is_utf8(const void *text, size_t size);

#endif
