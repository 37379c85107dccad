/* SPDX-License-Identifier: MIT */
/* The values of NAME, DATA and EXTENT rows: data.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "banyan.h"
#include "model/data.h"
#include "log/format.h"
#include "tree/node.h"
#include "tests/support/random.h"

/* ---- making some ------------------------------------------------------ */

/* Small numbers as often as large ones */
static uint64_t any_number(uint64_t *random, uint64_t most)
{
	uint64_t v = test_random(random) >> test_below(random, 64);
	return most == UINT64_MAX ? v : v % (most + 1);
}

static timestamp any_time(uint64_t *random, timestamp near)
{
	switch (test_below(random, 4)) {
	case 0:
		return near;
	case 1:
		return any_number(random, TIMESTAMP_MAX);
	case 2:
		return test_below(random, 2) ? TIMESTAMP_MAX : 0;
	default:
		return near + test_below(random, 2000) - 1000;
	}
}

static struct extent any_extent(uint64_t *random, uint64_t most)
{
	struct extent e = { .sum = (uint32_t)test_random(random),
			    .shared = test_below(random, 2) };
	e.payload =
		SUPERBLOCK_SIZE + any_number(random, INT64_MAX - SEGMENT_SIZE);
	uint64_t room = segment_end(e.payload) - e.payload;
	e.payload_len = 1 + (uint32_t)any_number(random, room - 1);
	e.length = e.payload_len;
	if (test_below(random, 2))
		e.length = 1 + (uint32_t)test_below(random, e.payload_len);
	if (e.length > most)
		e.length = (uint32_t)most;
	e.start = (uint32_t)test_below(random, e.payload_len - e.length + 1);
	return e;
}

static void any_extents(uint64_t *random, struct data *d)
{
	uint64_t end = 0;
	uint32_t n = 1 + (uint32_t)test_below(random, EXTENTS_IN_ROW);
	d->size = 1000 + any_number(random, INT64_MAX - 1000);
	for (uint32_t i = 0; i < n && end < d->size; i++) {
		uint64_t at = end + any_number(random, d->size - end - 1);
		struct extent e = any_extent(random, d->size - at);
		d->extent[i].at = at;
		d->extent[i].e = e;
		d->extents = i + 1;
		d->stored += e.length;
		end = at + e.length;
	}
}

static void any_contents(uint64_t *random, struct data *d)
{
	d->contents = (enum contents_kind)test_below(random, 4);
	d->size = any_number(random, INT64_MAX);
	switch (d->contents) {
	case CONTENTS_NONE:
		break;
	case CONTENTS_INLINE:
		d->inline_len = 1 + (uint32_t)test_below(random, INLINE_MAX);
		d->stored = d->inline_len;
		if (d->size < d->stored)
			d->size = d->stored;
		for (uint32_t i = 0; i < d->inline_len; i++)
			d->inline_bytes[i] = (uint8_t)test_random(random);
		break;
	case CONTENTS_EXTENTS:
		any_extents(random, d);
		break;
	case CONTENTS_ROWS:
		d->stored = any_number(random, d->size);
		break;
	}
}

static struct data any_data(uint64_t *random)
{
	static const uint32_t types[] = { 0010000, 0020000, 0040000, 0060000,
					  0100000, 0120000, 0140000 };
	struct data d = { .mode = types[test_below(random, 7)] |
				  (uint32_t)test_below(random, 010000),
			  .uid = (uint32_t)any_number(random, UINT32_MAX),
			  .gid = (uint32_t)any_number(random, UINT32_MAX),
			  .nlink = (uint32_t)any_number(random, UINT32_MAX),
			  .flags = (uint32_t)any_number(random, 7),
			  .rdev = any_number(random, UINT64_MAX),
			  .id = 1 + any_number(random, INT64_MAX - 1) };
	d.birth = any_time(random, 0);
	d.mtime = any_time(random, d.birth);
	d.ctime = any_time(random, d.mtime);
	d.atime = any_time(random, d.mtime);
	if (data_is_space(&d))
		d.parent = 1 + any_number(random, INT64_MAX - 1);
	else
		any_contents(random, &d);
	return d;
}

