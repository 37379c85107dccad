/* SPDX-License-Identifier: MIT */
/*
 * last_path.h - the path of a key space that may have been deleted.
 *
 * It leads through names: a key space may have taken the place of another since, or
 * several, one after the other. A path stands for what had it last.
 */
#ifndef STORE_API_LAST_PATH_H
#define STORE_API_LAST_PATH_H

#include "api/deletions.h"

struct last_path {
	struct deletions *d;
	const struct read_txn *now; /* pinned */
	/* The key space that was looked for last; 0: none */
	uint64_t space;
	uint64_t last; /* which had its path last; 0: there is no path */
	struct buf path; /* with a slash at its end */
	struct buf names, ids; /* from it up to one that exists */
};

/* Find the path of a key space, and what had it last: 0 or an error */
int last_path_find(struct last_path *p, uint64_t space);
/* After the path was changed */
void last_path_forget(struct last_path *p);
void last_path_free(struct last_path *p);

#endif
