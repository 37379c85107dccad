/* SPDX-License-Identifier: MIT */
/*
 * Each worker reads a request, serves it, and reads the next. Ten of them by
 * default: a round trip took 13 to 16 microseconds with ten against 50 with one
 * where two virtual CPUs were idle and fell asleep between requests; on CPUs
 * that are awake it took 11 to 12 with any number from 1 to 16. A worker that
 * has nothing to do costs its stack.
 *
 * To end, a worker that sleeps in read(2) is woken by a signal whose handler
 * does nothing. The signal is lost if it comes just before the read, so it is
 * sent again until the worker has ended.
 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "lasting.h"
#include "message.h"
#include "requests.h"
#include "transport.h"

#define WAKE SIGUSR2

struct worker {
	pthread_t thread;
	struct workers *all;
	struct lasting_request *lasting; /* NULL: nothing is to outlive us */
	atomic_bool reading; /* or about to, or just has */
	atomic_bool done;
	_Atomic uint64_t served; /* requests; written by this worker only */
};

struct workers {
	struct fs *fs;
	void (*ended)(void *arg);
	void *arg;
	atomic_uint running;
	unsigned started, threads;
	struct worker worker[];
};

static void nothing(int signal)
{
	(void)signal;
}

static int receive(struct worker *w, struct fuse_buf *buf)
{
	int n;

	if (w->lasting)
		lasting_clear(w->lasting);
	atomic_store(&w->reading, true);
	n = fuse_session_receive_buf(w->all->fs->session, buf);
	atomic_store(&w->reading, false);
	return n;
}

static void serve(struct worker *w)
{
	struct fuse_session *session = w->all->fs->session;
	struct fuse_buf buf = { .mem = w->lasting ? w->lasting->buffer : NULL };
	uint64_t served = 0;

	while (!fuse_session_exited(session)) {
		int n = receive(w, &buf);

		if (n > 0) {
			atomic_store_explicit(&w->served, ++served,
					      memory_order_relaxed);
			requests_process(session, w->lasting, &buf, false);
		} else if (n == -ENOMEM)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 },
				  NULL);
		else if (n != -EINTR && n != -EAGAIN)
			break;
	}
	if (!w->lasting)
		free(buf.mem);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	sigset_t wake;

	sigemptyset(&wake);
	sigaddset(&wake, WAKE);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	lasting_use(w->all->fs->lasting, w->lasting);
	serve(w);
	transport_buffer_free();
	if (atomic_fetch_sub(&w->all->running, 1) == 1)
		w->all->ended(w->all->arg);
	atomic_store(&w->done, true);
	return NULL;
}

int workers_start(struct fs *fs, unsigned threads, void (*ended)(void *arg),
		  void *arg, struct workers *_Atomic *out)
{
	struct sigaction action = { .sa_handler = nothing };
	struct workers *w =
		calloc(1, sizeof(*w) + threads * sizeof(struct worker));
	int rc = 0;

	if (!w)
		return -ENOMEM;
	sigaction(WAKE, &action, NULL);
	w->fs = fs;
	w->ended = ended;
	w->arg = arg;
	w->threads = threads;
	*out = w;
	atomic_store(&w->running, threads);
	while (w->started < threads && !rc) {
		struct worker *one = &w->worker[w->started];

		one->all = w;
		one->lasting = fs->lasting->filled ?
				       &fs->lasting->request[w->started] :
				       NULL;
		rc = pthread_create(&one->thread, NULL, run, one);
		if (!rc)
			w->started++;
	}
	if (!w->started) {
		*out = NULL;
		free(w);
		return -rc;
	}
	/* Those that could not be started have ended, too */
	if (threads > w->started &&
	    atomic_fetch_sub(&w->running, threads - w->started) ==
		    threads - w->started)
		ended(arg);
	return 0;
}

uint64_t workers_served(const struct workers *w)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->threads; i++)
		n += atomic_load_explicit(&w->worker[i].served,
					  memory_order_relaxed);
	return n;
}

void workers_stop(struct workers *w)
{
	if (!w)
		return;
	fuse_session_exit(w->fs->session);
	for (unsigned i = 0; i < w->started; i++) {
		struct worker *one = &w->worker[i];

		while (!atomic_load(&one->done)) {
			if (atomic_load(&one->reading))
				pthread_kill(one->thread, WAKE);
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 },
				  NULL);
		}
		pthread_join(one->thread, NULL);
	}
	free(w);
}
