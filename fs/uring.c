/* SPDX-License-Identifier: MIT */
/*
 * A *server* serves the requests of one entry. Where the rings are ours, the entry's
 * fetcher calls it; where they are held by another process, it is a thread of its own,
 * on the same CPU.
 *
 * A late answer (of an fsync, from the thread that commits) is written into its
 * entry by the thread that gives it. The entry's own thread sleeps until then.
 *
 * A request that finds no free entry waits in the kernel until a thread of its queue
 * answers. So a request that may stay unanswered for minutes (a FITRIM, behind a vacuum)
 * must not hold the entry of the only thread that could answer. The thread that serves
 * such a request asks uring_may_wait(), which sleeps until another thread of the queue is
 * free and nothing waits in the kernel, and gives up where all other threads hold such
 * requests, too.
 */
#include "uring.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cpus.h"
#include "fetchers.h"
#include "kernel.h"
#include "lasting.h"
#include "message.h"
#include "requests.h"
#include "supervisor.h"
#include "transport.h"

/* uring_may_wait() looks once a millisecond, for at most 10 seconds */
#define LOOKS 10000
#define LOOK_NS 1000000

/* How long the process that holds the rings may take to make and to register them */
#define HOLDER_SECONDS 20

struct server {
	struct uring *all;
	struct rings_entry *entry;
	_Atomic uint64_t unique; /* of the request that is served; 0: none */
	bool answered; /* by the thread itself */
	bool waiting; /* counted in the queue */
	bool owes; /* the answer will come later */
	bool again; /* the daemon before had the request */
	sem_t late; /* answered by another thread */
	bool room; /* the payload holds nothing of the request */
	_Atomic uint64_t served;
	struct lasting_request *lasting; /* NULL: nothing is to outlive us */
	pthread_t thread; /* if the rings are held */
	atomic_bool ended;
};

struct uring {
	struct fs *fs;
	struct rings *rings;
	struct fetchers *fetchers; /* NULL: the rings are held */
	void (*failed)(void *arg);
	void *arg;
	pthread_t follower; /* starts servers for entries that are added */
	bool following;
	atomic_bool follower_ended;
	atomic_bool stopping;
	atomic_uint started; /* servers that are threads */
	struct server server[]; /* as many as there can be entries */
};

static _Thread_local struct server *own; /* the thread's */

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

static struct rings_queue *queue_of(const struct server *s)
{
	return &s->all->rings->queue[s->entry->queue];
}

static bool is_stopping(const struct uring *u)
{
	return atomic_load(&u->stopping);
}

/* ---- answers ----------------------------------------------------------- */

/* The parts are moved from the last on: one may lie in the payload already */
static void fill(struct server *s, const struct iovec *iov, int count)
{
	struct kernel_uring_header *header = rings_header(s->entry);
	struct fuse_out_header *out = (void *)header->in_out;
	char *payload = rings_payload(s->entry);
	size_t end = 0;

	for (int i = 1; i < count; i++)
		end += iov[i].iov_len;
	if (s->all->rings->held)
		rings_save_payload(s->entry, end);
	memcpy(out, iov[0].iov_base, sizeof(*out));
	if (end > FS_MAX_TRANSFER) { /* no handler gives so much */
		out->error = -EIO;
		out->len = sizeof(*out);
		end = 0;
		count = 1;
	}
	header->payload_size = (uint32_t)end;
	for (int i = count - 1; i > 0; i--) {
		end -= iov[i].iov_len;
		if (iov[i].iov_len && iov[i].iov_base != payload + end)
			memmove(payload + end, iov[i].iov_base, iov[i].iov_len);
	}
	atomic_store(&s->unique, 0);
	if (s->all->rings->held) {
		atomic_store(&s->entry->state, RINGS_ANSWERED);
		rings_wake(&s->entry->state);
	}
}

static struct server *find(struct uring *u, uint64_t unique)
{
	for (unsigned i = 0; i < atomic_load(&u->rings->entries); i++)
		if (atomic_load(&u->server[i].unique) == unique)
			return &u->server[i];
	return NULL;
}

