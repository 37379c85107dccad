/* SPDX-License-Identifier: MIT */
#include "tree/node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define NODE_MAGIC 0xB7

/* The least that an entry takes; bounds the index of a node that lies */
#define ROW_MIN 3u
#define CHILD_MIN 7u

/* To look for what entries have in common is worth it if heads would not tell
 * them apart, and if there are some */
#define ALIKE_MIN 4u
#define ALIKE_ENTRIES_MIN 8u

/* An entry of a validated node, taken apart */
struct entry {
	const uint8_t *suffix;
	size_t suffix_len;
	size_t shared; /* leaf */
	size_t rest_len;
	const uint8_t *rest; /* of the value, or what says where the child is */
};

/* ---- validation ------------------------------------------------------- */

static uint32_t head_of(const uint8_t *suffix, size_t len)
{
	if (len >= 4)
		return get_be32(suffix);
	uint32_t head = 0;
	for (size_t i = 0; i < len; i++)
		head |= (uint32_t)suffix[i] << (24 - 8 * i);
	return head;
}

static bool read_row(struct reader *r, const struct node *node, struct entry *e)
{
	e->suffix_len = (size_t)read_varint(r);
	e->shared = (size_t)read_varint(r);
	e->rest_len = (size_t)read_varint(r);
	e->suffix = read_bytes(r, e->suffix_len);
	e->rest = read_bytes(r, e->rest_len);
	return !r->bad &&
	       e->suffix_len <= (size_t)ROW_KEY_MAX - node->prefix_len &&
	       e->shared <= node->template_len &&
	       e->rest_len <= ROW_VALUE_MAX - e->shared;
}

/* What V says of the child's offset, given that of its parent */
static bool child_offset(uint64_t v, uint64_t parent, uint64_t *offset)
{
	uint64_t n = v >> 1;
	*offset = v & 1 ? parent - n : n;
	return n <= parent;
}

static bool read_child(struct reader *r, const struct node *node,
		       struct entry *e, struct node_ref *child)
{
	e->suffix_len = (size_t)read_varint(r);
	e->suffix = read_bytes(r, e->suffix_len);
	uint64_t v = read_varint(r);
	uint64_t length = read_varint(r);
	child->crc = read_le32(r);
	child->length = (uint32_t)length;
	return !r->bad &&
	       e->suffix_len <= (size_t)ROW_KEY_MAX - node->prefix_len &&
	       length > 0 && length <= NODE_MAX &&
	       child_offset(v, node->ref.offset, &child->offset) &&
	       length <= node->ref.offset - child->offset;
}

/* The header of node->raw, and what it says of the lengths that follow */
static bool read_head(struct reader *r, struct node *node)
{
	const uint8_t *head = read_bytes(r, NODE_HEADER_SIZE);
	if (!head || head[0] != NODE_MAGIC || head[1] != node->level)
		return false;
	node->prefix_len = get_le16(head + 4);
	node->template_len = get_le16(head + 6);
	if (node->prefix_len > ROW_KEY_MAX ||
	    node->template_len > (node->level ? 0 : ROW_VALUE_MAX))
		return false;
	read_bytes(r, node->prefix_len + node->template_len);
	return !r->bad;
}

/* Validate and index the entries; at and children are the node's, writable */
static bool read_entries(struct reader *r, struct node *node, uint16_t *at,
			 struct node_ref *children)
{
	struct entry last = { 0 };

	for (unsigned i = 0; i < node->count; i++) {
		struct entry e = { 0 };
		at[i] = (uint16_t)(r->at - node->raw);
		if (!(node->level ? read_child(r, node, &e, &children[i]) :
				    read_row(r, node, &e)))
			return false;
		if (i && compare_bytes(last.suffix, last.suffix_len, e.suffix,
				       e.suffix_len) >= 0)
			return false;
		last = e;
	}
	return reader_left(r) == 0;
}

