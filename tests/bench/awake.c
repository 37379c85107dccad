/* SPDX-License-Identifier: MIT */
#include "awake.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

__attribute__((noreturn)) static void *compute(void *arg)
{
	const struct sched_param none = { 0 };
	volatile unsigned long n = 0;
	int rc = pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);

	if (rc)
		die("a thread that runs when nobody else does: %s",
		    strerror(rc));
	(void)arg;
	for (;;)
		n++;
}

void keep_awake(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	for (long i = 0; i < processors; i++) {
		pthread_t thread;
		int rc = pthread_create(&thread, NULL, compute, NULL);

		if (rc)
			die("a thread: %s", strerror(rc));
		pthread_detach(thread);
	}
}
