/* SPDX-License-Identifier: MIT */
#include "model/redo.h"

#include <errno.h>

#include "model/rows.h"

/* How the value of a row is written */
enum form {
	FORM_DELETED, /* there is none */
	FORM_EMPTY, /* of no bytes */
	FORM_BYTES,
	FORM_DATA, /* see packed_data.h */
};

/* The first byte of a row: its type, the form, and how many bytes behind the type
 * the key shares with the one before */
#define TYPE_MASK 7u
#define FORM_SHIFT 3
#define FORM_MASK 3u
#define SAME_SHIFT 5
#define SAME_LEAST 2u /* 1 there; up to SAME_MOST. 0: a number follows */
#define SAME_MOST 8u

/* The first byte of an operation: its kind, and which numbers follow */
#define KIND_MASK 15u
#define ONE_KEY_MORE 16u
#define ONE_KEY_LESS 32u
#define OTHER_KEYS (ONE_KEY_MORE | ONE_KEY_LESS)
#define HAS_LIVE 64u
#define UNKNOWN_BITS 128u

/* What a row takes at the most beside key and value */
#define ROW_MORE (2 + 4 * VARINT_MAX + PACKED_MORE)

/* Behind the type, all keys of this one have so many bytes; 0: not all the same */
static size_t tail_of(uint8_t type)
{
	switch (type) {
	case ROW_DATA:
	case ROW_ORPHAN:
		return 8;
	case ROW_EXTENT:
		return 16;
	default:
		return 0;
	}
}

/* The id that a Data in this row has, if its key tells it; else 0 */
static uint64_t id_of(const uint8_t *key, size_t len)
{
	return len == ROW_ID_LEN && key[0] == ROW_DATA ? get_be64(key + 1) : 0;
}

/* ---- writing ---------------------------------------------------------- */

/* What the next row is told apart from */
struct previous {
	const uint8_t *tail; /* of the key */
	size_t tail_len;
	const uint8_t *value;
	size_t value_len;
	struct packed_state packed;
};

static uint8_t *put_key(uint8_t *to, const struct previous *p,
			const uint8_t *key, size_t len, enum form form)
{
	size_t tail = tail_of(key[0]);
	size_t same = common_prefix(p->tail, p->tail_len, key + 1, len - 1);
	bool known = key[0] >= ROW_NAME && key[0] <= ROW_SNAPSHOT &&
		     (!tail || tail == len - 1);
	bool usual = same >= SAME_LEAST && same <= SAME_MOST;
	*to++ = (uint8_t)((known ? key[0] : 0u) | (unsigned)form << FORM_SHIFT |
			  (usual ? (unsigned)same - 1 : 0u) << SAME_SHIFT);
	if (!known)
		*to++ = key[0];
	if (!usual)
		to += put_varint(to, same);
	if (!known || !tail)
		to += put_varint(to, len - 1 - same);
	memcpy(to, key + 1 + same, len - 1 - same);
	return to + (len - 1 - same);
}

/* Packed, if that is shorter: the number of bytes, or 0 */
static size_t put_packed(uint8_t *to, struct previous *p, const uint8_t *key,
			 size_t key_len, const uint8_t *value, size_t len,
			 size_t same)
{
	struct packed_state packed = p->packed;
	if (key[0] != ROW_NAME && key[0] != ROW_DATA)
		return 0;
	size_t n = packed_write(&packed, id_of(key, key_len), value, len, to);
	if (n > 2 + len - same)
		return 0;
	if (n)
		p->packed = packed;
	return n;
}

static void encode_row(struct buf *body, struct previous *p, const uint8_t *key,
		       size_t key_len, const uint8_t *value, size_t len)
{
	uint8_t *start = buf_reserve(body, ROW_MORE + key_len + len);
	if (!start)
		return;
	enum form form = !value ? FORM_DELETED : FORM_EMPTY;
	uint8_t *to = put_key(start, p, key, key_len, form);
	if (value && len) {
		size_t same = common_prefix(p->value, p->value_len, value, len);
		size_t n = put_packed(to, p, key, key_len, value, len, same);
		form = n ? FORM_DATA : FORM_BYTES;
		*start = (uint8_t)((*start & ~(FORM_MASK << FORM_SHIFT)) |
				   (unsigned)form << FORM_SHIFT);
		to += n;
		if (!n) {
			to += put_varint(to, same);
			to += put_varint(to, len - same);
			memcpy(to, value + same, len - same);
			to += len - same;
		}
	}
	p->tail = key + 1;
	p->tail_len = key_len - 1;
	if (value) {
		p->value = value;
		p->value_len = len;
	}
	body->len += (size_t)(to - start);
}

