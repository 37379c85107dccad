/* SPDX-License-Identifier: MIT */
#include "tree/builder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Less than a full node and a decent rest is not worth looking at */
static size_t look_first(const struct builder *b)
{
	return b->target + builder_least(b);
}

/* Twice what is full is cut even where it leaves an odd rest */
static size_t whole_max(const struct builder *b)
{
	return 2 * b->target;
}

void builder_init(struct builder *b, unsigned level, size_t target)
{
	*b = (struct builder){ .level = level, .target = target };
	b->look_at = look_first(b);
}

void builder_free(struct builder *b)
{
	buf_free(&b->bytes);
	free(b->entries);
	b->entries = NULL;
	b->count = 0;
	b->capacity = 0;
}

void builder_set_lower(struct builder *b, const void *lower, size_t len)
{
	assert(len <= ROW_KEY_MAX);
	if (b->count)
		return;
	if (len)
		memcpy(b->lower, lower, len);
	b->lower_len = len;
}

const uint8_t *builder_key(const struct builder *b,
			   const struct builder_entry *e)
{
	return b->bytes.data + e->at;
}

static const uint8_t *value_of(const struct builder *b,
			       const struct builder_entry *e)
{
	return b->bytes.data + e->at + e->key_len;
}

const uint8_t *builder_lower(const struct builder *b, size_t *len)
{
	if (b->level) {
		assert(b->count);
		*len = b->entries[0].key_len;
		return builder_key(b, &b->entries[0]);
	}
	*len = b->lower_len;
	return b->lower;
}

/* ---- sizes ------------------------------------------------------------ */

