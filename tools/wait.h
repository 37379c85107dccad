/* SPDX-License-Identifier: MIT */
/* wait.h - to try again, for a limited time, until somebody else is done */
#ifndef TOOLS_WAIT_H
#define TOOLS_WAIT_H

#include <stdbool.h>
#include <stdint.h>

struct wait {
	int64_t deadline; /* milliseconds of the monotonic clock */
	int pause; /* milliseconds until the next try */
};

void wait_begin(struct wait *wait, long seconds);

/*
 * Sleep until it is worth to try again. False: the time is up, or the process
 * was interrupted.
 */
bool wait_more(struct wait *wait);

/*
 * Take the argument of an option that is a number of seconds. 0, or EINVAL
 * after complaining.
 */
int take_seconds(const char *command, const char *argument, long *seconds);

#endif
