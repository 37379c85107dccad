/* SPDX-License-Identifier: MIT */
/*
 * exercise.h - all that people do with a database, on one that may be strange.
 * Errors do not matter, only that the functions come back.
 */
#ifndef TESTS_FUZZ_EXERCISE_H
#define TESTS_FUZZ_EXERCISE_H

#include "banyan.h"

/* Look at everything; nothing is changed */
void exercise_read(banyan *db);

/* Change, add and remove. choices says what; the same again for the same. */
void exercise_write(banyan *db, uint64_t choices);

#endif
