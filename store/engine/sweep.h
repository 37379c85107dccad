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
 * Likewise for a reader that has released it: what fails, or would have to wait
 * for a batch or a freeze, is left to store_sweep().
 */
void store_sweep_released(struct store *store, uint64_t id);

/* Sweep all orphans that nobody holds */
int store_sweep(struct store *store);

#endif
