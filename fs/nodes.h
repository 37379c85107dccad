/* SPDX-License-Identifier: MIT */
/*
 * nodes.h - the Data that the kernel remembers, and how often it was told.
 *
 * Each time an answer names a Data, the kernel's count of it grows by one; a
 * FORGET takes some back. The library's holds are that count, one for one. This
 * set only remembers it, because at an unmount the kernel forgets everything
 * without saying so, and because one fact about a Data is worth keeping for
 * as long as the kernel knows it. It takes 21 to 43 bytes a Data.
 *
 * Safe to call from any thread.
 */
#ifndef FS_NODES_H
#define FS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"

struct nodes;

/* NULL if there is no memory */
struct nodes *nodes_new(void);

/* Release every hold that is left, and free the set. NULL is fine. */
void nodes_free(struct nodes *nodes);

/*
 * One hold of the caller's becomes the kernel's. -ENOMEM: it is still the
 * caller's.
 */
int nodes_add(struct nodes *nodes, banyan_data *data);

/* The kernel gives back so many holds: release them */
void nodes_drop(struct nodes *nodes, banyan_data *data, uint64_t times);

/*
 * Whether data is known to have no file capabilities and no set-id bits
 * (privileges.h). Forgotten, hence false, when the kernel forgets the Data.
 */
bool nodes_plain(struct nodes *nodes, banyan_data *data);
void nodes_set_plain(struct nodes *nodes, banyan_data *data, bool plain);

/* How many Data the kernel remembers */
size_t nodes_count(struct nodes *nodes);

#endif