bool uring_answer(struct uring *u, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct server *s = own;

	if (!out->unique)
		return false; /* a notification */
	if (s && atomic_load_explicit(&s->unique, memory_order_relaxed) ==
			 out->unique) {
		s->answered = true;
		fill(s, iov, count);
		return true;
	}
	s = find(u, out->unique);
	if (s) {
		fill(s, iov, count);
		sem_post(&s->late);
	}
	return s;
}

/* May other requests of the queue have to wait until the calling thread answers? */
static bool is_needed(const struct rings_queue *q)
{
	return !atomic_load(&q->idle) ||
	       atomic_load(&q->dry) != atomic_load(&q->drained);
}

/* Does no other thread serve a request that it will soon answer? */
static bool is_alone(const struct rings_queue *q)
{
	return !atomic_load(&q->starting) &&
	       atomic_load(&q->idle) + atomic_load(&q->waiting) >=
		       atomic_load(&q->registered);
}

static void count_waiting(struct server *s, bool waiting)
{
	struct rings_queue *q = queue_of(s);

	if (waiting && !s->waiting)
		atomic_fetch_add(&q->waiting, 1);
	else if (!waiting && s->waiting)
		atomic_fetch_sub(&q->waiting, 1);
	s->waiting = waiting;
}

bool uring_may_wait(void)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	const struct rings_queue *q = own ? queue_of(own) : NULL;

	if (!q)
		return true;
	count_waiting(own, true);
	if (own->again) /* the daemon before has let it wait */
		return true;
	for (int i = 0; i < LOOKS && is_needed(q) && !is_alone(q) &&
			!is_stopping(own->all);
	     i++) {
		nanosleep(&pause, NULL);
		lasting_renew(own->lasting);
	}
	count_waiting(own, !is_needed(q));
	return own->waiting;
}

void *uring_room(size_t size)
{
	if (!own || !own->room || size > FS_MAX_TRANSFER)
		return NULL;
	return rings_payload(own->entry);
}

/* ---- serving ----------------------------------------------------------- */

/* Put the request together in front of its payload, as libfuse wants it. False:
 * it does not fit, which is not the protocol. */
static bool assemble(struct rings_entry *e, struct fuse_buf *buf)
{
	const struct kernel_uring_header *header = rings_header(e);
	const struct fuse_in_header *in = (const void *)header->in_out;
	size_t payload = header->payload_size;
	size_t len = in->len;
	size_t argument;
	char *at = rings_payload(e);

	if (len < sizeof(*in) + payload || payload > FS_MAX_TRANSFER)
		return false;
	argument = len - sizeof(*in) - payload;
	if (argument > sizeof(header->op_in))
		return false;
	at -= argument;
	memcpy(at, header->op_in, argument);
	at -= sizeof(*in);
	memcpy(at, in, sizeof(*in));
	buf->mem = at;
	buf->size = len;
	return true;
}

static void refuse(struct server *s)
{
	const struct kernel_uring_header *header = rings_header(s->entry);
	const struct fuse_in_header *in = (const void *)header->in_out;
	struct fuse_out_header failed = {
		.len = sizeof(failed),
		.error = -EIO,
		.unique = in->unique,
	};

	atomic_store(&s->unique, in->unique);
	uring_answer(s->all, &(struct iovec){ &failed, sizeof(failed) }, 1);
}

/* The calling thread's; the answer may come later */
static void process(struct server *s, bool again)
{
	struct kernel_uring_header *header = rings_header(s->entry);
	const struct fuse_in_header *in = (const void *)header->in_out;
	struct fuse_buf buf = { 0 };

	s->answered = false;
	s->again = again;
	s->room = !header->payload_size;
	atomic_store(&s->unique, in->unique);
	if (assemble(s->entry, &buf))
		requests_process(s->all->fs->session, s->lasting, &buf, again);
	else
		refuse(s);
	s->room = false;
}

static void finish(struct server *s)
{
	await(&s->late);
	s->owes = false;
}

static void serve(struct server *s)
{
	atomic_store_explicit(&s->served, s->served + 1, memory_order_relaxed);
	process(s, false);
	if (!s->answered)
		finish(s);
	count_waiting(s, false);
}

