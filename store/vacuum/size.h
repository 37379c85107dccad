/* SPDX-License-Identifier: MIT */
/* size.h - the size of a file that has one state and nothing else, about. */
#ifndef STORE_VACUUM_SIZE_H
#define STORE_VACUUM_SIZE_H

#include <stdint.h>

/* Bytes of a value's record in the log, besides the value */
#define EXTENT_OVERHEAD 36u

struct state_size {
	uint64_t live;
	uint64_t keys;
	uint64_t index; /* bytes of nodes */
	uint64_t redo_rows; /* that are not in the tree */
};

uint64_t size_alone(const struct state_size *s);

#endif
