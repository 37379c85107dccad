/* SPDX-License-Identifier: MIT */
/*
 * deletions.h - which keys were deleted since the first freeze in the file.
 *
 * One pass over the log. What it finds are rows of a store of its own in a file
 * without a name, so the memory does not follow the number of operations:
 *
 *   KEY      71, space id, name   each key that was put or deleted
 *   PUT      72, id               the last step that has put a key of a Data,
 *                                 of steps that delete keys too
 *   HOME     73, id               of a deleted key space: its last key
 *   SPACE    77, space id, name   the last key space that has had this key, of
 *                                 those that were deleted
 *   SIZE     74, id               of a Data in a DATA row, and since when
 *   CHANGE   75, id               the last step that has changed a Data, or a
 *                                 key space and what it has, but for deletions
 *   LOSS     76, id               the last step that has deleted a key of it
 *
 * CHANGE and LOSS are there if they are asked for. Where only one path is asked
 * for, there are rows only of keys whose names are in it, and none of SIZE. From
 * 78 on callers have rows.
 */
#ifndef STORE_API_DELETIONS_H
#define STORE_API_DELETIONS_H

#include "engine/history.h"
#include "engine/rebuild.h"
#include "model/names.h"

/* A key, as the last step that was about it has left it */
struct deletion {
	uint64_t offset; /* of that step, and its time */
	timestamp time;
	uint64_t id; /* of the Data; if it was deleted, of the last one */
	uint64_t size;
	/* If it was deleted: between which positions of the log the Data was as
	 * the deletion has found it, see history_cut() */
	uint64_t since, until;
	/* The last step before that which has changed the Data, if its key does not
	 * have it and CHANGE rows are wanted; else 0 */
	uint64_t changed;
	uint32_t type; /* as in the mode */
	bool embedded;
	bool gone; /* deleted, and not moved away */
};

/* A state that a punch has cut off from the log, which begins later */
struct older_state {
	const struct state *state;
	uint64_t position; /* where its replay begins */
};

struct deletions {
	struct history h;
	struct rebuild rows;
	struct buf scratch;
	const char *path; /* the only one that is wanted; NULL: all */
	bool changes; /* CHANGE and LOSS rows are wanted */
	/* Is shown each step, d->h; may put rows */
	int (*watch)(void *arg, struct deletions *d);
	void *watch_arg;
	/* NULL, or the newest state before the log: what has not changed since is
	 * from there, as far as the log goes */
	const struct older_state *older;
};

/* The key of a row of one of the kinds above, with a number */
static inline void deletions_row_key(uint8_t kind, uint64_t number,
				     struct row_key *key)
{
	key->bytes[0] = kind;
	put_be64(key->bytes + 1, number);
	key->len = ROW_ID_LEN;
}

/* All keys, with `changes` or without. 0 or an error, after which nothing is to
 * be closed. */
int deletions_open(struct store *store, bool changes, struct deletions *d);
/* As many as decide what has been at this path. It is borrowed. */
int deletions_open_path(struct store *store, const char *path,
			struct deletions *d);
/* All keys, and show each step to somebody else who has to read the log; older
 * may be NULL */
int deletions_open_watched(struct store *store, const struct older_state *older,
			   int (*watch)(void *arg, struct deletions *d),
			   void *arg, struct deletions *d);
void deletions_close(struct deletions *d);

/*
 * Since when there is what the first freeze in the log has: a key with its Data, if
 * that is embedded; or, with n NULL, the Data of a DATA row.
 */
int deletions_first_since(struct deletions *d, const struct name *n,
			  uint64_t id, timestamp ctime, uint64_t *since);

/* A key that was deleted: 0, -ENOENT, or an error */
int deletions_find(struct deletions *d, const struct name *n,
		   struct deletion *key);

/* The last key of a deleted key space; its bytes lie in *row. -ENOENT. */
int deletions_home(struct deletions *d, uint64_t id, struct row_key *row,
		   struct name *n);

/* The key space that was deleted last with this key. -ENOENT. */
int deletions_space(struct deletions *d, const struct name *n, uint64_t *id);

/* The offset of the step; 0: none */
int deletions_changed(struct deletions *d, uint64_t id, uint64_t *offset);

/*
 * Visit the keys that were deleted, of one key space or (0) of all, by key space
 * and name. Meanwhile rows may be put. What visit returns, if not 0, ends it.
 */
typedef int deletions_visit(void *arg, const struct name *n,
			    const struct deletion *key);
int deletions_each(struct deletions *d, uint64_t space, deletions_visit *visit,
		   void *arg);

#endif
