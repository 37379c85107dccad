/* SPDX-License-Identifier: MIT */
/* freeze.h - merge the redo table into the tree. */
#ifndef STORE_ENGINE_FREEZE_H
#define STORE_ENGINE_FREEZE_H

#include "engine/store.h"

/* Freeze what there is, whole: for banyan_freeze() and banyan_close() */
int freeze_all(struct store *store, bool automatic);
/* While opening: freeze what was replayed, which is all before this position */
int freeze_replayed(struct store *store, const struct log_position *at);
/* After a commit, in the writer's turn: is it time? */
void freeze_if_full(struct store *store);
/* Before an operation, without locks: is there room for it, or is it to wait? */
bool freeze_has_room(struct store *store, bool makes_room);
/* Likewise: wait while there is none */
int freeze_wait_for_room(struct store *store, bool makes_room);
int freezer_start(struct store *store);
void freezer_stop(struct store *store);

#endif
