/* SPDX-License-Identifier: MIT */
/* check.h - what the parts of a check share: see banyan_check(). */
#ifndef STORE_REPAIR_CHECK_H
#define STORE_REPAIR_CHECK_H

#include "engine/store.h"
#include "repair/tell.h"

/* Where the rows of a damaged node end */
struct torn {
	uint8_t upper[ROW_KEY_MAX];
	size_t upper_len;
	bool last; /* nothing is behind it: there is no upper bound */
};

struct checker {
	struct teller tell;
	struct torn *torn; /* owned: damaged nodes, in order */
	size_t torn_count;
	size_t torn_capacity;
	uint64_t visited; /* bytes of the nodes of snapshots */
};

void checker_init(struct checker *k, const struct banyan_check *options);
void checker_free(struct checker *k);

/* All of the present, and of the snapshots that it has */
int check_now(struct checker *k, struct store *store);

/*
 * The nodes of a tree. Without a `known` one those that are damaged are kept in
 * mind. With one, which was checked before, the nodes that it has as well are
 * passed by.
 */
int check_nodes(struct checker *k, struct store *store,
		const struct tree *known, const struct tree *tree);
/* Then the rows of a state, without those below damaged nodes, and what they say
 * of each other */
int check_rows(struct checker *k, struct store *store,
	       const struct view_state *now, const struct state *state);
/* The states that snapshots of a state name, once that has been checked: with
 * each damage the name is told */
int check_snapshots(struct checker *k, struct store *store,
		    const struct state *now);

#endif
