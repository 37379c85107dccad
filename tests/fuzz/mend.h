/* SPDX-License-Identifier: MIT */
/*
 * mend.h - make the checksums of a spoiled file right, as one would who wants
 * to be believed: superblock, segment headers, nodes from the leaves upwards,
 * chunks, records with their sequence numbers and chains, and what freeze
 * records and headers say of these. Without it a fuzzer would not come beyond
 * the first CRC.
 */
#ifndef TESTS_FUZZ_MEND_H
#define TESTS_FUZZ_MEND_H

#include "tests/support/fault_image.h"

/* 0 or -ENOMEM */
int mend(struct image *image);

#endif
