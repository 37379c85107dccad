/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - integers to and from bytes. The file is little-endian; numbers in
 * row keys are big-endian, so that memcmp() orders them. No buffer is ever cast
 * to a struct.
 *
 * The get_ functions of fixed width trust the caller to have checked the
 * length. Everything of variable length goes through struct reader, which
 * checks: after a read beyond the end `bad` is set, all further reads give 0,
 * and one test at the end is enough.
 */
#ifndef STORE_BASE_BYTES_H
#define STORE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_le16(const void *p)
{
	const uint8_t *b = p;
	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t get_le32(const void *p)
{
	const uint8_t *b = p;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}

static inline uint64_t get_le64(const void *p)
{
	const uint8_t *b = p;
	return get_le32(b) | (uint64_t)get_le32(b + 4) << 32;
}

static inline uint32_t get_be32(const void *p)
{
	const uint8_t *b = p;
	return (uint32_t)b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 |
	       (uint32_t)b[0] << 24;
}

static inline uint64_t get_be64(const void *p)
{
	const uint8_t *b = p;
	return get_be32(b + 4) | (uint64_t)get_be32(b) << 32;
}

static inline void put_le16(void *p, uint16_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(void *p, uint32_t v)
{
	uint8_t *b = p;
	put_le16(b, (uint16_t)v);
	put_le16(b + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(void *p, uint64_t v)
{
	uint8_t *b = p;
	put_le32(b, (uint32_t)v);
	put_le32(b + 4, (uint32_t)(v >> 32));
}

static inline void put_be32(void *p, uint32_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)(v >> 24);
	b[1] = (uint8_t)(v >> 16);
	b[2] = (uint8_t)(v >> 8);
	b[3] = (uint8_t)v;
}

static inline void put_be64(void *p, uint64_t v)
{
	uint8_t *b = p;
	put_be32(b, (uint32_t)(v >> 32));
	put_be32(b + 4, (uint32_t)v);
}

/*
 * A varint is a little-endian base-128 number: seven bits a byte, the top bit
 * set on all bytes but the last; at most ten bytes.
 */
#define VARINT_MAX 10

static inline size_t put_varint(void *p, uint64_t v)
{
	uint8_t *b = p;
	size_t n = 0;
	while (v >= 0x80) {
		b[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	b[n++] = (uint8_t)v;
	return n;
}

/* Signed numbers as varints: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ... */
static inline uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static inline int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* Once it is bad it stands at its end, so that all further reads fail */
struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline struct reader reader_of(const void *p, size_t n)
{
	const uint8_t *b = p;
	return (struct reader){ b, b + n, false };
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static inline void reader_fail(struct reader *r)
{
	r->bad = true;
	r->at = r->end;
}

/* n bytes in place; NULL and bad if there are fewer */
static inline const uint8_t *read_bytes(struct reader *r, uint64_t n)
{
	if (r->bad || n > reader_left(r)) {
		reader_fail(r);
		return NULL;
	}
	const uint8_t *p = r->at;
	r->at += n;
	return p;
}

static inline uint8_t read_u8(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 1);
	return p ? *p : 0;
}

static inline uint32_t read_le32(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 4);
	return p ? get_le32(p) : 0;
}

static inline uint64_t read_le64(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 8);
	return p ? get_le64(p) : 0;
}

static inline uint64_t read_be64(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 8);
	return p ? get_be64(p) : 0;
}

struct varint {
	uint64_t value;
	const uint8_t *end; /* behind it; NULL: there is none */
};

/* By value, so that callers can keep their reader in registers */
static __attribute__((noinline, unused)) struct varint
long_varint(const uint8_t *p, size_t left)
{
	uint64_t v = 0;
	size_t n = left > VARINT_MAX ? VARINT_MAX : left;
	for (size_t i = 0; i < n; i++) {
		uint8_t b = p[i];
		if ((i == VARINT_MAX - 1 && b > 1) || (b == 0 && i > 0))
			break;
		v |= (uint64_t)(b & 0x7f) << 7 * i;
		if (!(b & 0x80))
			return (struct varint){ v, p + i + 1 };
	}
	return (struct varint){ 0, NULL };
}

/* Refuses numbers beyond 64 bits and forms longer than need be. Most have one
 * byte, and most others (modes, ids) three. */
static inline uint64_t read_varint(struct reader *r)
{
	const uint8_t *p = r->at;
	if (p != r->end && *p < 0x80) {
		r->at = p + 1;
		return *p;
	}
	if (reader_left(r) > 2 && p[1] >= 0x80 && p[2] < 0x80 && p[2]) {
		r->at += 3;
		return (p[0] & 0x7fu) | (p[1] & 0x7fu) << 7 |
		       (uint32_t)p[2] << 14;
	}
	struct varint v = long_varint(p, reader_left(r));
	if (!v.end) {
		reader_fail(r);
		return 0;
	}
	r->at = v.end;
	return v.value;
}

static inline int64_t read_zigzag(struct reader *r)
{
	return unzigzag(read_varint(r));
}

/* How many bytes a and b have in common at their beginnings */
static inline size_t common_prefix(const void *a, size_t a_len, const void *b,
				   size_t b_len)
{
	const uint8_t *x = a;
	const uint8_t *y = b;
	size_t most = a_len < b_len ? a_len : b_len;
	size_t n = 0;
	while (n + 8 <= most) {
		uint64_t differ = get_le64(x + n) ^ get_le64(y + n);
		if (differ)
			return n + (size_t)__builtin_ctzll(differ) / 8;
		n += 8;
	}
	while (n < most && x[n] == y[n])
		n++;
	return n;
}

static inline bool begins_with(const void *a, size_t a_len, const void *prefix,
			       size_t len)
{
	return len <= a_len && common_prefix(a, len, prefix, len) == len;
}

/* The order of all keys: bytes first, then length */
static inline int compare_bytes(const void *a, size_t a_len, const void *b,
				size_t b_len)
{
	size_t n = a_len < b_len ? a_len : b_len;
	int c = n ? memcmp(a, b, n) : 0;
	return c ? c : (a_len > b_len) - (a_len < b_len);
}

#endif
