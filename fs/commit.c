/* SPDX-License-Identifier: MIT */
/*
 * The thread sleeps until somebody waits for a sync, or the oldest change that
 * is not durable is old enough, or so much has been written that the disk had
 * better begin, or the end. `dirty` is set by the first change after a sync began;
 * only that one takes the lock. The lock protects the queue, `since` and `stop`; it
 * is never held over a sync or an answer.
 */
#include "commit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "message.h"

/*
 * Contents that are written before they are made durable. Who writes a large file
 * and then fsync()s it would otherwise wait for all of the disk's work at the end,
 * which now goes on beside the writing. Small writes do not count: a commit makes
 * others wait, which for many small files is worth nothing.
 */
#define EARLY_BYTES (16u << 20)
#define LARGE (64u << 10)

struct waiter {
	struct waiter *next;
	fuse_req_t req;
};

struct commit {
	banyan *db;
	unsigned seconds;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct waiter *waiters;
	struct timespec since; /* of the oldest change, if dirty */
	atomic_bool dirty;
	_Atomic uint64_t bytes; /* of contents since a sync began */
	bool timer; /* since counts */
	bool stop;
	bool failed; /* said so already */
};

/* Sync. The first failure is told; after it there is none that succeeds. */
static int sync_now(struct commit *c)
{
	int rc;

	if (banyan_read_only(c->db))
		return 0;
	rc = banyan_sync(c->db);
	if (rc && !c->failed) {
		c->failed = true;
		message("cannot write the database: %s; unmount, make room "
			"or repair the disk, and mount again",
			banyan_strerror(rc));
	}
	return rc;
}

static void answer(struct waiter *waiters, int rc)
{
	while (waiters) {
		struct waiter *next = waiters->next;

		fs_reply_error(waiters->req, rc);
		free(waiters);
		waiters = next;
	}
}

/* With the lock held, sleep until there is something to do */
static void wait_for_work(struct commit *c)
{
	while (!c->stop && !c->waiters &&
	       atomic_load(&c->bytes) < EARLY_BYTES) {
		struct timespec due = c->since;

		if (!c->timer) {
			pthread_cond_wait(&c->wake, &c->lock);
			continue;
		}
		due.tv_sec += (time_t)c->seconds;
		if (pthread_cond_timedwait(&c->wake, &c->lock, &due) ==
		    ETIMEDOUT)
			return;
	}
}

static void *run(void *arg)
{
	struct commit *c = arg;
	bool stop = false;

	while (!stop) {
		struct waiter *waiters;
		int rc = 0;

		pthread_mutex_lock(&c->lock);
		wait_for_work(c);
		waiters = c->waiters;
		c->waiters = NULL;
		c->timer = false;
		atomic_store(&c->bytes, 0);
		stop = c->stop;
		pthread_mutex_unlock(&c->lock);

		/* First: what is changed from here on is not covered */
		if (atomic_exchange(&c->dirty, false) || waiters)
			rc = sync_now(c);
		answer(waiters, rc);
	}
	return NULL;
}

int commit_start(banyan *db, unsigned seconds, struct commit **commit)
{
	struct commit *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int rc;

	if (!c)
		return -ENOMEM;
	c->db = db;
	c->seconds = seconds;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&c->thread, NULL, run, c);
	if (rc) {
		pthread_cond_destroy(&c->wake);
		pthread_mutex_destroy(&c->lock);
		free(c);
		return -rc;
	}
	*commit = c;
	return 0;
}

void commit_stop(struct commit *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	answer(c->waiters, -EIO); /* none, as nobody serves requests any more */
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void commit_note(struct commit *c)
{
	if (atomic_load_explicit(&c->dirty, memory_order_relaxed))
		return;
	if (atomic_exchange(&c->dirty, true) || !c->seconds)
		return;
	pthread_mutex_lock(&c->lock);
	if (!c->timer) {
		clock_gettime(CLOCK_MONOTONIC, &c->since);
		c->timer = true;
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
}

void commit_note_bytes(struct commit *c, size_t size)
{
	uint64_t before;

	commit_note(c);
	if (size < LARGE || !c->seconds)
		return;
	before = atomic_fetch_add(&c->bytes, size);
	if (before >= EARLY_BYTES || before + size < EARLY_BYTES)
		return;
	pthread_mutex_lock(&c->lock);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

void commit_request(struct commit *c, fuse_req_t req)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w) { /* then this thread has to wait */
		fs_reply_error(
			req, banyan_read_only(c->db) ? 0 : banyan_sync(c->db));
		return;
	}
	w->req = req;
	pthread_mutex_lock(&c->lock);
	w->next = c->waiters;
	c->waiters = w;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}
