/* SPDX-License-Identifier: MIT */
/*
 * held_data.h - the table of held Data: how often each is held, and the row in
 * which it lives.
 *
 * A Data with one key lives in that key's NAME row; all others live in a DATA
 * row of their own. A caller that holds a Data knows only its id. The table
 * maps the id to the row: its *location*.
 *
 * Locations have versions. A writer that moves a Data adds a location with the
 * sequence number of its operation before it commits. A reader whose snapshot
 * is older takes the location before that one. So a reader neither sees nor
 * waits for an operation that is not committed.
 *
 * A writer that moves a Data which nobody holds adds it to the table for the
 * duration of the commit: a reader that comes to hold it meanwhile gets both
 * locations. When such an entry leaves the table, its shard notes the number of
 * the operation. A reader whose snapshot is older than that number may have
 * found the Data where it no longer is, and must look again.
 *
 * A writer that removes a Data which nobody holds *closes* its id for the
 * duration of the commit: a reader that comes to hold it waits until the record
 * is written, and must look again.
 *
 * Locks. Each shard has a mutex that protects its chains of entries and
 * everything in an entry but its locations. Locations are immutable once they
 * are linked; the link to the newest is atomic. They are read without a lock
 * inside of an epoch, and only the writer adds and frees them.
 */
#ifndef STORE_MODEL_HELD_DATA_H
#define STORE_MODEL_HELD_DATA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"
#include "base/epoch.h"

/* The row a Data lives in: the NAME row of a key, or (space 0) a DATA row */
struct location {
	uint64_t space;
	uint8_t len;
	char name[BANYAN_NAME_MAX];
};

void location_set(struct location *at, uint64_t space, const char *name,
		  size_t len);

/* A location as it is kept, with no more bytes than its name has */
struct home {
	uint64_t space;
	uint8_t len;
	char name[];
};

/*
 * A version of a location: where the Data lives from operation `seq` on. A struct
 * place is behind it in memory: placement_home().
 */
struct placement {
	_Atomic uint64_t seq; /* UINT64_MAX: never, its operation has failed */
	struct placement *before; /* owned */
	uint64_t mark; /* of the epoch in which what is before became old; 0: none */
};

/* at NULL: a DATA row. NULL: no memory. */
struct placement *placement_new(const struct location *at);
void placement_free(
	struct placement *p); /* those before it, too; NULL is fine */

static inline struct home *placement_home(struct placement *p)
{
	return (struct home *)(p + 1);
}

/*
 * A program may hold millions, and most never move: so the location at which a Data
 * was found, a struct home, is behind its entry in the same piece of memory, and
 * the chain of versions is empty at first. An entry whose name has up to 23 bytes
 * takes 96 bytes of malloc's, and 8 to 16 in the table.
 */
struct banyan_data {
	banyan *db;
	uint64_t id;
	uint64_t holds; /* by callers */
	struct banyan_data *next; /* in the bucket */
	struct placement *_Atomic moves; /* the newest version; NULL: none */
	uint64_t moved; /* the last operation that has moved it; 0: none */
	uint32_t pins; /* by the writer, while it commits */
	uint16_t closed; /* held by nobody, and being removed so many times */
	bool orphan; /* has no key: to be swept when it is released */
	_Atomic uint8_t tag; /* banyan_set_tag() */
};

#define HELD_SHARDS 16u

struct held_shard {
	pthread_mutex_t lock;
	pthread_cond_t reopened; /* an entry that was closed has left */
	struct banyan_data **buckets;
	size_t mask;
	size_t count;
	uint64_t moved; /* the last operation that has moved what has left */
};

struct held_table {
	banyan *db; /* the handle that its entries belong to */
	struct epoch *epoch; /* of the readers; NULL: there is one thread */
	struct held_shard shard[HELD_SHARDS];
};

/* 0 or -ENOMEM */
int held_init(struct held_table *t, banyan *db);
void held_destroy(struct held_table *t); /* frees what is still held */

/*
 * For a reader: hold the Data with this id once more; `at` is where it was
 * found in a snapshot that shows operations up to seq. -EAGAIN: it may have
 * moved since, or is gone: look again in a newer snapshot. -ENOMEM.
 */
int held_hold(struct held_table *t, uint64_t id, const struct location *at,
	      uint64_t seq, banyan_data **data);
/*
 * After -EAGAIN: wait until no writer is about to remove it. Not inside of the
 * epoch: the writer may need a slot there before it ends.
 */
void held_wait(struct held_table *t, uint64_t id);
/* The Data with this id if somebody holds it, else NULL; with so many holds more */
banyan_data *held_find(struct held_table *t, uint64_t id, uint64_t holds);
/* Once more, for a caller that holds it already */
void held_hold_again(struct held_table *t, banyan_data *data);

/*
 * Release. True if nobody holds it any more: *orphan tells if it must be swept
 * (id in *id), and data is gone.
 */
bool held_release(struct held_table *t, banyan_data *data, uint64_t times,
		  uint64_t *id, bool *orphan);

/*
 * In a table of which only this thread knows: hold the Data, which lives there, so
 * many times more. 0 or -ENOMEM.
 */
int held_restore(struct held_table *t, uint64_t id, const struct location *at,
		 uint64_t times, bool orphan);

/* How many Data are in the table: those that are held, and few others */
size_t held_count(struct held_table *t);

/* All but the root are released. True if an orphan among them is to be swept. */
bool held_release_all(struct held_table *t);

/*
 * Where the Data lives for operations up to seq. The caller is inside of the
 * epoch, or is the writer, and holds the Data.
 */
const struct home *held_home(const banyan_data *data, uint64_t seq);

/* ---- for the writer --------------------------------------------------- */

/* Is the Data held by anybody? */
bool held_is_held(struct held_table *t, uint64_t id);

/*
 * In a table of which only this thread knows: let the Data live there from now
 * on, if it is held. Takes over `now`. True if it is held.
 */
bool held_replace(struct held_table *t, uint64_t id, struct placement *now,
		  bool orphan);

/*
 * Before the commit of operation seq: let the Data live at *now from then on.
 * It is pinned until held_settle(). `was` is where it lives until then (NULL: in
 * a DATA row), in case it is in nobody's hands. Takes over both, which become
 * NULL. 0 or -ENOMEM.
 */
int held_move(struct held_table *t, uint64_t id, struct placement **was,
	      struct placement **now, uint64_t seq);

/*
 * Close the id if nobody holds it: 1. Somebody does: 0. -ENOMEM. In a damaged
 * file several keys may have one id: it can be closed more than once, up to
 * UINT16_MAX times: -EUCLEAN.
 */
int held_close(struct held_table *t, uint64_t id);

/*
 * The operation is committed, or has failed: undo held_move(). orphan: it has no
 * key any more. True if it is an orphan that nobody holds, to be swept.
 */
bool held_settle(struct held_table *t, uint64_t id, uint64_t seq, bool orphan,
		 bool committed);
/* Likewise of held_close() */
void held_reopen(struct held_table *t, uint64_t id, uint64_t seq,
		 bool committed);

#endif
