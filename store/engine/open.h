/* SPDX-License-Identifier: MIT */
/* open.h - create, open (which is: recover) and close a store. */
#ifndef STORE_ENGINE_OPEN_H
#define STORE_ENGINE_OPEN_H

#include "engine/store.h"

/*
 * Open the store in a file, or make one in it if it is fresh, which is to say
 * empty. The file belongs to the store then, and is closed on failure.
 */
int store_open(struct file *file, const struct banyan_options *o, bool fresh,
	       struct store **store);

/*
 * Sweep, freeze and sync. Nobody writes any more afterwards. An error says that
 * the last operations may not be durable.
 */
int store_shut(struct store *store);

/* store_shut(), and store_unref() whatever comes back */
int store_close(struct store *store);

/* A store without a file yet. host: see successor.h; NULL: it is its own. */
int store_new(const struct banyan_options *o, struct store *host,
	      struct store **store);

/* Its first view: an empty table over this tree, of the freeze that lies
 * there */
int store_set_first_view(struct store *store, const struct tree *tree,
			 uint64_t last_freeze);

/* What a new file of a database has of its own: 0 or -EIO */
int store_new_file(struct superblock *sb);

/* One more reference; store_open() gives the first */
struct store *store_ref(struct store *store);
/*
 * The last one frees the store; nothing is written. In a child of the process
 * that opened it only the file is closed, see free_store().
 */
void store_unref(struct store *store);

#endif
