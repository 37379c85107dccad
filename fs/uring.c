/* SPDX-License-Identifier: MIT */
/*
 * Each thread has a ring of its own with one *entry*: memory for one request and
 * its answer, which the kernel fills and empties. What the kernel does for an
 * entry it does in the thread that submitted it. So with two entries a thread
 * that waits for the disk would stop the caller whose request came by the other.
 *
 * Each queue of the kernel has several threads, bound to its CPU. The kernel gives
 * a request to the entry that became free last, so one thread does all the work as
 * long as it can. Where fewer than SPARE of a queue are idle, one more is started.
 * It stays until the end, since the kernel never gives an entry back: a queue has as
 * many threads as it once served requests at a time, and SPARE.
 *
 * A late answer (of an fsync, from the thread that commits) is written into its
 * entry by the thread that gives it. The entry's own thread sleeps until then.
 *
 * A request that finds no free entry waits in the kernel until a thread of its queue
 * answers: an entry that is registered later does not fetch it. So a request that may
 * stay unanswered for minutes (a FITRIM, behind a vacuum) must not hold the entry of
 * the only thread that could answer. The thread that serves such a request asks
 * uring_may_wait(), which sleeps until another thread of the queue is free and nothing
 * waits in the kernel, and gives up where all other threads hold such requests, too.
 */
#include "uring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cpus.h"
#include "kernel.h"
#include "message.h"
#include "requests.h"
#include "session.h"
#include "transport.h"

/* Threads of a queue: at the start, however many CPUs share those that are asked
 * for (of a CPU that is offline: one); and at most */
#define THREADS_MIN (SPARE + 1)
#define THREADS_MAX 128u

/* Idle threads of a queue, below which another is started. A request that finds none
 * waits until another one is answered: the kernel does not hand it to an entry that
 * is registered later. Hence two, one for what comes meanwhile. */
#define SPARE 2u

/* In front of the payload: the header, and room where the parts of a request are
 * put together */
#define FRONT 4096u

/* The memory of a payload that has been larger is given back when the thread has
 * been idle for so long */
#define SMALL (64u << 10)
#define IDLE_SECONDS 1

/* A ring that fails is tried again for 5 seconds */
#define TRIES 500
#define PAUSE_NS 10000000

/* uring_may_wait() looks once a millisecond, for at most 10 seconds */
#define LOOKS 10000
#define LOOK_NS 1000000

struct queue {
	unsigned threads; /* protected by the lock */
	atomic_uint registered; /* threads, each with one entry */
	atomic_uint idle; /* of these: the kernel has the entry */
	atomic_uint waiting; /* of these: in uring_may_wait(), or were let wait */
	atomic_uint starting;
	/* Entries were registered that did not fetch what waits in the kernel. When
	 * nothing waited there last, `drained` were. */
	atomic_uint dry, drained;
	atomic_bool full; /* or one could not be started, and none will be */
};

struct ring {
	struct uring *all;
	unsigned queue; /* of the kernel; the number of its CPU */
	bool added; /* while others serve */
	int rc; /* of making it, of registering */
	pthread_t thread;
	struct io_uring uring;
	struct kernel_uring_header *header; /* FRONT and the payload follow */
	struct iovec iov[2];
	_Atomic uint64_t unique; /* of the request that is served; 0: none */
	bool answered; /* by the thread itself */
	bool waiting; /* counted in the queue */
	sem_t late; /* answered by another one */
	bool room; /* the payload holds nothing of the request */
	bool large; /* the payload was, since memory was given back */
	_Atomic uint64_t served;
};

struct uring {
	struct fs *fs;
	void (*failed)(void *arg);
	void *arg;
	int event; /* ends all threads */
	sem_t made, go, registered;
	atomic_bool stopping;
	bool stopped;
	struct queue *queue;
	pthread_mutex_t lock; /* who starts a thread, or ends all, has it */
	unsigned most; /* threads */
	atomic_uint threads;
	struct ring *ring[];
};

static _Thread_local struct ring *own; /* the thread's */

/* ---- what is submitted ------------------------------------------------- */

