/* SPDX-License-Identifier: MIT */
/*
 * Each thread has a ring of its own, and each queue of the kernel has several
 * threads, bound to its CPU: one that waits for the disk or for a lock does not
 * stop the callers of that CPU. The kernel gives a request to the entry that
 * became free last, so one thread does all the work as long as it can.
 *
 * An *entry* is memory for one request and its answer, which the kernel fills
 * and empties. Only the thread that owns a ring may submit to it: what the
 * kernel does for an entry it does in the thread that submitted it. So a late
 * answer (of an fsync, from the thread that commits) is written into its entry,
 * put on a list of the ring, and the thread is woken by an eventfd. A thread
 * whose entries all wait for late answers registers one more.
 */
#include "uring.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"
#include "message.h"
#include "requests.h"
#include "session.h"
#include "transport.h"

/* Threads of a queue, however many CPUs share those that are asked for: while
 * one waits the other serves. Of a CPU that is offline: one. */
#define THREADS_MIN 2u

/* Entries of a thread, if so many answers are late at once */
#define ENTRIES_MAX 16u

/* In front of the payload: the header, and room where the parts of a request are
 * put together */
#define FRONT 4096u

/* A ring that fails is tried again for 5 seconds */
#define TRIES 500
#define PAUSE_NS 10000000

#define CPUS "/sys/devices/system/cpu/"

struct entry {
	struct ring *ring;
	struct kernel_uring_header *header; /* FRONT and the payload follow */
	struct iovec iov[2];
	_Atomic uint64_t unique; /* of the request that is served; 0: none */
	bool answered; /* by the thread that serves it */
	bool room; /* the payload holds nothing of the request */
	struct entry *next; /* of those answered late */
};

struct ring {
	struct uring *all;
	pthread_t thread;
	struct io_uring uring;
	unsigned queue; /* of the kernel; the number of its CPU */
	int event; /* wakes the thread; -1: not made */
	uint64_t event_value;
	int rc; /* of making it, of registering */
	unsigned waiting; /* entries that the kernel has */
	_Atomic uint64_t served;
	pthread_mutex_t lock;
	/* Protected by the lock: */
	struct entry *entry[ENTRIES_MAX];
	unsigned entries;
	struct entry *late; /* answered by others, to be committed */
};

struct uring {
	struct fs *fs;
	void (*failed)(void *arg);
	void *arg;
	sem_t made, go, registered;
	atomic_bool stopping;
	bool stopped;
	unsigned rings;
	unsigned started; /* threads */
	struct ring ring[];
};

static _Thread_local struct entry *current; /* that the thread serves */

/* ---- what is submitted ------------------------------------------------- */

/* There is room at once: for all entries, and for the event */
static struct io_uring_sqe *next_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

	while (!sqe) {
		io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	return sqe;
}

static void submit(struct entry *e, uint32_t command)
{
	struct ring *r = e->ring;
	struct io_uring_sqe *sqe = next_sqe(r);
	struct kernel_uring_command *c = (void *)sqe->cmd;

	memset(sqe, 0, 2 * sizeof(*sqe)); /* IORING_SETUP_SQE128 */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fuse_session_fd(r->all->fs->session);
	sqe->cmd_op = command;
	sqe->addr = (uintptr_t)e->iov;
	sqe->len = 2;
	sqe->user_data = (uintptr_t)e;
	c->queue = (uint16_t)r->queue;
	c->commit_id = e->header->commit_id;
	r->waiting++;
}

static void await_event(struct ring *r)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_read(sqe, r->event, &r->event_value,
			   sizeof(r->event_value), 0);
	sqe->user_data = 0;
}

static void wake(struct ring *r)
{
	uint64_t one = 1;

	/* It cannot fail: nobody adds 2^64 */
	if (write(r->event, &one, sizeof(one)) < 0)
		return;
}

/* ---- entries ----------------------------------------------------------- */

static int add_entry(struct ring *r)
{
	struct entry *e;
	void *memory;

	if (r->entries == ENTRIES_MAX)
		return -ENOSPC;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	memory = mmap(NULL, FRONT + FS_MAX_TRANSFER, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		free(e);
		return -ENOMEM;
	}
	e->ring = r;
	e->header = memory;
	e->iov[0] = (struct iovec){ memory, sizeof(*e->header) };
	e->iov[1] = (struct iovec){ (char *)memory + FRONT, FS_MAX_TRANSFER };
	pthread_mutex_lock(&r->lock);
	r->entry[r->entries++] = e;
	pthread_mutex_unlock(&r->lock);
	submit(e, KERNEL_URING_REGISTER);
	return 0;
}

