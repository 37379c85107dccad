/* SPDX-License-Identifier: MIT */
/*
 * honest.h - a small database with one of everything, to be spoiled or used as
 * a seed.
 */
#ifndef TESTS_FUZZ_HONEST_H
#define TESTS_FUZZ_HONEST_H

#include "banyan.h"

/* Fill an empty database. What could not be done is seen by an assert(). */
void honest_fill(banyan *db);

#endif
