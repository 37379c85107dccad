/* SPDX-License-Identifier: MIT */
/* row_limits.h - how large rows and nodes may be, and how a node is referred to. */
#ifndef STORE_BASE_ROW_LIMITS_H
#define STORE_BASE_ROW_LIMITS_H

#include <stdint.h>

#define ROW_KEY_MAX 300 /* bytes in a row's key */
#define ROW_VALUE_MAX 4096 /* bytes in a row's value */
#define NODE_MAX 32768 /* bytes; no valid node is larger */
#define TREE_HEIGHT_MAX 16 /* levels */

/* Where a node lies, and the CRC-32C of its bytes */
struct node_ref {
	uint64_t offset;
	uint32_t length;
	uint32_t crc;
};

#endif
