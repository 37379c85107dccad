/* SPDX-License-Identifier: MIT */
/*
 * driver.c - one target below libFuzzer: compiled once for each, with TARGET
 * set to its function.
 */
#include "mutate.h"
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t most,
			       unsigned seed);
/* libFuzzer's own */
size_t LLVMFuzzerMutate(uint8_t *input, size_t size, size_t most);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	TARGET(input, size);
	return 0;
}

/* What has a structure gets both kinds of changes, all else the plain one */
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t most,
			       unsigned seed)
{
	size_t n = 0;
	if (TARGET == fuzz_file && seed % 3)
		n = mutate_file(input, size, most, seed);
	if (TARGET == fuzz_rows && seed % 3)
		n = mutate_rows(input, size, most, seed);
	return n ? n : LLVMFuzzerMutate(input, size, most);
}
