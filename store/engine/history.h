/* SPDX-License-Identifier: MIT */
/*
 * history.h - what the file knows of the past, step by step.
 *
 * A step is an operation in the log, as the rows that it changed. Where a vacuum
 * has kept a freeze and left out the operations before it, it is the whole way
 * from the freeze before: as the rows in which the two differ. The steps begin
 * behind the first freeze in the file, whose state is `base`.
 */
#ifndef STORE_ENGINE_HISTORY_H
#define STORE_ENGINE_HISTORY_H

#include "engine/past.h"
#include "engine/read_txn.h"
#include "table/merged_diff.h"

/* Both sides of a step without operations */
struct history_gap {
	struct view_state before, after;
	struct read_txn from, to;
	struct merged_diff *rows;
};

struct history {
	struct store *store;
	struct view *now; /* one reference; where the past is looked for */
	struct view_state first;
	struct read_txn base; /* of `first` */
	timestamp began; /* the time of that freeze */
	uint64_t begin; /* where the steps begin in the log */

	/* The step */
	uint64_t offset; /* of its record */
	timestamp time;
	uint64_t first_new; /* ids from here on were given in it */
	bool gap;

	/* How it is read */
	struct log_scan scan;
	struct log_record record;
	struct redo_reader rows;
	struct history_gap sides;
	uint64_t next_id; /* after the step */
	uint64_t tail; /* offset from which operations are counted, */
	uint64_t left; /* and how many of these there are; UINT64_MAX: all */
};

/* 0 or an error, after which nothing is to be closed */
int history_open(struct store *store, struct history *h);
void history_close(struct history *h);

/* 0: the next step, 1: there are no more, or an error */
int history_next(struct history *h);

/*
 * A position in the log before which the state before the step ends: a freeze
 * has the step if its replay position is greater, and else the state before it.
 * (Both sides of a gap are freezes, of which the later one's record is the step.)
 */
static inline uint64_t history_cut(const struct history *h)
{
	return h->gap ? h->offset - 1 : h->offset;
}

/* Begin with the rows of the step, in key order; they can be read any number of
 * times. 0 or an error. */
int history_rows(struct history *h);
/* 0: a row that was put, or deleted if its value is NULL; valid until the next
 * call. 1: there are no more. Or an error. */
int history_row(struct history *h, struct row_change *row);

/* The state before the step, or after it. The view is the caller's. */
int history_before(struct history *h, struct view_state *past);
int history_after(struct history *h, struct view_state *past);

/*
 * In the writer's turn: is the past that was read still that of the file, so that
 * bytes to which it refers can be referred to again? A vacuum may have put
 * another file in its place meanwhile.
 */
bool history_is_current(const struct history *h);

#endif
