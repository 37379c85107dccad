/* SPDX-License-Identifier: MIT */
/*
 * merged_diff.h - in which rows two states of a store differ.
 *
 * Which rows may differ the redo tables of both tell, and a comparison of their
 * trees (tree_diff.h); each of them is looked up in both.
 */
#ifndef STORE_TABLE_MERGED_DIFF_H
#define STORE_TABLE_MERGED_DIFF_H

#include "table/merged.h"
#include "tree/tree_diff.h"

struct merged_diff;

/* Both are borrowed, of pinned read transactions. 0 or an error. */
int merged_diff_new(const struct merged *before, const struct merged *after,
		    struct merged_diff **diff);
void merged_diff_free(struct merged_diff *diff); /* NULL is fine */

/* As tree_diff_next() */
int merged_diff_next(struct merged_diff *diff, struct tree_difference *d);

#endif
