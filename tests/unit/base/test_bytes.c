/* SPDX-License-Identifier: MIT */
/* The pure helpers: bytes.h, buf and crc32c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "tests/support/random.h"

/* ---- bytes ------------------------------------------------------------ */

static void puts_numbers_in_their_byte_order(void **in)
{
	static const uint8_t le[] = { 8, 7, 6, 5, 4, 3, 2, 1 };
	static const uint8_t be[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint8_t bytes[9] = { [8] = 0xee };
	(void)in;
	put_le16(bytes, 0x0708);
	assert_memory_equal(bytes, le, 2);
	put_le32(bytes, 0x05060708);
	assert_memory_equal(bytes, le, 4);
	put_le64(bytes, 0x0102030405060708);
	assert_memory_equal(bytes, le, 8);
	put_be32(bytes, 0x01020304);
	assert_memory_equal(bytes, be, 4);
	put_be64(bytes, 0x0102030405060708);
	assert_memory_equal(bytes, be, 8);
	assert_int_equal(bytes[8], 0xee);
}

static void gets_back_the_numbers_it_put(void **in)
{
	uint64_t random = test_seed();
	uint8_t bytes[8];
	(void)in;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t v = test_random(&random) >> test_below(&random, 64);
		put_le16(bytes, (uint16_t)v);
		assert_int_equal(get_le16(bytes), (uint16_t)v);
		put_le32(bytes, (uint32_t)v);
		assert_int_equal(get_le32(bytes), (uint32_t)v);
		put_be32(bytes, (uint32_t)v);
		assert_int_equal(get_be32(bytes), (uint32_t)v);
		put_le64(bytes, v);
		assert_true(get_le64(bytes) == v);
		put_be64(bytes, v);
		assert_true(get_be64(bytes) == v);
	}
}

static void big_endian_numbers_sort_as_bytes(void **in)
{
	uint64_t random = test_seed();
	(void)in;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t a = test_random(&random) >> test_below(&random, 64);
		uint64_t b = test_random(&random) >> test_below(&random, 64);
		uint8_t x[8];
		uint8_t y[8];
		put_be64(x, a);
		put_be64(y, b);
		int order = compare_bytes(x, 8, y, 8);
		assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
	}
}

static void a_varint_takes_seven_bits_a_byte(void **in)
{
	uint8_t bytes[VARINT_MAX + 1];
	(void)in;
	for (unsigned bits = 0; bits <= 64; bits++) {
		uint64_t v = bits == 64 ? UINT64_MAX :
					  ((uint64_t)1 << bits) - 1;
		size_t n = put_varint(bytes, v);
		assert_int_equal(n, bits ? (bits + 6) / 7 : 1);
		assert_true(n <= VARINT_MAX);
		struct reader r = reader_of(bytes, n);
		assert_true(read_varint(&r) == v);
		assert_false(r.bad);
		assert_int_equal(reader_left(&r), 0);
	}
}

static void assert_bad_varint(const void *bytes, size_t n)
{
	struct reader r = reader_of(bytes, n);
	assert_true(read_varint(&r) == 0);
	assert_true(r.bad);
}

static void refuses_varints_that_are_no_shortest_form(void **in)
{
	(void)in;
	assert_bad_varint("\x80\x00", 2);
	assert_bad_varint("\x81\x80\x00", 3);
	assert_bad_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
	assert_bad_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11);
	assert_bad_varint("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
	assert_bad_varint("\x80", 1);
	assert_bad_varint("", 0);
}

static void zigzag_keeps_small_numbers_small(void **in)
{
	static const int64_t order[] = { 0, -1, 1, -2, 2, -3 };
	uint64_t random = test_seed();
	(void)in;
	for (uint64_t i = 0; i < 6; i++)
		assert_true(zigzag(order[i]) == i);
	assert_true(zigzag(INT64_MAX) == UINT64_MAX - 1);
	assert_true(zigzag(INT64_MIN) == UINT64_MAX);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t v = test_random(&random);
		assert_true(zigzag(unzigzag(v)) == v);
	}
}

