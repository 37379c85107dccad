/* SPDX-License-Identifier: MIT */
/*
 * A request that finds no free entry waits in the kernel until a thread of its queue
 * answers: an entry that is registered later does not fetch it.
 */
#include "fetchers.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cpus.h"
#include "device.h"
#include "fs.h"

/* Threads of a queue: at the start, however many CPUs share those that are asked
 * for (of a CPU that is offline: one) */
#define THREADS_MIN (SPARE + 1)

/* Idle threads of a queue, below which another is started. A request that finds none
 * waits until another one is answered: the kernel does not hand it to an entry that
 * is registered later. Hence two, one for what comes meanwhile. */
#define SPARE 2u

/* The memory of a payload that has been larger is given back when the thread has
 * been idle for so long */
#define SMALL (64u << 10)
#define IDLE_SECONDS 1

/* A ring that fails is tried again for 5 seconds */
#define TRIES 500
#define PAUSE_NS 10000000

struct fetcher {
	struct fetchers *all;
	struct rings_entry *entry;
	struct rings_queue *queue;
	bool added; /* while others serve */
	int rc; /* of making the ring, of registering */
	pthread_t thread;
	struct io_uring uring;
	struct iovec iov[2]; /* the header and the payload */
	bool large; /* the payload was, since memory was given back */
};

struct fetchers {
	struct rings *rings;
	int device;
	struct fetchers_calls calls;
	int event; /* ends all threads */
	sem_t made, go, registered;
	atomic_bool stopping;
	bool joined;
	pthread_mutex_t lock; /* who starts a thread, or ends all, has it */
	atomic_uint threads;
	struct fetcher *fetcher[];
};

static bool is_stopping(const struct fetchers *f)
{
	return atomic_load(&f->stopping);
}

/* ---- what is submitted ------------------------------------------------- */

/* There is room at once: for the event and a command */
static struct io_uring_sqe *next_sqe(struct fetcher *t)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&t->uring);

	while (!sqe) {
		io_uring_submit(&t->uring);
		sqe = io_uring_get_sqe(&t->uring);
	}
	memset(sqe, 0, 2 * sizeof(*sqe)); /* IORING_SETUP_SQE128 */
	return sqe;
}

