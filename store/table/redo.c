/* SPDX-License-Identifier: MIT */
#include "table/redo.h"

#include <errno.h>

/* What the next row is told apart from */
struct previous {
	const uint8_t *key;
	size_t key_len;
	const uint8_t *value;
	size_t value_len;
};

/* What a row takes beside the bytes that differ */
#define ROW_NUMBERS_MAX (4 * VARINT_MAX)

static void encode_row(struct buf *body, struct previous *p, const uint8_t *key,
		       size_t key_len, const uint8_t *value, size_t value_len)
{
	uint8_t *start =
		buf_reserve(body, ROW_NUMBERS_MAX + key_len + value_len);
	uint8_t *to = start;
	if (!start)
		return;
	size_t same = common_prefix(p->key, p->key_len, key, key_len);
	to += put_varint(to, same);
	to += put_varint(to, (key_len - same) * 2 + (value ? 1 : 0));
	memcpy(to, key + same, key_len - same);
	to += key_len - same;
	p->key = key;
	p->key_len = key_len;
	if (value) {
		same = common_prefix(p->value, p->value_len, value, value_len);
		to += put_varint(to, same);
		to += put_varint(to, value_len - same);
		memcpy(to, value + same, value_len - same);
		to += value_len - same;
		p->value = value;
		p->value_len = value_len;
	}
	body->len += (size_t)(to - start);
}

int redo_encode(const struct operation *op, struct index_row *const *rows,
		size_t count, struct buf *body)
{
	struct previous p = { 0 };
	size_t bytes = 0;
	buf_add_u8(body, (uint8_t)op->kind);
	buf_add_le64(body, op->time);
	buf_add_varint(body, op->next_id);
	buf_add_varint(body, zigzag(op->keys));
	buf_add_varint(body, zigzag(op->live));
	buf_add_varint(body, count);
	for (size_t i = 0; i < count; i++) {
		size_t value_len = 0;
		const uint8_t *value = redo_row_value(rows[i], &value_len);
		encode_row(body, &p, rows[i]->key, rows[i]->key_len, value,
			   value_len);
		bytes += rows[i]->key_len + value_len;
		if (bytes > REDO_ROWS_MAX)
			return -E2BIG;
	}
	return body->failed ? -ENOMEM : 0;
}

int redo_open(struct redo_reader *r, const uint8_t *body, size_t size,
	      struct operation *op)
{
	r->in = reader_of(body, size);
	r->key_len = 0;
	r->value_len = 0;
	r->bytes = 0;
	uint8_t kind = read_u8(&r->in);
	struct operation o = { 0 };
	o.time = read_le64(&r->in);
	o.next_id = read_varint(&r->in);
	o.keys = read_zigzag(&r->in);
	o.live = read_zigzag(&r->in);
	r->left = read_varint(&r->in);
	if (r->in.bad || kind < OPERATION_BATCH || kind > OPERATION_SWEEP)
		return -EUCLEAN;
	o.kind = (enum operation_kind)kind;
	*op = o;
	return 0;
}

/* Replace what follows the first `same` bytes of old */
static bool read_shared(struct reader *in, uint64_t same, uint64_t rest,
			uint8_t *old, size_t *len, size_t most)
{
	if (same > *len || rest > most || same + rest > most)
		return false;
	const uint8_t *p = read_bytes(in, rest);
	if (!p)
		return false;
	memcpy(old + same, p, rest);
	*len = same + rest;
	return true;
}

/* Only with what is different can the key be greater than the one before */
static bool read_key(struct redo_reader *r, uint64_t same, uint64_t rest)
{
	bool first = r->key_len == 0;
	const uint8_t *at = r->in.at;
	if (rest == 0 || same > r->key_len || reader_left(&r->in) < rest)
		return false;
	if (!first && same < r->key_len && at[0] <= r->key[same])
		return false;
	return read_shared(&r->in, same, rest, r->key, &r->key_len,
			   sizeof(r->key));
}

int redo_next(struct redo_reader *r, struct row_change *change)
{
	if (r->left == 0)
		return r->in.at == r->in.end ? 1 : -EUCLEAN;
	uint64_t same = read_varint(&r->in);
	uint64_t word = read_varint(&r->in);
	if (r->in.bad || !read_key(r, same, word / 2))
		return -EUCLEAN;
	if (word & 1) {
		same = read_varint(&r->in);
		uint64_t rest = read_varint(&r->in);
		if (r->in.bad || !read_shared(&r->in, same, rest, r->value,
					      &r->value_len, sizeof(r->value)))
			return -EUCLEAN;
	}
	r->bytes += r->key_len + (word & 1 ? r->value_len : 0);
	if (r->bytes > REDO_ROWS_MAX)
		return -EUCLEAN;
	r->left--;
	*change = (struct row_change){
		.key = r->key,
		.key_len = r->key_len,
		.value = word & 1 ? r->value : NULL,
		.value_len = word & 1 ? r->value_len : 0,
	};
	return 0;
}
