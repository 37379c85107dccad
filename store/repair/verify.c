/* SPDX-License-Identifier: MIT */
#include "repair/verify.h"

#include <errno.h>
#include <stdlib.h>

#include "log/payload.h"
#include "model/extents.h"

#define STEP (256u << 10)

void verifier_free(struct verifier *v)
{
	free(v->buffer);
	v->buffer = NULL;
}

/* Verify bytes that lie in one chunk. 0: sound. 1: damaged. */
static int verify_chunk(struct verifier *v, const struct extent *e,
			uint32_t from, uint32_t size)
{
	uint32_t chunk = chunk_at(e->payload_len, from).number;
	uint64_t hash = (e->payload + chunk * UINT64_C(0x10001)) *
			UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(hash >> 40) % VERIFIED_MAX;
	if (v->seen[i].payload == e->payload && v->seen[i].chunk == chunk &&
	    v->seen[i].sum == e->sum &&
	    v->seen[i].payload_len == e->payload_len)
		return !v->seen[i].sound;
	int rc = payload_read(v->file, e->payload, e->payload_len, e->sum, from,
			      size, v->buffer);
	if (rc && !is_damage(rc))
		return rc;
	v->seen[i].payload = e->payload;
	v->seen[i].payload_len = e->payload_len;
	v->seen[i].sum = e->sum;
	v->seen[i].chunk = chunk;
	v->seen[i].sound = rc == 0;
	return rc ? 1 : 0;
}

/* Verify [from, to) of the payload chunk by chunk, and tell damaged chunks */
static int find_damage(struct verifier *v, const struct extent *e,
		       uint32_t from, uint32_t to,
		       int (*bad)(void *arg, uint32_t start, uint32_t end),
		       void *arg)
{
	int rc = 0;
	while (rc == 0 && from < to) {
		uint32_t n = chunk_at(e->payload_len, from).end - from;
		if (n > to - from)
			n = to - from;
		rc = verify_chunk(v, e, from, n);
		if (rc > 0)
			rc = bad(arg, from - e->start, from - e->start + n);
		from += n;
	}
	return rc;
}

int verify_extent(struct verifier *v, const struct extent *e,
		  int (*bad)(void *arg, uint32_t start, uint32_t end),
		  void *arg)
{
	uint32_t from = e->start;
	uint32_t to = e->start + e->length;
	if (!v->buffer)
		v->buffer = malloc(STEP);
	if (!v->buffer)
		return -ENOMEM;
	while (from < to) {
		uint32_t n = STEP - from % STEP;
		int rc = -EBADMSG;
		if (n > to - from)
			n = to - from;
		if (n > chunk_size(e->payload_len))
			rc = payload_read(v->file, e->payload, e->payload_len,
					  e->sum, from, n, v->buffer);
		if (is_damage(rc))
			rc = find_damage(v, e, from, from + n, bad, arg);
		if (rc)
			return rc;
		from += n;
	}
	return 0;
}

/* Damaged bytes of a value; adjacent ones are joined to one range */
struct damage {
	verify_bad *bad;
	void *arg;
	uint64_t at; /* of the extent in the value */
	uint64_t start; /* of the range that may still grow */
	uint64_t end; /* 0: there is none */
};

static int end_range(struct damage *x)
{
	return x->end ? x->bad(x->arg, x->start, x->end) : 0;
}

static int add_range(struct damage *x, uint64_t start, uint64_t end)
{
	if (!x->end || start > x->end) {
		int rc = end_range(x);
		if (rc)
			return rc;
		x->start = start;
	}
	x->end = end > start ? end : start + 1;
	return 0;
}

static int bad_in_value(void *arg, uint32_t start, uint32_t end)
{
	struct damage *x = arg;
	return add_range(x, x->at + start, x->at + end);
}

int verify_value(struct verifier *v, const struct state *s,
		 const struct data *d, verify_bad *bad, void *arg,
		 uint64_t *stored, uint64_t *own)
{
	struct extent_iter it;
	struct run run = { 0 };
	struct damage x = { .bad = bad, .arg = arg };
	uint64_t end = 0;
	*stored = *own = 0;
	int rc = extent_iter_open(&it, s, d, 0, UINT64_MAX);
	while (!rc && (rc = extent_iter_next(&it, &run)) == 0) {
		x.at = run.at;
		end = run.at + run.e.length;
		*stored += run.e.length;
		*own += run.e.shared ? 0 : run.e.length;
		rc = verify_extent(v, &run.e, bad_in_value, &x);
		if (!rc && v->step)
			rc = v->step(v->arg, run.e.length);
	}
	extent_iter_close(&it);
	if (is_damage(rc))
		rc = add_range(&x, end, d->size);
	return rc < 0 ? rc : end_range(&x);
}
