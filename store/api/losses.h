/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_LOSSES_H
#define STORE_API_LOSSES_H

#include "engine/store.h"

/*
 * As banyan_vacuum_losses() has it; keep in ns. -ESTALE: a vacuum has ended in
 * between.
 */
int losses_visit(struct store *store, uint64_t keep,
		 int (*visit)(void *arg, const struct banyan_loss *loss),
		 void *arg);

#endif
