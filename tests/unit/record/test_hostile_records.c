/* SPDX-License-Identifier: MIT */
/* Bytes that are no record, or nearly one */
#include "record_fixture.h"

static void every_record_that_was_cut_off_is_refused(void **in)
{
	uint64_t random = test_seed();
	struct banyan_value values[FIELDS];
	struct sample s;
	(void)in;
	for (unsigned i = 0; i < 200; i++) {
		size_t size;
		make_schema(&s, &random);
		make_values(&s, &random);
		uint8_t *bytes = pack(&s, &size);
		for (size_t n = 0; n < size; n++) {
			assert_harmless(&s.schema, bytes, n);
			assert_int_equal(banyan_record_unpack(&s.schema, bytes,
							      n, values),
					 -EUCLEAN);
		}
		free(bytes);
	}
}

static void a_flipped_byte_does_no_harm(void **in)
{
	uint64_t random = test_seed();
	unsigned step = 2 * test_one_in(9);
	struct sample s;
	(void)in;
	for (unsigned i = 0; i < 25; i++) {
		size_t size;
		make_schema(&s, &random);
		make_values(&s, &random);
		uint8_t *bytes = pack(&s, &size);
		for (size_t n = 0; n < size; n++) {
			for (unsigned flip = 1; flip < 256; flip += step) {
				bytes[n] ^= (uint8_t)flip;
				assert_harmless(&s.schema, bytes, size);
				bytes[n] ^= (uint8_t)flip;
			}
		}
		free(bytes);
	}
}

static void random_bytes_do_no_harm(void **in)
{
	uint64_t random = test_seed();
	struct sample s;
	(void)in;
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bytes[40];
		size_t size = test_below(&random, sizeof(bytes));
		make_schema(&s, &random);
		for (size_t k = 0; k < size; k++)
			bytes[k] = (uint8_t)(test_random(&random) >>
					     test_below(&random, 9));
		assert_harmless(&s.schema, bytes, size);
	}
}

static void assert_unclean(const void *bytes, size_t size)
{
	struct banyan_value values[5];

	assert_int_equal(banyan_record_unpack(&schema_of_people, bytes, size,
					      values),
			 -EUCLEAN);
}

static void there_is_one_form_only_for_a_record(void **in)
{
	(void)in;
	assert_unclean("\4\x0b\3Ada\x47\1\0", 9); /* more behind it */
	assert_unclean("\5\x0b\3Ada\x47\1", 8); /* the last is absent */
	assert_unclean("\4\x1b\3Ada\x47\1", 8); /* a bit beyond count */
	assert_unclean("\4\x0b\3Ada\x47\2", 8); /* neither true nor false */
	assert_unclean("\4\x0b\3A\xc3"
		       "a\x47\1",
		       8); /* not UTF-8 */
	assert_unclean("\4\x0b\x83\0Ada\x47\1", 9); /* a long varint */
	assert_unclean("\6\x2b\3Ada\x47\1\0", 9); /* too many fields */
	assert_unclean("\1\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12);
	assert_unclean("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10);
	assert_unclean("", 0);
	assert_unclean(NULL, 0);
}

/* The definition, by decoding */
static bool is_utf8_by_value(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	while (n) {
		size_t len = *p < 0x80		 ? 1 :
			     (*p & 0xe0) == 0xc0 ? 2 :
			     (*p & 0xf0) == 0xe0 ? 3 :
			     (*p & 0xf8) == 0xf0 ? 4 :
						   0;
		if (len == 0 || len > n)
			return false;
		uint32_t c = len == 1 ? *p : *p & (0x7fu >> len);
		for (size_t i = 1; i < len; i++) {
			if (p[i] >> 6 != 2)
				return false;
			c = c << 6 | (p[i] & 0x3fu);
		}
		if (c < least[len] || c > 0x10ffff || c >> 11 == 0x1b)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static void utf8_is_told_from_what_is_not(void **in)
{
	(void)in;
	assert_true(is_utf8(NULL, 0));
	for (uint32_t i = 0; i < 1u << 24; i += 7) {
		/* Every seventh number of three bytes */
		uint8_t bytes[4] = { (uint8_t)(i >> 16), (uint8_t)(i >> 8),
				     (uint8_t)i, 0x80 };
		size_t size = 1 + i % 3;
		if (is_utf8(bytes, size) != is_utf8_by_value(bytes, size))
			fail_msg("%06x of %zu", i, size);
		if (is_utf8(bytes, 4) != is_utf8_by_value(bytes, 4))
			fail_msg("%06x80", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_record_that_was_cut_off_is_refused),
		cmocka_unit_test(a_flipped_byte_does_no_harm),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(there_is_one_form_only_for_a_record),
		cmocka_unit_test(utf8_is_told_from_what_is_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
