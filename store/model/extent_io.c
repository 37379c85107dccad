/* SPDX-License-Identifier: MIT */
#include "model/extent_io.h"

int extent_read_bytes(const struct state *s, const struct extent *e,
		      uint32_t skip, uint32_t size, uint8_t *buffer)
{
	return log_read_payload(s->merged.tree.file, e->payload, e->payload_len,
				e->sum, e->start + skip, size, buffer);
}

static int stage_pieces(struct txn *txn, const uint8_t *bytes, size_t size,
			uint64_t at, struct runs *runs)
{
	while (size) {
		struct log_place place;
		int rc = log_stage_payload(txn->log, RECORD_EXTENT, bytes, size,
					   false, &place);
		if (rc)
			return rc;
		struct extent e = { .payload = place.payload,
				    .payload_len = place.length,
				    .sum = place.sum,
				    .length = place.length };
		rc = runs_add(runs, at, &e);
		if (rc)
			return rc;
		bytes += place.length;
		size -= place.length;
		at += place.length;
	}
	return txn->batch ? log_flush(txn->log) : 0;
}

int extent_stage(struct txn *txn, const uint8_t *bytes, size_t size,
		 uint64_t at, struct runs *runs)
{
	int rc = stage_pieces(txn, bytes, size, at, runs);
	/* A batch may go on, and must not write the rest: the bytes are the
	 * caller's. What it had staged before is in the file already. */
	if (rc)
		log_abort(txn->log);
	return rc;
}
