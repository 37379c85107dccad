/* SPDX-License-Identifier: MIT */
/*
 * salvage_copy.c - values and attributes, from the damaged file to the new one.
 *
 * A value is read twice: first to find damaged bytes, then to copy it; the
 * second read verifies again. Adjacent extents are joined. A payload that is
 * marked as shared is copied once, as a whole, and all extents that referred to
 * it refer to the copy.
 *
 * In a hostile file any number of values could refer to the same bytes without
 * the shared bit, and the copies would fill any disk. So the bytes of extents
 * that are not shared are added up, and those of shared payloads: neither sum
 * may exceed the size of the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "log/payload.h"
#include "repair/salvage.h"
#include "model/xattr.h"

/* Most bytes that are joined to one payload; it fits into a segment */
#define JOIN_MAX (2u << 20)
#define BUFFER_SIZE SEGMENT_SIZE

/* A payload that was copied, in the pieces that it was cut into */
struct shared_payload {
	uint64_t payload; /* 0: this place is free */
	uint32_t payload_len;
	uint32_t sum;
	struct runs pieces; /* run.at: offset in the payload */
};

struct copy {
	struct salvage *s;
	struct data *d; /* becomes what it is in the new file */
	uint64_t at; /* offset in the value of what is in the buffer */
	size_t buffered;
	bool zeros; /* damaged pieces become holes */
	uint64_t stored;
};

void salvage_copy_free(struct salvage *s)
{
	for (size_t i = 0; s->shared && i <= s->shared_mask; i++)
		runs_free(&s->shared[i].pieces);
	free(s->shared);
	free(s->buffer);
}

/* ---- what is damaged -------------------------------------------------- */

struct damage {
	struct salvage *s;
	const char *what;
	uint64_t size;
	bool any;
};

static int bad_value(void *arg, uint64_t start, uint64_t end)
{
	struct damage *x = arg;
	x->any = true;
	tell_bad(&x->s->tell,
		 "%s: bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64
		 " are damaged%s",
		 x->what, start, end - 1, x->size,
		 x->s->options->zeros ? ": zeros in their place" : "");
	return 0;
}

/* Verify a value. 0: sound. 1: damaged, which was told. */
static int verify(struct salvage *s, const struct data *d, const char *what)
{
	struct damage x = { .s = s, .what = what, .size = d->size };
	uint64_t stored = 0;
	uint64_t own = 0;
	int rc = verify_value(&s->verifier, &s->rows, d, bad_value, &x, &stored,
			      &own);
	if (rc)
		return rc;
	if (x.any)
		return 1;
	if ((d->contents == CONTENTS_EXTENTS || d->contents == CONTENTS_ROWS) &&
	    stored != d->stored) {
		tell_bad(&s->tell,
			 "%s: %" PRIu64 " bytes of its value are there, of "
			 "%" PRIu64,
			 what, stored, d->stored);
		return 1;
	}
	if (own > s->src.size - s->claimed) {
		tell_bad(&s->tell,
			 "%s: its value is made of other values' bytes", what);
		return -EUCLEAN;
	}
	s->claimed += own;
	return 0;
}

/* ---- where bytes go --------------------------------------------------- */

static int put_extent_row(struct copy *c, uint64_t at, const struct extent *e)
{
	struct row_key key;
	struct buf value = BUF_INIT;
	row_key_extent(&key, c->d->id, at);
	extent_encode(e, &value);
	int rc = value.failed ?
			 -ENOMEM :
			 rebuild_put(&c->s->out, &key, value.data, value.len);
	buf_free(&value);
	return rc;
}

/* Append an extent to the value */
static int add_extent(struct copy *c, uint64_t at, const struct extent *e)
{
	struct data *d = c->d;
	d->stored += e->length;
	if (d->contents == CONTENTS_ROWS)
		return put_extent_row(c, at, e);
	if (d->extents < EXTENTS_IN_ROW) {
		d->contents = CONTENTS_EXTENTS;
		d->extent[d->extents].at = at;
		d->extent[d->extents++].e = *e;
		return 0;
	}
	d->contents = CONTENTS_ROWS;
	for (uint32_t i = 0; i < d->extents; i++) {
		int rc = put_extent_row(c, d->extent[i].at, &d->extent[i].e);
		if (rc)
			return rc;
	}
	d->extents = 0;
	return put_extent_row(c, at, e);
}

