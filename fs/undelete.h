/* SPDX-License-Identifier: MIT */
/*
 * undelete.h - keys that are brought back in the mounted database, in a thread
 * of their own: what the kernel has cached as absent it must be told of, and to
 * tell it may wait for requests that only workers can answer.
 */
#ifndef FS_UNDELETE_H
#define FS_UNDELETE_H

#include "fs.h"

struct undelete;

/* For a database that can be written */
int undelete_start(struct fs *fs, struct undelete **undelete);

/*
 * End what runs, answer who still waits, free. Before the workers end, who may
 * have to answer what the kernel waits for. NULL is fine.
 */
void undelete_stop(struct undelete *undelete);

/*
 * Answer req, a SETXATTR of the root, when the key is back: "KEY", or "KEY NUL
 * TO" to bring it back as another one. Several keys have a NUL before each: see
 * banyan_undelete_keys().
 */
void undelete_order(struct undelete *undelete, fuse_req_t req,
		    const char *order, size_t size);

/*
 * Is there an order of which the kernel has not been told all? It is told of
 * keys in the root after the answer: the caller of the SETXATTR has the root
 * locked.
 */
bool undelete_is_busy(struct undelete *undelete);

#endif
