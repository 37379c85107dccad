/* SPDX-License-Identifier: MIT */
/*
 * budget.h - how the limit of RAM is divided between redo tables and nodes.
 *
 * A table may grow to 15/16 of the limit before it is frozen: the more rows a
 * merge has, the fewer leaves are written for each. Loading 10 million rows of
 * 16 + 100 bytes in random order under 64 MiB, tables of a quarter write each
 * leaf twice as often. While it is merged, writers have half of the rest before
 * they wait, 40 000 such rows under 256 MiB; more for them (27/32, and 120 000)
 * was a tenth more to write. Rows that come in order touch few leaves in any
 * case, so a table that gets them is frozen early: the merge then runs beside
 * the loading. Nodes have what tables leave, but the inner ones of 10 million
 * rows always have room. Under a small limit that takes an eighth, and a table
 * has three quarters.
 */
#ifndef STORE_ENGINE_BUDGET_H
#define STORE_ENGINE_BUDGET_H

#include "engine/store.h"

/* Limit of the nodes in the cache at first, and of a table for rows in no
 * order, given the limit of all */
uint64_t budget_nodes(uint64_t limit, uint64_t tables);
uint64_t budget_table(uint64_t limit);

/*
 * Bytes of a full leaf. Smaller ones are written less often for rows that come
 * in random order, and a small cache has more of the rows that are wanted; reads
 * from a large one are a tenth slower.
 */
size_t budget_leaf(uint64_t limit);

/* Is it time to freeze the active table? in the writer's turn. */
bool budget_table_full(const struct store *store,
		       const struct redo_table *active);

/* Must writers wait until the table that is being frozen is gone? */
bool budget_exhausted(const struct store *store, const struct view *v,
		      bool makes_room);

/* Tables have grown, or one is gone: give the nodes the rest */
void budget_follow(struct store *store, const struct view *v);

#endif