static void assert_same_extent(const struct extent *a, const struct extent *b)
{
	assert_true(a->payload == b->payload);
	assert_int_equal(a->payload_len, b->payload_len);
	assert_int_equal(a->sum, b->sum);
	assert_int_equal(a->start, b->start);
	assert_int_equal(a->length, b->length);
	assert_int_equal(a->shared, b->shared);
}

static void assert_same(const struct data *a, const struct data *b)
{
	assert_true(a->id == b->id && a->size == b->size);
	assert_true(a->mode == b->mode && a->uid == b->uid &&
		    a->gid == b->gid && a->nlink == b->nlink &&
		    a->flags == b->flags);
	assert_true(a->rdev == b->rdev && a->parent == b->parent);
	assert_true(a->birth == b->birth && a->mtime == b->mtime);
	assert_true(a->ctime == b->ctime && a->atime == b->atime);
	assert_int_equal(a->contents, b->contents);
	assert_true(a->stored == b->stored);
	assert_int_equal(a->inline_len, b->inline_len);
	assert_memory_equal(a->inline_bytes, b->inline_bytes, a->inline_len);
	assert_int_equal(a->extents, b->extents);
	for (uint32_t i = 0; i < a->extents; i++) {
		assert_true(a->extent[i].at == b->extent[i].at);
		assert_same_extent(&a->extent[i].e, &b->extent[i].e);
	}
}

/* What the header promises of all that passes */
static void assert_usable(const struct data *d)
{
	uint64_t end = 0;
	uint64_t stored = 0;
	assert_true(d->id > 0 && d->id <= INT64_MAX && d->size <= INT64_MAX);
	assert_true(data_is_space(d) == (d->parent != 0));
	assert_true(d->stored <= d->size);
	assert_true(!data_is_space(d) || d->contents == CONTENTS_NONE);
	if (d->contents == CONTENTS_INLINE)
		assert_in_range(d->inline_len, 1, INLINE_MAX);
	if (d->contents != CONTENTS_EXTENTS)
		return;
	assert_in_range(d->extents, 1, EXTENTS_IN_ROW);
	for (uint32_t i = 0; i < d->extents; i++) {
		const struct extent *e = &d->extent[i].e;
		assert_true(e->length > 0 && e->length <= e->payload_len &&
			    e->start <= e->payload_len - e->length);
		assert_true(d->extent[i].at >= end);
		end = d->extent[i].at + e->length;
		assert_true(end <= d->size);
		stored += e->length;
	}
	assert_true(stored == d->stored);
}

/* In memory of its own, so that a sanitizer sees a read behind the end */
static int decode_copy(struct data *d, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	if (len)
		memcpy(copy, bytes, len);
	int rc = data_decode(d, copy, len);
	free(copy);
	return rc;
}

/* ---- Datas ------------------------------------------------------------ */

