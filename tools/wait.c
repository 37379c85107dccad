/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "common.h"
#include "interrupt.h"
#include "quote.h"

#define PAUSE_MAX 50 /* milliseconds */
#define SECONDS_MAX (365L * 24 * 3600)

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void wait_begin(struct wait *wait, long seconds)
{
	wait->deadline = now() + seconds * 1000;
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

int take_seconds(const char *command, const char *argument, long *seconds)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(argument, &end, 10);
	/* strtol() takes signs and blanks */
	if (errno || *argument < '0' || *argument > '9' || *end ||
	    number > SECONDS_MAX) {
		complain("%s: '%s' is not a number of seconds", command,
			 quote(argument));
		return EINVAL;
	}
	*seconds = number;
	return 0;
}
