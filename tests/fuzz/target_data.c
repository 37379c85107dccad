/* SPDX-License-Identifier: MIT */
/*
 * Values of NAME, DATA and EXTENT rows: what decodes must be what it decodes
 * to, encoded; or at least decode to the same again, since a writer leaves out
 * what need not be said.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/data.h"
#include "log/format.h"
#include "targets.h"

static void assert_extent(const struct extent *e)
{
	assert(e->length > 0 && e->length <= e->payload_len);
	assert(e->start <= e->payload_len - e->length);
	assert(e->payload >= SUPERBLOCK_SIZE);
	assert(segment_end(e->payload) - e->payload >= e->payload_len);
}

static void assert_data(const struct data *d)
{
	uint64_t end = 0;
	assert(d->id > 0 && d->id <= INT64_MAX && d->size <= INT64_MAX);
	assert(data_is_space(d) == (d->parent != 0));
	assert(d->stored <= d->size);
	assert(d->extents <= EXTENTS_IN_ROW && d->inline_len <= INLINE_MAX);
	for (uint32_t i = 0; i < d->extents; i++) {
		assert_extent(&d->extent[i].e);
		assert(d->extent[i].at >= end);
		end = d->extent[i].at + d->extent[i].e.length;
	}
	assert(end <= d->size && d->inline_len <= d->size);
}

static void assert_same_extents(const struct data *a, const struct data *b)
{
	assert(a->extents == b->extents);
	for (uint32_t i = 0; i < a->extents; i++) {
		const struct extent *x = &a->extent[i].e;
		const struct extent *y = &b->extent[i].e;
		assert(a->extent[i].at == b->extent[i].at);
		assert(x->payload == y->payload && x->sum == y->sum &&
		       x->payload_len == y->payload_len &&
		       x->start == y->start && x->length == y->length &&
		       x->shared == y->shared);
	}
}

static void assert_same(const struct data *a, const struct data *b)
{
	assert(a->id == b->id && a->mode == b->mode && a->flags == b->flags &&
	       a->uid == b->uid && a->gid == b->gid && a->nlink == b->nlink &&
	       a->size == b->size && a->rdev == b->rdev &&
	       a->parent == b->parent);
	assert(a->birth == b->birth && a->atime == b->atime &&
	       a->mtime == b->mtime && a->ctime == b->ctime);
	assert(a->contents == b->contents && a->stored == b->stored &&
	       a->inline_len == b->inline_len);
	assert(!memcmp(a->inline_bytes, b->inline_bytes, a->inline_len));
	assert_same_extents(a, b);
}

/* A writer's form is the shortest, and stays as it is from then on */
static void one_data(const uint8_t *value, size_t size)
{
	static struct data a;
	static struct data b;
	struct buf first = BUF_INIT;
	struct buf again = BUF_INIT;
	if (data_decode(&a, value, size))
		return;
	assert_data(&a);
	if (!data_encode(&a, &first)) {
		int rc = data_decode(&b, first.data, first.len);
		assert(!rc);
		assert_same(&a, &b);
		assert(first.len <= size);
		if (!data_encode(&b, &again))
			assert(again.len == first.len &&
			       !memcmp(again.data, first.data, first.len));
	}
	buf_free(&first);
	buf_free(&again);
}

static void one_name(const uint8_t *value, size_t size)
{
	static struct data d;
	struct name_row row = { 0 };
	struct name_row brief = { 0 };
	struct buf again = BUF_INIT;
	int rc = name_row_decode(&row, &d, value, size);
	int same = name_row_decode(&brief, NULL, value, size);
	assert(rc == same);
	if (rc)
		return;
	assert(row.id == brief.id && row.type == brief.type &&
	       row.embedded == brief.embedded);
	if (row.embedded)
		assert(d.id == row.id && (d.mode & 0170000) == row.type);
	else if (!reference_encode(row.id, row.type, &again))
		assert(again.len == size && !memcmp(again.data, value, size));
	buf_free(&again);
}

static void one_extent(const uint8_t *value, size_t size)
{
	struct extent a = { 0 };
	struct extent b = { 0 };
	struct buf again = BUF_INIT;
	if (extent_row_decode(&a, value, size))
		return;
	assert_extent(&a);
	extent_encode(&a, &again);
	if (!again.failed) {
		int rc = extent_row_decode(&b, again.data, again.len);
		assert(!rc && again.len <= size);
		assert(a.payload == b.payload && a.start == b.start &&
		       a.payload_len == b.payload_len && a.length == b.length &&
		       a.sum == b.sum && a.shared == b.shared);
	}
	buf_free(&again);
}

void fuzz_data(const uint8_t *input, size_t size)
{
	/* Of just this size, so that sanitizers see a step beyond the end */
	uint8_t *value = malloc(size ? size : 1);
	if (!value)
		return;
	if (size)
		memcpy(value, input, size);
	one_data(value, size);
	one_name(value, size);
	one_extent(value, size);
	(void)name_check(1, (const char *)value, size);
	free(value);
}
