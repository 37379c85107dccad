/* SPDX-License-Identifier: MIT */
/*
 * db.h - an open database: who may do what, when.
 *
 * Locks, in the order in which they are taken:
 *
 *   freeze_lock  one freeze at a time; held during its I/O
 *   write_lock   the one writer: the change, the log's end, the counters, the
 *                swap of redo tables; held during an append, never during a
 *                sync
 *   held.lock    see held_data.h
 *
 * Readers take only the last. Which view is current is an atomic pointer, that
 * the writer changes; one that was current goes when all readers who had entered
 * by then have left (epoch.h). The freezer is a thread that merges a full
 * redo table into the tree; it sleeps on `wake` with freezer_lock held, which
 * nests inside all of the others.
 */
#ifndef STORE_ENGINE_DB_H
#define STORE_ENGINE_DB_H

#include <pthread.h>
#include <stdatomic.h>

#include "banyan.h"
#include "model/txn.h"
#include "model/held_data.h"
#include "log/log_scan.h"
#include "model/names.h"
#include "table/view.h"

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

struct banyan {
	struct file *file;
	struct cache *cache;
	struct log *log; /* NULL if read-only */
	struct superblock sb;
	bool read_only;
	uint64_t durable_to; /* as it was found */
	uint64_t cache_limit;
	uint64_t table_limit; /* bytes at which a redo table is full */
	_Atomic uint64_t tables_bytes; /* when the cache's limit was set */
	uint64_t trimmed; /* that limit, when the pool was last trimmed */
	void (*report)(void *arg, const char *line);
	void *report_arg;

	pthread_mutex_t write_lock;
	struct txn change; /* in the making; under write_lock */
	/* The thread whose batch is open, as an integer; 0: none */
	_Atomic uintptr_t batch_owner;
	_Atomic uint64_t next_id; /* written under write_lock, as are: */
	_Atomic uint64_t keys;
	_Atomic uint64_t live;
	_Atomic uint64_t redo_bytes; /* of operations since the last swap */
	_Atomic uint64_t index_bytes; /* of the tree's nodes, about */
	_Atomic uint64_t visible; /* operations up to this are seen */
	_Atomic bool orphans; /* some may wait to be swept */
	bool replaying; /* being opened: more operations lie in the log */

	struct view *_Atomic view; /* written under write_lock */
	struct view *retired; /* under write_lock: those that are to go */

	struct held_table held;
	banyan_data *root;

	pthread_mutex_t freeze_lock;
	struct freeze last; /* the last freeze, under freeze_lock */
	_Atomic uint64_t last_offset; /* written under it, as is: */
	_Atomic uint64_t freezes; /* the number of the last one */
	struct freeze next; /* what its successor will say, from the swap on */
	struct freezer freezer;
};

__attribute__((format(printf, 2, 3))) void db_report(const banyan *db,
						     const char *format, ...);

/*
 * The time that operations and freezes are stamped with. It is that of the clock
 * which the kernel's file systems stamp with, or else a file that is made on one
 * of them after one that is made here would look older.
 */
timestamp db_now(void);

/* ---- opening (open.c) ------------------------------------------------- */

/*
 * Open the database in a file, or make one in it if it is fresh, which is to
 * say empty. The file belongs to the database then, and is closed on failure.
 */
int db_open_file(struct file *file, const struct banyan_options *o, bool fresh,
		 banyan **db);

/*
 * All operations from the last freeze to the end of the log (replay.c), into
 * the redo table, and when that is full into the tree. db->log is there
 * afterwards if that was so and the database can be written.
 */
int db_replay(banyan *db, const struct log_state *st);

/* ---- reading ---------------------------------------------------------- */

/* A moment of the database, held */
struct read_txn {
	struct state state;
	struct view *view; /* counted; NULL: not */
	struct view *seen; /* while it has entered: what it sees */
	struct cache *entered; /* by state.merged.slot; NULL: not */
};

/*
 * For one operation. Nothing that has gone since is freed before the end, for
 * the whole database: what may take long is for read_txn_begin_pinned().
 */
void read_txn_begin(banyan *db, struct read_txn *rtxn);
/* For long, and never with what this thread's batch has not committed yet */
void read_txn_begin_pinned(banyan *db, struct read_txn *rtxn);
/* contents_read(), by a moment that was for one operation: if there is much to
 * read it becomes one for long */
int read_txn_contents(struct read_txn *rtxn, const struct data *d, void *buffer,
		      size_t size, uint64_t offset);
/* The moment becomes one for long, before what may go over many rows */
void read_txn_pin(struct read_txn *rtxn);
void read_txn_end(struct read_txn *rtxn);

/* Let a view be the current one; write_lock is held, except while opening */
void db_set_view(banyan *db, struct view *v);
/* Free what no reader can see any more of views that were current; the same */
void db_reap_views(banyan *db);

/* Has this thread a batch open? */
bool db_in_batch(const banyan *db);

/*
 * The moment, and in it the Data that is held. On success the caller ends with
 * read_txn_end(); on failure it is done already.
 */
int read_txn_data(banyan_data *data, struct read_txn *rtxn, struct located *l);

/* ---- writing ---------------------------------------------------------- */

/*
 * Begin an operation, or go on with this thread's batch. makes_room: it may use
 * the last bytes of a full disk. Always paired with db_write_end().
 */
int db_write_begin(banyan *db, enum operation_kind kind, bool makes_room,
		   struct txn **txn);

/*
 * Commit the operation if rc is 0, else drop it. Returns rc, or why it could
 * not be committed. In a batch nothing is committed yet.
 */
int db_write_end(banyan *db, struct txn *txn, int rc);

/* Load the Data that is held, for writing */
int db_write_data(struct txn *txn, banyan_data *data, struct located *l);

/* Sweep the orphans that nobody holds */
int db_sweep(banyan *db);

/* Append what tells that what was synced is durable, if it is of any use */
void db_mark(banyan *db);

/* ---- the past (freezes.c) --------------------------------------------- */

/*
 * The freeze with this number; *offset is that of the last one and becomes its
 * own. -ENOENT: there is none, or it is later.
 */
int db_find_freeze(banyan *db, uint64_t number, uint64_t *offset,
		   struct freeze *f);

/* ---- freezing (freeze.c) ---------------------------------------------- */

/* Freeze what there is, whole: for banyan_freeze() and banyan_close() */
int freeze_all(banyan *db, bool automatic);
/* While opening: freeze what was replayed, which is all before this position */
int freeze_replayed(banyan *db, const struct log_position *at);
/* After a commit, with write_lock held: is it time? */
void freeze_if_full(banyan *db);
/* Before an operation, without locks: wait while there is no room for it */
int freeze_wait_for_room(banyan *db, bool makes_room);
int freezer_start(banyan *db);
void freezer_stop(banyan *db);

#endif