static void encode_head(const struct operation *op, struct buf *body)
{
	unsigned keys = op->keys == 1  ? ONE_KEY_MORE :
			op->keys == -1 ? ONE_KEY_LESS :
			op->keys       ? OTHER_KEYS :
					 0;
	buf_add_u8(body, (uint8_t)((unsigned)op->kind | keys |
				   (op->live ? HAS_LIVE : 0u)));
	buf_add_le64(body, op->time);
	buf_add_varint(body, zigzag((int64_t)(op->time - op->stamp)));
	buf_add_varint(body, op->next_id);
	if (keys == OTHER_KEYS)
		buf_add_varint(body, zigzag(op->keys));
	if (op->live)
		buf_add_varint(body, zigzag(op->live));
}

/* The first row may share bytes of its id with this one's */
static const uint8_t no_id[8];

int redo_encode(const struct operation *op, struct index_row *const *rows,
		size_t count, struct buf *body)
{
	struct previous p = { .tail = no_id, .tail_len = sizeof(no_id) };
	size_t bytes = 0;
	packed_begin(&p.packed, op->stamp, op->next_id);
	encode_head(op, body);
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

/* ---- reading ---------------------------------------------------------- */

int redo_open(struct redo_reader *r, const uint8_t *body, size_t size,
	      struct operation *op)
{
	r->in = reader_of(body, size);
	memcpy(r->key + 1, no_id, sizeof(no_id));
	r->key_len = 1 + sizeof(no_id);
	r->value_len = 0;
	r->rows = 0;
	r->bytes = 0;
	unsigned first = read_u8(&r->in);
	unsigned kind = first & KIND_MASK;
	unsigned keys = first & OTHER_KEYS;
	struct operation o = { 0 };
	o.time = read_le64(&r->in);
	o.stamp = o.time - (uint64_t)read_zigzag(&r->in);
	o.next_id = read_varint(&r->in);
	o.keys = keys == ONE_KEY_MORE ? 1 :
		 keys == ONE_KEY_LESS ? -1 :
		 keys		      ? read_zigzag(&r->in) :
					0;
	o.live = first & HAS_LIVE ? read_zigzag(&r->in) : 0;
	if (r->in.bad || (first & UNKNOWN_BITS) || kind < OPERATION_BATCH ||
	    kind > OPERATION_SWEEP)
		return -EUCLEAN;
	o.kind = (enum operation_kind)kind;
	packed_begin(&r->packed, o.stamp, o.next_id);
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

/* Is the key greater than the one before? Of the same type only with what is
 * different can it be. */
static bool ascends(const struct redo_reader *r, uint8_t type, uint64_t same,
		    uint64_t rest)
{
	if (!r->rows || type > r->key[0])
		return true;
	if (type < r->key[0] || rest == 0 || rest > reader_left(&r->in))
		return false;
	return same >= r->key_len - 1 || r->in.at[0] > r->key[1 + same];
}

static bool read_key(struct redo_reader *r, unsigned first)
{
	uint8_t type = (uint8_t)(first & TYPE_MASK);
	uint64_t same = first >> SAME_SHIFT;
	size_t tail = tail_of(type);
	size_t len = r->key_len - 1;
	if (!type)
		type = read_u8(&r->in);
	same = same ? same + SAME_LEAST - 1 : read_varint(&r->in);
	if (tail && same > tail)
		return false;
	uint64_t rest = tail ? tail - same : read_varint(&r->in);
	if (r->in.bad || same > len || !ascends(r, type, same, rest) ||
	    !read_shared(&r->in, same, rest, r->key + 1, &len,
			 sizeof(r->key) - 1))
		return false;
	r->key[0] = type;
	r->key_len = len + 1;
	return true;
}

/* false: damage */
static bool read_value(struct redo_reader *r, enum form form)
{
	switch (form) {
	case FORM_DELETED:
		return true;
	case FORM_EMPTY:
		r->value_len = 0;
		return true;
	case FORM_BYTES: {
		uint64_t same = read_varint(&r->in);
		uint64_t rest = read_varint(&r->in);
		return !r->in.bad &&
		       read_shared(&r->in, same, rest, r->value, &r->value_len,
				   sizeof(r->value));
	}
	case FORM_DATA:
		r->value_len = packed_read(&r->packed,
					   id_of(r->key, r->key_len), &r->in,
					   r->value);
		return r->value_len != 0;
	}
	return false;
}

int redo_next(struct redo_reader *r, struct row_change *change)
{
	if (r->in.at == r->in.end)
		return r->in.bad ? -EUCLEAN : 1;
	unsigned first = read_u8(&r->in);
	enum form form = (enum form)(first >> FORM_SHIFT & FORM_MASK);
	if (!read_key(r, first) || !read_value(r, form)) {
		reader_fail(&r->in);
		return -EUCLEAN;
	}
	bool there = form != FORM_DELETED;
	r->bytes += r->key_len + (there ? r->value_len : 0);
	if (r->bytes > REDO_ROWS_MAX)
		return -EUCLEAN;
	r->rows++;
	*change = (struct row_change){
		.key = r->key,
		.key_len = r->key_len,
		.value = there ? r->value : NULL,
		.value_len = there ? r->value_len : 0,
	};
	return 0;
}
