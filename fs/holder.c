/* SPDX-License-Identifier: MIT */
#include "holder.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon.h"
#include "fetchers.h"
#include "message.h"

static void serve(void *arg, struct rings_entry *e)
{
	(void)arg;
	e->saved = false;
	atomic_store(&e->state, RINGS_ASKED);
	rings_wake(&e->state);
	while (atomic_load(&e->state) != RINGS_ANSWERED)
		rings_wait(&e->state, RINGS_ASKED, NULL);
	atomic_store(&e->state, RINGS_IDLE);
}

/* The entry is lost to the queue: all that come there would wait for ever */
_Noreturn static void failed(void *arg, int rc)
{
	(void)arg;
	message("io_uring failed: %s", strerror(-rc));
	_exit(1);
}

static void *obey(void *arg)
{
	int orders = *(const int *)arg;
	char order;
	ssize_t n;

	for (;;) {
		n = read(orders, &order, 1);
		if (n == 1)
			(void)daemon_detach();
		else if (!n || (n < 0 && errno != EINTR))
			_exit(0);
	}
}

void holder_detach(int orders)
{
	while (write(orders, "d", 1) < 0 && errno == EINTR)
		;
}

int holder_run(struct rings *rings, int device, int orders)
{
	const struct fetchers_calls calls = { .serve = serve,
					      .failed = failed };
	struct fetchers *f = NULL;
	pthread_t thread;
	int rc;

	prctl(PR_SET_NAME, HOLDER_NAME, 0, 0, 0);
	rc = -pthread_create(&thread, NULL, obey, &orders);
	if (!rc)
		rc = fetchers_new(rings, device, &calls, &f);
	rings_reach(rings, RINGS_MADE, rc);
	while (!rc && atomic_load(&rings->stage) == RINGS_MADE)
		rings_wait(&rings->stage, RINGS_MADE, NULL);
	if (!rc) {
		rc = fetchers_start(f);
		rings_reach(rings, RINGS_SERVED, rc);
	}
	if (!rc)
		fetchers_join(f);
	return rc ? 1 : 0;
}
