/* SPDX-License-Identifier: MIT */
/*
 * row_index.h - rows in RAM, in key order: one writer, readers without locks.
 *
 * A B+tree of pointers to rows. Rows are added and never go; the memory of the
 * tree comes from the arena of whoever owns it. Readers may look and iterate
 * while the writer adds: they notice that they were disturbed and look again
 * (see row_index.c), which takes them microseconds at the most.
 */
#ifndef STORE_TABLE_ROW_INDEX_H
#define STORE_TABLE_ROW_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/row_limits.h"

struct index_block;

struct index_row {
	const void *_Atomic newest; /* the owner's: what the row holds */
	uint16_t key_len;
	uint8_t key[];
};

struct row_index {
	struct arena *arena;
	struct index_block *_Atomic root;
	_Atomic uint32_t shape; /* odd: blocks are being split */
	/* The writer's: where it looked last */
	struct index_block *finger;
	unsigned finger_at;
	unsigned last_at; /* where in the finger a row was added last, plus 1 */
	size_t in_order; /* rows added right behind the one added before */
	size_t missed_len; /* the key that it did not find last */
	uint8_t missed[ROW_KEY_MAX];
	bool has_missed;
};

/* 0 or -ENOMEM */
int row_index_init(struct row_index *ix, struct arena *arena);

/*
 * For the writer: the row with this key; NULL if there is none, and then
 * row_index_add() may add one with that key, at once.
 */
struct index_row *row_index_find(struct row_index *ix, const void *key,
				 size_t len);
/* 0 or -ENOMEM */
int row_index_add(struct row_index *ix, struct index_row *row);

/* A position; all zeros: none */
struct index_spot {
	const struct index_row *row;
	struct index_block *block;
	unsigned at;
	uint32_t version; /* of the block, when it was looked at */
};

/* For readers, all four: true if there is such a row. The first at or above: */
bool row_index_seek(const struct row_index *ix, const void *key, size_t len,
		    struct index_spot *spot);
/* The last one below; of all rows if key is NULL */
bool row_index_seek_before(const struct row_index *ix, const void *key,
			   size_t len, struct index_spot *spot);
bool row_index_next(const struct row_index *ix, struct index_spot *spot);
bool row_index_prev(const struct row_index *ix, struct index_spot *spot);

#endif