/* The parts are moved from the last on: one may lie in the payload already */
static void fill(struct entry *e, const struct iovec *iov, int count)
{
	struct fuse_out_header *out = (void *)e->header->in_out;
	char *payload = e->iov[1].iov_base;
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
	e->header->payload_size = (uint32_t)end;
	for (int i = count - 1; i > 0; i--) {
		end -= iov[i].iov_len;
		if (iov[i].iov_len && iov[i].iov_base != payload + end)
			memmove(payload + end, iov[i].iov_base, iov[i].iov_len);
	}
}

static struct entry *find(struct uring *u, uint64_t unique)
{
	struct entry *found = NULL;

	for (unsigned i = 0; i < u->rings && !found; i++) {
		struct ring *r = &u->ring[i];

		pthread_mutex_lock(&r->lock);
		for (unsigned j = 0; j < r->entries && !found; j++)
			if (atomic_load(&r->entry[j]->unique) == unique)
				found = r->entry[j];
		pthread_mutex_unlock(&r->lock);
	}
	return found;
}

static void answer_late(struct entry *e, const struct iovec *iov, int count)
{
	struct ring *r = e->ring;

	fill(e, iov, count);
	atomic_store(&e->unique, 0);
	pthread_mutex_lock(&r->lock);
	e->next = r->late;
	r->late = e;
	pthread_mutex_unlock(&r->lock);
	wake(r);
}

bool uring_answer(struct uring *u, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct entry *e = current;

	if (!out->unique)
		return false; /* a notification */
	if (e && atomic_load_explicit(&e->unique, memory_order_relaxed) ==
			 out->unique) {
		fill(e, iov, count);
		atomic_store(&e->unique, 0);
		e->answered = true;
		return true;
	}
	e = find(u, out->unique);
	if (e)
		answer_late(e, iov, count);
	return e;
}

void *uring_room(size_t size)
{
	if (!current || !current->room || size > FS_MAX_TRANSFER)
		return NULL;
	return current->iov[1].iov_base;
}

/* ---- serving ----------------------------------------------------------- */

/* Put the request together in front of its payload, as libfuse wants it. False:
 * it does not fit, which is not the protocol. */
static bool assemble(struct entry *e, struct fuse_buf *buf)
{
	const struct fuse_in_header *in = (void *)e->header->in_out;
	size_t payload = e->header->payload_size;
	size_t len = in->len;
	size_t argument;
	char *at = e->iov[1].iov_base;

	if (len < sizeof(*in) + payload || payload > FS_MAX_TRANSFER)
		return false;
	argument = len - sizeof(*in) - payload;
	if (argument > sizeof(e->header->op_in))
		return false;
	at -= argument;
	memcpy(at, e->header->op_in, argument);
	at -= sizeof(*in);
	memcpy(at, in, sizeof(*in));
	buf->mem = at;
	buf->size = len;
	return true;
}

static void serve(struct entry *e)
{
	struct ring *r = e->ring;
	const struct fuse_in_header *in = (void *)e->header->in_out;
	struct fuse_out_header failed = {
		.len = sizeof(failed),
		.error = -EIO,
		.unique = in->unique,
	};
	struct fuse_buf buf = { 0 };

	atomic_store_explicit(&r->served, r->served + 1, memory_order_relaxed);
	e->answered = false;
	e->room = !e->header->payload_size;
	atomic_store(&e->unique, in->unique);
	current = e;
	if (assemble(e, &buf))
		requests_process(r->all->fs->session, &buf);
	else
		uring_answer(r->all, &(struct iovec){ &failed, sizeof(failed) },
			     1);
	current = NULL;
	if (e->answered)
		submit(e, KERNEL_URING_COMMIT_AND_FETCH);
	else if (!r->waiting)
		(void)add_entry(r); /* else callers wait for the late answer */
}

static void commit_late(struct ring *r)
{
	struct entry *e;

	pthread_mutex_lock(&r->lock);
	e = r->late;
	r->late = NULL;
	pthread_mutex_unlock(&r->lock);
	while (e) {
		struct entry *next = e->next;

		submit(e, KERNEL_URING_COMMIT_AND_FETCH);
		e = next;
	}
}

