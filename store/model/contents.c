/* SPDX-License-Identifier: MIT */
#include "model/contents.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "model/coalesce.h"
#include "model/extent_io.h"

/* A short value that outgrows its row moves to the log together with what is
 * appended, up to this many bytes */
#define GATHER_MAX 4096u

/* ---- writing ---------------------------------------------------------- */

static void set_inline(struct data *d, size_t len)
{
	d->contents = len ? CONTENTS_INLINE : CONTENTS_NONE;
	d->inline_len = (uint32_t)len;
	d->stored = len;
}

static void write_inline(struct data *d, const void *bytes, size_t size,
			 size_t offset)
{
	size_t len = d->contents == CONTENTS_INLINE ? d->inline_len : 0;
	if (offset > len)
		memset(d->inline_bytes + len, 0, offset - len);
	memcpy(d->inline_bytes + offset, bytes, size);
	set_inline(d, offset + size > len ? offset + size : len);
}

static int write_extents(struct txn *txn, struct data *d, const uint8_t *bytes,
			 size_t size, uint64_t offset)
{
	struct runs fresh = { 0 };
	int rc = extent_stage(txn, bytes, size, offset, &fresh);
	if (!rc)
		rc = extents_replace(txn, d, offset, offset + size, &fresh);
	runs_free(&fresh);
	return rc;
}

/* Bytes in the row go to the log; *d then has extents or nothing */
static int move_out(struct txn *txn, struct data *d)
{
	size_t len = d->inline_len;
	if (d->contents != CONTENTS_INLINE)
		return 0;
	struct data moved = *d;
	set_inline(&moved, 0);
	int rc = write_extents(txn, &moved, d->inline_bytes, len, 0);
	if (!rc)
		*d = moved;
	return rc;
}

/* A short value grows into a somewhat longer one: one extent for all of it */
static int gather(struct txn *txn, struct data *d, const void *bytes,
		  size_t size, size_t offset)
{
	uint8_t all[GATHER_MAX];
	size_t len = d->inline_len;
	size_t end = offset + size > len ? offset + size : len;
	memcpy(all, d->inline_bytes, len);
	if (offset > len)
		memset(all + len, 0, offset - len);
	memcpy(all + offset, bytes, size);
	set_inline(d, 0);
	return write_extents(txn, d, all, end, 0);
}

int contents_write(struct txn *txn, struct data *d, const void *bytes,
		   size_t size, uint64_t offset)
{
	uint64_t end = offset + size;
	uint64_t new_size = end > d->size ? end : d->size;
	int rc = 0;
	if (size == 0)
		return 0;
	if (data_is_short(d) && end <= INLINE_MAX && new_size <= INLINE_MAX) {
		write_inline(d, bytes, size, (size_t)offset);
	} else if (d->contents == CONTENTS_INLINE && end <= GATHER_MAX &&
		   offset <= d->inline_len) {
		rc = gather(txn, d, bytes, size, (size_t)offset);
	} else {
		rc = move_out(txn, d);
		if (!rc)
			rc = coalesce_write(txn, d, bytes, size, offset);
		if (rc == 1)
			rc = write_extents(txn, d, bytes, size, offset);
	}
	if (!rc)
		d->size = new_size;
	return rc;
}

int contents_resize(struct txn *txn, struct data *d, uint64_t size)
{
	static const struct runs none;
	int rc = 0;
	if (size < d->size) {
		if (data_is_short(d)) {
			size_t len = d->contents == CONTENTS_INLINE ?
					     d->inline_len :
					     0;
			set_inline(d, size < len ? (size_t)size : len);
		} else {
			rc = extents_replace(txn, d, size, d->size, &none);
		}
	}
	if (!rc)
		d->size = size;
	return rc;
}

