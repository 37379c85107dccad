/* SPDX-License-Identifier: MIT */
/* steady.h - a clock that nobody can set, for pauses: that of the day may go
 * back */
#ifndef STORE_BASE_STEADY_H
#define STORE_BASE_STEADY_H

#include <stdint.h>
#include <time.h>

static inline int64_t steady_now(void) /* ns */
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

#endif