/* By one thread at a time */
static struct server *server_of(struct uring *u, unsigned i)
{
	struct server *s = &u->server[i];

	if (s->all)
		return s;
	s->all = u;
	s->entry = rings_entry(u->rings, i);
	sem_init(&s->late, 0, 0);
	if (u->rings->held)
		s->lasting = lasting_of_entry(u->fs->lasting, i);
	return s;
}

/* ---- with rings of our own --------------------------------------------- */

static void serve_entry(void *arg, struct rings_entry *entry)
{
	own = server_of(arg, entry->index);
	serve(own);
}

static void leave(void *arg)
{
	(void)arg;
	transport_buffer_free();
}

static void failed(void *arg, int rc)
{
	struct uring *u = arg;

	message("io_uring failed: %s", strerror(-rc));
	u->failed(u->arg);
}

static int fetch(struct uring *u)
{
	const struct fetchers_calls calls = { serve_entry, leave, failed, u };

	return fetchers_new(u->rings, fuse_session_fd(u->fs->session), &calls,
			    &u->fetchers);
}

/* ---- with those of another process -------------------------------------- */

static void *run(void *arg)
{
	struct server *s = arg;
	struct rings_entry *e = s->entry;

	cpus_bind(e->queue);
	own = s;
	lasting_use(s->all->fs->lasting, s->lasting);
	if (s->owes)
		finish(s);
	count_waiting(s, false);
	while (!is_stopping(s->all)) {
		uint32_t state = atomic_load(&e->state);

		if (state == RINGS_ASKED) {
			rings_save(e);
			serve(s);
		} else
			rings_wait(&e->state, state, NULL);
	}
	transport_buffer_free();
	atomic_store(&s->ended, true);
	return NULL;
}

/* One for each entry; those that cannot be started now, a little later: nobody else
 * would serve what comes there */
static void *follow(void *arg)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	struct uring *u = arg;

	while (!is_stopping(u)) {
		uint32_t entries = atomic_load(&u->rings->entries);
		unsigned i = u->started;

		if (i == entries)
			rings_wait(&u->rings->entries, entries, NULL);
		else if (!pthread_create(&u->server[i].thread, NULL, run,
					 server_of(u, i)))
			atomic_fetch_add(&u->started, 1);
		else
			nanosleep(&pause, NULL);
	}
	atomic_store(&u->follower_ended, true);
	return NULL;
}

/* Until the process that has the rings has got from a stage to the next one */
static int await_stage(struct rings *r, enum rings_stage from,
		       enum rings_stage to)
{
	const struct timespec second = { .tv_sec = 1 };

	for (int i = 0; i < HOLDER_SECONDS; i++) {
		uint32_t stage = atomic_load(&r->stage);

		if (stage == (uint32_t)to)
			return 0;
		if (stage == RINGS_FAILED)
			return atomic_load(&r->error);
		if (stage != (uint32_t)from)
			return -EPROTO;
		rings_wait(&r->stage, stage, &second);
	}
	return -ETIMEDOUT;
}

/* Whoever served before us may have died before it woke those whom it had answered */
static void go_on(struct rings *r)
{
	for (unsigned i = 0; i < r->queues; i++)
		atomic_store(&r->queue[i].waiting, 0);
	for (unsigned i = 0; i < atomic_load(&r->entries); i++)
		rings_wake(&rings_entry(r, i)->state);
}

static int hold(struct uring *u)
{
	struct rings *r = u->rings;

	if (atomic_load(&r->stage) == RINGS_SERVED) {
		go_on(r);
		return 0;
	}
	supervisor_hold_rings();
	return await_stage(r, RINGS_NONE, RINGS_MADE);
}

static int start_held(struct uring *u)
{
	struct rings *r = u->rings;
	uint32_t made = RINGS_MADE;
	int rc = 0;

	if (atomic_load(&r->stage) != RINGS_SERVED) {
		if (atomic_compare_exchange_strong(&r->stage, &made, RINGS_GO))
			rings_wake(&r->stage);
		rc = await_stage(r, RINGS_GO, RINGS_SERVED);
	}
	if (!rc)
		rc = -pthread_create(&u->follower, NULL, follow, u);
	u->following = !rc;
	return rc;
}

