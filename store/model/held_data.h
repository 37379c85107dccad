/* SPDX-License-Identifier: MIT */
/*
 * held_data.h - which Data are held, and in which row each of them lives.
 *
 * A Data with one key lives in that key's NAME row; all others in a DATA row of
 * their own. Who holds a Data knows only its id: the way from the id to the row
 * is its *home*, and this is the one place that keeps it. A writer that moves a
 * Data tells its new home before it commits; a reader that finds nothing at
 * home therefore asks again with the writer locked out.
 *
 * A writer that is about to move or drop a Data which nobody holds bars its id,
 * so that nobody comes to hold it meanwhile: who tries must ask again. So must
 * a reader that has looked before the writer was done and comes to an empty
 * place after it: whenever one that has moved leaves the table, `generation`
 * counts up, which the reader has noted before it looked.
 *
 * One mutex protects the table and everything in it.
 */
#ifndef STORE_MODEL_HELD_DATA_H
#define STORE_MODEL_HELD_DATA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"

/* The row a Data lives in: the NAME row of a key, or (space 0) a DATA row */
struct location {
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
	bool moved; /* since it came into the table */
};

struct held_table {
	pthread_mutex_t lock;
	struct banyan_data **buckets;
	size_t mask;
	size_t count;
	uint64_t generation; /* counts those that had moved and left */
};

int held_init(struct held_table *t);
void held_destroy(struct held_table *t); /* frees what is still held */

/* To be noted before a snapshot is taken */
uint64_t held_generation(struct held_table *t);

/*
 * For a reader: hold the Data with this id once more; home is where it was
 * found in a snapshot taken after `generation` was noted. -EAGAIN: a writer came
 * in between, look again. -ENOMEM.
 */
int held_hold(struct held_table *t, banyan *db, uint64_t id,
	      const struct location *home, uint64_t generation,
	      banyan_data **data);

/* For the writer: hold what it found in its own change. 0 or -ENOMEM. */
int held_hold_found(struct held_table *t, banyan *db, uint64_t id,
		    const struct location *home, banyan_data **data);
void held_hold_again(struct held_table *t, banyan_data *data);

/* Release. True if nobody holds it any more: *orphan tells if it must be swept
 * (id in *id), and data is gone. */
bool held_release(struct held_table *t, banyan_data *data, uint64_t times,
		  uint64_t *id, bool *orphan);

struct location held_location(struct held_table *t, const banyan_data *data);

/* What a Data's home was before the writer moved it */
struct location_before {
	uint64_t space;
	char *name; /* owned */
	uint8_t name_len;
	bool orphan;
};

/*
 * For the writer: bar the id if nobody holds it; home is where it lives until
 * then (NULL: in a DATA row). 0: somebody does. 1: barred, and to be unbarred
 * after the commit. 2: barred already. -ENOMEM.
 */
int held_bar(struct held_table *t, banyan *db, uint64_t id,
	     const struct location *home, struct location_before *before);
/* The operation is done, or has failed and its home is again what it was */
void held_unbar(struct held_table *t, uint64_t id,
		struct location_before *before, bool committed);

/*
 * For the writer: if the Data is held, tell its new home (NULL: a DATA row)
 * and whether it is an orphan; and hold it, until held_settle(): were it to
 * leave the table before the operation is done, a reader could bring it back
 * with the home that it is about to lose. 0: not held. 1: told. 2: barred.
 * -ENOMEM.
 */
int held_move(struct held_table *t, uint64_t id, const struct location *home,
	      bool orphan, struct location_before *before);

/*
 * The operation is done, or has failed and its home is again what it was.
 * True: it is an orphan that nobody holds any more, to be swept.
 */
bool held_settle(struct held_table *t, uint64_t id,
		 struct location_before *before, bool committed);

void location_set(struct location *h, uint64_t space, const char *name,
		  size_t len);

#endif
