/* SPDX-License-Identifier: MIT */
/*
 * One node. The first byte is the level that is expected, the next eight where
 * the node lies; the rest is the node. A node that loads must be in order, and
 * be found in; encoded with what it says, it is itself again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "tree/node.h"
#include "targets.h"

static void check_child(const struct node *node, unsigned i, const uint8_t *key,
			size_t len)
{
	struct node_ref child = { 0 };
	node_child(node, i, &child);
	assert(child.length > 0 && child.length <= NODE_MAX);
	assert(child.offset <= node->ref.offset &&
	       child.length <= node->ref.offset - child.offset);
	assert(node_search_child(node, key, len) == (int)i);
}

static void check_row(const struct node *node, unsigned i)
{
	uint8_t value[ROW_VALUE_MAX];
	struct node_row row = { 0 };
	size_t len = node_value(node, i, value);
	assert(len <= ROW_VALUE_MAX);
	node_row(node, i, &row);
	assert(row.shared + row.rest_len == len);
	assert(row.shared <= node->template_len);
	assert(!memcmp(value, node_template(node), row.shared));
	assert(!memcmp(value + row.shared, row.rest, row.rest_len));
}

static void check_entry(const struct node *node, unsigned i, uint8_t *last,
			size_t *last_len)
{
	uint8_t key[ROW_KEY_MAX + 1];
	bool found = false;
	size_t len = node_key(node, i, key);
	assert(len <= ROW_KEY_MAX);
	if (i)
		assert(compare_bytes(last, *last_len, key, len) < 0);
	memcpy(last, key, len);
	*last_len = len;
	assert(node_search(node, key, len, &found) == i && found);
	assert(node_compare(node, i, key, len) == 0);
	if (node->level)
		check_child(node, i, key, len);
	else
		check_row(node, i);
	/* Right behind it, and right in front of what it begins with */
	key[len] = 0;
	unsigned behind = node_search(node, key, len + 1, &found);
	assert(behind == i + 1);
	if (len)
		assert(node_search(node, key, len - 1, &found) <= i);
}

static void check_node(const struct node *node)
{
	uint8_t last[ROW_KEY_MAX];
	size_t len = 0;
	assert(node->count > 0 && node->count <= UINT16_MAX);
	for (unsigned i = 0; i < node->count; i++)
		check_entry(node, i, last, &len);
	assert(node_check_bounds(node, "", 0, NULL, 0) == 0);
	assert(node_check_bounds(node, "", 0, last, len) != 0);
}

void fuzz_node(const uint8_t *input, size_t size)
{
	struct node *node = NULL;
	if (size < 9 || size - 9 > NODE_MAX)
		return;
	size -= 9;
	uint8_t *bytes = malloc(size ? size : 1);
	if (!bytes)
		return;
	memcpy(bytes, input + 9, size);
	struct node_ref ref = { .offset = get_le64(input + 1) >> 8,
				.length = (uint32_t)size,
				.crc = crc32c(0, bytes, size) };
	if (!node_load(bytes, &ref, input[0], &node))
		check_node(node);
	node_free(node);
	free(bytes);
}