static size_t varint_size(uint64_t v)
{
	size_t n = 1;
	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

/* What an entry takes in a node without a prefix */
static size_t entry_size(const struct builder *b, const struct builder_entry *e)
{
	size_t size = 1 + e->key_len;
	if (b->level)
		return size + varint_size(e->child.offset << 1) +
		       varint_size(e->child.length) + 4;
	size_t rest = e->value_len - e->shared;
	return size + varint_size(e->shared) + varint_size(rest) + rest;
}

static size_t shared_prefix(const struct builder *b,
			    const struct builder_entry *x,
			    const struct builder_entry *y)
{
	return common_prefix(builder_key(b, x), x->key_len, builder_key(b, y),
			     y->key_len);
}

static size_t node_size(const struct builder *b, size_t count, size_t sum,
			size_t prefix_len)
{
	if (!count)
		return 0;
	return NODE_HEADER_SIZE + b->template_len + sum -
	       (count - 1) * prefix_len;
}

size_t builder_size(const struct builder *b)
{
	return node_size(b, b->count, b->sum, b->prefix_len);
}

/* Bytes of a node with entries from .. to - 1 */
static size_t range_size(const struct builder *b, size_t from, size_t to)
{
	size_t sum = 0;

	if (from == to)
		return 0;
	for (size_t i = from; i < to; i++)
		sum += entry_size(b, &b->entries[i]);
	return node_size(b, to - from, sum,
			 shared_prefix(b, &b->entries[from],
				       &b->entries[to - 1]));
}

/* Bring prefix_len and sum up to date */
static void count_anew(struct builder *b)
{
	b->sum = 0;
	b->prefix_len = 0;
	for (size_t i = 0; i < b->count; i++)
		b->sum += entry_size(b, &b->entries[i]);
	if (b->count)
		b->prefix_len = shared_prefix(b, &b->entries[0],
					      &b->entries[b->count - 1]);
}

/* ---- adding ----------------------------------------------------------- */

static size_t shared_with_template(const struct builder *b, const void *value,
				   size_t len)
{
	return common_prefix(b->template_bytes, b->template_len, value, len);
}

static struct builder_entry *new_entry(struct builder *b)
{
	if (b->count == b->capacity) {
		size_t capacity = b->capacity ? b->capacity * 2 : 64;
		struct builder_entry *entries =
			realloc(b->entries, capacity * sizeof(*entries));
		if (!entries)
			return NULL;
		b->entries = entries;
		b->capacity = capacity;
	}
	return &b->entries[b->count];
}

static int add(struct builder *b, struct builder_entry entry, const void *key,
	       const void *value)
{
	const struct builder_entry *last =
		b->count ? &b->entries[b->count - 1] : NULL;

	assert(entry.key_len <= ROW_KEY_MAX);
	if (last && compare_bytes(builder_key(b, last), last->key_len, key,
				  entry.key_len) >= 0)
		return -EUCLEAN;
	struct builder_entry *e = new_entry(b);
	if (!e)
		return -ENOMEM;
	*e = entry;
	e->at = b->bytes.len;
	buf_add(&b->bytes, key, e->key_len);
	if (value)
		buf_add(&b->bytes, value, e->value_len);
	if (b->bytes.failed)
		return -ENOMEM;
	b->count++;
	b->sum += entry_size(b, e);
	b->prefix_len = b->count == 1 ?
				e->key_len :
				common_prefix(builder_key(b, &b->entries[0]),
					      b->prefix_len, key, e->key_len);
	return 0;
}

int builder_add_row(struct builder *b, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	assert(b->level == 0 && value_len <= ROW_VALUE_MAX);
	struct builder_entry e = {
		.key_len = key_len,
		.value_len = value_len,
		.shared = shared_with_template(b, value, value_len),
	};
	return add(b, e, key, value);
}

int builder_add_child(struct builder *b, const void *key, size_t key_len,
		      const struct node_ref *child, bool in_run)
{
	assert(b->level > 0);
	struct builder_entry e = {
		.key_len = key_len,
		.child = *child,
		.in_run = in_run,
	};
	return add(b, e, key, NULL);
}

const struct builder_entry *builder_pop(struct builder *b)
{
	assert(b->level > 0 && b->count > 0);
	b->count--;
	b->bytes.len = b->entries[b->count].at;
	count_anew(b);
	return &b->entries[b->count];
}

void builder_place(struct builder *b, uint64_t offset)
{
	for (size_t i = 0; i < b->count; i++) {
		struct builder_entry *e = &b->entries[i];
		if (e->in_run)
			e->child.offset += offset;
		e->in_run = false;
	}
	count_anew(b);
}

/* ---- the template ----------------------------------------------------- */

/*
 * What the value of a candidate saves as the template: bytes of all other rows.
 * (Its own bytes only move.) *len: the longest part that another row shares.
 */
static size_t savings(const struct builder *b, size_t candidate, size_t *len)
{
	const struct builder_entry *c = &b->entries[candidate];
	size_t most = c->value_len < TEMPLATE_MAX ? c->value_len : TEMPLATE_MAX;
	size_t saved = 0;

	*len = 0;
	for (size_t i = 0; i < b->count; i++) {
		const struct builder_entry *e = &b->entries[i];
		size_t n = common_prefix(value_of(b, c), most, value_of(b, e),
					 e->value_len);
		if (i == candidate)
			continue;
		saved += n;
		if (n > *len)
			*len = n;
	}
	return saved;
}

void builder_settle(struct builder *b)
{
	if (b->level || !b->count)
		return;
	size_t candidates[] = { 0, b->count / 2, b->count - 1 };
	size_t best = 0;
	size_t best_saved = 0;
	size_t best_len = 0;

	for (size_t i = 0; i < 3; i++) {
		size_t len;
		size_t saved = savings(b, candidates[i], &len);
		if (saved > best_saved) {
			best = candidates[i];
			best_saved = saved;
			best_len = len;
		}
	}
	if (best_len)
		memcpy(b->template_bytes, value_of(b, &b->entries[best]),
		       best_len);
	b->template_len = best_len;
	for (size_t i = 0; i < b->count; i++) {
		struct builder_entry *e = &b->entries[i];
		e->shared =
			shared_with_template(b, value_of(b, e), e->value_len);
	}
	count_anew(b);
}

/* ---- cutting ---------------------------------------------------------- */

/*
 * The most entries that fit into a node, but always enough of them to fill it
 * by a third, be the last one ever so long.
 */
static size_t fitting(const struct builder *b)
{
	size_t sum = 0;
	size_t last_size = 0;

	for (size_t i = 0; i < b->count; i++) {
		sum += entry_size(b, &b->entries[i]);
		size_t size = node_size(b, i + 1, sum,
					shared_prefix(b, &b->entries[0],
						      &b->entries[i]));
		if (i && size > b->target &&
		    (last_size >= builder_least(b) || size > whole_max(b)))
			return i;
		last_size = size;
	}
	return b->count;
}

size_t builder_full(struct builder *b)
{
	if (builder_size(b) < b->look_at)
		return 0;
	builder_settle(b);
	size_t n = fitting(b);
	size_t size = builder_size(b);
	size_t rest = range_size(b, n, b->count);
	if (n < b->count && (rest >= builder_least(b) || size > whole_max(b)))
		return n;
	b->look_at = size + builder_least(b) - rest;
	if (b->look_at < look_first(b))
		b->look_at = look_first(b);
	return 0;
}

/* Where two halves are most alike */
static size_t middle(const struct builder *b)
{
	size_t half = builder_size(b) / 2;
	size_t sum = entry_size(b, &b->entries[0]);
	size_t size = node_size(b, 1, sum, 0);
	size_t n = 1;

	while (n + 1 < b->count) {
		const struct builder_entry *e = &b->entries[n];
		sum += entry_size(b, e);
		size_t next = node_size(b, n + 1, sum,
					shared_prefix(b, &b->entries[0], e));
		if (next > half && next - half > half - size)
			break;
		n++;
		size = next;
		if (size >= half)
			break;
	}
	return n;
}

size_t builder_rest(struct builder *b)
{
	builder_settle(b);
	if (b->count < 2 || builder_size(b) <= b->target)
		return b->count;
	size_t n = middle(b);
	if (range_size(b, 0, n) >= builder_least(b) &&
	    range_size(b, n, b->count) >= builder_least(b))
		return n;
	return builder_size(b) <= whole_max(b) ? b->count : fitting(b);
}

void builder_encode(const struct builder *b, size_t n, struct buf *run)
{
	const struct builder_entry *first = &b->entries[0];
	size_t start = run->len;
	assert(n > 0 && n <= b->count);
	struct node_head head = {
		.level = b->level,
		.count = n,
		.prefix = builder_key(b, first),
		.prefix_len = shared_prefix(b, first, &b->entries[n - 1]),
		.template_bytes = b->template_bytes,
		.template_len = b->level ? 0 : b->template_len,
	};

	node_encode_head(run, &head);
	for (size_t i = 0; i < n; i++) {
		const struct builder_entry *e = &b->entries[i];
		const uint8_t *suffix = builder_key(b, e) + head.prefix_len;
		size_t suffix_len = e->key_len - head.prefix_len;
		if (b->level) {
			struct node_ref child = e->child;
			if (e->in_run)
				child.offset = start - child.offset;
			node_encode_child(run, suffix, suffix_len, &child,
					  e->in_run);
		} else {
			node_encode_row(run, suffix, suffix_len, e->shared,
					value_of(b, e) + e->shared,
					e->value_len - e->shared);
		}
	}
	assert(run->failed || run->len - start <= NODE_MAX);
}

/* The shortest separator between the entries n - 1 and n */
static void separate(struct builder *b, size_t n)
{
	const struct builder_entry *right = &b->entries[n];
	size_t same = shared_prefix(b, &b->entries[n - 1], right);

	assert(same < right->key_len);
	b->lower_len = same + 1;
	memcpy(b->lower, builder_key(b, right), b->lower_len);
}

void builder_drop(struct builder *b, size_t n)
{
	assert(n > 0 && n <= b->count);
	b->look_at = look_first(b);
	if (n == b->count) {
		b->count = 0;
		buf_reset(&b->bytes);
		count_anew(b);
		return;
	}
	if (!b->level)
		separate(b, n);
	size_t gone = b->entries[n].at;
	b->bytes.len -= gone;
	memmove(b->bytes.data, b->bytes.data + gone, b->bytes.len);
	b->count -= n;
	memmove(b->entries, b->entries + n, b->count * sizeof(*b->entries));
	for (size_t i = 0; i < b->count; i++)
		b->entries[i].at -= gone;
	count_anew(b);
}
