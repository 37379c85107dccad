/* SPDX-License-Identifier: MIT */
/*
 * held.h - which Data are held, and in which row each of them lives.
 *
 * A Data with one key lives in that key's NAME row; all others in a DATA row of
 * their own. Who holds a Data knows only its id: the way from the id to the row
 * is its *home*, and this is the one place that keeps it. A writer that moves a
 * Data tells its new home before it commits; a reader that finds nothing at
 * home therefore asks again with the writer locked out.
 *
 * A writer that is about to move or drop a Data which nobody holds bars its id,
 * so that nobody comes to hold it meanwhile: who tries must ask again.
 *
 * One mutex protects the table and everything in it.
 */
#ifndef STORE_HELD_H
#define STORE_HELD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"

/* The row a Data lives in: the NAME row of a key, or (space 0) a DATA row */
struct home {
	uint64_t space;
	uint8_t len;
	char name[BANYAN_NAME_MAX];
};

struct banyan_data {
	banyan *db;
	uint64_t id;
	uint64_t holds;
	struct banyan_data *next; /* in the bucket */
	uint64_t space; /* the home */
	char *name; /* owned; NULL if space is 0 */
	uint8_t name_len;
	bool orphan; /* has no key: to be swept when it is released */
	bool barred; /* held by nobody, and being moved or dropped */
};

struct held_table {
	pthread_mutex_t lock;
	struct banyan_data **buckets;
	size_t mask;
	size_t count;
};

int held_init(struct held_table *t);
void held_destroy(struct held_table *t); /* frees what is still held */

/*
 * Hold the Data with this id once more; home is where it was found. -EAGAIN:
 * it is barred, and the caller is not the writer. fresh tells whether nobody
 * held it before: what was found may then be out of date by now.
 */
int held_hold(struct held_table *t, banyan *db, uint64_t id,
	      const struct home *home, bool writer, banyan_data **data,
	      bool *fresh);
void held_hold_again(struct held_table *t, banyan_data *data);

/* Release. True if nobody holds it any more: *orphan tells if it must be swept
 * (id in *id), and data is gone. */
bool held_release(struct held_table *t, banyan_data *data, uint64_t times,
		  uint64_t *id, bool *orphan);

struct home held_home(struct held_table *t, const banyan_data *data);

/*
 * For the writer: bar the id if nobody holds it. 0: somebody does. 1: barred,
 * and to be unbarred after the commit. 2: barred already. -ENOMEM.
 */
int held_bar(struct held_table *t, banyan *db, uint64_t id);
void held_unbar(struct held_table *t, uint64_t id);

/*
 * For the writer: if the Data is held, tell its new home (NULL: a DATA row)
 * and whether it is an orphan. *old gets what was before, to go back if the
 * operation fails. 0: not held. 1: told. 2: barred. -ENOMEM.
 */
int held_move(struct held_table *t, uint64_t id, const struct home *home,
	      bool orphan, struct home *old, bool *old_orphan);

void home_set(struct home *h, uint64_t space, const char *name, size_t len);

#endif