/* There is room at once: for the event and a command */
static struct io_uring_sqe *next_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

	while (!sqe) {
		io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	memset(sqe, 0, 2 * sizeof(*sqe)); /* IORING_SETUP_SQE128 */
	return sqe;
}

static void submit(struct ring *r, uint32_t command)
{
	struct io_uring_sqe *sqe = next_sqe(r);
	struct kernel_uring_command *c = (void *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fuse_session_fd(r->all->fs->session);
	sqe->cmd_op = command;
	sqe->addr = (uintptr_t)r->iov;
	sqe->len = 2;
	sqe->user_data = (uintptr_t)r;
	c->queue = (uint16_t)r->queue;
	c->commit_id = r->header->commit_id;
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

/* ---- answers ----------------------------------------------------------- */

/* The parts are moved from the last on: one may lie in the payload already */
static void fill(struct ring *r, const struct iovec *iov, int count)
{
	struct fuse_out_header *out = (void *)r->header->in_out;
	char *payload = r->iov[1].iov_base;
	size_t end = 0;

	for (int i = 1; i < count; i++)
		end += iov[i].iov_len;
	memcpy(out, iov[0].iov_base, sizeof(*out));
	if (end > FS_MAX_TRANSFER) { /* no handler gives so much */
		out->error = -EIO;
		out->len = sizeof(*out);
		end = 0;
		count = 1;
	}
	r->header->payload_size = (uint32_t)end;
	for (int i = count - 1; i > 0; i--) {
		end -= iov[i].iov_len;
		if (iov[i].iov_len && iov[i].iov_base != payload + end)
			memmove(payload + end, iov[i].iov_base, iov[i].iov_len);
	}
	atomic_store(&r->unique, 0);
}

static struct ring *find(struct uring *u, uint64_t unique)
{
	for (unsigned i = 0; i < atomic_load(&u->threads); i++)
		if (atomic_load(&u->ring[i]->unique) == unique)
			return u->ring[i];
	return NULL;
}

bool uring_answer(struct uring *u, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct ring *r = own;

	if (!out->unique)
		return false; /* a notification */
	if (r && atomic_load_explicit(&r->unique, memory_order_relaxed) ==
			 out->unique) {
		fill(r, iov, count);
		r->answered = true;
		return true;
	}
	r = find(u, out->unique);
	if (r) {
		fill(r, iov, count);
		sem_post(&r->late);
	}
	return r;
}

/* May other requests of the queue have to wait until the calling thread answers? */
static bool is_needed(const struct queue *q)
{
	return !atomic_load(&q->idle) ||
	       atomic_load(&q->dry) != atomic_load(&q->drained);
}

/* Does no other thread serve a request that it will soon answer? */
static bool is_alone(const struct queue *q)
{
	return !atomic_load(&q->starting) &&
	       atomic_load(&q->idle) + atomic_load(&q->waiting) >=
		       atomic_load(&q->registered);
}

static void count_waiting(struct ring *r, bool waiting)
{
	struct queue *q = &r->all->queue[r->queue];

	if (waiting && !r->waiting)
		atomic_fetch_add(&q->waiting, 1);
	else if (!waiting && r->waiting)
		atomic_fetch_sub(&q->waiting, 1);
	r->waiting = waiting;
}

bool uring_may_wait(void)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	const struct queue *q = own ? &own->all->queue[own->queue] : NULL;

	if (!q)
		return true;
	count_waiting(own, true);
	for (int i = 0; i < LOOKS && is_needed(q) && !is_alone(q) &&
			!atomic_load(&own->all->stopping);
	     i++)
		nanosleep(&pause, NULL);
	count_waiting(own, !is_needed(q));
	return own->waiting;
}

void *uring_room(size_t size)
{
	if (!own || !own->room || size > FS_MAX_TRANSFER)
		return NULL;
	return own->iov[1].iov_base;
}

/* ---- serving ----------------------------------------------------------- */

/* Put the request together in front of its payload, as libfuse wants it. False:
 * it does not fit, which is not the protocol. */
static bool assemble(struct ring *r, struct fuse_buf *buf)
{
	const struct fuse_in_header *in = (void *)r->header->in_out;
	size_t payload = r->header->payload_size;
	size_t len = in->len;
	size_t argument;
	char *at = r->iov[1].iov_base;

	if (len < sizeof(*in) + payload || payload > FS_MAX_TRANSFER)
		return false;
	argument = len - sizeof(*in) - payload;
	if (argument > sizeof(r->header->op_in))
		return false;
	at -= argument;
	memcpy(at, r->header->op_in, argument);
	at -= sizeof(*in);
	memcpy(at, in, sizeof(*in));
	buf->mem = at;
	buf->size = len;
	return true;
}

static void process(struct ring *r)
{
	const struct fuse_in_header *in = (void *)r->header->in_out;
	struct fuse_out_header failed = {
		.len = sizeof(failed),
		.error = -EIO,
		.unique = in->unique,
	};
	struct fuse_buf buf = { 0 };

	r->answered = false;
	r->room = !r->header->payload_size;
	atomic_store(&r->unique, in->unique);
	if (assemble(r, &buf))
		requests_process(r->all->fs->session, NULL, &buf);
	else
		uring_answer(r->all, &(struct iovec){ &failed, sizeof(failed) },
			     1);
	r->room = false;
	if (!r->answered)
		await(&r->late);
	count_waiting(r, false);
}

static void grow(struct uring *u, unsigned queue);

static void serve(struct ring *r)
{
	struct queue *q = &r->all->queue[r->queue];
	unsigned idle = atomic_fetch_sub(&q->idle, 1) - 1;

	atomic_store_explicit(&r->served, r->served + 1, memory_order_relaxed);
	if (idle + atomic_load(&q->starting) < SPARE && !atomic_load(&q->full))
		grow(r->all, r->queue);
	r->large |= r->header->payload_size > SMALL;
	process(r);
	r->large |= r->header->payload_size > SMALL;
	atomic_fetch_add(&q->idle, 1);
	submit(r, KERNEL_URING_COMMIT_AND_FETCH);
}

/*
 * Give and wait. With IORING_SETUP_DEFER_TASKRUN the kernel writes into the payload
 * in here only, so that its memory can be given back after a wait in vain.
 */
static int enter_once(struct ring *r)
{
	struct __kernel_timespec idle = { .tv_sec = IDLE_SECONDS };
	struct io_uring_cqe *cqe;
	struct queue *q = &r->all->queue[r->queue];
	unsigned dry = atomic_load(&q->dry);
	int rc = 0;

	if (dry != atomic_load(&q->drained))
		rc = io_uring_submit(&r->uring);
	if (rc < 0)
		return rc;
	if (rc && !io_uring_cq_ready(&r->uring))
		atomic_store(&q->drained, dry); /* nothing was fetched */
	if (!r->large)
		return io_uring_submit_and_wait(&r->uring, 1);
	rc = io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, &idle, NULL);
	if (rc != -ETIME)
		return rc;
	madvise(r->iov[1].iov_base, r->iov[1].iov_len, MADV_DONTNEED);
	r->large = false;
	return 0;
}