static void any_data_comes_back(void **in)
{
	uint64_t random = test_seed();
	struct buf value = BUF_INIT;
	unsigned seen[4] = { 0 };
	(void)in;
	for (unsigned i = 0; i < 20000; i++) {
		struct data d = any_data(&random);
		struct data back;
		assert_int_equal(data_encode(&d, &value), 0);
		assert_true(value.len <= ROW_VALUE_MAX);
		assert_int_equal(decode_copy(&back, value.data, value.len), 0);
		assert_same(&d, &back);
		assert_usable(&back);
		seen[d.contents]++;
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(seen[i] > 0);
	buf_free(&value);
}

static void a_data_that_is_cut_off_never_misleads(void **in)
{
	uint64_t random = test_seed();
	struct buf value = BUF_INIT;
	struct data back;
	(void)in;
	for (unsigned i = 0; i < 1000; i++) {
		struct data d = any_data(&random);
		assert_int_equal(data_encode(&d, &value), 0);
		for (size_t n = 0; n < value.len; n++) {
			int rc = decode_copy(&back, value.data, n);
			/* Only bytes in the row may be fewer */
			if (d.contents != CONTENTS_INLINE)
				assert_int_equal(rc, -EUCLEAN);
			else if (!rc)
				assert_usable(&back);
		}
	}
	buf_free(&value);
}

static void a_changed_byte_is_refused_or_gives_a_usable_data(void **in)
{
	uint64_t random = test_seed();
	struct buf value = BUF_INIT;
	unsigned refused = 0;
	(void)in;
	for (unsigned i = 0; i < 500; i++) {
		struct data d = any_data(&random);
		assert_int_equal(data_encode(&d, &value), 0);
		for (size_t bit = 0; bit < 8 * value.len; bit++) {
			struct data back;
			value.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			int rc = decode_copy(&back, value.data, value.len);
			value.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (rc == 0)
				assert_usable(&back);
			else
				assert_int_equal(rc, -EUCLEAN);
			refused += rc != 0;
		}
	}
	assert_true(refused > 0);
	buf_free(&value);
}

static void nothing_may_follow_a_data(void **in)
{
	uint64_t random = test_seed();
	struct buf value = BUF_INIT;
	struct data back;
	(void)in;
	for (unsigned i = 0; i < 1000; i++) {
		struct data d = any_data(&random);
		if (d.contents == CONTENTS_INLINE)
			continue;
		assert_int_equal(data_encode(&d, &value), 0);
		buf_add_u8(&value, 0);
		assert_int_equal(decode_copy(&back, value.data, value.len),
				 -EUCLEAN);
	}
	buf_free(&value);
}

/* Encode what the decoder must not take */
static int encode_and_decode(const struct data *d)
{
	struct buf value = BUF_INIT;
	struct data back;
	assert_int_equal(data_encode(d, &value), 0);
	int rc = decode_copy(&back, value.data, value.len);
	buf_free(&value);
	return rc;
}

static const struct data plain_file = {
	.id = 2, .mode = 0100644, .nlink = 1, .size = 10
};

static void refuses_attributes_that_cannot_be(void **in)
{
	struct data d = plain_file;
	(void)in;
	assert_int_equal(encode_and_decode(&d), 0);
	d.id = 0;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.id = (uint64_t)INT64_MAX + 1;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d = plain_file;
	d.size = (uint64_t)INT64_MAX + 1;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d = plain_file;
	d.mode = 0170644;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.mode = 0100644;
	d.flags = BANYAN_IMMUTABLE | BANYAN_APPEND_ONLY | BANYAN_NO_DUMP;
	assert_int_equal(encode_and_decode(&d), 0);
	d.flags = BANYAN_NO_DUMP << 1;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.flags = 0;
	d.mode = 0644;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
}

static void only_a_key_space_has_a_parent_and_it_has_no_value(void **in)
{
	struct data d = plain_file;
	(void)in;
	d.parent = 1;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.mode = 0040755;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN); /* has a size */
	d.size = 0;
	assert_int_equal(encode_and_decode(&d), 0);
	d.contents = CONTENTS_ROWS;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.contents = CONTENTS_NONE;
	d.parent = 0;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.parent = UINT64_MAX;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
}

static void refuses_contents_beyond_the_size(void **in)
{
	struct data d = plain_file;
	(void)in;
	d.contents = CONTENTS_ROWS;
	d.stored = 10;
	assert_int_equal(encode_and_decode(&d), 0);
	d.stored = 11;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.contents = CONTENTS_INLINE;
	d.inline_len = 10;
	assert_int_equal(encode_and_decode(&d), 0);
	d.inline_len = 11;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.inline_len = 0;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.contents = CONTENTS_EXTENTS;
	d.extents = 1;
	d.extent[0].e = (struct extent){ .payload = 5000,
					 .payload_len = 10,
					 .length = 10 };
	assert_int_equal(encode_and_decode(&d), 0);
	d.extent[0].at = 1;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.extent[0].at = UINT64_MAX - 4; /* would wrap round to 5 */
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
	d.extents = 0;
	assert_int_equal(encode_and_decode(&d), -EUCLEAN);
}

