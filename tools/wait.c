/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include <poll.h>
#include <time.h>

#include "interrupt.h"

#define PAUSE_MAX 50 /* milliseconds */

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void wait_begin(struct wait *wait, uint64_t seconds)
{
	wait->deadline = now() + (int64_t)seconds * 1000;
	wait->pause = 1;
}

bool wait_more(struct wait *wait)
{
	if (interrupted() || now() >= wait->deadline)
		return false;
	poll(NULL, 0, wait->pause);
	if (wait->pause * 2 <= PAUSE_MAX)
		wait->pause *= 2;
	return !interrupted();
}