static void find_alike(struct node *node);
static void index_heads(const struct node *node, uint32_t *heads);

int node_load(const void *bytes, const struct node_ref *ref, unsigned level,
	      struct node **out)
{
	return node_load_in(NULL, bytes, ref, level, out);
}

int node_load_in(struct pool *pool, const void *bytes,
		 const struct node_ref *ref, unsigned level, struct node **out)
{
	if (ref->length < NODE_HEADER_SIZE || ref->length > NODE_MAX)
		return -EUCLEAN;
	if (crc32c(0, bytes, ref->length) != ref->crc)
		return -EBADMSG;
	const uint8_t *head = bytes;
	unsigned count = get_le16(head + 2);
	if (!count || count > ref->length / (level ? CHILD_MIN : ROW_MIN))
		return -EUCLEAN;

	/* In the order of their alignment; children come first, if any */
	size_t refs = level ? count * sizeof(struct node_ref) : 0;
	size_t memory = sizeof(struct node) + refs + ref->length +
			count * (sizeof(uint32_t) + sizeof(uint16_t));
	struct node *node = pool ? pool_alloc(pool, memory) : malloc(memory);
	if (!node)
		return -ENOMEM;
	struct node_ref *children = (struct node_ref *)(node + 1);
	uint32_t *heads = (uint32_t *)(children + (level ? count : 0));
	uint16_t *at = (uint16_t *)(heads + count);
	uint8_t *raw = (uint8_t *)(at + count);
	memcpy(raw, bytes, ref->length);
	memset(node, 0, sizeof(*node));
	node->ref = *ref;
	node->memory = memory;
	node->pool = pool;
	node->raw = raw;
	node->at = at;
	node->heads = heads;
	node->children = children;
	node->level = (uint16_t)level;
	node->count = (uint16_t)count;

	struct reader r = reader_of(raw, ref->length);
	if (!read_head(&r, node) || !read_entries(&r, node, at, children)) {
		node_free(node);
		return -EUCLEAN;
	}
	find_alike(node);
	index_heads(node, heads);
	*out = node;
	return 0;
}

void node_free(struct node *node)
{
	if (node && node->pool)
		pool_release(node->pool, node, node->memory);
	else
		free(node);
}

int node_check_bounds(const struct node *node, const void *lower,
		      size_t lower_len, const void *upper, size_t upper_len)
{
	if (node_compare(node, 0, lower, lower_len) < 0)
		return -EUCLEAN;
	if (upper && node_compare(node, node->count - 1, upper, upper_len) >= 0)
		return -EUCLEAN;
	return 0;
}

/* ---- looking into a validated node ------------------------------------ */

/* Once validated a number needs no more checks */
static inline uint64_t next_varint(const uint8_t **p)
{
	uint64_t b = *(*p)++;
	if (b < 0x80)
		return b;
	uint64_t v = b & 0x7f;
	for (unsigned shift = 7; b & 0x80; shift += 7) {
		b = *(*p)++;
		v |= (b & 0x7f) << shift;
	}
	return v;
}

static inline struct entry entry_at(const struct node *node, unsigned i)
{
	struct entry e = { 0 };
	const uint8_t *p = node->raw + node->at[i];

	assert(i < node->count);
	e.suffix_len = (size_t)next_varint(&p);
	if (!node->level) {
		e.shared = (size_t)next_varint(&p);
		e.rest_len = (size_t)next_varint(&p);
	}
	e.suffix = p;
	e.rest = p + e.suffix_len;
	return e;
}

static const uint8_t *prefix_of(const struct node *node)
{
	return node->raw + NODE_HEADER_SIZE;
}

/*
 * How the prefix compares with the same number of bytes of key: not 0 settles
 * the order of all entries and key.
 */
static int compare_prefix(const struct node *node, const void *key, size_t len)
{
	size_t n = len < node->prefix_len ? len : node->prefix_len;
	int c = n ? memcmp(prefix_of(node), key, n) : 0;
	return c ? c : len < node->prefix_len;
}

