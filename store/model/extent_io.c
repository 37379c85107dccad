/* SPDX-License-Identifier: MIT */
#include "model/extent_io.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "log/payload.h"

/* Longer payloads are read for themselves, without a copy */
#define PAYLOAD_MAX 8192u
/* What lies between two payloads may be so long: the record of an operation, the
 * header of a segment */
#define GAP_MAX 1024u
/* Bytes that are fetched with one call, which are then in the processor's cache */
#define FETCH_MAX (64u << 10)

int extent_read_bytes(const struct state *s, const struct extent *e,
		      uint32_t skip, uint32_t size, uint8_t *buffer)
{
	return payload_read(s->merged.tree.file, e->payload, e->payload_len,
			    e->sum, e->start + skip, size, buffer);
}

static int read_part(const struct state *s, const struct extent_part *p)
{
	return extent_read_bytes(s, &p->e, p->skip, p->size, p->to);
}

/* A payload of one chunk, which is in memory */
static int copy_part(const struct extent_part *p, const uint8_t *payload)
{
	if (crc32c(0, payload, p->e.payload_len) != p->e.sum)
		return -EBADMSG;
	memcpy(p->to, payload + p->e.start + p->skip, p->size);
	return 0;
}

static int fetch(struct extent_reads *r)
{
	if (r->count < 2)
		return 1;
	if (!r->scratch)
		r->scratch = malloc(FETCH_MAX);
	return r->scratch ? file_read(r->state->merged.tree.file, r->scratch,
				      (size_t)(r->end - r->from), r->from) :
			    1;
}

/* If they cannot be fetched at once, as a disk that does not read a record
 * between them has it, each may be read all the same */
static int do_reads(struct extent_reads *r)
{
	bool fetched = fetch(r) == 0;
	int rc = 0;
	for (size_t i = 0; !rc && i < r->count; i++) {
		const struct extent_part *p = &r->read[i];
		rc = fetched ? copy_part(p, r->scratch +
						    (p->e.payload - r->from)) :
			       read_part(r->state, p);
	}
	r->count = 0;
	return rc;
}

void extent_reads_begin(struct extent_reads *r, const struct state *s)
{
	r->state = s;
	r->scratch = NULL;
	r->count = 0;
}

static bool goes_along(const struct extent_reads *r, const struct extent *e)
{
	return r->count && r->count < READS_MAX && e->payload >= r->end &&
	       e->payload - r->end <= GAP_MAX &&
	       e->payload + e->payload_len - r->from <= FETCH_MAX;
}

int extent_reads_add(struct extent_reads *r, const struct extent *e,
		     uint32_t skip, uint32_t size, uint8_t *to)
{
	bool small = e->payload_len <= PAYLOAD_MAX;
	int rc = small && goes_along(r, e) ? 0 : do_reads(r);
	if (rc || !small)
		return rc ? rc : extent_read_bytes(r->state, e, skip, size, to);
	if (!r->count)
		r->from = e->payload;
	r->end = e->payload + e->payload_len;
	r->read[r->count++] = (struct extent_part){ *e, skip, size, to };
	return 0;
}

int extent_reads_end(struct extent_reads *r, int rc)
{
	if (!rc)
		rc = do_reads(r);
	free(r->scratch);
	return rc;
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
