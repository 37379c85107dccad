/* SPDX-License-Identifier: MIT */
/* Records: schemas, keys, packing and blocks */
#include "record_fixture.h"

static const struct banyan_value ada[5] = {
	{ .type = BANYAN_TEXT, .bytes = "Ada", .size = 3 },
	{ .type = BANYAN_INTEGER, .integer = -36 },
	{ .type = BANYAN_ABSENT },
	{ .type = BANYAN_BOOLEAN, .boolean = true },
	{ .type = BANYAN_ABSENT },
};
static const uint8_t ada_packed[] = { 4, 0x0b, 3, 'A', 'd', 'a', 71, 1 };

/* ---- schemas and keys ------------------------------------------------- */

static int check_two(const char *a, const char *b, enum banyan_type type,
		     size_t key)
{
	const struct banyan_field fields[] = { { a, BANYAN_TEXT },
					       { b, type } };
	const struct banyan_schema schema = { fields, 2, key };

	return banyan_check_schema(&schema);
}

static void a_schema_that_makes_no_sense_is_refused(void **in)
{
	static struct banyan_field many[BANYAN_FIELDS_MAX + 1];
	static char names[BANYAN_FIELDS_MAX + 1][24];
	struct banyan_schema schema = { many, BANYAN_FIELDS_MAX, 0 };
	(void)in;
	assert_int_equal(banyan_check_schema(&schema_of_people), 0);
	assert_int_equal(check_two("a", "b", BANYAN_BYTES, 1), 0);
	assert_int_equal(check_two("a", "b", BANYAN_INTEGER, 1), 0);
	assert_int_equal(check_two("a", "b", BANYAN_FLOAT, 0), 0);
	assert_int_equal(check_two("a", "b", BANYAN_FLOAT, 1), -EINVAL);
	assert_int_equal(check_two("a", "b", BANYAN_BOOLEAN, 1), -EINVAL);
	assert_int_equal(check_two("a", "a", BANYAN_TEXT, 0), -EINVAL);
	assert_int_equal(check_two("a", "", BANYAN_TEXT, 0), -EINVAL);
	assert_int_equal(check_two("a", NULL, BANYAN_TEXT, 0), -EINVAL);
	assert_int_equal(check_two("a", "b", BANYAN_ABSENT, 0), -EINVAL);
	assert_int_equal(check_two("a", "b", (enum banyan_type)6, 0), -EINVAL);
	assert_int_equal(check_two("a", "b", BANYAN_TEXT, 2), -EINVAL);
	for (size_t i = 0; i < BANYAN_FIELDS_MAX + 1; i++) {
		snprintf(names[i], sizeof(names[i]), "%zu", i);
		many[i] = (struct banyan_field){ names[i], BANYAN_TEXT };
	}
	assert_int_equal(banyan_check_schema(&schema), 0);
	schema.count++;
	assert_int_equal(banyan_check_schema(&schema), -EINVAL);
	schema.count = 0;
	assert_int_equal(banyan_check_schema(&schema), -EINVAL);
}

/* A block with one record */
static const uint8_t one_record[] = { 8, 4, 0x0b, 3, 'A', 'd', 'a', 71, 1 };

static void assert_schema_refused(const struct banyan_schema *schema)
{
	struct banyan_value back[5];
	char name[BANYAN_NAME_MAX + 1];
	uint8_t bytes[32];
	size_t at = 0;

	assert_int_equal(banyan_check_schema(schema), -EINVAL);
	assert_int_equal(banyan_record_key(schema, ada, name), -EINVAL);
	assert_int_equal(banyan_record_pack(schema, ada, NULL, 0), -EINVAL);
	assert_int_equal(banyan_block_append(schema, ada, bytes, sizeof(bytes),
					     &at),
			 -EINVAL);
	assert_int_equal(banyan_record_unpack(schema, one_record + 1, 8, back),
			 -EINVAL);
	assert_int_equal(banyan_block_next(schema, one_record,
					   sizeof(one_record), &at, back),
			 -EINVAL);
}

static void a_schema_that_leads_nowhere_is_refused(void **in)
{
	const struct banyan_schema no_key = { people, 5, 5 };
	const struct banyan_schema no_fields = { NULL, 5, 0 };
	const struct banyan_schema none = { people, 0, 0 };
	const struct banyan_schema many = { people, BANYAN_FIELDS_MAX + 1, 0 };
	(void)in;
	assert_schema_refused(NULL);
	assert_schema_refused(&no_key);
	assert_schema_refused(&no_fields);
	assert_schema_refused(&none);
	assert_schema_refused(&many);
}

