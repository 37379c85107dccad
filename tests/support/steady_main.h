/* SPDX-License-Identifier: MIT */
/*
 * steady_main.h - the functions of steady.h, for the one file of a program that
 * has its main(): from an archive clock_gettime() would get into programs that
 * want to know the time.
 */
#ifndef TESTS_STEADY_MAIN_H
#define TESTS_STEADY_MAIN_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/random.h>
#include <time.h>

#include "random.h"
#include "steady.h"

#define STEADY_BEGINNING 1700000000u /* in s since 1970 */

/* Of the steps taken since steady_begin(), each has its own random number */
static _Atomic uint64_t steady_state;
static _Atomic uint64_t steady_now;

void steady_begin(uint64_t seed)
{
	atomic_store(&steady_state, seed);
	atomic_store(&steady_now, 0);
}

static uint64_t steady_next(void)
{
	uint64_t mine = atomic_fetch_add(&steady_state, 0x9e3779b97f4a7c15u);
	return test_random(&mine);
}

/* In place of libc's: see steady.h */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	/* Up to 16 us, and now and then up to a second */
	uint64_t dice = steady_next();
	uint64_t step = 1 + (dice >> 8) % (dice % 16 ? 16384 : 1000000000);
	uint64_t ns = atomic_fetch_add(&steady_now, step) + step;
	(void)clock;
	ts->tv_sec = (time_t)(STEADY_BEGINNING + ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
	return 0;
}

ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
	uint8_t *to = buffer;
	(void)flags;
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)steady_next();
	return (ssize_t)size;
}

#endif