/* Take one result. 0, or the error with which the kernel lets go of an entry, as it
 * does of all when the mount ends. */
static int take(struct ring *r, struct entry *e, int res)
{
	if (!e) {
		await_event(r);
		commit_late(r);
		return 0;
	}
	r->waiting--;
	if (res < 0)
		return res;
	if (!atomic_load(&r->all->stopping))
		serve(e);
	return 0;
}

/* Does a caller still wait for a late answer from here? */
static bool owes(struct ring *r)
{
	bool owed = false;

	pthread_mutex_lock(&r->lock);
	owed = r->late;
	for (unsigned i = 0; i < r->entries && !owed; i++)
		owed = atomic_load(&r->entry[i]->unique);
	pthread_mutex_unlock(&r->lock);
	return owed;
}

/* Give and wait. It may fail for a while, for lack of memory. */
static int enter(struct ring *r)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int rc = io_uring_submit_and_wait(&r->uring, 1);

	for (int i = 0; i < TRIES && rc < 0 && rc != -EINTR; i++) {
		nanosleep(&pause, NULL);
		rc = io_uring_submit_and_wait(&r->uring, 1);
	}
	return rc == -EINTR ? 0 : rc;
}

static int loop(struct ring *r)
{
	struct io_uring_cqe *cqe;
	int failed = 0;

	while (!failed && !(atomic_load(&r->all->stopping) && !owes(r))) {
		int rc = enter(r);

		if (rc < 0)
			return rc;
		while (!failed && !io_uring_peek_cqe(&r->uring, &cqe)) {
			struct entry *e = io_uring_cqe_get_data(cqe);
			int res = cqe->res;

			io_uring_cqe_seen(&r->uring, cqe);
			failed = take(r, e, res);
		}
	}
	return session_is_unmounted(r->all->fs) ? 0 : failed;
}

/* ---- threads ----------------------------------------------------------- */

static int make_ring(struct ring *r)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		.cq_entries = 2 * (ENTRIES_MAX + 1),
	};
	int rc;

	r->event = eventfd(0, EFD_CLOEXEC);
	if (r->event < 0)
		return -errno;
	rc = io_uring_queue_init_params(ENTRIES_MAX + 1, &r->uring, &p);
	if (!rc)
		io_uring_ring_dontfork(&r->uring);
	return rc;
}

static int register_ring(struct ring *r)
{
	struct io_uring_cqe *cqe;
	int rc;

	await_event(r);
	rc = add_entry(r);
	if (rc)
		return rc;
	rc = io_uring_submit(&r->uring);
	if (rc < 0)
		return rc;
	/* Only a failure is reported at once */
	if (!io_uring_peek_cqe(&r->uring, &cqe) && cqe->res < 0)
		return cqe->res;
	return 0;
}

/* It may fail: where the CPU is offline, or not for us. Go on without. */
static void bind_to_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set); /* read_cpus() knows none beyond CPU_SETSIZE */
	sched_setaffinity(0, sizeof(set), &set);
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

static void *run(void *arg)
{
	struct ring *r = arg;
	struct uring *u = r->all;
	int rc;

	bind_to_cpu(r->queue);
	r->rc = make_ring(r);
	sem_post(&u->made);
	if (r->rc)
		return NULL;
	await(&u->go);
	if (!atomic_load(&u->stopping)) {
		r->rc = register_ring(r);
		sem_post(&u->registered);
		rc = r->rc ? 0 : loop(r);
		if (rc) {
			message("io_uring failed: %s", strerror(-rc));
			u->failed(u->arg);
		}
	}
	transport_buffer_free();
	io_uring_queue_exit(&r->uring);
	return NULL;
}

/*
 * The CPUs of a list such as "0-3" or "0,2-3", as a set of CPU_SETSIZE; what is
 * behind that is left out. How many there are; 0: not known.
 */
static unsigned read_cpus(const char *path, cpu_set_t *set)
{
	FILE *f = fopen(path, "re");
	char line[4096] = "", *at = line;

	CPU_ZERO(set);
	if (f && !fgets(line, sizeof(line), f))
		*line = '\0';
	if (f)
		fclose(f);
	while (*at >= '0' && *at <= '9') {
		unsigned long from = strtoul(at, &at, 10), to = from;

		if (*at == '-')
			to = strtoul(at + 1, &at, 10);
		for (; from <= to && from < CPU_SETSIZE; from++)
			CPU_SET(from, set);
		at += *at == ',';
	}
	return (unsigned)CPU_COUNT(set);
}

