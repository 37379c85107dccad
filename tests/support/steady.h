/* SPDX-License-Identifier: MIT */
/*
 * steady.h - a test that runs the same way each time.
 *
 * A program that includes steady_main.h has a clock_gettime() and a getrandom() of
 * its own, whose answers follow from the seed. Without that times, which are
 * stored by their differences, make records shorter or longer, and what was
 * torn in one run is not torn there in the next.
 */
#ifndef TESTS_STEADY_H
#define TESTS_STEADY_H

#include <stdint.h>

/* Begin anew: the same seed, the same answers. Not beside other threads. */
void steady_begin(uint64_t seed);

#endif
