/* SPDX-License-Identifier: MIT */
/*
 * The thread sleeps until the state is VACUUM_RUNNING, until it is time to look
 * whether a vacuum is due by itself (autovacuum), or the end. The lock protects
 * everything but `fs`; it is never held over a vacuum or a call of the library,
 * except banyan_strerror().
 *
 * Interrupts. The kernel tells of a signal to the caller of a FITRIM by a
 * request of its own, for which libfuse calls forget_waiter() with a lock of
 * the FITRIM held. So that lock comes before ours: no function of libfuse that
 * takes it is called with ours held. (fuse_req_interrupted() and answers do
 * not.) The handler is set before the waiter is in the queue, since a waiter in
 * the queue may be answered and freed; and an interrupt that came in between is
 * looked for when it is put there.
 */
#include "vacuum.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lasting.h"
#include "message.h"
#include "options.h"
#include "requests.h"
#include "steady.h"
#include "transport.h"
#include "views.h"

/* A FITRIM vacuums a database with no more live bytes than this whatever share
 * of the file is reclaimable: that takes seconds */
#define SMALL_BYTES (UINT64_C(1) << 30)
/* Less than this part of a file is within the error of the estimate */
#define NOISE_PART 64u
#define NOISE_BYTES (UINT64_C(64) << 10)

/* Autovacuum: files smaller than this are left alone; milliseconds after the
 * mount to the first look, between two, and at most after failures */
#define AUTO_FILE (UINT64_C(64) << 20)
#define AUTO_FIRST (5 * 1000)
#define AUTO_PAUSE (60 * 1000)
#define AUTO_PAUSE_MAX (86400 * 1000)

/* One that was ordered is given up when so many daemons have died meanwhile */
#define DEATHS_MAX 8u

struct waiter {
	struct waiter *next;
	fuse_req_t req;
	struct fstrim_range range;
};

struct vacuum {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct waiter *waiters;
	struct vacuum_lasting *l; /* protected by the lock, too */
	uint64_t done, total; /* bytes, while it runs */
	const char *trim; /* why the last FITRIM did nothing, or NULL */
	struct timespec trim_time;
	bool paused; /* the past, by a punch; only of the thread */
	bool stop;
	/* When to look whether one is due, of the steady clock, and after how
	 * long then again; milliseconds */
	int64_t look;
	int64_t pause;
};

/* ---- the vacuum ------------------------------------------------------- */

/* Of the thread of vacuums: requests for the past can go on */
static void resume_past(struct vacuum *v)
{
	if (v->paused)
		views_resume(v->fs->views);
	v->paused = false;
}

static int note_progress(void *arg, uint64_t done, uint64_t total)
{
	struct vacuum *v = arg;
	bool cancel;

	resume_past(
		v); /* a punch has ended the past before it tells of progress */
	pthread_mutex_lock(&v->lock);
	v->done = done;
	v->total = total;
	cancel = v->l->cancel || v->stop;
	pthread_mutex_unlock(&v->lock);
	return cancel ? -ECANCELED : 0;
}

static void vacuum_now(struct vacuum *v, const struct vacuum_job *job,
		       struct vacuum_outcome *o)
{
	const struct banyan_vacuum_options options = {
		.rate = job->rate,
		.keep = job->keep,
		.progress = note_progress,
		.arg = v,
	};
	struct banyan_vacuum_result result = { 0 };
	struct banyan_vacuum_plan plan = { 0 };

	if (job->punch) {
		views_pause(v->fs->views);
		v->paused = true;
		o->error = banyan_vacuum_punch(v->fs->db, &options, &result);
		resume_past(v);
	} else {
		o->error = banyan_vacuum(v->fs->db, &options, &result);
		views_sleep(v->fs->views); /* and with it the old file goes */
	}
	o->before = result.bytes_before;
	o->after = result.bytes_after;
	o->dropped = result.freezes_dropped;
	o->kept = result.freezes_kept;
	if (o->error == -ENOSPC &&
	    !banyan_vacuum_plan(v->fs->db, NULL, &options, &plan)) {
		o->needed = plan.bytes_needed;
		o->room = plan.bytes_free;
	}
}

static uint64_t reclaimed(const struct vacuum_outcome *o)
{
	return o->before > o->after ? o->before - o->after : 0;
}

static void answer(struct waiter *w, const struct vacuum_outcome *o)
{
	w->range.len = reclaimed(o);
	if (o->error)
		fs_reply_error(w->req, o->error);
	else
		fuse_reply_ioctl(w->req, 0, &w->range, sizeof(w->range));
	free(w);
}

