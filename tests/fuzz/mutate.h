/* SPDX-License-Identifier: MIT */
/*
 * mutate.h - change an input where it hurts, and leave the rest as it was: the
 * numbers in headers, records and freezes of a file, the rows in an operation.
 * A fuzzer that knows of bytes only would hardly ever come to the same.
 *
 * The input has size bytes and may get `most`. Both give the new size, and do
 * the same again for the same seed. 0: there was nothing to change.
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

size_t mutate_file(uint8_t *input, size_t size, size_t most, uint64_t seed);
size_t mutate_rows(uint8_t *input, size_t size, size_t most, uint64_t seed);

#endif
