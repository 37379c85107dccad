/* SPDX-License-Identifier: MIT */
#include "vacuum/vacuum.h"

#include <errno.h>
#include <time.h>

#include "base/steady.h"
#include "engine/freeze.h"
#include "engine/sweep.h"
#include "vacuum/copy.h"

/* Operations are few if they take no more bytes of the log than this: writers
 * wait while they are applied */
#define FEW_BYTES (128u << 10)
/* If a round has not left less to do than so many parts of what it began with,
 * writers are too fast */
#define SHRINK_PARTS 4u
#define SHRINK_TO 3u
/* Then each of their operations waits for so long first, and twice as long
 * after each round that has not shrunk either; ns */
#define BRAKE_FIRST 50000u
#define BRAKE_MOST 10000000u
/* A sync that takes less than this may be waited for */
#define SYNC_SHORT INT64_C(15000000) /* ns */

/* Bytes of operations that are applied before progress is asked again */
#define ASK_BYTES (256u << 10)

/* Both files are synced so often before writers have to wait for it, if that
 * takes long */
#define SYNCS 2u

struct vacuum {
	struct store *store;
	struct store *next;
	struct copy copy;
	struct log_position at; /* operations up to this are in the new file */
	uint64_t rate;
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t done;
	uint64_t total;
	int64_t began;
	uint64_t untold; /* bytes of operations since it was asked last */
	bool in_turn; /* writers wait */
	int stopped; /* what progress has returned to end it */
};

/* ---- pace ------------------------------------------------------------- */

static int tell_progress(struct vacuum *v)
{
	if (log_poisoned(v->store->volume->log))
		return -EIO;
	if (v->progress)
		v->stopped = v->progress(v->arg, v->done, v->total);
	/* Not that itself, as 1 would mean that there are no more rows */
	return v->stopped ? -ECANCELED : 0;
}

/* Sleep until so many bytes are due, or the vacuum is ended */
static int keep_rate(struct vacuum *v)
{
	double due = (double)v->done / (double)v->rate * 1e9;
	int64_t until = v->began + (int64_t)due;
	int rc = 0;
	for (;;) {
		int64_t left = until - steady_now();
		struct timespec pause = { .tv_nsec = 100000000 };
		if (rc || left <= 0)
			return rc;
		if (left < pause.tv_nsec)
			pause.tv_nsec = (long)left;
		nanosleep(&pause, NULL);
		rc = tell_progress(v);
	}
}

static int pace(void *arg, uint64_t bytes)
{
	struct vacuum *v = arg;
	v->done += bytes;
	if (v->done > v->total)
		v->total = v->done;
	/* Nobody is to wait longer for a rate, nor for what progress does: it
	 * may want to write, too */
	if (v->in_turn)
		return log_poisoned(v->store->volume->log) ? -EIO : 0;
	int rc = tell_progress(v);
	return rc || !v->rate ? rc : keep_rate(v);
}

/* After an operation, of which most have no values to copy */
static int pace_operation(struct vacuum *v, uint64_t bytes)
{
	v->untold += bytes;
	if (v->untold < ASK_BYTES)
		return 0;
	bytes = v->untold;
	v->untold = 0;
	return pace(v, bytes);
}

/* ---- the rows of a moment --------------------------------------------- */

/* A table with less than this part of the limit may stay in RAM as long as rows
 * are copied, beside the one that writers fill meanwhile */
#define STAY_PART 16u

/* Without room for it, it has to be borne */
static int empty_table(struct store *store)
{
	if (atomic_load(&store->tables_bytes) < store->cache_limit / STAY_PART)
		return 0;
	int rc = freeze_all(store, true);
	return rc == -ENOSPC || rc == -EDQUOT ? 0 : rc;
}

static int copy_moment(struct vacuum *v)
{
	struct moment m;
	struct tree tree;
	uint64_t index_bytes = 0;
	moment_take(v->store, &m);
	v->at = m.end;
	v->total = m.state.live + atomic_load(&v->store->index_bytes) +
		   atomic_load(&v->store->redo_bytes);
	int rc = copy_tree(&v->copy, &m, &tree, &index_bytes);
	if (!rc)
		rc = successor_start(v->next, &m, &tree, index_bytes);
	view_unref(m.state.view);
	return rc;
}

/* ---- the operations since --------------------------------------------- */

/* Where the log ends; in the writer's turn */
static struct log_position end_of_log(const struct vacuum *v)
{
	log_begin(v->store->volume->log, true);
	return log_end(v->store->volume->log);
}

/* Apply the operations up to `end` */
static int catch_up(struct vacuum *v, const struct log_position *end)
{
	const struct volume *old = v->store->volume;
	struct log_scan s;
	struct log_record rec;
	uint64_t size = 0;
	if (v->at.seq >= end->seq)
		return 0;
	int rc = file_size(old->file, &size);
	if (!rc)
		rc = log_scan_open(&s, old->file, old->sb.salt, size, &v->at);
	if (rc)
		return rc;
	while (!rc && s.at.seq < end->seq) {
		rc = log_scan_next(&s, &rec);
		if (!rc && rec.header.type == RECORD_OPERATION)
			rc = copy_operation(&v->copy, rec.body,
					    rec.header.body_len);
		v->at = s.at;
		if (!rc)
			rc = pace_operation(v, rec.header.body_len);
	}
	log_scan_close(&s);
	/* The end is known: not to reach it is no end but an error */
	return rc > 0 ? -EBADMSG : rc;
}