static void what_is_missing_is_refused(void **in)
{
	const struct banyan_schema *schema = &schema_of_people;
	struct banyan_value values[5];
	char name[BANYAN_NAME_MAX + 1];
	uint8_t bytes[32];
	size_t at = 0;
	(void)in;
	assert_int_equal(banyan_record_key(schema, NULL, name), -EINVAL);
	assert_int_equal(banyan_record_key(schema, ada, NULL), -EINVAL);
	assert_int_equal(banyan_record_pack(schema, NULL, bytes, 32), -EINVAL);
	assert_int_equal(banyan_record_pack(schema, ada, NULL, 32), -EINVAL);
	assert_int_equal(banyan_block_append(schema, NULL, bytes, 32, &at),
			 -EINVAL);
	assert_int_equal(banyan_block_append(schema, ada, NULL, 32, &at),
			 -EINVAL);
	assert_int_equal(banyan_block_append(schema, ada, bytes, 32, NULL),
			 -EINVAL);
	assert_int_equal(banyan_record_unpack(schema, NULL, 8, values),
			 -EINVAL);
	assert_int_equal(banyan_record_unpack(schema, one_record + 1, 8, NULL),
			 -EINVAL);
	assert_int_equal(banyan_block_next(schema, NULL, 9, &at, values),
			 -EINVAL);
	assert_int_equal(banyan_block_next(schema, one_record, 9, NULL, values),
			 -EINVAL);
	assert_int_equal(banyan_block_next(schema, one_record, 9, &at, NULL),
			 -EINVAL);
	memcpy(values, ada, sizeof(values));
	values[0].bytes = NULL;
	assert_int_equal(banyan_record_key(schema, values, name), -EINVAL);
	assert_int_equal(banyan_record_pack(schema, values, NULL, 0), -EINVAL);
	assert_int_equal(banyan_block_append(schema, values, bytes, 32, &at),
			 -EINVAL);
	assert_int_equal(at, 0);
}

static void no_bytes_are_no_record(void **in)
{
	struct banyan_value values[5];
	size_t at = 0;
	(void)in;
	assert_int_equal(banyan_record_unpack(&schema_of_people, NULL, 0,
					      values),
			 -EUCLEAN);
	assert_int_equal(
		banyan_block_next(&schema_of_people, NULL, 0, &at, values), 1);
}

/* Of a type that is unknown nothing is packed, whatever the value says */
static void an_unknown_type_is_refused(void **in)
{
	const struct banyan_field field = { "k", (enum banyan_type)6 };
	const struct banyan_schema schema = { &field, 1, 0 };
	const struct banyan_value value = { .type = (enum banyan_type)6 };
	(void)in;
	assert_int_equal(banyan_record_pack(&schema, &value, NULL, 0), -EINVAL);
}

static ssize_t key_of(enum banyan_type type, const char *bytes, size_t size,
		      char *name)
{
	const struct banyan_field field = { "k", type };
	const struct banyan_schema schema = { &field, 1, 0 };
	const struct banyan_value value = { .type = type,
					    .bytes = bytes,
					    .size = size };

	return banyan_record_key(&schema, &value, name);
}

static void assert_integer_key(int64_t integer, const char *want)
{
	const struct banyan_field field = { "k", BANYAN_INTEGER };
	const struct banyan_schema schema = { &field, 1, 0 };
	const struct banyan_value value = { .type = BANYAN_INTEGER,
					    .integer = integer };
	char name[BANYAN_NAME_MAX + 1];

	assert_int_equal(banyan_record_key(&schema, &value, name),
			 strlen(want));
	assert_string_equal(name, want);
}

static void the_key_field_names_a_record(void **in)
{
	char name[BANYAN_NAME_MAX + 1];
	char longest[BANYAN_NAME_MAX + 1];
	struct banyan_value nobody[5] = { { .type = BANYAN_ABSENT } };
	(void)in;
	memset(longest, '.', sizeof(longest));
	assert_int_equal(banyan_record_key(&schema_of_people, ada, name), 3);
	assert_string_equal(name, "Ada");
	assert_integer_key(0, "0");
	assert_integer_key(INT64_MIN, "-9223372036854775808");
	assert_integer_key(INT64_MAX, "9223372036854775807");
	assert_int_equal(key_of(BANYAN_BYTES, "\xff\n", 2, name), 2);
	assert_memory_equal(name, "\xff\n", 3);
	assert_int_equal(key_of(BANYAN_TEXT, longest, 255, name), 255);
	assert_memory_equal(name, longest, 255);
	assert_int_equal(name[255], 0);
	assert_int_equal(key_of(BANYAN_TEXT, ".a", 2, name), 2);
	assert_int_equal(key_of(BANYAN_TEXT, "...", 3, name), 3);

	memset(name, 'x', sizeof(name));
	assert_int_equal(key_of(BANYAN_TEXT, longest, 256, name),
			 -ENAMETOOLONG);
	assert_int_equal(key_of(BANYAN_TEXT, NULL, 0, name), -EINVAL);
	assert_int_equal(key_of(BANYAN_TEXT, ".", 1, name), -EINVAL);
	assert_int_equal(key_of(BANYAN_TEXT, "..", 2, name), -EINVAL);
	assert_int_equal(key_of(BANYAN_TEXT, "a/b", 3, name), -EINVAL);
	assert_int_equal(key_of(BANYAN_TEXT, "a\0b", 3, name), -EINVAL);
	assert_int_equal(key_of(BANYAN_BOOLEAN, NULL, 0, name), -EINVAL);
	assert_int_equal(banyan_record_key(&schema_of_people, nobody, name),
			 -ENODATA);
	assert_int_equal(name[0], 'x');
}

