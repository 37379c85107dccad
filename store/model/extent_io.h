/* SPDX-License-Identifier: MIT */
/* extent_io.h - the bytes of extents, in the log. */
#ifndef STORE_MODEL_EXTENT_IO_H
#define STORE_MODEL_EXTENT_IO_H

#include "model/extents.h"

/* Read an extent's bytes, verified */
int extent_read_bytes(const struct state *s, const struct extent *e,
		      uint32_t skip, uint32_t size, uint8_t *buffer);

/*
 * Read many extents, of which those that lie close behind each other in the log
 * are fetched with one call, and verified each by itself. Small appends leave
 * such extents: the records of the operations lie between them.
 *
 * A read that was added may be done at the next one or at the end, where any
 * error may come back. The buffers are then of no use.
 */
#define READS_MAX 64u
struct extent_reads {
	const struct state *state;
	uint8_t *scratch; /* NULL: none yet */
	uint64_t from; /* of the first payload in the file */
	uint64_t end; /* of the last one */
	size_t count;
	struct extent_part {
		struct extent e;
		uint32_t skip;
		uint32_t size;
		uint8_t *to;
	} read[READS_MAX];
};

void extent_reads_begin(struct extent_reads *r, const struct state *s);
int extent_reads_add(struct extent_reads *r, const struct extent *e,
		     uint32_t skip, uint32_t size, uint8_t *to);
/* Do what is left, if rc is 0, and free memory: rc, or the error */
int extent_reads_end(struct extent_reads *r, int rc);

/* Write bytes to the log: the runs at which they then lie, from `at` on */
int extent_stage(struct txn *txn, const uint8_t *bytes, size_t size,
		 uint64_t at, struct runs *runs);

#endif
