/* SPDX-License-Identifier: MIT */
/* Superblock, segment header, record header and freeze: format.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "log/format.h"
#include "tests/support/random.h"

#define SALT 0x0123456789abcdefu

/* ---- superblock ------------------------------------------------------- */

static void make_superblock(uint8_t *bytes, struct superblock *sb)
{
	*sb = (struct superblock){
		.version = FORMAT_VERSION,
		.compat = 0x1122334455667788,
		.generation = 3,
		.salt = SALT,
		.created = TIMESTAMP_MAX - 5,
	};
	memcpy(sb->uuid, "0123456789abcdef", 16);
	memcpy(sb->file_uuid, "fedcba9876543210", 16);
	superblock_encode(sb, bytes);
}

/* After a change of the bytes: the checksum that suits them */
static void seal_superblock(uint8_t *bytes)
{
	put_le32(bytes + 4092, crc32c(0, bytes, 4092));
}

static void a_superblock_comes_back(void **in)
{
	uint8_t bytes[SUPERBLOCK_SIZE];
	struct superblock sb;
	struct superblock back;
	(void)in;
	make_superblock(bytes, &sb);
	assert_int_equal(superblock_decode(&back, bytes, true), 0);
	assert_int_equal(back.version, 1);
	assert_true(back.compat == sb.compat);
	assert_true(back.ro_compat == 0 && back.incompat == 0);
	assert_true(back.generation == 3 && back.salt == SALT);
	assert_true(back.created == sb.created);
	assert_memory_equal(back.uuid, sb.uuid, 16);
	assert_memory_equal(back.file_uuid, sb.file_uuid, 16);
}

static void refuses_a_superblock_with_any_byte_changed(void **in)
{
	uint8_t bytes[SUPERBLOCK_SIZE];
	struct superblock sb;
	struct superblock back;
	(void)in;
	make_superblock(bytes, &sb);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		uint8_t bit = (uint8_t)(1u << i % 8);
		bytes[i] ^= bit;
		assert_true(superblock_decode(&back, bytes, false) < 0);
		bytes[i] ^= bit;
	}
	assert_int_equal(superblock_decode(&back, bytes, false), 0);
}

static void tells_why_a_superblock_is_refused(void **in)
{
	static const struct {
		size_t at;
		uint8_t byte;
		bool writable;
		int rc;
	} cases[] = {
		{ 0, 'x', false, -EMEDIUMTYPE },
		{ 8, 2, false, -EPROTONOSUPPORT }, /* version */
		{ 8, 0, false, -EUCLEAN },
		{ 12, 1, false, -EUCLEAN }, /* bytes in a segment */
		{ 31, 1, true, -EROFS }, /* read-only compatible */
		{ 31, 1, false, 0 },
		{ 39, 0x80, false, -EPROTONOSUPPORT }, /* incompatible */
		{ 72, 0, false, -EUCLEAN }, /* generation */
		{ 23, 0xff, true, 0 }, /* compatible */
		{ 100, 1, true, 0 }, /* spare */
	};
	uint8_t bytes[SUPERBLOCK_SIZE];
	struct superblock sb;
	(void)in;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		make_superblock(bytes, &sb);
		bytes[cases[i].at] = cases[i].byte;
		seal_superblock(bytes);
		assert_int_equal(superblock_decode(&sb, bytes,
						   cases[i].writable),
				 cases[i].rc);
	}
}

static void a_newer_version_is_told_before_the_checksum(void **in)
{
	uint8_t bytes[SUPERBLOCK_SIZE];
	struct superblock sb;
	(void)in;
	make_superblock(bytes, &sb);
	bytes[8] = 2;
	assert_int_equal(superblock_decode(&sb, bytes, false),
			 -EPROTONOSUPPORT);
	make_superblock(bytes, &sb);
	bytes[200] = 1;
	assert_int_equal(superblock_decode(&sb, bytes, false), -EBADMSG);
}

/* ---- places ----------------------------------------------------------- */

static void a_seed_is_the_checksum_of_salt_and_offset(void **in)
{
	uint8_t bytes[19];
	(void)in;
	put_le64(bytes, SALT);
	put_le64(bytes + 8, 4096);
	memcpy(bytes + 16, "abc", 3);
	/* The numbers that docs/FORMAT.md gives */
	assert_true(crc32c(place_seed(SALT, 4096), "abc", 3) == 0xbc3eeb86);
	assert_true(crc32c(0, bytes, sizeof(bytes)) == 0xbc3eeb86);
}

static void segments_follow_one_another(void **in)
{
	(void)in;
	assert_int_equal(segment_start(0), 4096);
	assert_int_equal(segment_start(1), 4 << 20);
	assert_true(segment_start(1u << 30) == 1ull << 52);
	assert_int_equal(segment_end(4096), 4 << 20);
	assert_int_equal(segment_end((4 << 20) - 1), 4 << 20);
	assert_int_equal(segment_end(4 << 20), 8 << 20);
}

