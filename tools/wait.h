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

#define WAIT_MAX (UINT64_C(365) * 24 * 3600) /* seconds */

void wait_begin(struct wait *wait, uint64_t seconds);

/*
 * Sleep until it is worth to try again. False: the time is up, or the process
 * was interrupted.
 */
bool wait_more(struct wait *wait);

#endif
