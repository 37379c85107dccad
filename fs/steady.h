/* SPDX-License-Identifier: MIT */
/* steady.h - a clock that nobody can set, for pauses and waits */
#ifndef FS_STEADY_H
#define FS_STEADY_H

#include <stdint.h>
#include <time.h>

static inline int64_t steady_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t steady_ms(void)
{
	return steady_ns() / 1000000;
}

#endif
