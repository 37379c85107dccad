/* SPDX-License-Identifier: MIT */
/*
 * commit.h - making things durable, in a thread of its own.
 *
 * Nobody waits here but this thread: a request for an fsync is put into its
 * queue and answered from there, so that the threads that serve requests go on.
 * All that wait at the same moment share one sync. And what was changed is
 * durable some seconds later even if nobody asks.
 */
#ifndef FS_COMMIT_H
#define FS_COMMIT_H

#include "fs.h"

struct commit;

/* seconds: from a change to its commit at the latest; 0: only when asked */
int commit_start(banyan *db, unsigned seconds, struct commit **commit);

/* Answer who still waits, end the thread, free. NULL is fine. */
void commit_stop(struct commit *commit);

/* Something was changed */
void commit_note(struct commit *commit);
/* Contents were written. When many bytes came by large writes the commit begins at
 * once. */
void commit_note_bytes(struct commit *commit, size_t size);

/* Answer req when everything that has returned is durable */
void commit_request(struct commit *commit, fuse_req_t req);

#endif