static void more_bytes_than_a_row_may_have_are_refused(void **in)
{
	struct buf value = BUF_INIT;
	struct data back;
	struct data d = { .id = 2, .mode = 0100644, .nlink = 1, .size = 1000 };
	(void)in;
	d.contents = CONTENTS_INLINE;
	d.inline_len = INLINE_MAX;
	assert_int_equal(data_encode(&d, &value), 0);
	assert_int_equal(decode_copy(&back, value.data, value.len), 0);
	buf_add_u8(&value, 'x');
	assert_int_equal(decode_copy(&back, value.data, value.len), -EUCLEAN);
	buf_free(&value);
}

/* ---- extents ---------------------------------------------------------- */

static int extent_round(const struct extent *e, struct extent *back)
{
	struct buf value = BUF_INIT;
	extent_encode(e, &value);
	assert_false(value.failed);
	int rc = extent_row_decode(back, value.data, value.len);
	buf_free(&value);
	return rc;
}

static void any_extent_comes_back(void **in)
{
	uint64_t random = test_seed();
	struct buf value = BUF_INIT;
	(void)in;
	for (unsigned i = 0; i < 20000; i++) {
		struct extent e = any_extent(&random, SEGMENT_SIZE);
		struct extent back;
		assert_int_equal(extent_round(&e, &back), 0);
		assert_same_extent(&e, &back);
		buf_reset(&value);
		extent_encode(&e, &value);
		for (size_t n = 0; n < value.len; n++)
			assert_int_equal(extent_row_decode(&back, value.data,
							   n),
					 -EUCLEAN);
		buf_add_u8(&value, 0);
		assert_int_equal(extent_row_decode(&back, value.data,
						   value.len),
				 -EUCLEAN);
	}
	buf_free(&value);
}

static void refuses_extents_that_lead_nowhere(void **in)
{
	const struct extent fine = { .payload = SEGMENT_SIZE - 100,
				     .payload_len = 100,
				     .start = 50,
				     .length = 50 };
	struct extent e = fine;
	struct extent back;
	(void)in;
	assert_int_equal(extent_round(&e, &back), 0);
	e.length = 51; /* beyond the payload */
	assert_int_equal(extent_round(&e, &back), -EUCLEAN);
	e.length = 0;
	assert_int_equal(extent_round(&e, &back), -EUCLEAN);
	e = fine;
	e.start = UINT32_MAX;
	assert_int_equal(extent_round(&e, &back), -EUCLEAN);
	e = fine;
	e.payload_len = 101; /* beyond the segment */
	assert_int_equal(extent_round(&e, &back), -EUCLEAN);
	e = fine;
	e.payload = SUPERBLOCK_SIZE - 1;
	assert_int_equal(extent_round(&e, &back), -EUCLEAN);
	e.payload = UINT64_MAX;
	assert_int_equal(extent_round(&e, &back), -EUCLEAN);
}

static void refuses_extents_of_a_kind_to_come(void **in)
{
	const struct extent e = { .payload = 5000,
				  .payload_len = 9,
				  .length = 9 };
	struct buf value = BUF_INIT;
	struct extent back;
	(void)in;
	extent_encode(&e, &value);
	assert_int_equal(extent_row_decode(&back, value.data, value.len), 0);
	value.data[0] = 4;
	assert_int_equal(extent_row_decode(&back, value.data, value.len),
			 -EUCLEAN);
	buf_free(&value);
}

/* ---- NAME rows -------------------------------------------------------- */

static void a_reference_comes_back(void **in)
{
	struct buf value = BUF_INIT;
	struct name_row row;
	(void)in;
	assert_int_equal(reference_encode(INT64_MAX, 0120777, &value), 0);
	assert_int_equal(name_row_decode(&row, NULL, value.data, value.len), 0);
	assert_true(row.id == INT64_MAX && row.type == 0120000);
	assert_false(row.embedded);
	for (size_t n = 0; n < value.len; n++)
		assert_int_equal(name_row_decode(&row, NULL, value.data, n),
				 -EUCLEAN);
	buf_add_u8(&value, 0);
	assert_int_equal(name_row_decode(&row, NULL, value.data, value.len),
			 -EUCLEAN);
	assert_int_equal(reference_encode(0, 0100000, &value), 0);
	assert_int_equal(name_row_decode(&row, NULL, value.data, value.len),
			 -EUCLEAN);
	buf_free(&value);
}

