/* SPDX-License-Identifier: MIT */
#include "vacuum/vacuum.h"

#include <errno.h>
#include <time.h>

#include "base/steady.h"
#include "engine/freeze.h"
#include "engine/past.h"
#include "engine/snapshot.h"
#include "engine/sweep.h"
#include "vacuum/copy.h"
#include "vacuum/plan.h"

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
	struct volume *from; /* what is copied lies there; a reference */
	struct store *next;
	struct vacuum_plan plan;
	struct states states;
	struct copy copy;
	size_t made; /* so many of them are in the new file */
	struct freeze due; /* the next one; replay.seq 0: not read yet */
	timestamp since; /* freezes from then on are kept */
	struct log_position at; /* operations up to this are in the new file */
	uint64_t rate;
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t done;
	uint64_t total;
	int64_t began;
	uint64_t untold; /* bytes of operations since it was asked last */
	bool waited_for; /* by writers, or by those who take snapshots */
	int stopped; /* what progress has returned to end it */
};

/* ---- pace ------------------------------------------------------------- */

static int check_log(const struct vacuum *v)
{
	return v->from->log ? log_poisoned(v->from->log) : 0;
}

static int tell_progress(struct vacuum *v)
{
	if (check_log(v))
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
	 * may want to write, too, or to take a snapshot */
	if (v->waited_for)
		return check_log(v);
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

/* Not while somebody takes a snapshot: all that were taken by then are in it */
static void begin_at_moment(struct vacuum *v, struct moment *m)
{
	pthread_mutex_lock(&v->store->snapshot_lock);
	moment_take(v->store, m);
	v->store->taken_count = 0;
	pthread_mutex_unlock(&v->store->snapshot_lock);
	v->at = m->end;
}

/* What leads to the new file's next freeze */
struct step {
	struct view_state at; /* what its tree has; no view: it is empty */
	struct tree tree;
	uint64_t index_bytes;
};

static void end_steps(struct step *s)
{
	view_unref(s->at.view);
	s->at.view = NULL;
}

/* Copy what differs from the state before, and freeze it; takes over the view */
static int take_step(struct vacuum *v, struct step *s,
		     const struct view_state *to, struct freeze *f,
		     uint64_t *offset)
{
	struct state_pair pair = { .before = s->at.view ? &s->at : NULL,
				   .after = to,
				   .last = !offset };
	uint64_t last = 0;
	f->gap = s->at.view != NULL;
	int rc = copy_tree(&v->copy, &pair, &s->tree, &s->index_bytes);
	f->index_bytes = s->index_bytes;
	if (!rc)
		rc = successor_freeze(v->next, to, &s->tree, f,
				      offset ? offset : &last);
	end_steps(s);
	s->at = *to;
	return rc;
}

/* A state that is kept, as a freeze of the same number and time */
static int keep_state(struct vacuum *v, struct step *s, struct carried *c)
{
	struct freeze f;
	struct view_state state;
	int rc = carried_freeze(c, v->store, v->from, &f);
	if (!rc)
		rc = past_begin(&f, c->offset, v->from, &state);
	if (rc)
		return rc;
	struct freeze to = { .number = f.number,
			     .time = f.time,
			     .automatic = f.automatic };
	rc = take_step(v, s, &state, &to, &c->new_offset);
	c->new_number = to.number;
	v->made++;
	return rc;
}

/* The states that are kept, oldest first, and the moment; takes over its view */
static int copy_states(struct vacuum *v, const struct moment *m)
{
	struct step s = { .tree.file = v->next->volume->file };
	struct freeze f = { .number = m->number,
			    .time = m->time,
			    .automatic = true };
	int rc = 0;
	for (size_t i = 0; !rc && i < v->states.count; i++)
		rc = keep_state(v, &s, &v->states.list[i]);
	if (rc)
		view_unref(m->state.view);
	else
		rc = take_step(v, &s, &m->state, &f, NULL);
	end_steps(&s);
	return rc;
}

/* Takes over its view */
static int copy_all(struct vacuum *v, const struct moment *m)
{
	int rc = states_collect(&v->states, v->store, &m->state, v->since);
	v->total = v->plan.after;
	if (rc)
		view_unref(m->state.view);
	return rc ? rc : copy_states(v, m);
}

static int copy_moment(struct vacuum *v)
{
	struct moment m;
	begin_at_moment(v, &m);
	int rc = copy_all(v, &m);
	return rc ? rc : successor_start(v->next);
}

/* ---- the operations since --------------------------------------------- */

/* Where the log ends; in the writer's turn */
static struct log_position end_of_log(const struct vacuum *v)
{
	log_begin(v->store->volume->log, true);
	return log_end(v->store->volume->log);
}

/*
 * Snapshots that were taken meanwhile. A round ends before the freeze of one or
 * behind the operation that names it, as look_at_end() has it. So when that
 * operation is applied, the new file has such a freeze already.
 */
static bool is_due(struct vacuum *v, const struct log_position *at, int *rc)
{
	if (v->made == v->states.count)
		return false;
	if (!v->due.replay.seq)
		*rc = carried_freeze(&v->states.list[v->made], v->store,
				     v->from, &v->due);
	return !*rc && at->seq >= v->due.replay.seq;
}

static int make_due(struct vacuum *v)
{
	struct carried *c = &v->states.list[v->made];
	struct freeze f;
	int rc = freeze_new(v->next, &v->due, &f, &c->new_offset);
	c->new_number = f.number;
	v->due.replay.seq = 0;
	v->made++;
	return rc;
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
		if (is_due(v, &s.at, &rc))
			rc = make_due(v);
		if (!rc)
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

/* With snapshot_lock: the end, and what snapshots were taken before it */
static int note_end(struct vacuum *v, struct log_position *end)
{
	struct store *store = v->store;
	int rc = 0;
	for (size_t i = 0; !rc && i < store->taken_count; i++) {
		const struct carried c = { .number = store->taken[i].number,
					   .offset = store->taken[i].offset };
		rc = states_add(&v->states, &c);
	}
	store->taken_count = 0;
	store_lock(store);
	*end = end_of_log(v);
	store_unlock(store);
	return rc;
}

/* Not while somebody takes a snapshot */
static int look_at_end(struct vacuum *v, struct log_position *end)
{
	pthread_mutex_lock(&v->store->snapshot_lock);
	int rc = note_end(v, end);
	pthread_mutex_unlock(&v->store->snapshot_lock);
	return rc;
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
	struct log_position end;
	int rc = look_at_end(v, &end);
	uint64_t left = rc ? 0 : end.offset - v->at.offset;
	while (!rc && left > FEW_BYTES) {
		uint64_t before = left;
		rc = catch_up(v, &end);
		if (!rc)
			rc = look_at_end(v, &end);
		if (rc)
			break;
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

/* From here on nobody takes a snapshot: their freezes are made before writers
 * have to wait */
static int try_finish(struct vacuum *v, struct vacuum_result *result)
{
	struct store *store = v->store;
	struct log_position end;
	pthread_mutex_lock(&store->snapshot_lock);
	v->waited_for = true;
	int rc = note_end(v, &end);
	if (!rc)
		rc = catch_up(v, &end);
	if (!rc) {
		pthread_mutex_lock(&store->freeze_lock);
		store_lock(store);
		rc = finish(v, result);
		store_unlock(store);
		pthread_mutex_unlock(&store->freeze_lock);
	}
	v->waited_for = false;
	pthread_mutex_unlock(&store->snapshot_lock);
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

/* Takes over both files. */
static int start(struct vacuum *v, struct file *file, struct file *scratch)
{
	int rc = successor_new(v->store, v->from, file, &v->next);
	if (rc)
		file_close(scratch);
	return rc ? rc :
		    copy_open(&v->copy, v->from->file, v->next, scratch,
			      &v->states, pace, v);
}

static int start_beside(struct vacuum *v)
{
	struct file *file = NULL, *scratch = NULL;
	int rc = file_beside(v->from->file, &file);
	if (!rc)
		rc = file_scratch(v->from->file, &scratch);
	if (!rc)
		return start(v, file, scratch);
	file_close(file);
	return rc;
}

static void end(struct vacuum *v)
{
	copy_close(&v->copy);
	states_free(&v->states);
	successor_drop(v->next);
}

/* Nothing is to be written if all of it would be for nothing */
static int look_ahead(struct vacuum *v, const struct view_state *now,
		      const char *path)
{
	struct states states = { 0 };
	int rc = plan_make(v->store, now, v->since, path, &states, &v->plan);
	if (!rc && plan_check(&v->plan))
		rc = plan_refine(v->store, now, &states, &v->plan);
	states_free(&states);
	return rc ? rc : plan_check(&v->plan);
}

static int look_ahead_now(struct vacuum *v)
{
	struct view_state now;
	store_state(v->store, &now);
	int rc = look_ahead(v, &now, NULL);
	view_unref(now.view);
	return rc;
}

static void tell_plan(const struct vacuum *v, struct vacuum_result *result)
{
	result->dropped = v->plan.dropped;
	result->kept = v->states.count;
}

static int run(struct vacuum *v, struct vacuum_result *result)
{
	int rc = look_ahead_now(v);
	if (!rc)
		rc = store_sweep(v->store);
	if (!rc)
		rc = empty_table(v->store);
	if (!rc)
		rc = start_beside(v);
	if (!rc)
		rc = copy_moment(v);
	/* Whoever is chased is slowed down as well: from here on as fast as it
	 * goes */
	v->rate = 0;
	if (!rc)
		rc = change_over(v, result);
	atomic_store(&v->store->brake, 0);
	tell_plan(v, result);
	end(v);
	return rc;
}

static void tell_damage(const struct vacuum *v, int rc)
{
	if (is_damage(rc))
		store_report(v->store, "vacuum: the file is damaged; nothing "
				       "was changed (see 'banyan check')");
}

int store_vacuum(struct store *store, const struct vacuum_order *order,
		 struct vacuum_result *result)
{
	struct vacuum v = { .store = store,
			    .rate = order->rate,
			    .progress = order->progress,
			    .arg = order->arg,
			    .since = states_since(order->keep),
			    .began = steady_now() };
	if (store->read_only)
		return -EROFS;
	if (atomic_exchange(&store->vacuuming, true))
		return -EBUSY;
	atomic_store(&store->keep, order->keep);
	/* The file of the past is closed here, not by a writer: to free its
	 * blocks may take long */
	v.from = store_volume(store);
	int rc = run(&v, result);
	if (!rc)
		store_reap(store);
	volume_unref(v.from);
	atomic_store(&store->vacuuming, false);
	if (rc && v.stopped)
		return v.stopped;
	tell_damage(&v, rc);
	return rc;
}

/* ---- to another place ------------------------------------------------- */

static int publish(struct vacuum *v, struct vacuum_result *result)
{
	struct file *file = v->next->volume->file;
	int rc = file_size(v->from->file, &result->before);
	if (!rc)
		rc = file_size(file, &result->after);
	(void)file_reserve(file, 0);
	return rc ? rc : file_publish(file, false);
}

static int back_up(struct vacuum *v, const struct view_state *state,
		   const char *path, mode_t mode, struct vacuum_result *result)
{
	struct file *file = NULL, *scratch = NULL;
	struct moment m = { .state = *state,
			    .time = store_now(),
			    .number = freeze_number(v->store) };
	int rc = look_ahead(v, state, path);
	if (!rc)
		rc = file_create(path, mode, NULL, &file);
	if (!rc)
		rc = file_create(path, 0600, NULL, &scratch);
	if (rc) {
		file_close(file);
	} else {
		scratch->temporary = true;
		rc = start(v, file, scratch);
	}
	if (rc)
		view_unref(m.state.view);
	else
		rc = copy_all(v, &m);
	if (!rc)
		rc = publish(v, result);
	tell_plan(v, result);
	end(v);
	return rc;
}

int store_backup(struct store *store, const struct view_state *state,
		 const char *path, mode_t mode,
		 const struct vacuum_order *order, struct vacuum_result *result)
{
	struct vacuum v = { .store = store,
			    .from = volume_ref(state->view->volume),
			    .rate = order->rate,
			    .progress = order->progress,
			    .arg = order->arg,
			    .since = states_since(order->keep),
			    .began = steady_now() };
	int rc = back_up(&v, state, path, mode, result);
	volume_unref(v.from);
	if (rc && v.stopped)
		return v.stopped;
	tell_damage(&v, rc);
	return rc;
}