/*
 * Which queue each thread serves. The kernel has as many queues as CPUs are
 * possible, and numbers them from 0 on. How many threads; the caller frees.
 */
static unsigned plan_threads(unsigned wanted, uint16_t **queue)
{
	cpu_set_t possible, online;
	unsigned queues = read_cpus(CPUS "possible", &possible);
	unsigned cpus = read_cpus(CPUS "online", &online);
	unsigned each = cpus ? (wanted + cpus - 1) / cpus : THREADS_MIN;
	unsigned threads = 0;

	if (each < THREADS_MIN)
		each = THREADS_MIN;
	*queue = malloc((size_t)queues * each * sizeof(**queue));
	for (unsigned i = 0; i < queues && *queue; i++)
		for (unsigned j = CPU_ISSET(i, &online) ? each : 1; j; j--)
			(*queue)[threads++] = (uint16_t)i;
	return threads;
}

/* Two descriptors a thread */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int start_threads(struct uring *u, const uint16_t *queue)
{
	int rc = 0;

	while (u->started < u->rings && !rc) {
		struct ring *r = &u->ring[u->started];

		r->all = u;
		r->event = -1;
		r->queue = queue[u->started];
		pthread_mutex_init(&r->lock, NULL);
		rc = -pthread_create(&r->thread, NULL, run, r);
		if (rc)
			pthread_mutex_destroy(&r->lock);
		else
			u->started++;
	}
	for (unsigned i = 0; i < u->started; i++)
		await(&u->made);
	for (unsigned i = 0; i < u->started && !rc; i++)
		rc = u->ring[i].rc;
	return rc;
}

int uring_new(struct fs *fs, struct uring **out)
{
	uint16_t *queue;
	unsigned rings = plan_threads(fs->options->threads, &queue);
	struct uring *u = NULL;
	int rc = rings ? -ENOMEM : -EOPNOTSUPP;

	if (rings)
		u = calloc(1, sizeof(*u) + rings * sizeof(struct ring));
	if (!u)
		goto out;
	allow_descriptors();
	u->fs = fs;
	u->rings = rings;
	sem_init(&u->made, 0, 0);
	sem_init(&u->go, 0, 0);
	sem_init(&u->registered, 0, 0);
	rc = start_threads(u, queue);
	if (rc)
		uring_free(u);
	else
		*out = u;
out:
	free(queue);
	return rc;
}

int uring_start(struct uring *u, void (*failed)(void *arg), void *arg)
{
	int rc = 0;

	u->failed = failed;
	u->arg = arg;
	for (unsigned i = 0; i < u->started; i++)
		sem_post(&u->go);
	for (unsigned i = 0; i < u->started; i++)
		await(&u->registered);
	for (unsigned i = 0; i < u->started && !rc; i++)
		rc = u->ring[i].rc;
	return rc;
}

uint64_t uring_served(const struct uring *u)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < u->started; i++)
		n += atomic_load_explicit(&u->ring[i].served,
					  memory_order_relaxed);
	return n;
}

void uring_stop(struct uring *u)
{
	if (!u || u->stopped)
		return;
	atomic_store(&u->stopping, true);
	for (unsigned i = 0; i < u->started; i++) {
		sem_post(&u->go);
		if (u->ring[i].event >= 0)
			wake(&u->ring[i]);
	}
	for (unsigned i = 0; i < u->started; i++)
		pthread_join(u->ring[i].thread, NULL);
	u->stopped = true;
}

static void free_ring(struct ring *r)
{
	for (unsigned i = 0; i < r->entries; i++) {
		munmap(r->entry[i]->header, FRONT + FS_MAX_TRANSFER);
		free(r->entry[i]);
	}
	if (r->event >= 0)
		close(r->event);
	pthread_mutex_destroy(&r->lock);
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	uring_stop(u);
	for (unsigned i = 0; i < u->started; i++)
		free_ring(&u->ring[i]);
	sem_destroy(&u->made);
	sem_destroy(&u->go);
	sem_destroy(&u->registered);
	free(u);
}