static void submit(struct fetcher *t, uint32_t command)
{
	struct io_uring_sqe *sqe = next_sqe(t);
	struct kernel_uring_command *c = (void *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = t->all->device;
	sqe->cmd_op = command;
	sqe->addr = (uintptr_t)t->iov;
	sqe->len = 2;
	sqe->user_data = (uintptr_t)t;
	c->queue = (uint16_t)t->entry->queue;
	c->commit_id = rings_header(t->entry)->commit_id;
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

/* ---- fetching ---------------------------------------------------------- */

static void grow(struct fetchers *f, unsigned queue);

static void serve(struct fetcher *t)
{
	struct rings_queue *q = t->queue;
	const struct kernel_uring_header *h = rings_header(t->entry);
	unsigned idle = atomic_fetch_sub(&q->idle, 1) - 1;

	if (idle + atomic_load(&q->starting) < SPARE && !atomic_load(&q->full))
		grow(t->all, t->entry->queue);
	t->large |= h->payload_size > SMALL;
	t->all->calls.serve(t->all->calls.arg, t->entry);
	t->large |= h->payload_size > SMALL;
	atomic_fetch_add(&q->idle, 1);
	submit(t, KERNEL_URING_COMMIT_AND_FETCH);
}

/*
 * Give and wait. With IORING_SETUP_DEFER_TASKRUN the kernel writes into the payload
 * in here only, so that its memory can be given back after a wait in vain.
 */
static int enter_once(struct fetcher *t)
{
	struct __kernel_timespec idle = { .tv_sec = IDLE_SECONDS };
	struct io_uring_cqe *cqe;
	struct rings_queue *q = t->queue;
	unsigned dry = atomic_load(&q->dry);
	int rc = 0;

	if (dry != atomic_load(&q->drained))
		rc = io_uring_submit(&t->uring);
	if (rc < 0)
		return rc;
	if (rc && !io_uring_cq_ready(&t->uring))
		atomic_store(&q->drained, dry); /* nothing was fetched */
	if (!t->large)
		return io_uring_submit_and_wait(&t->uring, 1);
	rc = io_uring_submit_and_wait_timeout(&t->uring, &cqe, 1, &idle, NULL);
	if (rc != -ETIME)
		return rc;
	rings_drop_payload(t->all->rings, t->entry);
	t->large = false;
	return 0;
}

/* It may fail for a while, for lack of memory */
static int enter(struct fetcher *t)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int rc = enter_once(t);

	for (int i = 0; i < TRIES && rc < 0 && rc != -EINTR; i++) {
		nanosleep(&pause, NULL);
		rc = enter_once(t);
	}
	return rc == -EINTR ? 0 : rc;
}

/* Until the end. The kernel lets go of all entries, with an error, when the mount
 * ends. */
static int loop(struct fetcher *t)
{
	struct io_uring_cqe *cqe;
	int rc = 0;

	while (rc >= 0 && !is_stopping(t->all)) {
		rc = enter(t);
		while (rc >= 0 && !io_uring_peek_cqe(&t->uring, &cqe)) {
			bool request = io_uring_cqe_get_data(cqe);

			if (request)
				rc = cqe->res;
			io_uring_cqe_seen(&t->uring, cqe);
			if (request && rc >= 0 && !is_stopping(t->all))
				serve(t);
		}
	}
	if (rc >= 0)
		io_uring_submit(&t->uring); /* the last answer */
	return rc >= 0 || device_is_unmounted(t->all->device) ? 0 : rc;
}

/* ---- threads ----------------------------------------------------------- */

static int make_ring(struct fetcher *t)
{
	const unsigned flags = IORING_SETUP_SQE128 |
			       IORING_SETUP_SINGLE_ISSUER |
			       IORING_SETUP_DEFER_TASKRUN;
	int rc = io_uring_queue_init(2, &t->uring, flags);

	t->iov[0] = (struct iovec){ rings_header(t->entry),
				    sizeof(struct kernel_uring_header) };
	t->iov[1] = (struct iovec){ rings_payload(t->entry), FS_MAX_TRANSFER };
	if (!rc)
		io_uring_ring_dontfork(&t->uring);
	return rc;
}

static int register_entry(struct fetcher *t)
{
	struct io_uring_sqe *sqe = next_sqe(t);
	struct io_uring_cqe *cqe;
	int rc;

	io_uring_prep_poll_add(sqe, t->all->event, POLLIN);
	sqe->user_data = 0;
	submit(t, KERNEL_URING_REGISTER);
	if (t->added)
		atomic_fetch_add(&t->queue->dry, 1);
	rc = io_uring_submit(&t->uring);
	/* Only a failure is reported at once */
	if (rc >= 0 && !io_uring_peek_cqe(&t->uring, &cqe))
		rc = cqe->res;
	return rc < 0 ? rc : 0;
}

/* It has its entry, or t->rc says why not */
static void count_started(struct fetcher *t)
{
	struct rings_queue *q = t->queue;

	if (t->rc) {
		atomic_store(&q->full, true);
	} else {
		atomic_fetch_add(&q->registered, 1);
		atomic_fetch_add(&q->idle, 1);
	}
	atomic_fetch_sub(&q->starting, 1);
}

static void register_and_fetch(struct fetcher *t)
{
	struct fetchers *f = t->all;
	int rc;

	t->rc = register_entry(t);
	count_started(t);
	if (!t->added)
		sem_post(&f->registered);
	rc = t->rc ? 0 : loop(t);
	if (rc)
		f->calls.failed(f->calls.arg, rc);
}

static void *run(void *arg)
{
	struct fetcher *t = arg;
	struct fetchers *f = t->all;

	cpus_bind(t->entry->queue);
	t->rc = make_ring(t);
	if (!t->added)
		sem_post(&f->made);
	if (t->rc) {
		count_started(t);
		return NULL;
	}
	if (!t->added)
		await(&f->go);
	pthread_mutex_lock(&f->lock); /* until it can be found */
	pthread_mutex_unlock(&f->lock);
	if (!is_stopping(f))
		register_and_fetch(t);
	if (f->calls.leave)
		f->calls.leave(f->calls.arg);
	io_uring_queue_exit(&t->uring);
	return NULL;
}

/* With the lock held */
static int start_thread(struct fetchers *f, unsigned queue, bool added)
{
	unsigned index = f->threads;
	struct rings_queue *q = &f->rings->queue[queue];
	struct fetcher *t;
	int rc;

	if (index == f->rings->most || q->threads == RINGS_THREADS_MAX)
		return -EAGAIN;
	rc = rings_open_entry(f->rings, index, queue);
	if (rc)
		return rc;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->all = f;
	t->entry = rings_entry(f->rings, index);
	t->queue = q;
	t->added = added;
	atomic_fetch_add(&q->starting, 1);
	rc = -pthread_create(&t->thread, NULL, run, t);
	if (rc) {
		atomic_fetch_sub(&q->starting, 1);
		free(t);
		return rc;
	}
	q->threads++;
	f->fetcher[index] = t;
	atomic_fetch_add(&f->threads, 1);
	atomic_store(&f->rings->entries, index + 1);
	if (f->rings->held)
		rings_wake(&f->rings->entries);
	return 0;
}

static void grow(struct fetchers *f, unsigned queue)
{
	pthread_mutex_lock(&f->lock);
	if (!is_stopping(f) && start_thread(f, queue, true))
		atomic_store(&f->rings->queue[queue].full, true);
	pthread_mutex_unlock(&f->lock);
}

/* ---- life -------------------------------------------------------------- */

/* Of each queue as many as the CPU's share, and wait until each has its ring */
static int start_threads(struct fetchers *f)
{
	cpu_set_t online;
	unsigned cpus = cpus_online(&online);
	unsigned share = cpus ? (f->rings->wanted + cpus - 1) / cpus : 0;
	int rc = 0;

	if (share < THREADS_MIN)
		share = THREADS_MIN;
	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < f->rings->queues; i++)
		for (unsigned j = CPU_ISSET(i, &online) ? share : 1; j && !rc;
		     j--)
			rc = start_thread(f, i, false);
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; i < f->threads; i++)
		await(&f->made);
	for (unsigned i = 0; i < f->threads && !rc; i++)
		rc = f->fetcher[i]->rc;
	return rc;
}