/* ---- packing ---------------------------------------------------------- */

static void a_packed_record_is_as_the_header_says(void **in)
{
	struct banyan_value values[5];
	uint8_t bytes[64] = { 0 };
	(void)in;
	assert_int_equal(banyan_record_pack(&schema_of_people, ada, bytes, 64),
			 sizeof(ada_packed));
	assert_memory_equal(bytes, ada_packed, sizeof(ada_packed));
	assert_int_equal(banyan_record_unpack(&schema_of_people, ada_packed,
					      sizeof(ada_packed), values),
			 0);
	assert_same(values, ada, 5);
}

static void records_come_back_as_they_were_packed(void **in)
{
	uint64_t random = test_seed();
	struct banyan_value values[FIELDS];
	struct sample s;
	(void)in;
	for (unsigned i = 0; i < 3000; i++) {
		size_t size;
		make_schema(&s, &random);
		make_values(&s, &random);
		assert_int_equal(banyan_check_schema(&s.schema), 0);
		uint8_t *bytes = pack(&s, &size);
		memset(values, 0x5a, sizeof(values));
		assert_int_equal(banyan_record_unpack(&s.schema, bytes, size,
						      values),
				 0);
		assert_same(values, s.values, s.schema.count);
		free(bytes);
	}
}

static void a_buffer_that_is_too_small_is_left_alone(void **in)
{
	uint8_t bytes[sizeof(ada_packed)];
	uint8_t before[sizeof(ada_packed)];
	(void)in;
	memset(bytes, 0x5a, sizeof(bytes));
	memcpy(before, bytes, sizeof(bytes));
	for (size_t size = 1; size < sizeof(bytes); size++) {
		assert_int_equal(banyan_record_pack(&schema_of_people, ada,
						    bytes, size),
				 -ERANGE);
		assert_memory_equal(bytes, before, sizeof(bytes));
	}
}

static void what_is_not_of_its_type_is_not_packed(void **in)
{
	struct banyan_value values[5];
	uint8_t bytes[64];
	(void)in;
	memcpy(values, ada, sizeof(values));
	values[1].type = BANYAN_BOOLEAN;
	assert_int_equal(banyan_record_pack(&schema_of_people, values, bytes,
					    64),
			 -EINVAL);
	memcpy(values, ada, sizeof(values));
	values[0].bytes = "A\xff"
			  "a";
	assert_int_equal(banyan_record_pack(&schema_of_people, values, bytes,
					    64),
			 -EILSEQ);
	values[0].size = SIZE_MAX;
	values[0].type = BANYAN_ABSENT;
	values[4] = (struct banyan_value){ .type = BANYAN_BYTES,
					   .bytes = "x",
					   .size = SIZE_MAX };
	assert_int_equal(banyan_record_pack(&schema_of_people, values, NULL, 0),
			 -ERANGE);
}

static void fields_that_a_schema_gained_are_absent(void **in)
{
	const struct banyan_schema old = { people, 2, 0 };
	struct banyan_value values[5];
	uint8_t bytes[64];
	ssize_t size = banyan_record_pack(&old, ada, bytes, sizeof(bytes));
	(void)in;
	assert_true(size > 0);
	assert_int_equal(banyan_record_unpack(&schema_of_people, bytes,
					      (size_t)size, values),
			 0);
	assert_same(values, ada, 2);
	for (unsigned i = 2; i < 5; i++)
		assert_int_equal(values[i].type, BANYAN_ABSENT);
	assert_int_equal(banyan_record_unpack(&old, ada_packed,
					      sizeof(ada_packed), values),
			 -EUCLEAN);
}