/* Does the suffix of entry i begin as that of another? */
static bool is_alike(const struct node *node, unsigned i,
		     const struct entry *other, size_t alike)
{
	struct entry e = entry_at(node, i);
	return e.suffix_len >= alike &&
	       memcmp(e.suffix, other->suffix, alike) == 0;
}

/* What the entries in the middle share, and which ones do so besides */
static void find_alike(struct node *node)
{
	struct entry low = entry_at(node, node->count / 4);
	struct entry high = entry_at(node, node->count * 3u / 4);
	size_t alike = common_prefix(low.suffix, low.suffix_len, high.suffix,
				     high.suffix_len);
	node->begin = 0;
	node->end = node->count;
	if (alike < ALIKE_MIN || node->count < ALIKE_ENTRIES_MIN)
		return;
	node->alike = (uint16_t)alike;
	while (!is_alike(node, node->begin, &low, alike))
		node->begin++;
	while (!is_alike(node, node->end - 1u, &low, alike))
		node->end--;
}

static void index_heads(const struct node *node, uint32_t *heads)
{
	for (unsigned i = 0; i < node->count; i++) {
		struct entry e = entry_at(node, i);
		bool in = i >= node->begin && i < node->end;
		heads[i] = in ? head_of(e.suffix + node->alike,
					e.suffix_len - node->alike) :
				0;
	}
}

/* The first of the alike entries whose head is not below this one. The loop
 * compiles to conditional moves. */
static unsigned heads_below(const struct node *node, uint32_t head)
{
	const uint32_t *base = node->heads + node->begin;
	unsigned n = node->end - node->begin;

	while (n > 1) {
		unsigned half = n / 2;
		base += base[half - 1] < head ? half : 0;
		n -= half;
	}
	return (unsigned)(base - node->heads) + (*base < head);
}

static int compare_suffix(const struct node *node, unsigned i,
			  const uint8_t *suffix, size_t len)
{
	struct entry e = entry_at(node, i);
	return compare_bytes(e.suffix, e.suffix_len, suffix, len);
}

