/* SPDX-License-Identifier: MIT */
/*
 * successor.h - a store in a new file that is to take the place of another, its
 * host.
 *
 * It is filled beside the host, which goes on. Both share the cache and the
 * limit of RAM, and the numbers of freezes and operations. In the end the host
 * takes over the file, the tables and the tree of its successor, so that all
 * who use the host go on with these; who reads an earlier view keeps the old
 * file open.
 */
#ifndef STORE_ENGINE_SUCCESSOR_H
#define STORE_ENGINE_SUCCESSOR_H

#include "engine/store.h"

/* A moment of the host */
struct moment {
	struct view_state state;
	struct log_position end; /* of the log */
	timestamp time;
	uint64_t number; /* for a freeze of it */
};

/* Now; waits for the writer's turn */
void moment_take(struct store *host, struct moment *m);

/* One with an empty log, in a new file that nobody sees, which it takes over. It
 * continues the database that is in the volume `from`. */
int successor_new(struct store *host, const struct volume *from,
		  struct file *file, struct store **next);
/* Drop it: nothing is left. NULL is fine. */
void successor_drop(struct store *next);

/*
 * The tree, which has all that the host had in this state, becomes its next
 * freeze, whose record lies at *offset. Number, time, flags and index_bytes of *f
 * are set, the number as freeze_record() has it.
 */
int successor_freeze(struct store *next, const struct view_state *s,
		     const struct tree *tree, struct freeze *f,
		     uint64_t *offset);
/* From now on it takes operations: those of the host behind that state */
int successor_start(struct store *next);

/*
 * In the host's turn and with both freeze_locks, when the successor has all of
 * its operations and no table waits to be merged: give the file its name, and
 * let the host go on with it. The successor is to be dropped, whatever comes
 * back. If it fails the host goes on with the old file, but for one case: if
 * nobody knows whether the new name is durable, the host is poisoned.
 */
int successor_take_over(struct store *host, struct store *next);

#endif
