/* SPDX-License-Identifier: MIT */
/*
 * targets.h - what is fuzzed. Each target takes any bytes and comes back; what
 * it finds wrong it tells by a crash: an assert() or a sanitizer.
 *
 * `make fuzz` links each with libFuzzer; tests/fuzz/test_corpus.c runs all of them
 * on the files in tests/fuzz/corpus/, which are sorted by target.
 */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

typedef void fuzz_target(const uint8_t *input, size_t size);

fuzz_target fuzz_file; /* a whole file, as it is or with sums made right */
fuzz_target fuzz_rows; /* one strange operation on an honest database */
fuzz_target fuzz_data; /* values of NAME, DATA and EXTENT rows */
fuzz_target fuzz_node; /* one node: decode, search */
fuzz_target fuzz_redo; /* the body of an operation record */
fuzz_target fuzz_record; /* typed records, and blocks of them */

struct fuzz_entry {
	const char *name; /* of its folder, too */
	fuzz_target *run;
};

/* The last one has no name */
extern const struct fuzz_entry fuzz_targets[];

#endif