int fetchers_new(struct rings *rings, int device,
		 const struct fetchers_calls *calls, struct fetchers **out)
{
	struct fetchers *f =
		calloc(1, sizeof(*f) + rings->most * sizeof(struct fetcher *));
	int rc;

	if (!f)
		return -ENOMEM;
	f->rings = rings;
	f->device = device;
	f->calls = *calls;
	pthread_mutex_init(&f->lock, NULL);
	sem_init(&f->made, 0, 0);
	sem_init(&f->go, 0, 0);
	sem_init(&f->registered, 0, 0);
	f->event = eventfd(0, EFD_CLOEXEC);
	rc = f->event < 0 ? -errno : start_threads(f);
	if (rc)
		fetchers_free(f);
	else
		*out = f;
	return rc;
}

int fetchers_start(struct fetchers *f)
{
	unsigned threads = f->threads; /* more may come */
	int rc = 0;

	for (unsigned i = 0; i < threads; i++)
		sem_post(&f->go);
	for (unsigned i = 0; i < threads; i++)
		await(&f->registered);
	for (unsigned i = 0; i < threads && !rc; i++)
		rc = f->fetcher[i]->rc;
	return rc;
}

void fetchers_join(struct fetchers *f)
{
	for (unsigned i = 0; i < f->threads && !f->joined; i++)
		pthread_join(f->fetcher[i]->thread, NULL);
	f->joined = true;
}

void fetchers_stop(struct fetchers *f)
{
	if (!f || f->joined)
		return;
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->stopping, true);
	pthread_mutex_unlock(&f->lock);
	if (f->event >= 0)
		eventfd_write(f->event, 1);
	for (unsigned i = 0; i < f->threads; i++)
		sem_post(&f->go);
	fetchers_join(f);
}

void fetchers_free(struct fetchers *f)
{
	if (!f)
		return;
	fetchers_stop(f);
	for (unsigned i = 0; i < f->threads; i++)
		free(f->fetcher[i]);
	if (f->event >= 0)
		close(f->event);
	pthread_mutex_destroy(&f->lock);
	sem_destroy(&f->made);
	sem_destroy(&f->go);
	sem_destroy(&f->registered);
	free(f);
}