static int flush(struct copy *c)
{
	struct runs runs = { 0 };
	size_t n = c->buffered;
	c->buffered = 0;
	if (!n)
		return 0;
	int rc = rebuild_stage(&c->s->out, c->s->buffer, n, c->at, &runs);
	for (size_t i = 0; !rc && i < runs.count; i++)
		rc = add_extent(c, runs.run[i].at, &runs.run[i].e);
	runs_free(&runs);
	return rc;
}

/* ---- payloads that are shared ----------------------------------------- */

static struct shared_payload *find_shared(const struct salvage *s,
					  const struct extent *e)
{
	uint64_t hash = e->payload * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(hash >> 32) & s->shared_mask;
	while (s->shared[i].payload &&
	       (s->shared[i].payload != e->payload ||
		s->shared[i].payload_len != e->payload_len ||
		s->shared[i].sum != e->sum))
		i = (i + 1) & s->shared_mask;
	return &s->shared[i];
}

static int grow_shared(struct salvage *s)
{
	size_t n = s->shared ? (s->shared_mask + 1) * 2 : 64;
	struct salvage bigger = { .shared_mask = n - 1 };
	bigger.shared = calloc(n, sizeof(*bigger.shared));
	if (!bigger.shared)
		return -ENOMEM;
	for (size_t i = 0; s->shared && i <= s->shared_mask; i++) {
		const struct shared_payload *p = &s->shared[i];
		struct extent e = { .payload = p->payload,
				    .payload_len = p->payload_len,
				    .sum = p->sum };
		if (p->payload)
			*find_shared(&bigger, &e) = *p;
	}
	free(s->shared);
	s->shared = bigger.shared;
	s->shared_mask = bigger.shared_mask;
	return 0;
}

/* The copy of an extent's payload, made if there is none yet. NULL: it cannot
 * be had as a whole. */
static int copy_shared(struct salvage *s, const struct extent *e,
		       const struct shared_payload **found)
{
	*found = NULL;
	if (!s->shared || s->shared_count > s->shared_mask / 2) {
		int rc = grow_shared(s);
		if (rc)
			return rc;
	}
	struct shared_payload *p = find_shared(s, e);
	if (!p->payload) {
		if (e->payload_len > s->src.size - s->copied_shared)
			return 0;
		int rc = payload_read(s->src.file, e->payload, e->payload_len,
				      e->sum, 0, e->payload_len, s->buffer);
		if (rc)
			return is_damage(rc) ? 0 : rc;
		rc = rebuild_stage(&s->out, s->buffer, e->payload_len, 0,
				   &p->pieces);
		if (rc)
			return rc;
		s->copied_shared += e->payload_len;
		p->payload = e->payload;
		p->payload_len = e->payload_len;
		p->sum = e->sum;
		s->shared_count++;
	}
	*found = p;
	return 0;
}