static void answer_all(struct waiter *waiters, const struct vacuum_outcome *o)
{
	while (waiters) {
		struct waiter *next = waiters->next;

		answer(waiters, o);
		waiters = next;
	}
}

/* When all that belongs to it is in place: the daemon may die at any time */
static void set_state(struct vacuum *v, enum vacuum_state state)
{
	atomic_signal_fence(memory_order_seq_cst);
	*(volatile enum vacuum_state *)&v->l->state = state;
}

/* With the lock held, which is let go meanwhile */
static void run_one(struct vacuum *v)
{
	struct vacuum_outcome o = { .error = -ECANCELED };
	bool begin = !v->stop && !v->l->cancel;
	struct vacuum_job job = v->l->job;
	struct waiter *waiters;

	pthread_mutex_unlock(&v->lock);
	if (begin)
		vacuum_now(v, &job, &o);
	pthread_mutex_lock(&v->lock);
	v->l->last = o;
	set_state(v, o.error ? VACUUM_FAILED : VACUUM_DONE);
	waiters = v->waiters;
	v->waiters = NULL;
	pthread_mutex_unlock(&v->lock);
	answer_all(waiters, &o);
	pthread_mutex_lock(&v->lock);
}

/* One that nobody has said more about */
static struct vacuum_job usual(const struct vacuum *v)
{
	return (struct vacuum_job){ .keep = v->fs->options->keep_seconds };
}

/* With the lock held: let one run, unless one does */
static void begin(struct vacuum *v, const struct vacuum_job *job)
{
	if (v->l->state == VACUUM_RUNNING)
		return;
	v->l->job = *job;
	v->l->cancel = false;
	v->l->deaths = 0;
	set_state(v, VACUUM_RUNNING);
	v->done = v->total = 0;
	pthread_cond_signal(&v->wake);
}

/* ---- when ------------------------------------------------------------- */

static bool is_share(const struct banyan_stat *stat, unsigned percent)
{
	return (double)stat->reclaimable_bytes * 100 >=
	       (double)stat->file_bytes * percent;
}

/* More than nothing, as far as that can be told */
static bool is_something(const struct banyan_stat *stat)
{
	return stat->reclaimable_bytes > NOISE_BYTES &&
	       stat->reclaimable_bytes > stat->file_bytes / NOISE_PART;
}

bool vacuum_is_worth_trimming(const struct banyan_stat *stat, unsigned percent,
			      uint64_t least)
{
	return is_something(stat) && stat->reclaimable_bytes >= least &&
	       (stat->live_bytes <= SMALL_BYTES || is_share(stat, percent));
}

bool vacuum_is_due(const struct banyan_stat *stat, unsigned percent)
{
	return stat->file_bytes >= AUTO_FILE && is_something(stat) &&
	       is_share(stat, percent);
}

/*
 * One that fails, or gives back less than half of what was expected, would do
 * so again: the next look comes later each time.
 */
static void run_by_itself(struct vacuum *v, uint64_t expected)
{
	const struct vacuum_job job = usual(v);
	int error;

	begin(v, &job);
	run_one(v);
	error = v->l->last.error;
	if (error || reclaimed(&v->l->last) < expected / 2)
		v->pause *= 2;
	else
		v->pause = AUTO_PAUSE;
	if (v->pause > AUTO_PAUSE_MAX)
		v->pause = AUTO_PAUSE_MAX;
	if (error && error != -ECANCELED)
		message("autovacuum: %s", banyan_strerror(error));
}

/* With the lock held */
static void look_if_due(struct vacuum *v)
{
	struct banyan_stat stat = { 0 };
	int rc;

	pthread_mutex_unlock(&v->lock);
	rc = banyan_get_stat(v->fs->db, &stat);
	pthread_mutex_lock(&v->lock);
	if (!rc && !v->stop && v->l->state != VACUUM_RUNNING &&
	    vacuum_is_due(&stat, v->fs->options->autovacuum_percent))
		run_by_itself(v, stat.reclaimable_bytes);
	v->look = steady_ms() + v->pause;
}

/* ---- the thread ------------------------------------------------------- */

