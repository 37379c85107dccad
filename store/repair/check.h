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
};

void checker_init(struct checker *k, const struct banyan_check *options);
void checker_free(struct checker *k);

/*
 * Nodes first: those that are damaged are kept in mind. Then rows, without those
 * below damaged nodes, and what they say of each other.
 */
int check_tree(struct checker *k, struct store *store);
int check_rows(struct checker *k, struct store *store);

#endif
