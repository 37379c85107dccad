/* SPDX-License-Identifier: MIT */
#include "model/contents_read.h"

#include <assert.h>
#include <string.h>

#include "model/extent_io.h"

static void read_inline(const struct data *d, uint8_t *to, size_t size,
			uint64_t offset)
{
	size_t n = 0;
	if (d->contents == CONTENTS_INLINE && offset < d->inline_len) {
		n = d->inline_len - (size_t)offset;
		if (n > size)
			n = size;
		memcpy(to, d->inline_bytes + offset, n);
	}
	memset(to + n, 0, size - n);
}

static int add_reads(struct extent_reads *reads, struct extent_iter *it,
		     uint8_t *to, uint64_t offset, uint64_t end)
{
	struct run run;
	uint64_t at = offset;
	int rc = 0;
	while (at < end && (rc = extent_iter_next(it, &run)) == 0) {
		uint64_t begin = run.at > at ? run.at : at;
		if (begin >= end)
			break;
		if (begin > at)
			memset(to + (at - offset), 0, begin - at);
		uint64_t skip = begin - run.at;
		uint64_t n = run.e.length - skip;
		if (n > end - begin)
			n = end - begin;
		rc = extent_reads_add(reads, &run.e, (uint32_t)skip,
				      (uint32_t)n, to + (begin - offset));
		if (rc)
			break;
		at = begin + n;
	}
	if (rc >= 0 && at < end)
		memset(to + (at - offset), 0, end - at);
	return rc < 0 ? rc : 0;
}

static int read_extents(const struct state *s, const struct data *d,
			uint8_t *to, size_t size, uint64_t offset)
{
	struct extent_reads reads;
	struct extent_iter it;
	int rc = extent_iter_open(&it, s, d, offset, offset + size);
	if (rc)
		return rc;
	extent_reads_begin(&reads, s);
	rc = add_reads(&reads, &it, to, offset, offset + size);
	extent_iter_close(&it);
	return extent_reads_end(&reads, rc);
}

int contents_read(const struct state *s, const struct data *d, void *buffer,
		  size_t size, uint64_t offset)
{
	assert(offset <= d->size && size <= d->size - offset);
	if (size == 0)
		return 0;
	if (d->contents == CONTENTS_NONE || d->contents == CONTENTS_INLINE) {
		read_inline(d, buffer, size, offset);
		return 0;
	}
	return read_extents(s, d, buffer, size, offset);
}

int contents_seek(const struct state *s, const struct data *d, uint64_t offset,
		  bool hole, uint64_t *found)
{
	struct extent_iter it;
	struct run run;
	uint64_t at = offset;
	if (data_is_short(d)) {
		uint64_t len = d->contents == CONTENTS_INLINE ? d->inline_len :
								0;
		if (!hole && offset >= len)
			return -ENXIO;
		*found = hole && offset < len ? len : offset;
		return 0;
	}
	int rc = extent_iter_open(&it, s, d, offset, UINT64_MAX);
	if (rc)
		return rc;
	while ((rc = extent_iter_next(&it, &run)) == 0) {
		if (!hole || run.at > at)
			break;
		at = run.at + run.e.length;
	}
	extent_iter_close(&it);
	if (rc < 0)
		return rc;
	if (!hole && rc == 1)
		return -ENXIO;
	if (!hole)
		at = run.at > offset ? run.at : offset;
	*found = at < d->size ? at : d->size;
	return 0;
}