int contents_can_cut(const struct state *s, const struct data *d, uint64_t size,
		     uint64_t *to)
{
	/* Twice over: count them, then find the one where the cut may begin */
	uint64_t count = 0;
	uint64_t skip = 0;
	uint64_t cut = size;
	for (unsigned pass = 0; pass < 2; pass++) {
		struct extent_iter it;
		struct run run;
		int rc = extent_iter_open(&it, s, d, size, UINT64_MAX);
		if (rc)
			return rc;
		for (uint64_t i = 0; !(rc = extent_iter_next(&it, &run)); i++) {
			if (pass == 0)
				count++;
			else if (i < skip)
				cut = run.at + run.e.length;
			else
				break;
		}
		extent_iter_close(&it);
		if (rc < 0)
			return rc;
		if (count > EXTENTS_PER_OPERATION)
			skip = count - EXTENTS_PER_OPERATION;
	}
	*to = cut;
	return 0;
}

int contents_punch(struct txn *txn, struct data *d, uint64_t offset,
		   uint64_t size)
{
	static const struct runs none;
	uint64_t end = offset + size < d->size ? offset + size : d->size;
	if (offset >= end)
		return 0;
	if (!data_is_short(d))
		return extents_replace(txn, d, offset, end, &none);
	if (d->contents == CONTENTS_INLINE && offset < d->inline_len) {
		size_t to = end < d->inline_len ? (size_t)end : d->inline_len;
		if (to == d->inline_len)
			set_inline(d, (size_t)offset);
		else
			memset(d->inline_bytes + offset, 0, to - offset);
	}
	return 0;
}

/* ---- cloning ---------------------------------------------------------- */

/* The source's runs, cut to the range and moved to where the target has them */
static int shift(const struct runs *whole, uint64_t from, uint64_t to,
		 uint64_t target, struct runs *shifted)
{
	for (size_t i = 0; i < whole->count; i++) {
		struct run part = run_part(&whole->run[i], from, to);
		part.e.shared = true;
		int rc = runs_add(shifted, target + (part.at - from), &part.e);
		if (rc)
			return rc;
	}
	return 0;
}

static int clone_extents(struct txn *txn, struct data *source, uint64_t from,
			 struct data *target, uint64_t at, size_t most,
			 uint64_t *size)
{
	struct runs whole = { 0 };
	struct runs shifted = { 0 };
	int rc = extents_collect(&txn->state, source, from, from + *size, most,
				 &whole);
	if (rc == -E2BIG) {
		/* Those that were collected, then: up to the last one's end */
		const struct run *last = &whole.run[whole.count - 1];
		*size = last->at + last->e.length - from;
		rc = 0;
	}
	if (!rc)
		rc = shift(&whole, from, from + *size, at, &shifted);
	if (!rc)
		rc = move_out(txn, target);
	if (!rc)
		rc = extents_share(txn, source, &whole);
	if (!rc)
		rc = extents_replace(txn, target, at, at + *size, &shifted);
	runs_free(&whole);
	runs_free(&shifted);
	return rc;
}

int contents_clone(struct txn *txn, struct data *source, uint64_t source_offset,
		   struct data *target, uint64_t target_offset, uint64_t size,
		   size_t most, uint64_t *done, bool *source_changed)
{
	int rc = 0;
	*source_changed = false;
	if (data_is_short(source)) {
		uint8_t bytes[INLINE_MAX];
		/* Beyond the bytes in the row there is only a hole */
		uint64_t n = size < sizeof(bytes) ? size : sizeof(bytes);
		rc = contents_read(&txn->state, source, bytes, (size_t)n,
				   source_offset);
		if (!rc)
			rc = contents_write(txn, target, bytes, (size_t)n,
					    target_offset);
		if (!rc && n < size)
			rc = move_out(txn, target);
		if (!rc && n < size)
			rc = contents_punch(txn, target, target_offset + n,
					    size - n);
	} else {
		rc = clone_extents(txn, source, source_offset, target,
				   target_offset, most, &size);
		*source_changed = true;
	}
	if (rc)
		return rc;
	if (target_offset + size > target->size)
		target->size = target_offset + size;
	*done = size;
	return 0;
}
