/* SPDX-License-Identifier: MIT */
/* freeze.h - merge the redo table into the tree. */
#ifndef STORE_ENGINE_FREEZE_H
#define STORE_ENGINE_FREEZE_H

#include "engine/store.h"

/* Freeze what there is, whole: for banyan_freeze() and banyan_close() */
int freeze_all(struct store *store, bool automatic);
/*
 * Freeze even if nothing has changed: *f is a freeze of its own, at *offset, that
 * somebody has asked for. like: it is to have this time, and this number unless
 * the last one has a greater one; NULL: it is new.
 */
int freeze_new(struct store *store, const struct freeze *like, struct freeze *f,
	       uint64_t *offset);
/* If a table waits to be merged, or is being merged, see it through */
int freeze_waiting(struct store *store);
/* With freeze_lock, when no table waits: write the last freeze once more, with
 * a number of its own. A sync makes it durable. */
int freeze_renumber(struct store *store);
/* The same, *f being the freeze with which the past begins: a punch may follow */
int freeze_end_past(struct store *store, struct freeze *f);
/* While opening: freeze what was replayed, which is all before this position */
int freeze_replayed(struct store *store, const struct log_position *at);
/* After a commit, in the writer's turn: is it time? */
void freeze_if_full(struct store *store);
/* In the writer's turn: writers get an empty table, and the freezer what is in
 * this one, unless a table is being frozen already, or there is no memory for
 * another */
void freeze_begin(struct store *store);
/* Before an operation, without locks: is there room for it, or is it to wait? */
bool freeze_has_room(struct store *store, bool makes_room);
/* Likewise: wait while there is none */
int freeze_wait_for_room(struct store *store, bool makes_room);

/* Nodes are appended in runs of about this size */
#define FREEZE_RUN (256u << 10)
/* Append one: what a node_sink needs; arg: the store */
int freeze_write_run(void *arg, const void *run, size_t size, uint64_t *offset);
/* A number that no freeze of the database has had, nor the host of a
 * successor */
uint64_t freeze_number(struct store *store);
/* With freeze_lock: write its record behind the nodes of its tree. A sync makes
 * it durable. It gets another number if it has none beyond that of the last
 * one. */
int freeze_record(struct store *store, struct freeze *f, uint64_t *offset);
/* With freeze_lock: it is the last one now, and v, which it takes over, the
 * current view */
void freeze_set_last(struct store *store, struct view *v,
		     const struct freeze *f, uint64_t offset);

int freezer_start(struct store *store);
void freezer_stop(struct store *store);

#endif