/* ---- segment header --------------------------------------------------- */

static const struct segment_header plain_header = {
	.number = 7,
	.prev = { .offset = (28u << 20) - 8, .seq = 99, .chain = 0xdeadbeef },
	.durable_to = 20u << 20,
	.last_freeze = 4440,
};

static void a_segment_header_comes_back(void **in)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header h;
	(void)in;
	segment_header_encode(&plain_header, SALT, bytes);
	assert_true(segment_header_decode(&h, SALT, 7, bytes));
	assert_true(h.number == 7 && h.prev.seq == 99);
	assert_true(h.prev.offset == plain_header.prev.offset);
	assert_true(h.prev.chain == 0xdeadbeef);
	assert_true(h.durable_to == 20u << 20 && h.last_freeze == 4440);
}

static void refuses_a_segment_header_with_any_bit_flipped(void **in)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header h;
	(void)in;
	segment_header_encode(&plain_header, SALT, bytes);
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(segment_header_decode(&h, SALT, 7, bytes));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void refuses_a_segment_header_that_has_strayed(void **in)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header h;
	(void)in;
	segment_header_encode(&plain_header, SALT, bytes);
	assert_false(segment_header_decode(&h, SALT, 8, bytes));
	assert_false(segment_header_decode(&h, SALT ^ 1, 7, bytes));
	/* Its own number is wrong, though the checksum suits the place */
	put_le64(bytes + 8, 6);
	put_le32(bytes, crc32c(place_seed(SALT, segment_start(7)), bytes + 4,
			       SEGMENT_HEADER_SIZE - 4));
	assert_false(segment_header_decode(&h, SALT, 7, bytes));
}

static void a_segment_header_points_backwards(void **in)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	uint64_t start = segment_start(7);
	struct segment_header out;
	(void)in;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned over = 0; over < 2; over++) {
			struct segment_header h = plain_header;
			if (i == 0)
				h.prev.offset = start + over;
			else if (i == 1)
				h.durable_to = start + over;
			else
				h.last_freeze = start - 1 + over;
			segment_header_encode(&h, SALT, bytes);
			assert_true(segment_header_decode(&out, SALT, 7,
							  bytes) == !over);
		}
	}
}

/* ---- record header ---------------------------------------------------- */

static void a_record_header_comes_back(void **in)
{
	uint8_t bytes[RECORD_HEADER_SIZE];
	struct record_header out;
	(void)in;
	for (unsigned type = RECORD_OPERATION; type <= RECORD_MARK; type++) {
		bool has_payload = type == RECORD_EXTENT ||
				   type == RECORD_NODES;
		struct record_header h = { 1,
					   2,
					   UINT32_MAX - 1,
					   (enum record_type)type,
					   has_payload ? 0 : 0x123456,
					   has_payload ? 0x234567 : 0 };
		record_header_encode(&h, bytes);
		assert_true(record_header_decode(&out, 4160, bytes));
		assert_int_equal(out.crc, 1);
		assert_int_equal(out.chain, 2);
		assert_int_equal(out.seq, UINT32_MAX - 1);
		assert_int_equal(out.type, type);
		assert_int_equal(out.body_len, h.body_len);
		assert_int_equal(out.payload_len, h.payload_len);
	}
}

static void a_number_is_found_by_its_lower_half(void **in)
{
	const uint64_t half = (uint64_t)1 << 32;
	(void)in;
	assert_true(whole_seq(7, 7) == 7);
	assert_true(whole_seq(7, 9) == 9);
	assert_true(whole_seq(half - 1, 0) == half);
	assert_true(whole_seq(5 * half + 7, 6) == 6 * half + 6);
}

static bool can_be(uint64_t offset, uint32_t type, uint32_t length)
{
	uint8_t bytes[RECORD_HEADER_SIZE] = { 0 };
	struct record_header h;
	put_le32(bytes + 12, type | length << 8);
	return record_header_decode(&h, offset, bytes);
}

static void refuses_lengths_that_leave_the_segment(void **in)
{
	uint32_t room = SEGMENT_SIZE - 4160;
	(void)in;
	assert_true(can_be(4160, 1, BODY_MAX));
	assert_false(can_be(4160, 1, BODY_MAX + 1));
	assert_false(can_be(4160, 1, 0xffffff));
	assert_false(can_be(4160, 2, SEGMENT_SIZE));
	assert_false(can_be(4160, 2, SEGMENT_SIZE + 1));
	assert_false(can_be(4160, 2, 0xffffff));
	/* Header, checksums of all chunks and the payload just fill it */
	uint32_t chunks = SEGMENT_SIZE / CHUNK_SIZE - 2;
	uint32_t most = room - RECORD_HEADER_SIZE - 4 * chunks;
	assert_int_equal(chunk_count(most), chunks);
	assert_true(can_be(4160, 2, most));
	assert_false(can_be(4160, 2, most + 1));
	assert_true(can_be(SEGMENT_SIZE - 16, 5, 0));
	assert_false(can_be(SEGMENT_SIZE - 16, 5, 1));
	assert_false(can_be(SEGMENT_SIZE - 12, 5, 0));
	/* At the end of what a number can say */
	assert_false(can_be(UINT64_MAX - 7, 5, 8));
}

