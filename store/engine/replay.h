/* SPDX-License-Identifier: MIT */
/* replay.h - the operations since the last freeze, into the redo table. */
#ifndef STORE_ENGINE_REPLAY_H
#define STORE_ENGINE_REPLAY_H

#include "engine/store.h"

/*
 * All operations from the last freeze to the end of the log, into the redo table,
 * and when that is full into the tree. store->volume->log is there afterwards if that was
 * so and the database can be written.
 */
int store_replay(struct store *store, const struct log_state *st);

#endif