static void *run(void *arg)
{
	struct vacuum *v = arg;
	bool automatic = v->fs->options->autovacuum_percent;

	pthread_mutex_lock(&v->lock);
	while (!v->stop) {
		const struct timespec due = {
			.tv_sec = v->look / 1000,
			.tv_nsec = v->look % 1000 * 1000000,
		};

		if (v->l->state == VACUUM_RUNNING)
			run_one(v);
		else if (!automatic)
			pthread_cond_wait(&v->wake, &v->lock);
		else if (pthread_cond_timedwait(&v->wake, &v->lock, &due) ==
			 ETIMEDOUT)
			look_if_due(v);
	}
	if (v->l->state == VACUUM_RUNNING)
		run_one(v); /* which does nothing but answer */
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

/* After the death of a daemon */
static void take_over(struct vacuum_lasting *l)
{
	if (l->state != VACUUM_RUNNING)
		return;
	if (!l->job.order)
		l->state = VACUUM_IDLE;
	else if (l->cancel)
		l->last = (struct vacuum_outcome){ .error = -ECANCELED };
	else if (++l->deaths < DEATHS_MAX)
		return;
	else
		l->last = (struct vacuum_outcome){ .error = -EIO };
	if (l->job.order)
		l->state = VACUUM_FAILED;
}

int vacuum_start(struct fs *fs, struct vacuum **vacuum)
{
	struct vacuum *v = calloc(1, sizeof(*v));
	pthread_condattr_t attr;
	int rc;

	if (!v)
		return -ENOMEM;
	v->fs = fs;
	v->l = &fs->lasting->vacuum;
	take_over(v->l);
	v->pause = AUTO_PAUSE;
	v->look = steady_ms() + AUTO_FIRST;
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&v->thread, NULL, run, v);
	if (rc) {
		pthread_cond_destroy(&v->wake);
		pthread_mutex_destroy(&v->lock);
		free(v);
		return -rc;
	}
	*vacuum = v;
	return 0;
}