/* It may fail for a while, for lack of memory */
static int enter(struct ring *r)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int rc = enter_once(r);

	for (int i = 0; i < TRIES && rc < 0 && rc != -EINTR; i++) {
		nanosleep(&pause, NULL);
		rc = enter_once(r);
	}
	return rc == -EINTR ? 0 : rc;
}

/* Until the end. The kernel lets go of all entries, with an error, when the mount
 * ends. */
static int loop(struct ring *r)
{
	struct io_uring_cqe *cqe;
	int rc = 0;

	while (rc >= 0 && !atomic_load(&r->all->stopping)) {
		rc = enter(r);
		while (rc >= 0 && !io_uring_peek_cqe(&r->uring, &cqe)) {
			bool request = io_uring_cqe_get_data(cqe);

			if (request)
				rc = cqe->res;
			io_uring_cqe_seen(&r->uring, cqe);
			if (request && rc >= 0 &&
			    !atomic_load(&r->all->stopping))
				serve(r);
		}
	}
	if (rc >= 0)
		io_uring_submit(&r->uring); /* the last answer */
	return rc >= 0 || session_is_unmounted(r->all->fs) ? 0 : rc;
}

/* ---- threads ----------------------------------------------------------- */

static int make_ring(struct ring *r)
{
	const unsigned flags = IORING_SETUP_SQE128 |
			       IORING_SETUP_SINGLE_ISSUER |
			       IORING_SETUP_DEFER_TASKRUN;
	void *memory = mmap(NULL, FRONT + FS_MAX_TRANSFER,
			    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	int rc;

	if (memory == MAP_FAILED)
		return -errno;
	r->header = memory;
	r->iov[0] = (struct iovec){ memory, sizeof(*r->header) };
	r->iov[1] = (struct iovec){ (char *)memory + FRONT, FS_MAX_TRANSFER };
	rc = io_uring_queue_init(2, &r->uring, flags);
	if (!rc)
		io_uring_ring_dontfork(&r->uring);
	return rc;
}

static int register_ring(struct ring *r)
{
	struct io_uring_sqe *sqe = next_sqe(r);
	struct io_uring_cqe *cqe;
	int rc;

	io_uring_prep_poll_add(sqe, r->all->event, POLLIN);
	sqe->user_data = 0;
	submit(r, KERNEL_URING_REGISTER);
	if (r->added)
		atomic_fetch_add(&r->all->queue[r->queue].dry, 1);
	rc = io_uring_submit(&r->uring);
	/* Only a failure is reported at once */
	if (rc >= 0 && !io_uring_peek_cqe(&r->uring, &cqe))
		rc = cqe->res;
	return rc < 0 ? rc : 0;
}

/* It has its entry, or r->rc says why not */
static void count_started(struct ring *r)
{
	struct queue *q = &r->all->queue[r->queue];

	if (r->rc) {
		atomic_store(&q->full, true);
	} else {
		atomic_fetch_add(&q->registered, 1);
		atomic_fetch_add(&q->idle, 1);
	}
	atomic_fetch_sub(&q->starting, 1);
}

static void register_and_serve(struct ring *r)
{
	struct uring *u = r->all;
	int rc;

	r->rc = register_ring(r);
	count_started(r);
	if (!r->added)
		sem_post(&u->registered);
	rc = r->rc ? 0 : loop(r);
	if (rc) {
		message("io_uring failed: %s", strerror(-rc));
		u->failed(u->arg);
	}
}

static void *run(void *arg)
{
	struct ring *r = arg;
	struct uring *u = r->all;

	cpus_bind(r->queue);
	own = r;
	r->rc = make_ring(r);
	if (!r->added)
		sem_post(&u->made);
	if (r->rc) {
		count_started(r);
		return NULL;
	}
	if (!r->added)
		await(&u->go);
	pthread_mutex_lock(&u->lock); /* until it can be found */
	pthread_mutex_unlock(&u->lock);
	if (!atomic_load(&u->stopping))
		register_and_serve(r);
	transport_buffer_free();
	io_uring_queue_exit(&r->uring);
	return NULL;
}

static void free_ring(struct ring *r)
{
	if (r->header)
		munmap(r->header, FRONT + FS_MAX_TRANSFER);
	sem_destroy(&r->late);
	free(r);
}

/* With the lock held */
static int start_thread(struct uring *u, unsigned queue, bool added)
{
	struct ring *r;
	int rc;

	if (u->threads == u->most || u->queue[queue].threads == THREADS_MAX)
		return -EAGAIN;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->all = u;
	r->queue = queue;
	r->added = added;
	sem_init(&r->late, 0, 0);
	rc = -pthread_create(&r->thread, NULL, run, r);
	if (rc) {
		free_ring(r);
		return rc;
	}
	u->queue[queue].threads++;
	atomic_fetch_add(&u->queue[queue].starting, 1);
	u->ring[u->threads] = r;
	atomic_fetch_add(&u->threads, 1);
	return 0;
}

static void grow(struct uring *u, unsigned queue)
{
	pthread_mutex_lock(&u->lock);
	if (!atomic_load(&u->stopping) && start_thread(u, queue, true))
		atomic_store(&u->queue[queue].full, true);
	pthread_mutex_unlock(&u->lock);
}

/* ---- life -------------------------------------------------------------- */

/* A thread takes one descriptor, and half of them are for all else. The workers, too,
 * need memory. */
static unsigned count_affordable(const struct options *o, unsigned most)
{
	unsigned by_memory = o->threads_most - WORKERS_BESIDE_RINGS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (most > limit.rlim_cur / 2)
		most = (unsigned)limit.rlim_cur / 2;
	return most > by_memory ? by_memory : most;
}

/* Of each queue as many as the CPU's share, and wait until each has its ring */
static int start_threads(struct uring *u, unsigned queues, unsigned wanted)
{
	cpu_set_t online;
	unsigned cpus = cpus_online(&online);
	unsigned share = cpus ? (wanted + cpus - 1) / cpus : 0;
	int rc = 0;

	if (share < THREADS_MIN)
		share = THREADS_MIN;
	pthread_mutex_lock(&u->lock);
	for (unsigned i = 0; i < queues; i++)
		for (unsigned j = CPU_ISSET(i, &online) ? share : 1; j && !rc;
		     j--)
			rc = start_thread(u, i, false);
	pthread_mutex_unlock(&u->lock);
	for (unsigned i = 0; i < u->threads; i++)
		await(&u->made);
	for (unsigned i = 0; i < u->threads && !rc; i++)
		rc = u->ring[i]->rc;
	return rc;
}

int uring_new(struct fs *fs, struct uring **out)
{
	unsigned queues = cpus_possible();
	unsigned most = count_affordable(fs->options, queues * THREADS_MAX);
	struct uring *u;
	int rc;

	if (!queues)
		return -ERANGE;
	u = calloc(1, sizeof(*u) + most * sizeof(struct ring *));
	if (!u)
		return -ENOMEM;
	u->fs = fs;
	u->most = most;
	pthread_mutex_init(&u->lock, NULL);
	sem_init(&u->made, 0, 0);
	sem_init(&u->go, 0, 0);
	sem_init(&u->registered, 0, 0);
	u->queue = calloc(queues, sizeof(*u->queue));
	u->event = eventfd(0, EFD_CLOEXEC);
	if (!u->queue)
		rc = -ENOMEM;
	else
		rc = u->event < 0 ?
			     -errno :
			     start_threads(u, queues, fs->options->threads);
	if (rc)
		uring_free(u);
	else
		*out = u;
	return rc;
}

int uring_start(struct uring *u, void (*failed)(void *arg), void *arg)
{
	unsigned threads = u->threads; /* more may come */
	int rc = 0;

	u->failed = failed;
	u->arg = arg;
	for (unsigned i = 0; i < threads; i++)
		sem_post(&u->go);
	for (unsigned i = 0; i < threads; i++)
		await(&u->registered);
	for (unsigned i = 0; i < threads && !rc; i++)
		rc = u->ring[i]->rc;
	return rc;
}

uint64_t uring_served(const struct uring *u)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < u->threads; i++)
		n += atomic_load_explicit(&u->ring[i]->served,
					  memory_order_relaxed);
	return n;
}

void uring_stop(struct uring *u)
{
	if (!u || u->stopped)
		return;
	pthread_mutex_lock(&u->lock);
	atomic_store(&u->stopping, true);
	pthread_mutex_unlock(&u->lock);
	if (u->event >= 0)
		eventfd_write(u->event, 1);
	for (unsigned i = 0; i < u->threads; i++)
		sem_post(&u->go);
	for (unsigned i = 0; i < u->threads; i++)
		pthread_join(u->ring[i]->thread, NULL);
	u->stopped = true;
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	uring_stop(u);
	for (unsigned i = 0; i < u->threads; i++)
		free_ring(u->ring[i]);
	if (u->event >= 0)
		close(u->event);
	free(u->queue);
	pthread_mutex_destroy(&u->lock);
	sem_destroy(&u->made);
	sem_destroy(&u->go);
	sem_destroy(&u->registered);
	free(u);
}
