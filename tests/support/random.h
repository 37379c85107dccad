/* SPDX-License-Identifier: MIT */
/*
 * random.h - random numbers for tests that can be had again: the seed is
 * printed, and taken from BANYAN_SEED if that is set.
 */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t test_seed(void)
{
	const char *text = getenv("BANYAN_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20240607;

	printf("BANYAN_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/*
 * Below valgrind or the thread sanitizer all takes ten to fifty times as long:
 * with BANYAN_SHORT, loops over what is much alike do one in n of it, else all.
 */
static inline unsigned test_one_in(unsigned n)
{
	return getenv("BANYAN_SHORT") ? n : 1;
}

/* splitmix64 */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t test_below(uint64_t *state, uint64_t n)
{
	return test_random(state) % n;
}

#endif
