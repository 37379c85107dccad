/* SPDX-License-Identifier: MIT */
/*
 * rebuild.h - a database in the making: rows are put into it one by one, and
 * nobody sees it before it is published. What the model says about rows is left
 * to whoever puts them.
 */
#ifndef STORE_ENGINE_REBUILD_H
#define STORE_ENGINE_REBUILD_H

#include "engine/read_txn.h"
#include "model/extents.h"

struct rebuild {
	struct file *below; /* the new file */
	struct file *over; /* see file_overlay.h */
	struct store *store;
	struct txn *txn; /* the operation that is being filled, or NULL */
};

/*
 * Begin one in a new file, which is taken over, even on failure; watch as in
 * file_overlay.h.
 */
int rebuild_open(struct rebuild *d, struct file *below, uint64_t cache_bytes,
		 int (*watch)(void *arg), void *arg);
/*
 * The same in a file that gets no name, for rows that only this process needs
 * and that may be too many for memory. It lies in the directory of `beside`, or
 * where none can be made there in that for temporary files.
 */
int rebuild_open_scratch(struct rebuild *d, struct file *beside,
			 uint64_t cache_bytes);
/* The same for one that will be at path */
int rebuild_create(struct rebuild *d, const char *path, mode_t mode,
		   uint64_t cache_bytes, int (*watch)(void *arg), void *arg);
/* Drop it: nothing is left. Zeroed is fine. */
void rebuild_drop(struct rebuild *d);
/* Make it durable and give it its name; it is dropped, whatever comes back */
int rebuild_publish(struct rebuild *d);

int rebuild_put(struct rebuild *d, const struct row_key *key, const void *value,
		size_t len);
int rebuild_delete(struct rebuild *d, const struct row_key *key);

/* Write bytes to its log: the runs at which they then lie, from `at` on */
int rebuild_stage(struct rebuild *d, const void *bytes, size_t size,
		  uint64_t at, struct runs *runs);

/* Its rows at this moment; to be ended with rebuild_read_end() */
int rebuild_read(struct rebuild *d, struct read_txn *rtxn);
void rebuild_read_end(struct read_txn *rtxn);

/* Is there a row? Sees what was put last. 1, 0, or an error. */
int rebuild_has(struct rebuild *d, const struct row_key *key);
/* The row's value replaces what is in *value. 0, -ENOENT, or an error. */
int rebuild_get(struct rebuild *d, const struct row_key *key,
		struct buf *value);

/*
 * The last row at or before *key, of those that begin as it does in the first
 * byte: 0, and *key and *value are the row's; 1: none; or an error.
 */
int rebuild_find_before(struct rebuild *d, struct row_key *key,
			struct buf *value);

/* The last operation: it says what the counters are, of all there is */
int rebuild_count(struct rebuild *d, uint64_t next_id, uint64_t keys,
		  uint64_t live);

#endif
