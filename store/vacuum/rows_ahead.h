/* SPDX-License-Identifier: MIT */
/*
 * rows_ahead.h - rows, some of which are fetched before they are wanted.
 *
 * What is live lies scattered over the old file, so the kernel does not see what
 * is read next and reads nothing ahead. This tells it: the values of the rows
 * that follow are on their way from the disk while one is copied.
 */
#ifndef STORE_VACUUM_ROWS_AHEAD_H
#define STORE_VACUUM_ROWS_AHEAD_H

#include "base/buf.h"
#include "file/file_aside.h"
#include "model/redo.h"

/* So many rows, of which the values have so many bytes, are fetched before */
#define AHEAD_ROWS 128u
#define AHEAD_BYTES (8u << 20)

struct ahead_row {
	struct buf key;
	struct buf value;
	bool deleted;
	uint64_t bytes; /* of what it refers to */
};

struct rows_ahead {
	struct file_aside
		*values; /* the file where they lie; NULL: nobody is told */
	int (*next)(void *arg, struct row_change *row);
	void *arg;
	int ended; /* what next has returned, if not 0 */
	struct ahead_row row[AHEAD_ROWS];
	unsigned first, count;
	uint64_t bytes; /* of all that are there */
	uint64_t told_from, told_to; /* what the kernel was told last */
};

/* next: 0 and a row that is valid until the next call; 1: no more; or an error */
void rows_ahead_init(struct rows_ahead *a, struct file_aside *values,
		     int (*next)(void *arg, struct row_change *row), void *arg);
void rows_ahead_free(struct rows_ahead *a); /* zeroed is fine */
/* As next does it. -ENOMEM. */
int rows_ahead_next(struct rows_ahead *a, struct row_change *row);

#endif
