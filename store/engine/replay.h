/* SPDX-License-Identifier: MIT */
/* replay.h - operations of the log, into a redo table. */
#ifndef STORE_ENGINE_REPLAY_H
#define STORE_ENGINE_REPLAY_H

#include "engine/store.h"

/*
 * All operations from the last freeze to the end of the log, into the redo table,
 * and when that is full into the tree. store->volume->log is there afterwards if
 * that was so and the database can be written.
 */
int store_replay(struct store *store, const struct log_state *st);

/* What operations have led to */
struct replayed {
	struct redo_table *table;
	uint64_t seq; /* of the last one in the table */
	uint64_t next_id;
	uint64_t keys;
	uint64_t live;
};

/* One more operation, whose body redo_open() has opened. 0, -EUCLEAN, -ENOMEM. */
int replay_rows(struct replayed *r, struct redo_reader *rows,
		const struct operation *op);

#endif