/* Writers wait from here on */
static void take_turn(struct vacuum *v)
{
	store_lock(v->store);
	v->in_turn = true;
}

static void give_turn(struct vacuum *v)
{
	v->in_turn = false;
	store_unlock(v->store);
}

static struct log_position look_at_end(const struct vacuum *v)
{
	store_lock(v->store);
	struct log_position end = end_of_log(v);
	store_unlock(v->store);
	return end;
}

static void brake(struct vacuum *v)
{
	uint32_t ns = atomic_load(&v->store->brake);
	ns = ns ? 2 * ns : BRAKE_FIRST;
	atomic_store(&v->store->brake, ns < BRAKE_MOST ? ns : BRAKE_MOST);
}

/* Rounds until there is little to do */
static int approach(struct vacuum *v)
{
	struct log_position end = look_at_end(v);
	uint64_t left = end.offset - v->at.offset;
	int rc = 0;
	while (!rc && left > FEW_BYTES) {
		uint64_t before = left;
		rc = catch_up(v, &end);
		end = look_at_end(v);
		left = end.offset - v->at.offset;
		if (left > before / SHRINK_PARTS * SHRINK_TO)
			brake(v);
	}
	return rc;
}

/*
 * Writers wait for the last sync, so little is to be left for it, too. Each of
 * these has only what was written during the one before. The old file is synced
 * as well: where both are in one journal, one waits for the other's blocks.
 */
static int settle(struct vacuum *v)
{
	for (unsigned i = 0; i < SYNCS; i++) {
		int rc = approach(v);
		int64_t began = steady_now();
		if (!rc)
			rc = log_sync(v->store->volume->log, NULL);
		if (!rc)
			rc = log_sync(v->next->volume->log, NULL);
		if (rc)
			return rc;
		if (steady_now() - began < SYNC_SHORT)
			break;
	}
	return approach(v);
}

/* ---- the change ------------------------------------------------------- */

/* With the locks of finish(), and the successor's freeze_lock */
static int take_over(struct vacuum *v, struct vacuum_result *result)
{
	if (v->next->view->frozen)
		return 1;
	int rc = log_poisoned(v->store->volume->log);
	if (!rc)
		rc = file_size(v->store->volume->file, &result->before);
	if (!rc)
		rc = successor_take_over(v->store, v->next);
	/* It has taken over, whatever this says */
	if (!rc)
		(void)file_size(v->next->volume->file, &result->after);
	return rc;
}

/* With the host's freeze_lock and its turn. 1: not now: the successor is
 * writing a freeze, or there is much to do again. */
static int finish(struct vacuum *v, struct vacuum_result *result)
{
	struct log_position end = end_of_log(v);
	if (end.offset - v->at.offset > 4 * FEW_BYTES)
		return 1;
	int rc = catch_up(v, &end);
	if (rc)
		return rc;
	/* Writers are not to wait for a freeze that is being written */
	if (pthread_mutex_trylock(&v->next->freeze_lock))
		return 1;
	rc = take_over(v, result);
	pthread_mutex_unlock(&v->next->freeze_lock);
	return rc;
}

static int try_finish(struct vacuum *v, struct vacuum_result *result)
{
	struct store *store = v->store;
	pthread_mutex_lock(&store->freeze_lock);
	take_turn(v);
	int rc = finish(v, result);
	give_turn(v);
	pthread_mutex_unlock(&store->freeze_lock);
	return rc;
}

static int change_over(struct vacuum *v, struct vacuum_result *result)
{
	int rc;
	do {
		/* A freeze of the successor that is being written ends
		 * first; one that has failed is tried again, or else would
		 * never end */
		rc = freeze_waiting(v->next);
		if (!rc)
			rc = settle(v);
		if (!rc)
			rc = try_finish(v, result);
	} while (rc > 0);
	return rc;
}

static int run(struct vacuum *v, struct vacuum_result *result)
{
	int rc = store_sweep(v->store);
	if (!rc)
		rc = empty_table(v->store);
	if (!rc)
		rc = successor_new(v->store, &v->next);
	if (!rc)
		rc = copy_open(&v->copy, v->store, v->next, pace, v);
	if (!rc)
		rc = copy_moment(v);
	/* Whoever is chased is slowed down as well: from here on as fast as it
	 * goes */
	v->rate = 0;
	if (!rc)
		rc = change_over(v, result);
	atomic_store(&v->store->brake, 0);
	copy_close(&v->copy);
	successor_drop(v->next);
	return rc;
}

int store_vacuum(struct store *store, uint64_t rate,
		 int (*progress)(void *arg, uint64_t done, uint64_t total),
		 void *arg, struct vacuum_result *result)
{
	struct vacuum v = { .store = store,
			    .rate = rate,
			    .progress = progress,
			    .arg = arg,
			    .began = steady_now() };
	if (store->read_only)
		return -EROFS;
	if (atomic_exchange(&store->vacuuming, true))
		return -EBUSY;
	/* The file of the past is closed here, not by a writer: to free its
	 * blocks may take long */
	struct volume *old = store_volume(store);
	int rc = run(&v, result);
	if (!rc)
		store_reap(store);
	volume_unref(old);
	atomic_store(&store->vacuuming, false);
	if (rc && v.stopped)
		return v.stopped;
	if (is_damage(rc))
		store_report(store, "vacuum: the file is damaged; nothing was "
				    "changed (see 'banyan check')");
	return rc;
}