static void refuses_unknown_types_and_crooked_places(void **in)
{
	(void)in;
	for (uint32_t type = 0; type < 256; type++)
		assert_true(can_be(4160, type, 0) == (type >= 1 && type <= 5));
	for (uint64_t i = 1; i < RECORD_ALIGN; i++)
		assert_false(can_be(4160 + i, 1, 0));
	assert_true(can_be(4164, 1, 0));
}

static void the_sizes_of_a_record_add_up(void **in)
{
	uint64_t random = test_seed();
	(void)in;
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t body = (uint32_t)test_below(&random, BODY_MAX + 1);
		uint32_t payload =
			(uint32_t)(test_below(&random, SEGMENT_SIZE + 1) >>
				   test_below(&random, 22));
		uint64_t sum = 0;
		for (uint32_t k = 0; k < chunk_count(payload); k++) {
			uint32_t n = chunk_length(payload, k);
			assert_true(n > 0 && n <= chunk_size(payload));
			sum += n;
			struct chunk c = chunk_at(payload, (uint32_t)sum - 1);
			assert_true(c.number == k && c.start == sum - n &&
				    c.end == sum);
		}
		assert_true(sum == payload);
		uint64_t start = record_payload_start(body, payload);
		uint64_t size = record_size(body, payload);
		assert_true(start ==
			    16 + (uint64_t)body + 4 * chunk_count(payload));
		assert_true(size % 4 == 0 && size >= start + payload &&
			    size < start + payload + 4);
	}
}

static void the_checksum_of_a_record_covers_all_but_itself(void **in)
{
	uint8_t bytes[RECORD_HEADER_SIZE + 5 + 8] = { [12] = 1 };
	uint8_t *body = bytes + RECORD_HEADER_SIZE;
	(void)in;
	uint32_t crc = record_crc(SALT, 4160, bytes, body, 5, body + 5, 8);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] ^= 1;
		uint32_t other =
			record_crc(SALT, 4160, bytes, body, 5, body + 5, 8);
		assert_true((other == crc) == (i < 4));
		bytes[i] ^= 1;
	}
	assert_true(record_crc(SALT, 4168, bytes, body, 5, body + 5, 8) != crc);
	assert_true(record_crc(0, 4160, bytes, body, 5, body + 5, 8) != crc);
}

/* ---- freeze ----------------------------------------------------------- */

#define HERE 100000u

static const struct freeze plain_freeze = {
	.number = 4,
	.time = TIMESTAMP_MAX,
	.automatic = true,
	.root = { .offset = 90000, .length = 10000, .crc = 5 },
	.height = 2,
	.replay = { .offset = 80000, .seq = 60, .chain = 7 },
	.previous = 50000,
	.durable_to = HERE,
	.next_id = 12,
	.keys = 10,
	.live_bytes = 1000,
	.index_bytes = 20000,
};

static bool freeze_passes(const struct freeze *f)
{
	uint8_t body[FREEZE_BODY_SIZE];
	struct freeze out;
	freeze_encode(f, body);
	return freeze_decode(&out, HERE, body, sizeof(body));
}

static void a_freeze_comes_back(void **in)
{
	uint8_t body[FREEZE_BODY_SIZE];
	uint8_t again[FREEZE_BODY_SIZE];
	struct freeze f;
	(void)in;
	freeze_encode(&plain_freeze, body);
	assert_true(freeze_decode(&f, HERE, body, sizeof(body)));
	assert_true(f.number == 4 && f.automatic && f.time == TIMESTAMP_MAX);
	assert_true(f.root.offset == 90000 && f.root.length == 10000 &&
		    f.root.crc == 5 && f.height == 2);
	assert_true(f.replay.offset == 80000 && f.replay.seq == 60 &&
		    f.replay.chain == 7 && f.previous == 50000);
	assert_true(f.durable_to == HERE && f.next_id == 12 && f.keys == 10);
	assert_true(f.live_bytes == 1000 && f.index_bytes == 20000);
	freeze_encode(&f, again);
	assert_memory_equal(body, again, sizeof(body));
	assert_false(freeze_decode(&f, HERE, body, sizeof(body) - 1));
	assert_false(freeze_decode(&f, HERE, body, 0));
}