/* A thread that is about to wait would miss what it is woken by: wake it again */
static void end_thread(pthread_t thread, const atomic_bool *ended,
		       _Atomic uint32_t *word)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };

	rings_wake(word);
	while (!atomic_load(ended)) {
		nanosleep(&pause, NULL);
		rings_wake(word);
	}
	pthread_join(thread, NULL);
}

static void stop_held(struct uring *u)
{
	if (!u->following)
		return;
	end_thread(u->follower, &u->follower_ended, &u->rings->entries);
	u->following = false;
	for (unsigned i = 0; i < u->started; i++)
		rings_wake(&u->server[i].entry->state);
	for (unsigned i = 0; i < u->started; i++) {
		struct server *s = &u->server[i];

		end_thread(s->thread, &s->ended, &s->entry->state);
	}
	u->started = 0;
}

const struct fuse_in_header *uring_asked(const struct uring *u, unsigned i)
{
	return rings_asked(rings_entry(u->rings, i));
}

unsigned uring_entries(const struct uring *u)
{
	return atomic_load(&u->rings->entries);
}

void uring_serve_again(struct uring *u, unsigned i, struct lasting_request *r,
		       bool fatal)
{
	struct server *s = server_of(u, i);
	struct lasting_request *lasting = s->lasting;

	rings_save(s->entry);
	rings_restore(s->entry);
	own = s;
	s->lasting = r;
	if (fatal)
		refuse(s);
	else
		process(s, true);
	s->owes = !s->answered;
	if (s->answered)
		count_waiting(s, false);
	s->lasting = lasting;
	own = NULL;
}

/* ---- life -------------------------------------------------------------- */

/* The workers, too, need memory */
static unsigned count_affordable(const struct options *o, unsigned queues)
{
	unsigned by_memory = o->threads_most - WORKERS_BESIDE_RINGS;
	unsigned most = rings_affordable(queues);

	return most > by_memory ? by_memory : most;
}

static struct rings *make_rings(const struct options *o, bool held)
{
	unsigned queues = cpus_possible();
	unsigned most = queues ? count_affordable(o, queues) : 0;
	struct rings *r;

	if (held && most > LASTING_ENTRIES_MAX)
		most = LASTING_ENTRIES_MAX;
	if (!most || queues > most) { /* each queue needs one */
		errno = ERANGE;
		return NULL;
	}
	r = rings_new(queues, most, held);
	if (r)
		r->wanted = o->threads;
	return r;
}

struct rings *uring_rings_to_hold(const struct options *o)
{
	return make_rings(o, true);
}

int uring_new(struct fs *fs, struct uring **out)
{
	struct rings *r = fs->lasting->rings;
	struct uring *u;
	int rc;

	if (!r)
		r = make_rings(fs->options, false);
	if (!r)
		return -errno;
	u = calloc(1, sizeof(*u) + r->most * sizeof(struct server));
	if (!u) {
		if (!r->held)
			rings_free(r);
		return -ENOMEM;
	}
	u->fs = fs;
	u->rings = r;
	rc = r->held ? hold(u) : fetch(u);
	if (rc)
		uring_free(u);
	else
		*out = u;
	return rc;
}

int uring_start(struct uring *u, void (*failed_call)(void *arg), void *arg)
{
	u->failed = failed_call;
	u->arg = arg;
	return u->fetchers ? fetchers_start(u->fetchers) : start_held(u);
}

bool uring_lasts(const struct uring *u)
{
	return u->rings->held;
}

uint64_t uring_served(const struct uring *u)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < uring_entries(u); i++)
		n += atomic_load_explicit(&u->server[i].served,
					  memory_order_relaxed);
	return n;
}

void uring_stop(struct uring *u)
{
	if (!u)
		return;
	atomic_store(&u->stopping, true);
	fetchers_stop(u->fetchers);
	stop_held(u);
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	uring_stop(u);
	fetchers_free(u->fetchers);
	for (unsigned i = 0; i < uring_entries(u); i++)
		if (u->server[i].all)
			sem_destroy(&u->server[i].late);
	if (!u->rings->held)
		rings_free(u->rings);
	free(u);
}