/* ---- blocks ----------------------------------------------------------- */

static void a_block_gives_back_its_records_in_order(void **in)
{
	uint64_t random = test_seed();
	struct banyan_value values[FIELDS];
	(void)in;
	for (unsigned i = 0; i < 100; i++) {
		static struct sample samples[40];
		size_t size = 1 + test_below(&random, 8192);
		uint8_t *block = malloc(size);
		size_t used = 0, at = 0, count = 0;
		int rc = 0;
		assert_non_null(block);
		make_schema(&samples[0], &random);
		struct banyan_schema schema = samples[0].schema;
		while (count < 40) {
			memcpy(samples[count].fields, samples[0].fields,
			       sizeof(samples[0].fields));
			samples[count].schema = schema;
			make_values(&samples[count], &random);
			size_t before = used;
			rc = banyan_block_append(&schema, samples[count].values,
						 block, size, &used);
			if (rc) {
				assert_int_equal(rc, -ERANGE);
				assert_int_equal(used, before);
				break;
			}
			count++;
		}
		for (size_t k = 0; k < count; k++) {
			assert_int_equal(banyan_block_next(&schema, block, used,
							   &at, values),
					 0);
			assert_same(values, samples[k].values, schema.count);
		}
		assert_int_equal(at, used);
		assert_int_equal(banyan_block_next(&schema, block, used, &at,
						   values),
				 1);
		free(block);
	}
}

static void a_block_can_be_filled_to_its_last_byte(void **in)
{
	uint8_t block[2 * (sizeof(ada_packed) + 1)];
	size_t used = 0;
	(void)in;
	assert_int_equal(banyan_block_append(&schema_of_people, ada, block,
					     sizeof(block) / 2 - 1, &used),
			 -ERANGE);
	assert_int_equal(used, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(banyan_block_append(&schema_of_people, ada,
						     block, sizeof(block),
						     &used),
				 0);
	assert_int_equal(used, sizeof(block));
	assert_int_equal(block[sizeof(block) / 2], sizeof(ada_packed));
	assert_int_equal(banyan_block_append(&schema_of_people, ada, block,
					     sizeof(block), &used),
			 -ERANGE);
}

/* Go through all of a block that may be damaged: it must end */
static int walk_block(const uint8_t *block, size_t size)
{
	struct banyan_value values[5];
	size_t at = 0;
	int rc;

	do {
		size_t before = at;
		rc = banyan_block_next(&schema_of_people, block, size, &at,
				       values);
		assert_true(rc == 0 ? at > before : at == before);
	} while (rc == 0);
	return rc;
}

static void a_damaged_block_is_refused_or_ends(void **in)
{
	uint8_t block[100];
	size_t used = 0, at = 101;
	struct banyan_value values[5];
	(void)in;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(banyan_block_append(&schema_of_people, ada,
						     block, sizeof(block),
						     &used),
				 0);
	for (size_t n = 0; n < used; n++) {
		uint8_t *cut = malloc(n ? n : 1);
		assert_non_null(cut);
		memcpy(cut, block, n);
		assert_int_equal(walk_block(cut, n),
				 n % (sizeof(ada_packed) + 1) ? -EUCLEAN : 1);
		free(cut);
	}
	for (size_t n = 0; n < used; n++) {
		for (unsigned flip = 1; flip < 256; flip++) {
			block[n] ^= (uint8_t)flip;
			int rc = walk_block(block, used);
			assert_true(rc == 1 || rc == -EUCLEAN);
			block[n] ^= (uint8_t)flip;
		}
	}
	assert_int_equal(banyan_block_next(&schema_of_people, block, 100, &at,
					   values),
			 -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_schema_that_makes_no_sense_is_refused),
		cmocka_unit_test(a_schema_that_leads_nowhere_is_refused),
		cmocka_unit_test(what_is_missing_is_refused),
		cmocka_unit_test(no_bytes_are_no_record),
		cmocka_unit_test(an_unknown_type_is_refused),
		cmocka_unit_test(the_key_field_names_a_record),
		cmocka_unit_test(a_packed_record_is_as_the_header_says),
		cmocka_unit_test(records_come_back_as_they_were_packed),
		cmocka_unit_test(a_buffer_that_is_too_small_is_left_alone),
		cmocka_unit_test(what_is_not_of_its_type_is_not_packed),
		cmocka_unit_test(fields_that_a_schema_gained_are_absent),
		cmocka_unit_test(a_block_gives_back_its_records_in_order),
		cmocka_unit_test(a_block_can_be_filled_to_its_last_byte),
		cmocka_unit_test(a_damaged_block_is_refused_or_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