static void a_reference_has_one_of_the_seven_types(void **in)
{
	(void)in;
	for (unsigned type = 0; type < 256; type++) {
		uint8_t value[] = { 0, (uint8_t)type, 2 };
		struct name_row row;
		bool known = type < 16 && (0x1556 & 1u << type);
		assert_int_equal(name_row_decode(&row, NULL, value,
						 sizeof(value)),
				 known ? 0 : -EUCLEAN);
	}
}

static void a_name_row_embeds_what_has_one_key_only(void **in)
{
	struct data d = plain_file;
	struct data back;
	struct buf value = BUF_INIT;
	struct name_row row;
	(void)in;
	assert_int_equal(data_encode(&d, &value), 0);
	assert_int_equal(name_row_decode(&row, &back, value.data, value.len),
			 0);
	assert_true(row.embedded && row.id == 2 && row.type == 0100000);
	assert_same(&d, &back);
	assert_int_equal(name_row_decode(&row, NULL, value.data, value.len), 0);
	d.nlink = 2;
	assert_int_equal(data_encode(&d, &value), 0);
	assert_int_equal(name_row_decode(&row, &back, value.data, value.len),
			 -EUCLEAN);
	d = (struct data){ .id = 2, .mode = 0040755, .nlink = 1, .parent = 1 };
	assert_int_equal(data_encode(&d, &value), 0);
	assert_int_equal(name_row_decode(&row, &back, value.data, value.len),
			 -EUCLEAN);
	buf_free(&value);
}

static void tells_what_can_be_a_name(void **in)
{
	static const char nul[] = { 'a', '\0', 'b' };
	char longest[BANYAN_NAME_MAX + 1];
	(void)in;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(name_check(1, longest, BANYAN_NAME_MAX), 0);
	assert_int_equal(name_check(1, longest, BANYAN_NAME_MAX + 1),
			 -ENAMETOOLONG);
	assert_int_equal(name_check(1, "", 0), -EINVAL);
	assert_int_equal(name_check(1, ".", 1), -EINVAL);
	assert_int_equal(name_check(1, "..", 2), -EINVAL);
	assert_int_equal(name_check(1, "...", 3), 0);
	assert_int_equal(name_check(1, "a/b", 3), -EINVAL);
	assert_int_equal(name_check(1, nul, sizeof(nul)), -EINVAL);
	assert_int_equal(name_check(1, ".banyan", 7), -EINVAL);
	assert_int_equal(name_check(2, ".banyan", 7), 0);
	assert_int_equal(name_check(1, ".banyan2", 8), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_data_comes_back),
		cmocka_unit_test(a_data_that_is_cut_off_never_misleads),
		cmocka_unit_test(
			a_changed_byte_is_refused_or_gives_a_usable_data),
		cmocka_unit_test(nothing_may_follow_a_data),
		cmocka_unit_test(refuses_attributes_that_cannot_be),
		cmocka_unit_test(
			only_a_key_space_has_a_parent_and_it_has_no_value),
		cmocka_unit_test(refuses_contents_beyond_the_size),
		cmocka_unit_test(more_bytes_than_a_row_may_have_are_refused),
		cmocka_unit_test(any_extent_comes_back),
		cmocka_unit_test(refuses_extents_that_lead_nowhere),
		cmocka_unit_test(refuses_extents_of_a_kind_to_come),
		cmocka_unit_test(a_reference_comes_back),
		cmocka_unit_test(a_reference_has_one_of_the_seven_types),
		cmocka_unit_test(a_name_row_embeds_what_has_one_key_only),
		cmocka_unit_test(tells_what_can_be_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