static void a_reader_stops_at_the_end_for_good(void **in)
{
	static const uint8_t bytes[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	(void)in;
	struct reader r = reader_of(bytes, 9);
	assert_int_equal(read_u8(&r), 1);
	assert_int_equal(read_le32(&r), 0x05040302);
	assert_ptr_equal(read_bytes(&r, 0), bytes + 5);
	assert_int_equal(reader_left(&r), 4);
	assert_false(r.bad);
	assert_true(read_le64(&r) == 0);
	assert_true(r.bad);
	assert_int_equal(read_u8(&r), 0); /* though there would be a byte */
	assert_null(read_bytes(&r, 0));
	r = reader_of(bytes, 9);
	assert_null(read_bytes(&r, UINT64_MAX));
	assert_true(r.bad);
	r = reader_of(bytes, 8);
	assert_true(read_be64(&r) == 0x0102030405060708);
	assert_false(r.bad);
	r = reader_of(NULL, 0);
	assert_int_equal(read_zigzag(&r), 0);
	assert_true(r.bad);
}

static void orders_keys_by_bytes_and_then_length(void **in)
{
	(void)in;
	assert_true(compare_bytes("", 0, NULL, 0) == 0);
	assert_true(compare_bytes("", 0, "a", 1) < 0);
	assert_true(compare_bytes("a", 1, "a", 2) < 0);
	assert_true(compare_bytes("ab", 2, "a", 1) > 0);
	assert_true(compare_bytes("b", 1, "ab", 2) > 0);
	assert_true(compare_bytes("\x80", 1, "\x7f\xff", 2) > 0);
	assert_true(compare_bytes("abc", 3, "abc", 3) == 0);
	assert_int_equal(common_prefix("abc", 3, "abd", 3), 2);
	assert_int_equal(common_prefix("ab", 2, "abd", 3), 2);
	assert_int_equal(common_prefix("x", 1, "y", 1), 0);
	assert_int_equal(common_prefix(NULL, 0, "y", 1), 0);
}

static void finds_where_two_keys_begin_to_differ(void **in)
{
	uint64_t random = test_seed();
	uint8_t a[40];
	uint8_t b[40];
	(void)in;
	for (unsigned i = 0; i < 20000; i++) {
		size_t a_len = test_below(&random, sizeof(a) + 1);
		size_t b_len = test_below(&random, sizeof(b) + 1);
		size_t same = test_below(&random, sizeof(a) + 1);
		for (size_t k = 0; k < sizeof(a); k++) {
			a[k] = (uint8_t)test_random(&random);
			/* One bit is enough to differ */
			unsigned bit = 1u << test_below(&random, 8);
			b[k] = (uint8_t)(k == same ? a[k] ^ bit : a[k]);
		}
		size_t want = a_len < b_len ? a_len : b_len;
		if (same < want)
			want = same;
		assert_int_equal(common_prefix(a, a_len, b, b_len), want);
	}
}

/* ---- buf -------------------------------------------------------------- */

static void a_buf_holds_what_was_added(void **in)
{
	uint64_t random = test_seed();
	struct buf b = BUF_INIT;
	uint8_t model[20000];
	size_t len = 0;
	(void)in;
	while (len < sizeof(model) - 300) {
		uint8_t piece[300];
		size_t n = test_below(&random, sizeof(piece));
		for (size_t i = 0; i < n; i++)
			piece[i] = (uint8_t)test_random(&random);
		if (test_below(&random, 4) == 0) {
			memset(piece, 0, n);
			buf_add_zeros(&b, n);
		} else {
			buf_add(&b, piece, n);
		}
		memcpy(model + len, piece, n);
		len += n;
		assert_int_equal(b.len, len);
		assert_true(b.capacity >= b.len);
	}
	assert_memory_equal(b.data, model, len);
	assert_false(b.failed);
	buf_free(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void a_buf_takes_numbers(void **in)
{
	static const uint8_t want[] = {
		0xfe, 4,    3,	  2,	1,    8,    7,	  6,	5,
		4,    3,    2,	  1,	1,    2,    3,	  4,	5,
		6,    7,    8,	  0xac, 0x02, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
	};
	struct buf b = BUF_INIT;
	(void)in;
	buf_add_u8(&b, 0xfe);
	buf_add_le32(&b, 0x01020304);
	buf_add_le64(&b, 0x0102030405060708);
	buf_add_be64(&b, 0x0102030405060708);
	buf_add_varint(&b, 300);
	buf_add_varint(&b, UINT64_MAX);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	buf_free(&b);
}

static void a_buf_says_at_the_end_that_memory_ran_out(void **in)
{
	struct buf b = BUF_INIT;
	(void)in;
	buf_add(&b, "abc", 3);
	assert_null(buf_reserve(&b, SIZE_MAX / 2));
	assert_true(b.failed);
	buf_add(&b, "d", 1);
	buf_add_varint(&b, 7);
	assert_int_equal(b.len, 3);
	assert_true(b.failed);
	buf_reset(&b);
	assert_false(b.failed);
	assert_int_equal(buf_set(&b, "xyz", 3), 0);
	assert_memory_equal(b.data, "xyz", 3);
	assert_int_equal(buf_set(&b, "xyz", SIZE_MAX / 2 + 1), -ENOMEM);
	buf_free(&b);
}

static void reserving_changes_nothing_that_can_be_seen(void **in)
{
	struct buf b = BUF_INIT;
	(void)in;
	assert_non_null(buf_reserve(&b, 0));
	buf_add(&b, "abc", 3);
	uint8_t *room = buf_reserve(&b, 100000);
	assert_ptr_equal(room, b.data + 3);
	assert_int_equal(b.len, 3);
	memset(room, 1, 100000);
	assert_memory_equal(b.data, "abc", 3);
	buf_free(&b);
}

/* ---- crc32c ----------------------------------------------------------- */

/* The definition, a bit at a time */
static uint32_t crc32c_by_bits(uint32_t crc, const uint8_t *p, size_t n)
{
	crc = ~crc;
	while (n--) {
		crc ^= *p++;
		for (unsigned i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* RFC 3720, B.4 */
static void crc32c_gives_the_known_answers(void **in)
{
	uint8_t bytes[32] = { 0 };
	(void)in;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	assert_int_equal(crc32c_table(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5c);
	assert_int_equal(crc32c(7, NULL, 0), 7);
	assert_int_equal(crc32c_table(7, NULL, 0), 7);
}

/* Each length up to a few blocks, at each alignment */
static void crc32c_is_the_same_in_all_forms(void **in)
{
	static uint8_t bytes[6000];
	uint64_t random = test_seed();
	(void)in;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)test_random(&random);
	for (size_t n = 0; n + 8 < sizeof(bytes); n++) {
		const uint8_t *p = bytes + n % 8;
		uint32_t seed = (uint32_t)test_random(&random);
		uint32_t want = crc32c_by_bits(seed, p, n);
		assert_int_equal(crc32c_table(seed, p, n), want);
		assert_int_equal(crc32c(seed, p, n), want);
	}
}

static void crc32c_goes_on_where_it_stopped(void **in)
{
	static uint8_t bytes[20000];
	uint64_t random = test_seed();
	(void)in;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)test_random(&random);
	uint32_t whole = crc32c(0, bytes, sizeof(bytes));
	for (unsigned i = 0; i < 200; i++) {
		size_t at = test_below(&random, sizeof(bytes) + 1);
		uint32_t crc = crc32c(0, bytes, at);
		crc = crc32c(crc, bytes + at, sizeof(bytes) - at);
		assert_int_equal(crc, whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_numbers_in_their_byte_order),
		cmocka_unit_test(gets_back_the_numbers_it_put),
		cmocka_unit_test(big_endian_numbers_sort_as_bytes),
		cmocka_unit_test(a_varint_takes_seven_bits_a_byte),
		cmocka_unit_test(refuses_varints_that_are_no_shortest_form),
		cmocka_unit_test(zigzag_keeps_small_numbers_small),
		cmocka_unit_test(a_reader_stops_at_the_end_for_good),
		cmocka_unit_test(orders_keys_by_bytes_and_then_length),
		cmocka_unit_test(finds_where_two_keys_begin_to_differ),
		cmocka_unit_test(a_buf_holds_what_was_added),
		cmocka_unit_test(a_buf_takes_numbers),
		cmocka_unit_test(a_buf_says_at_the_end_that_memory_ran_out),
		cmocka_unit_test(reserving_changes_nothing_that_can_be_seen),
		cmocka_unit_test(crc32c_gives_the_known_answers),
		cmocka_unit_test(crc32c_is_the_same_in_all_forms),
		cmocka_unit_test(crc32c_goes_on_where_it_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