static void an_empty_tree_has_neither_root_nor_height(void **in)
{
	struct freeze f = plain_freeze;
	(void)in;
	f.height = 0;
	assert_false(freeze_passes(&f));
	f.root.offset = 0;
	assert_false(freeze_passes(&f));
	f.root.length = 0;
	assert_true(freeze_passes(&f));
	f.height = 1;
	assert_false(freeze_passes(&f));
}

static void refuses_a_freeze_whose_root_is_nowhere(void **in)
{
	struct freeze f = plain_freeze;
	(void)in;
	f.root.length++; /* into the record itself */
	assert_false(freeze_passes(&f));
	f.root.length = UINT32_MAX;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.root.offset = UINT64_MAX - 5000;
	assert_false(freeze_passes(&f));
	f.root.offset = SUPERBLOCK_SIZE - 1;
	assert_false(freeze_passes(&f));
	f.root.offset = SUPERBLOCK_SIZE;
	f.root.length = NODE_MAX;
	assert_true(freeze_passes(&f));
	f.root.length = NODE_MAX + 1;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.height = TREE_HEIGHT_MAX;
	assert_true(freeze_passes(&f));
	f.height++;
	assert_false(freeze_passes(&f));
}

static void a_freeze_points_backwards(void **in)
{
	struct freeze f = plain_freeze;
	(void)in;
	f.previous = HERE - 1;
	f.replay.offset = HERE;
	assert_true(freeze_passes(&f));
	f.previous = HERE;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.replay.offset = HERE + 1;
	assert_false(freeze_passes(&f));
	f.replay.offset = SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE - 1;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.durable_to = HERE + 1;
	assert_false(freeze_passes(&f));
}

static void numbers_in_a_freeze_begin_with_one(void **in)
{
	struct freeze f = plain_freeze;
	(void)in;
	f.number = 0;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.next_id = 0;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.replay.seq = 0;
	assert_false(freeze_passes(&f));
}

/* Or else the next one would be 0, which is none */
static void nor_do_they_come_to_their_end(void **in)
{
	struct freeze f = plain_freeze;
	(void)in;
	f.next_id = INT64_MAX;
	assert_true(freeze_passes(&f));
	f.next_id = (uint64_t)INT64_MAX + 1;
	assert_false(freeze_passes(&f));
	f.next_id = UINT64_MAX;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.number = INT64_MAX;
	assert_false(freeze_passes(&f));
	f = plain_freeze;
	f.replay.seq = INT64_MAX - 1;
	assert_true(freeze_passes(&f));
	f.replay.seq = INT64_MAX;
	assert_false(freeze_passes(&f));
	f.replay.seq = UINT64_MAX;
	assert_false(freeze_passes(&f));
}

static void a_height_beyond_32_bits_is_not_cut_off(void **in)
{
	uint8_t body[FREEZE_BODY_SIZE];
	struct freeze f;
	(void)in;
	freeze_encode(&plain_freeze, body);
	put_le64(body + 40, (1ull << 32) + 2);
	assert_false(freeze_decode(&f, HERE, body, sizeof(body)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_superblock_comes_back),
		cmocka_unit_test(refuses_a_superblock_with_any_byte_changed),
		cmocka_unit_test(tells_why_a_superblock_is_refused),
		cmocka_unit_test(a_newer_version_is_told_before_the_checksum),
		cmocka_unit_test(a_seed_is_the_checksum_of_salt_and_offset),
		cmocka_unit_test(segments_follow_one_another),
		cmocka_unit_test(a_segment_header_comes_back),
		cmocka_unit_test(refuses_a_segment_header_with_any_bit_flipped),
		cmocka_unit_test(refuses_a_segment_header_that_has_strayed),
		cmocka_unit_test(a_segment_header_points_backwards),
		cmocka_unit_test(a_record_header_comes_back),
		cmocka_unit_test(a_number_is_found_by_its_lower_half),
		cmocka_unit_test(refuses_lengths_that_leave_the_segment),
		cmocka_unit_test(refuses_unknown_types_and_crooked_places),
		cmocka_unit_test(the_sizes_of_a_record_add_up),
		cmocka_unit_test(
			the_checksum_of_a_record_covers_all_but_itself),
		cmocka_unit_test(a_freeze_comes_back),
		cmocka_unit_test(an_empty_tree_has_neither_root_nor_height),
		cmocka_unit_test(refuses_a_freeze_whose_root_is_nowhere),
		cmocka_unit_test(a_freeze_points_backwards),
		cmocka_unit_test(numbers_in_a_freeze_begin_with_one),
		cmocka_unit_test(nor_do_they_come_to_their_end),
		cmocka_unit_test(a_height_beyond_32_bits_is_not_cut_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
