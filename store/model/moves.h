/* SPDX-License-Identifier: MIT */
/*
 * moves.h - which Data an operation moves to another row, or removes.
 *
 * While an operation is being made only its own handle knows of its moves. The
 * table of held Data, which all readers use, learns of them between two steps of
 * the commit: moves_publish() comes before the record is written, moves_settle()
 * after the operation has become visible, or has failed.
 */
#ifndef STORE_MODEL_MOVES_H
#define STORE_MODEL_MOVES_H

#include "model/held_data.h"

struct move;

struct moves {
	struct move *list; /* in the order in which they were made */
	size_t count;
	size_t capacity;
	size_t published; /* so many of them */
};

void moves_free(struct moves *m);

/*
 * The Data moves from a row to another (NULL: its DATA row). orphan: it has no
 * key any more. 0 or -ENOMEM.
 */
int moves_add(struct moves *m, uint64_t id, const struct location *was,
	      const struct location *now, bool orphan);

/*
 * The Data is removed. 1: nobody holds it, nor can until moves_settle(). 0:
 * somebody holds it, so it has to stay. -ENOMEM.
 */
int moves_remove(struct moves *m, struct held_table *t, uint64_t id);

/* From operation seq on it is so. 0 or -ENOMEM. */
int moves_publish(struct moves *m, struct held_table *t, uint64_t seq);

/*
 * The operation is visible, or has failed, and m is empty again. True if it
 * leaves an orphan that nobody holds, to be swept.
 */
bool moves_settle(struct moves *m, struct held_table *t, uint64_t seq,
		  bool committed);

#endif
