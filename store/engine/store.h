/* SPDX-License-Identifier: MIT */
/*
 * store.h - an open database file: what readers, the writer and the freezer
 * share.
 *
 * Locks, in the order in which they are taken:
 *
 *   batch_lock   held while a batch is ended, so that its handle stays for a
 *                close that aborts it
 *   snapshot_lock  held from the freeze of a snapshot to the row that names it:
 *                a vacuum must not end, nor begin to read, in between
 *   freeze_lock  one freeze at a time; held during its I/O
 *   write_turn   the one writer: the transaction, the log's end, the counters,
 *                the swap of redo tables; held during an append, never during a
 *                sync. A semaphore, since a batch may be ended by another thread
 *                than the one that began it.
 *   held.shard   see held_data.h
 *
 * Readers take none of them. Which view is current is an atomic pointer that the
 * writer changes; a view that was current is freed when all readers who had
 * entered the epoch by then have left (epoch.h). The freezer is a thread that
 * merges a full redo table into the tree; it sleeps on `wake` with freezer.lock
 * held, which nests inside all of the others.
 */
#ifndef STORE_ENGINE_STORE_H
#define STORE_ENGINE_STORE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "banyan.h"
#include "log/log_scan.h"
#include "model/held_data.h"
#include "model/txn.h"
#include "table/view.h"

/* Bytes in a line that is reported, with its NUL */
#define REPORT_MAX 512u

/* The store as one operation, and those before, have left it */
struct view_state {
	struct view *view; /* one reference */
	uint64_t seq; /* of the operation, in the tables of the view */
	uint64_t next_id;
	uint64_t keys;
	uint64_t live;
};

/* A snapshot that was taken while a vacuum runs */
struct taken {
	uint64_t number; /* of its freeze */
	uint64_t offset;
};

/* What is kept of the past: see vacuum/estimate.h */
struct kept {
	int64_t looked; /* when; 0: never */
	uint64_t changes; /* snapshot_changes then */
	uint64_t generation; /* of the file */
	int rc;
	uint64_t bytes;
	uint64_t end; /* of the last state's record; 0: nothing is kept */
};

struct freezer {
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* there is something to do */
	pthread_cond_t done; /* a round has ended */
	bool wanted;
	bool stop;
	uint64_t rounds;
	bool wrote; /* nodes, in this round; under freeze_lock */
	int result; /* of the last round */
	bool wasted; /* it failed, and what it wrote is for nothing */
	unsigned failures; /* since it went well */
	int64_t again; /* then, after some: not before; a steady clock, in ns */
};

/* Orphans that were released and are swept by one operation: see sweep.h */
#define RELEASED_MAX 32u
struct released {
	pthread_mutex_t lock; /* protects all of it; nests inside of the others */
	unsigned count;
	uint64_t id[RELEASED_MAX];
};

struct store {
	struct cache *cache;
	/* What is written to; changed under freeze_lock and write_turn. Who has
	 * neither takes a reference: see store_volume(). */
	struct volume *volume;
	bool read_only;
	uint64_t durable_to; /* as it was found */
	uint64_t cache_limit;
	uint64_t table_limit; /* bytes at which a redo table is full */
	_Atomic uint64_t tables_bytes; /* when the cache's limit was set */
	uint64_t trimmed; /* that limit, when the pool was last trimmed */
	void (*report)(void *arg, const char *line);
	void *report_arg;
	pthread_mutex_t report_lock; /* protects the next */
	char reported[REPORT_MAX]; /* the last line */
	_Atomic unsigned handles; /* that refer to it */
	struct fork_guard *guard;
	/* Of a successor (successor.h): the store whose cache it uses */
	struct store *host;
	_Atomic uint64_t successor_bytes; /* of the tables of a host's */
	_Atomic bool vacuuming;
	_Atomic uint32_t brake; /* ns that each operation waits for it first */

	sem_t write_turn;
	struct txn txn; /* in the making; under write_turn */
	pthread_mutex_t batch_lock;
	banyan *_Atomic batch; /* that has the turn; NULL: none */
	timestamp stamped; /* the last time of a record; in the turn */
	_Atomic bool mark_wanted; /* whoever has the turn appends it */
	_Atomic uint64_t next_id; /* written under write_turn, as are: */
	_Atomic uint64_t keys;
	_Atomic uint64_t live;
	_Atomic uint64_t redo_bytes; /* of operations since the last swap */
	_Atomic uint64_t index_bytes; /* of the tree's nodes, about */
	_Atomic uint64_t
		counted; /* the operation that is counted in keys, live */
	_Atomic uint64_t visible; /* operations up to this are seen */
	_Atomic bool orphans; /* some may wait to be swept */
	bool replaying; /* being opened: more operations lie in the log */

	struct view *_Atomic view; /* written under write_turn */
	struct view *retired; /* under write_turn: those that are to go */

	struct held_table held; /* of the handle that banyan_open() gave */
	struct released released;

	pthread_mutex_t snapshot_lock;
	/* Taken while a vacuum runs, oldest first; under snapshot_lock */
	struct taken *taken;
	size_t taken_count;
	_Atomic uint64_t snapshot_changes; /* taken and dropped so far */
	_Atomic uint64_t keep; /* ns, as the last vacuum was told */
	pthread_mutex_t kept_lock;
	struct kept kept; /* under it */
	pthread_mutex_t freeze_lock;
	struct freeze last; /* the last freeze, under freeze_lock */
	_Atomic uint64_t freezes; /* its number; written under it */
	_Atomic uint64_t numbered; /* the last number; a host's counts */
	struct freeze next; /* what its successor will say, from the swap on */
	struct freezer freezer;
};

__attribute__((format(printf, 2, 3))) void
store_report(struct store *store, const char *format, ...);
/* The line that was reported last */
void store_reported(struct store *store, char line[REPORT_MAX]);

/*
 * The time that Data are stamped with: the coarse clock, with which the kernel's
 * file systems stamp, so that a file that is made on one of them after one that is
 * made here is not the older one.
 */
timestamp store_now(void);
/*
 * The time of a record, in the writer's turn: of those of operations and
 * freezes each is later than the one before, so that each can be gone back to.
 * Only when the clock was set back by more than a second they begin anew.
 */
timestamp store_stamp(struct store *store);

/* Take the writer's turn */
void store_lock(struct store *store);
bool store_try_lock(struct store *store);
/* Take it unless that takes long, as it does while a batch is open */
bool store_lock_soon(struct store *store);
/* Give it back, and append the mark if one is wanted */
void store_unlock(struct store *store);

/*
 * The current view, and the number of the last operation that is visible. The view
 * has that operation: it was the current one when the number was read, while a
 * view that was replaced before lacks what came later. Inside of the epoch.
 */
static inline struct view *store_current(const struct store *store,
					 uint64_t *seq)
{
	struct view *v = atomic_load(&store->view);
	for (;;) {
		*seq = atomic_load(&store->visible);
		struct view *now = atomic_load(&store->view);
		if (now == v)
			return v;
		v = now;
	}
}

/* The current view, and the file that it lies in; one reference */
struct view *store_view(const struct store *store);
struct volume *store_volume(const struct store *store);
/* What is committed now */
void store_state(const struct store *store, struct view_state *now);

/* Let a view be the current one, in the writer's turn or while opening */
void store_set_view(struct store *store, struct view *v);
/* Free what no reader can see any more of views that were current; the same */
void store_reap_views(struct store *store);
/* Without the turn: wait until those have left who read one call, and free
 * it */
void store_reap(struct store *store);

#endif
