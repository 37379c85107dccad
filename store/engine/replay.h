/* SPDX-License-Identifier: MIT */
/* replay.h - operations of the log, into a redo table. */
#ifndef STORE_ENGINE_REPLAY_H
#define STORE_ENGINE_REPLAY_H

#include "engine/store.h"

/*
 * All operations from the last freeze to the end of the log, into the redo
 * table, and when that is full into the tree. store->volume->log is there
 * afterwards if that was so and the database can be written.
 */
int store_replay(struct store *store, const struct log_state *st);

/*
 * One more operation, whose body redo_open() has opened: its rows into the
 * table, and *s is what it has left; its view is not looked at. 0, -EUCLEAN,
 * -ENOMEM.
 */
int replay_rows(struct redo_table *table, struct redo_reader *rows,
		const struct operation *op, struct view_state *s);

#endif