/* The first entry in [low, high) at or above the suffix */
static unsigned search_between(const struct node *node, unsigned low,
			       unsigned high, const uint8_t *suffix, size_t len,
			       bool *found)
{
	while (low < high) {
		unsigned middle = (low + high) / 2;
		int c = compare_suffix(node, middle, suffix, len);
		if (!c) {
			*found = true;
			return middle;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Among the entries that are alike */
static unsigned search_alike(const struct node *node, const uint8_t *suffix,
			     size_t len, bool *found)
{
	uint32_t head = head_of(suffix + node->alike, len - node->alike);
	unsigned low = heads_below(node, head);
	if (low == node->end || node->heads[low] != head)
		return low;
	/* The row that follows has more than a line, too */
	__builtin_prefetch(node->raw + node->at[low] + 64);
	__builtin_prefetch(node->raw + node->at[low] + 128);
	/* Mostly it is the only one with this head */
	int c = compare_suffix(node, low, suffix, len);
	*found = c == 0;
	if (c >= 0 || ++low == node->end || node->heads[low] != head)
		return low;
	unsigned high = head == UINT32_MAX ? node->end :
					     heads_below(node, head + 1);
	return search_between(node, low, high, suffix, len, found);
}

unsigned node_search(const struct node *node, const void *key, size_t len,
		     bool *found)
{
	*found = false;
	int c = compare_prefix(node, key, len);
	if (c)
		return c > 0 ? 0 : node->count;

	const uint8_t *suffix = (const uint8_t *)key + node->prefix_len;
	size_t suffix_len = len - node->prefix_len;
	if (node->alike) {
		struct entry e = entry_at(node, node->begin);
		c = compare_bytes(suffix,
				  suffix_len < node->alike ? suffix_len :
							     node->alike,
				  e.suffix, node->alike);
		if (c < 0)
			return search_between(node, 0, node->begin, suffix,
					      suffix_len, found);
		if (c > 0)
			return search_between(node, node->end, node->count,
					      suffix, suffix_len, found);
	}
	return search_alike(node, suffix, suffix_len, found);
}

int node_search_child(const struct node *node, const void *key, size_t len)
{
	bool found;
	unsigned i = node_search(node, key, len, &found);
	return found ? (int)i : (int)i - 1;
}

int node_compare(const struct node *node, unsigned i, const void *key,
		 size_t len)
{
	int c = compare_prefix(node, key, len);
	if (c)
		return c;
	struct entry e = entry_at(node, i);
	return compare_bytes(e.suffix, e.suffix_len,
			     (const uint8_t *)key + node->prefix_len,
			     len - node->prefix_len);
}

size_t node_key(const struct node *node, unsigned i, uint8_t *key)
{
	struct entry e = entry_at(node, i);
	memcpy(key, prefix_of(node), node->prefix_len);
	memcpy(key + node->prefix_len, e.suffix, e.suffix_len);
	return node->prefix_len + e.suffix_len;
}

size_t node_value(const struct node *node, unsigned i, uint8_t *value)
{
	assert(node->level == 0);
	struct entry e = entry_at(node, i);
	memcpy(value, node_template(node), e.shared);
	memcpy(value + e.shared, e.rest, e.rest_len);
	return e.shared + e.rest_len;
}

void node_row(const struct node *node, unsigned i, struct node_row *row)
{
	assert(node->level == 0);
	struct entry e = entry_at(node, i);
	*row = (struct node_row){ e.suffix, e.suffix_len, e.shared, e.rest,
				  e.rest_len };
}

const uint8_t *node_prefix(const struct node *node)
{
	return prefix_of(node);
}

const uint8_t *node_template(const struct node *node)
{
	return prefix_of(node) + node->prefix_len;
}

/* ---- encoding --------------------------------------------------------- */

void node_encode_head(struct buf *out, const struct node_head *head)
{
	uint8_t bytes[NODE_HEADER_SIZE];

	assert(head->count > 0 && head->count <= UINT16_MAX);
	assert(head->prefix_len <= ROW_KEY_MAX);
	assert(head->template_len <= (head->level ? 0 : ROW_VALUE_MAX));
	bytes[0] = NODE_MAGIC;
	bytes[1] = (uint8_t)head->level;
	put_le16(bytes + 2, (uint16_t)head->count);
	put_le16(bytes + 4, (uint16_t)head->prefix_len);
	put_le16(bytes + 6, (uint16_t)head->template_len);
	buf_add(out, bytes, sizeof(bytes));
	buf_add(out, head->prefix, head->prefix_len);
	buf_add(out, head->template_bytes, head->template_len);
}

void node_encode_row(struct buf *out, const uint8_t *suffix, size_t suffix_len,
		     size_t shared, const uint8_t *rest, size_t rest_len)
{
	assert(shared + rest_len <= ROW_VALUE_MAX);
	buf_add_varint(out, suffix_len);
	buf_add_varint(out, shared);
	buf_add_varint(out, rest_len);
	buf_add(out, suffix, suffix_len);
	buf_add(out, rest, rest_len);
}

void node_encode_child(struct buf *out, const uint8_t *suffix,
		       size_t suffix_len, const struct node_ref *child,
		       bool back)
{
	assert(child->offset <= UINT64_MAX / 2);
	assert(child->length > 0 && child->length <= NODE_MAX);
	buf_add_varint(out, suffix_len);
	buf_add(out, suffix, suffix_len);
	buf_add_varint(out, child->offset << 1 | back);
	buf_add_varint(out, child->length);
	buf_add_le32(out, child->crc);
}
