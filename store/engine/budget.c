/* SPDX-License-Identifier: MIT */
#include "engine/budget.h"

/* Limits below this are small */
#define SMALL_LIMIT (128u << 20)
/* Rows in a full redo table, whatever their size: replay takes its time */
#define TABLE_ROWS_MAX 2000000u
/* Fewer rows than this say nothing about the order in which rows come */
#define ORDER_ROWS_MIN 10000u
/* What a table of rows in order may have, as a part of others' limit */
#define ORDER_PART 6u
/* Nodes get more or less in steps of this part of the limit */
#define STEPS 64u
/* Their pool is trimmed when they have got less by this part */
#define TRIM_PART 32u
/* What is left for writers while a full table is being merged, as a part */
#define SLACK_PART 32u
/* For nodes under a limit that is not small, in bytes, if a 32nd is less */
#define NODES_LEAST (8u << 20)

/* For nodes at the least. Inner ones of 10 million rows take 12 MiB with small
 * leaves, and 6 with others; leaves are in the system's cache, too. */
static uint64_t nodes_least(uint64_t limit)
{
	if (limit < SMALL_LIMIT)
		return limit / 8;
	return limit / 32 > NODES_LEAST ? limit / 32 : NODES_LEAST;
}

uint64_t budget_nodes(uint64_t limit, uint64_t tables)
{
	uint64_t least = nodes_least(limit);
	return tables + least < limit ? limit - tables : least;
}

uint64_t budget_table(uint64_t limit)
{
	if (limit < SMALL_LIMIT)
		return limit / 4 * 3;
	return limit - nodes_least(limit) - limit / SLACK_PART;
}

size_t budget_leaf(uint64_t limit)
{
	return limit < SMALL_LIMIT ? NODE_TARGET / 2 : NODE_TARGET;
}

static bool in_order(const struct redo_table *t)
{
	size_t rows = redo_table_rows(t);
	return rows >= ORDER_ROWS_MIN &&
	       redo_table_in_order(t) >= rows / 10 * 9;
}

bool budget_table_full(const struct store *store,
		       const struct redo_table *active)
{
	uint64_t limit = store->table_limit;
	if (in_order(active))
		limit /= ORDER_PART;
	return redo_table_bytes(active) >= limit ||
	       redo_table_rows(active) >= TABLE_ROWS_MAX;
}

bool budget_exhausted(const struct store *store, const struct view *v,
		      bool makes_room)
{
	if (!v->frozen)
		return false;
	uint64_t active = redo_table_bytes(v->active);
	/* What makes room must go on where freezes fail for lack of it */
	if (makes_room)
		return active >= 2 * store->table_limit;
	return active >= store->table_limit ||
	       view_bytes(v) >=
		       store->cache_limit - nodes_least(store->cache_limit) ||
	       redo_table_rows(v->active) >= TABLE_ROWS_MAX;
}

/*
 * What nodes have left is in holes of their pool, and tables take theirs from
 * the system: without this both would have it. (Loading 2 million rows in random
 * order under 64 MiB took 118 MiB.)
 */
static void trim(struct store *store, uint64_t nodes)
{
	if (nodes > store->trimmed)
		store->trimmed = nodes;
	if (store->trimmed - nodes < store->cache_limit / TRIM_PART)
		return;
	store->trimmed = nodes;
	cache_trim(store->cache);
}

void budget_follow(struct store *store, const struct view *v)
{
	uint64_t tables = view_bytes(v) + atomic_load(&store->successor_bytes);
	if (store->host) { /* which follows with its next operation */
		atomic_store(&store->host->successor_bytes, tables);
		return;
	}
	uint64_t was = atomic_load(&store->tables_bytes);
	uint64_t step = store->cache_limit / STEPS;
	if (tables < was + step && was < tables + step)
		return;
	atomic_store(&store->tables_bytes, tables);
	uint64_t nodes = budget_nodes(store->cache_limit, tables);
	cache_set_limit(store->cache, nodes);
	trim(store, nodes);
}
