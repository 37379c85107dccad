/* SPDX-License-Identifier: MIT */
#include "model/coalesce.h"

#include <stdlib.h>
#include <string.h>

#include "model/contents_read.h"
#include "model/extent_io.h"
#include "model/extents.h"

/* So many extents at the least, the new one included, are worth joining */
#define JOIN_MIN 8u
/* An append, or an extent, of this part of a block is large enough to stay as it
 * is */
#define LARGE_PART 8u
/* And so is an append of this size, whatever the block */
#define APPEND_MAX 512u

/* More extents than this do not go in one operation; only a value that was
 * written before there was this module has so many in a block */
#define JOIN_MAX 4096u

/* The extents at the end of a block that touch each other and are small */
struct tail {
	uint64_t from;
	uint64_t end;
	unsigned count;
};

static void tail_add(struct tail *t, const struct run *run, uint64_t small)
{
	if (run->e.length >= small || run->e.shared) {
		t->count = 0;
		return;
	}
	if (t->count == 0 || t->end != run->at || t->count == JOIN_MAX) {
		t->from = run->at;
		t->count = 0;
	}
	t->end = run->at + run->e.length;
	t->count++;
}

/* Those that begin in [floor, offset) and reach up to offset */
static int find_tail(const struct state *s, const struct data *d,
		     uint64_t floor, uint64_t offset, uint64_t small,
		     struct tail *tail)
{
	struct extent_iter it;
	struct run run;
	struct tail t = { 0 };
	int rc = extent_iter_open(&it, s, d, floor, offset);
	if (rc)
		return rc;
	while ((rc = extent_iter_next(&it, &run)) == 0 && run.at < offset)
		if (run.at >= floor)
			tail_add(&t, &run, small);
	extent_iter_close(&it);
	if (rc < 0)
		return rc;
	if (t.count && t.end < offset)
		t.count = 0;
	*tail = t;
	return 0;
}

/* From where the write of [offset, end) should take along what there is */
static bool is_time(const struct state *s, const struct data *d,
		    uint64_t offset, uint64_t end, uint64_t *from)
{
	struct tail t;
	if (d->contents != CONTENTS_ROWS || offset > d->size ||
	    end <= d->size || end - offset >= APPEND_MAX)
		return false;
	for (size_t i = 0; i < JOIN_BLOCKS; i++) {
		uint64_t block = join_blocks[i];
		if (offset / block == end / block)
			continue;
		if (end - offset >= block / LARGE_PART)
			return false;
		if (find_tail(s, d, offset - offset % block, offset,
			      block / LARGE_PART, &t))
			return false;
		if (t.count + 1 >= JOIN_MIN) {
			*from = t.from;
			return true;
		}
	}
	return false;
}

/*
 * The bytes go to the file right away: the old ones need not stay in memory
 * then, and if they do not fit we learn it while there is still a choice.
 */
static int stage_joined(struct txn *txn, const struct data *d, uint64_t from,
			const void *bytes, size_t size, uint64_t offset,
			struct runs *runs)
{
	size_t before = (size_t)(offset - from);
	/* For the operation, too, and where the log may have to go on after a
	 * failed write */
	int rc = log_reserve(txn->log, before + size + SEGMENT_SIZE);
	uint8_t *all = rc ? NULL : malloc(before + size);
	if (!all)
		return 1;
	rc = contents_read(&txn->state, d, all, before, from);
	if (!rc) {
		memcpy(all + before, bytes, size);
		rc = extent_stage(txn, all, before + size, from, runs);
	}
	if (!rc) {
		rc = log_flush(txn->log);
		if (rc)
			log_abort(txn->log);
	}
	free(all);
	return rc ? 1 : 0;
}

int coalesce_write(struct txn *txn, struct data *d, const void *bytes,
		   size_t size, uint64_t offset)
{
	struct runs fresh = { 0 };
	uint64_t from = 0;
	if (!is_time(&txn->state, d, offset, offset + size, &from))
		return 1;
	int rc = stage_joined(txn, d, from, bytes, size, offset, &fresh);
	if (!rc)
		rc = extents_replace(txn, d, from, offset + size, &fresh);
	runs_free(&fresh);
	return rc;
}
