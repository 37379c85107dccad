/* SPDX-License-Identifier: MIT */
/*
 * epoch.h - when may what has been taken out of a shared structure be freed?
 *
 * Readers look at things without counting who does: they only say when they
 * enter and when they leave. Who takes a thing out, so that nobody can come to
 * it any more, marks the moment; when all readers that had entered before have
 * left, the thing may go. To enter and to leave costs no more than to take and
 * release a lock that nobody else wants, and readers never wait for each other
 * or for a writer.
 */
#ifndef STORE_BASE_EPOCH_H
#define STORE_BASE_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

struct epoch;

struct epoch *epoch_new(void); /* NULL: no memory */
void epoch_free(struct epoch *e); /* NULL is fine */

/*
 * Pointers to shared things are to be loaded after entering, and with
 * memory_order_seq_cst. A thread may enter more than once.
 */
unsigned epoch_enter(struct epoch *e);
void epoch_leave(struct epoch *e, unsigned slot);

/* After a thing has been taken out, with a seq_cst store: the moment */
uint64_t epoch_mark(struct epoch *e);
/* Have all left who had entered before it? Passed once is passed for ever. */
bool epoch_passed(struct epoch *e, uint64_t mark);
/* Wait for that. Not for somebody who has entered. */
void epoch_wait(struct epoch *e, uint64_t mark);

/* Count a thing for the thread that has entered; the sum over all threads */
void epoch_count(struct epoch *e, unsigned slot, unsigned n);
uint64_t epoch_counted(const struct epoch *e);

#endif
