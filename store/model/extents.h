/* SPDX-License-Identifier: MIT */
/*
 * extents.h - which bytes of the log a value is made of.
 *
 * The extents of a value lie in its Data (up to four) or in EXTENT rows. These
 * functions hide which. Extents never overlap; between them are holes.
 */
#ifndef STORE_MODEL_EXTENTS_H
#define STORE_MODEL_EXTENTS_H

#include "model/txn.h"
#include "model/data.h"

/* An extent at its place in a value */
struct run {
	uint64_t at;
	struct extent e;
};

/* Zeroed: empty */
struct runs {
	struct run *run;
	size_t count;
	size_t capacity;
};

void runs_free(struct runs *r);
int runs_add(struct runs *r, uint64_t at, const struct extent *e);

/* What of the run lies in [from, to), which it must touch */
struct run run_part(const struct run *r, uint64_t from, uint64_t to);

/*
 * Extents that were joined (coalesce.h) begin where the first one did that had
 * begun in a block of the value. Blocks are of these sizes.
 */
static const uint32_t join_blocks[] = { 1u << 20, 1u << 13, 1u << 8 };
#define JOIN_BLOCKS (sizeof(join_blocks) / sizeof(join_blocks[0]))

/* Iterate over the extents of a value that touch [from, to), in order */
struct extent_iter {
	const struct state *state;
	const struct data *data;
	uint64_t begin; /* of the extent before */
	uint64_t end;
	uint32_t next; /* in data->extent */
	struct merged_cursor *cursor;
	struct merged_bounds bounds;
	bool at_row; /* the cursor stands on the next one, */
	bool left_behind; /* or on the one before */
	/* Rows that a sound file does not have are an error rather than passed
	 * over; set it after the opening */
	bool every_row;
};

/* to: what begins there or behind it is of no interest, but of few extents it may
 * come all the same. That spares a step over each row there that is deleted. */
int extent_iter_open(struct extent_iter *it, const struct state *s,
		     const struct data *d, uint64_t from, uint64_t to);
void extent_iter_close(struct extent_iter *it);
/* 0: *run is the next one. 1: there is none. Negative: an error. */
int extent_iter_next(struct extent_iter *it, struct run *run);

/*
 * Add to *runs the extents that touch [from, to), whole. -E2BIG if there are
 * more than `most`.
 */
int extents_collect(const struct state *s, const struct data *d, uint64_t from,
		    uint64_t to, size_t most, struct runs *runs);

/*
 * Let [from, to) of the value be made of these runs, which lie in it, and of
 * holes. The caller puts the Data itself.
 */
int extents_replace(struct txn *txn, struct data *d, uint64_t from, uint64_t to,
		    const struct runs *runs);

/* Set the shared bit of these extents of the value */
int extents_share(struct txn *txn, struct data *d, const struct runs *runs);

/* More extents than this are not changed by one operation */
#define EXTENTS_PER_OPERATION 100000u

#endif
