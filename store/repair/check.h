/* SPDX-License-Identifier: MIT */
/* check.h - what the parts of a check share: see banyan_check(). */
#ifndef STORE_REPAIR_CHECK_H
#define STORE_REPAIR_CHECK_H

#include "engine/db.h"

/* Where the rows of a damaged node end */
struct torn {
	uint8_t upper[ROW_KEY_MAX];
	size_t upper_len;
	bool last; /* nothing is behind it: there is no upper bound */
};

struct checker {
	const struct banyan_check *options;
	int64_t damages;
	bool in_use; /* somebody has the file open for writing */
	uint64_t done; /* bytes of work, for progress */
	uint64_t total;
	bool cancelled;
	bool no_memory; /* to tell a line: the check has failed */
	struct torn *torn; /* owned: damaged nodes, in order */
	size_t torn_count;
	size_t torn_capacity;
};

/* One damage, one line */
__attribute__((format(printf, 2, 3))) void check_found(struct checker *k,
						       const char *format, ...);

/* 0, or -ECANCELED */
int check_progress(struct checker *k, uint64_t done);

/*
 * Nodes first: those that are damaged are kept in mind. Then rows, without those
 * below damaged nodes, and what they say of each other.
 */
int check_tree(struct checker *k, banyan *db);
int check_rows(struct checker *k, banyan *db);

#endif
