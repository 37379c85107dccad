/* SPDX-License-Identifier: MIT */
/* verify.h - read the extents of a value and compare them with their
 * checksums. */
#ifndef STORE_REPAIR_VERIFY_H
#define STORE_REPAIR_VERIFY_H

#include "model/txn.h"

#define VERIFIED_MAX 1024u

/* Zeroed, but for file. Remembers chunks, as many extents may share one. */
struct verifier {
	struct file *file;
	/* Told of each extent of a value; NULL, or non-zero ends it */
	int (*step)(void *arg, uint64_t bytes);
	void *arg;
	uint8_t *buffer; /* owned */
	struct {
		uint64_t payload;
		uint32_t payload_len;
		uint32_t sum;
		uint32_t chunk;
		bool sound;
	} seen[VERIFIED_MAX];
};

void verifier_free(struct verifier *v); /* what it owns */

/*
 * Read the bytes of an extent and verify them: bad is told which of them, from
 * start to end counted from the extent's own beginning, are damaged, in order.
 * 0, or an error of reading.
 */
int verify_extent(struct verifier *v, const struct extent *e,
		  int (*bad)(void *arg, uint32_t start, uint32_t end),
		  void *arg);

/*
 * Read the extents of a value. bad is told which ranges of the value are
 * damaged, in order and none beside another; where rows make no sense, all from
 * there on. What it returns must be 0. *stored gets the sum of the extents,
 * *own that of those that nobody else may refer to.
 */
typedef int verify_bad(void *arg, uint64_t start, uint64_t end);
int verify_value(struct verifier *v, const struct state *s,
		 const struct data *d, verify_bad *bad, void *arg,
		 uint64_t *stored, uint64_t *own);

#endif