void vacuum_end(struct vacuum *v)
{
	if (!v)
		return;
	pthread_mutex_lock(&v->lock);
	v->stop = true;
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void vacuum_stop(struct vacuum *v)
{
	if (!v)
		return;
	vacuum_end(v);
	pthread_join(v->thread, NULL);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

/* ---- FITRIM ----------------------------------------------------------- */

/* With the lock held: no longer in the queue. False: it was not there. */
static bool take_waiter(struct vacuum *v, fuse_req_t req)
{
	for (struct waiter **at = &v->waiters; *at; at = &(*at)->next) {
		struct waiter *w = *at;

		if (w->req != req)
			continue;
		*at = w->next;
		free(w);
		return true;
	}
	return false;
}

/* A signal has reached the caller, who does not wait any longer */
static void forget_waiter(fuse_req_t req, void *arg)
{
	struct vacuum *v = arg;
	bool found;

	pthread_mutex_lock(&v->lock);
	found = take_waiter(v, req);
	pthread_mutex_unlock(&v->lock);
	if (found)
		fuse_reply_err(req, EINTR);
}

/* Put w into the queue. False: it is not there, and to be answered with
 * *error */
static bool join(struct vacuum *v, struct waiter *w, bool worth, int *error)
{
	struct vacuum_job job = usual(v);
	bool may_wait = transport_may_wait();
	bool in = false;

	job.punch = v->fs->options->trim_punch;
	*error = 0;
	pthread_mutex_lock(&v->lock);
	if (v->stop)
		*error = -ECANCELED;
	else if (fuse_req_interrupted(w->req))
		*error = -EINTR;
	else
		in = worth || v->l->state == VACUUM_RUNNING;
	if (in && !may_wait) {
		*error = -EBUSY;
		in = false;
	}
	if (in) {
		w->next = v->waiters;
		v->waiters = w;
		begin(v, &job);
	}
	pthread_mutex_unlock(&v->lock);
	return in;
}

static const char *why_not(const struct banyan_stat *stat, uint64_t least)
{
	if (!is_something(stat))
		return "nothing-reclaimable";
	return stat->reclaimable_bytes < least ? "less-than-minlen" :
						 "too-small-a-share";
}

static void note_trim(struct vacuum *v, const char *why)
{
	pthread_mutex_lock(&v->lock);
	v->trim = why;
	clock_gettime(CLOCK_REALTIME, &v->trim_time);
	pthread_mutex_unlock(&v->lock);
}

void vacuum_trim(struct vacuum *v, fuse_req_t req,
		 const struct fstrim_range *range)
{
	struct waiter *w = malloc(sizeof(*w));
	struct banyan_stat stat = { 0 };
	struct vacuum_outcome nothing = { 0 };
	int rc = w ? banyan_get_stat(v->fs->db, &stat) : -ENOMEM;
	bool worth;

	if (rc) {
		free(w);
		fs_reply_error(req, rc);
		return;
	}
	*w = (struct waiter){ .req = req, .range = *range };
	worth = vacuum_is_worth_trimming(&stat, v->fs->options->trim_percent,
					 range->minlen);
	note_trim(v, worth ? NULL : why_not(&stat, range->minlen));
	fuse_req_interrupt_func(req, forget_waiter, v);
	if (!join(v, w, worth, &nothing.error))
		answer(w, &nothing);
}

/* ---- orders by attribute ---------------------------------------------- */

/* "punch"; or "start", behind which there may be a rate, and then a duration: *o
 * keeps what is not there */
static bool is_start(char *text, struct vacuum_job *o)
{
	static const char keep[] = "keep=";
	char *rest = NULL;
	const char *word = strtok_r(text, " ", &rest);

	o->punch = word && !strcmp(word, "punch");
	if (o->punch)
		return !strtok_r(NULL, " ", &rest);
	if (!word || strcmp(word, "start") != 0)
		return false;
	word = strtok_r(NULL, " ", &rest);
	if (word && strncmp(word, keep, sizeof(keep) - 1) != 0) {
		if (!options_number(word, UINT64_MAX, &o->rate) || !o->rate)
			return false;
		word = strtok_r(NULL, " ", &rest);
	}
	if (!word)
		return true;
	return !strncmp(word, keep, sizeof(keep) - 1) &&
	       options_duration(word + sizeof(keep) - 1, &o->keep) &&
	       !strtok_r(NULL, " ", &rest);
}

int vacuum_order(struct vacuum *v, const char *order, size_t size)
{
	char text[80];
	uint64_t number = requests_number();
	struct vacuum_job job = usual(v);
	int rc = 0;

	job.order = number;
	if (size >= sizeof(text) || memchr(order, '\0', size))
		return -EINVAL;
	memcpy(text, order, size);
	text[size] = '\0';
	pthread_mutex_lock(&v->lock);
	if (!strcmp(text, "cancel"))
		v->l->cancel = true;
	else if (!is_start(text, &job))
		rc = -EINVAL;
	else if (v->l->job.order == number)
		; /* it has come before, to a daemon that died */
	else if (v->stop)
		rc = -ECANCELED;
	else if (v->l->state == VACUUM_RUNNING)
		rc = -EBUSY;
	else
		begin(v, &job);
	pthread_mutex_unlock(&v->lock);
	return rc;
}

size_t vacuum_tell(struct vacuum *v, char *text, size_t size)
{
	const struct vacuum_outcome *o = &v->l->last;
	int n = 0;

	pthread_mutex_lock(&v->lock);
	switch (v->l->state) {
	case VACUUM_IDLE:
		n = snprintf(text, size, "idle");
		break;
	case VACUUM_RUNNING:
		n = snprintf(text, size, "running %" PRIu64 " %" PRIu64,
			     v->done, v->total);
		break;
	case VACUUM_DONE:
		n = snprintf(text, size,
			     "done %" PRIu64 " %" PRIu64 " %" PRIu64
			     " %" PRIu64,
			     o->before, o->after, o->dropped, o->kept);
		break;
	case VACUUM_FAILED:
		n = snprintf(text, size, "failed %d %" PRIu64 " %" PRIu64,
			     -o->error, o->needed, o->room);
		break;
	default:
		break;
	}
	pthread_mutex_unlock(&v->lock);
	return (size_t)n;
}

void vacuum_get(struct vacuum *v, struct vacuum_report *r)
{
	static const char *const states[] = {
		[VACUUM_IDLE] = "idle",
		[VACUUM_RUNNING] = "running",
		[VACUUM_DONE] = "done",
		[VACUUM_FAILED] = "failed",
	};

	pthread_mutex_lock(&v->lock);
	*r = (struct vacuum_report){
		.state = states[v->l->state],
		.trim = v->trim,
		.trim_time = { v->trim_time.tv_sec,
			       (uint64_t)v->trim_time.tv_nsec },
	};
	if (v->l->state == VACUUM_RUNNING) {
		r->done = v->done;
		r->total = v->total;
	} else if (v->l->state == VACUUM_DONE) {
		r->before = v->l->last.before;
		r->after = v->l->last.after;
		r->dropped = v->l->last.dropped;
		r->kept = v->l->last.kept;
	} else if (v->l->state == VACUUM_FAILED) {
		r->error = v->l->last.error;
		r->needed = v->l->last.needed;
		r->room = v->l->last.room;
	}
	pthread_mutex_unlock(&v->lock);
}