/* Refer to the part of a copied payload that the extent refers to */
static int refer(struct copy *c, const struct run *run,
		 const struct shared_payload *p)
{
	uint64_t from = run->e.start;
	uint64_t to = from + run->e.length;
	for (size_t i = 0; i < p->pieces.count; i++) {
		const struct run *piece = &p->pieces.run[i];
		if (piece->at >= to || piece->at + piece->e.length <= from)
			continue;
		struct run part = run_part(piece, from, to);
		part.e.shared = true;
		int rc = add_extent(c, run->at + (part.at - from), &part.e);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- copying ---------------------------------------------------------- */

/* The bytes of one extent, chunk by chunk where some are damaged */
static int copy_bytes(struct copy *c, const struct run *run)
{
	struct salvage *s = c->s;
	uint32_t at = 0;
	while (at < run->e.length) {
		uint64_t to = run->at + at;
		uint32_t from = run->e.start + at;
		uint32_t n = JOIN_MAX;
		if (c->zeros)
			n = chunk_at(run->e.payload_len, from).end - from;
		if (n > run->e.length - at)
			n = run->e.length - at;
		if (c->buffered &&
		    (to != c->at + c->buffered || n > JOIN_MAX - c->buffered)) {
			int rc = flush(c);
			if (rc)
				return rc;
		}
		int rc = payload_read(s->src.file, run->e.payload,
				      run->e.payload_len, run->e.sum, from, n,
				      s->buffer + c->buffered);
		if (rc && !(c->zeros && is_damage(rc)))
			return rc;
		if (!rc) {
			if (!c->buffered)
				c->at = to;
			c->buffered += n;
		}
		at += n;
	}
	return 0;
}

static int copy_run(struct copy *c, const struct run *run)
{
	const struct shared_payload *p = NULL;
	int rc = 0;
	if (run->e.shared) {
		rc = flush(c);
		if (!rc)
			rc = copy_shared(c->s, &run->e, &p);
	}
	if (!rc)
		rc = p ? refer(c, run, p) : copy_bytes(c, run);
	return rc ? rc : salvage_step(c->s, run->e.length);
}

/* Copy the contents of `old` to c->d, which has none yet */
static int copy_contents(struct copy *c, const struct data *old)
{
	struct extent_iter it;
	struct run run;
	int rc = extent_iter_open(&it, &c->s->rows, old, 0, UINT64_MAX);
	while (!rc && (rc = extent_iter_next(&it, &run)) == 0)
		rc = copy_run(c, &run);
	extent_iter_close(&it);
	if (c->zeros && rc == -EUCLEAN)
		rc = 0; /* rows that make no sense end it: a hole */
	return rc < 0 ? rc : flush(c);
}

int salvage_value(struct salvage *s, struct data *d, const char *what)
{
	struct data old = *d;
	struct copy c = { .s = s, .d = d };
	if (d->contents == CONTENTS_NONE || d->contents == CONTENTS_INLINE)
		return salvage_step(s, 2 * d->stored);
	if (!s->buffer)
		s->buffer = malloc(BUFFER_SIZE);
	if (!s->buffer)
		return -ENOMEM;
	int rc = verify(s, d, what);
	if (rc == -EUCLEAN)
		return 1;
	if (rc < 0 || (rc && !s->options->zeros))
		return rc;
	c.zeros = rc;
	d->contents = CONTENTS_NONE;
	d->extents = 0;
	d->stored = 0;
	return copy_contents(&c, &old);
}

/* ---- extended attributes ---------------------------------------------- */

struct xattrs {
	struct salvage *s;
	const char *what;
};

/* The value's bytes, from their extents: 0, 1 if damaged, or an error */
static int gather(struct salvage *s, const struct extent *e, int count,
		  struct buf *bytes)
{
	for (int i = 0; i < count; i++) {
		uint8_t *to = buf_reserve(bytes, e[i].length);
		if (!to)
			return -ENOMEM;
		int rc = payload_read(s->src.file, e[i].payload,
				      e[i].payload_len, e[i].sum, e[i].start,
				      e[i].length, to);
		if (rc)
			return is_damage(rc) ? 1 : rc;
		bytes->len += e[i].length;
	}
	return 0;
}

/* Write a long value to the new file, and the row that refers to it */
static int put_long(struct salvage *s, const struct row_key *key,
		    const struct buf *bytes)
{
	struct runs runs = { 0 };
	struct buf row = BUF_INIT;
	int rc = rebuild_stage(&s->out, bytes->data, bytes->len, 0, &runs);
	if (!rc)
		rc = xattr_put_extents(&runs, &row);
	if (!rc)
		rc = rebuild_put(&s->out, key, row.data, row.len);
	buf_free(&row);
	runs_free(&runs);
	return rc;
}

static int copy_xattr(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct xattrs *x = arg;
	struct extent e[XATTR_EXTENTS_MAX];
	struct buf bytes = BUF_INIT;
	struct row_key k = { .len = len };
	size_t name_len = len - ROW_ID_LEN;
	memcpy(k.bytes, key, len);
	int count = xattr_extents(value, value_len, e);
	int rc = count < 0 || !xattr_named(key, len) ? 1 : 0;
	if (!rc)
		rc = gather(x->s, e, count, &bytes);
	if (!rc)
		rc = count ? put_long(x->s, &k, &bytes) :
			     rebuild_put(&x->s->out, &k, value, value_len);
	buf_free(&bytes);
	if (rc == 1) {
		tell_bad(&x->s->tell, "%s: its attribute %.*s is damaged",
			 x->what, (int)(name_len > 255 ? 255 : name_len),
			 (const char *)key + ROW_ID_LEN);
		rc = 0;
	}
	return rc;
}

int salvage_xattrs(struct salvage *s, uint64_t id, const char *what)
{
	struct row_key prefix;
	struct xattrs x = { s, what };
	row_key_id(&prefix, ROW_XATTR, id);
	return rows_visit(&s->rows, prefix.bytes, prefix.len, copy_xattr, &x);
}
