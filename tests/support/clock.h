/* SPDX-License-Identifier: MIT */
/* clock.h - the time that passes while a test runs */
#ifndef TESTS_CLOCK_H
#define TESTS_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define TEST_MS UINT64_C(1000000)
#define TEST_SECOND (1000 * TEST_MS)

/* Nanoseconds since some moment */
static inline uint64_t test_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * TEST_SECOND + (uint64_t)t.tv_nsec;
}

/* pthread_join() that gives up after so many seconds: ETIMEDOUT then */
static inline int test_join(pthread_t thread, void **result, unsigned seconds)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	return pthread_timedjoin_np(thread, result, &until);
}

#endif
