/* SPDX-License-Identifier: MIT */
/*
 * draft.h - a database in the making: rows are put into it one by one, and
 * nobody sees it before it is published. What the model says about rows is left
 * to whoever puts them.
 */
#ifndef STORE_DRAFT_H
#define STORE_DRAFT_H

#include "db.h"
#include "extents.h"

struct draft {
	struct file *below; /* the new file */
	struct file *over; /* see file_over.h */
	banyan *db;
	struct change *c; /* the operation that is being filled, or NULL */
};

/* Begin one that will be at path; watch as in file_over.h */
int draft_open(struct draft *d, const char *path, mode_t mode,
	       uint64_t cache_bytes, int (*watch)(void *arg), void *arg);
/* Drop it: nothing is left. Zeroed is fine. */
void draft_drop(struct draft *d);
/* Make it durable and give it its name; it is dropped, whatever comes back */
int draft_publish(struct draft *d);

int draft_put(struct draft *d, const struct row_key *key, const void *value,
	      size_t len);
int draft_delete(struct draft *d, const struct row_key *key);

/* Write bytes to its log: the runs at which they then lie, from `at` on */
int draft_stage(struct draft *d, const void *bytes, size_t size, uint64_t at,
		struct runs *runs);

/* Its rows at this moment; to be ended with draft_read_end() */
int draft_read(struct draft *d, struct snapshot *s);
void draft_read_end(struct snapshot *s);

/* Is there a row? Sees what was put last. 1, 0, or an error. */
int draft_has(struct draft *d, const struct row_key *key);

/* The last operation: it says what the counters are, of all there is */
int draft_count(struct draft *d, uint64_t next_id, uint64_t keys,
		uint64_t live);

#endif
