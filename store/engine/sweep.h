/* SPDX-License-Identifier: MIT */
/* sweep.h - remove orphans: Data without a key that nobody holds. */
#ifndef STORE_ENGINE_SWEEP_H
#define STORE_ENGINE_SWEEP_H

#include "engine/store.h"

/*
 * Sweep one orphan, or as much of it as one operation should. 0: swept, or
 * somebody holds it. 1: there is more of it. Or an error.
 */
int store_sweep_data(struct store *store, uint64_t id);

/*
 * For a reader that has released an orphan. Those of several releases are swept
 * by one operation, which takes a fifth of the log that one for each would: with
 * the last of RELEASED_MAX, or by the next two functions. What fails, or would have
 * to wait for a batch or a freeze, is left to store_sweep().
 */
void store_sweep_released(struct store *store, uint64_t id);
/* Sweep those that wait for others, so that they are not counted any more */
void store_sweep_waiting(struct store *store);

/* Sweep all orphans that nobody holds */
int store_sweep(struct store *store);

#endif
