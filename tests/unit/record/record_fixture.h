/* SPDX-License-Identifier: MIT */
/* record_fixture.h - random schemas, and records of them */
#ifndef TESTS_RECORD_FIXTURE_H
#define TESTS_RECORD_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "record/record.h"
#include "tests/support/random.h"

#define FIELDS 20 /* at most, in random schemas */
#define RUN 300 /* bytes of text or bytes, at most */

static const struct banyan_field people[] = {
	{ "name", BANYAN_TEXT },    { "age", BANYAN_INTEGER },
	{ "height", BANYAN_FLOAT }, { "alive", BANYAN_BOOLEAN },
	{ "photo", BANYAN_BYTES },
};
static const struct banyan_schema schema_of_people = { people, 5, 0 };

struct sample {
	struct banyan_field fields[FIELDS];
	struct banyan_schema schema;
	struct banyan_value values[FIELDS];
	char names[FIELDS][24];
	uint8_t runs[FIELDS][RUN];
};

static inline void make_schema(struct sample *s, uint64_t *random)
{
	s->schema.fields = s->fields;
	s->schema.count = 1 + test_below(random, FIELDS);
	s->schema.key = 0;
	for (size_t i = 0; i < s->schema.count; i++) {
		snprintf(s->names[i], sizeof(s->names[i]), "f%zu", i);
		s->fields[i].name = s->names[i];
		s->fields[i].type =
			(enum banyan_type)(1 + test_below(random, 5));
	}
	s->fields[0].type = BANYAN_INTEGER;
}

static inline size_t make_text(uint8_t *run, uint64_t *random)
{
	static const char *const pieces[] = {
		"a",
		"\0",
		"\n",
		"\xc2\x80",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xed\x9f\xbf",
		"\xef\xbf\xbf",
		"\xf0\x90\x80\x80",
		"\"",
		"\xf4\x8f\xbf\xbf",
	};
	size_t want = test_below(random, RUN - 4);
	size_t len = 0;

	while (len < want) {
		const char *piece = pieces[test_below(random, 11)];
		size_t n = *piece ? strlen(piece) : 1;

		memcpy(run + len, piece, n);
		len += n;
	}
	return len;
}

static inline void make_value(struct sample *s, size_t i, uint64_t *random)
{
	struct banyan_value *v = &s->values[i];
	uint64_t bits = test_random(random) >> test_below(random, 64);

	memset(v, 0, sizeof(*v));
	if (test_below(random, 4) == 0)
		return;
	v->type = s->fields[i].type;
	if (v->type == BANYAN_INTEGER) {
		v->integer = (int64_t)(test_below(random, 2) ? bits : 0 - bits);
	} else if (v->type == BANYAN_FLOAT) {
		bits = test_random(random);
		memcpy(&v->number, &bits, 8); /* NaNs too */
	} else if (v->type == BANYAN_BOOLEAN) {
		v->boolean = test_below(random, 2);
	} else if (v->type == BANYAN_TEXT) {
		v->size = make_text(s->runs[i], random);
	} else {
		v->size = test_below(random, RUN);
		for (size_t k = 0; k < v->size; k++)
			s->runs[i][k] = (uint8_t)test_random(random);
	}
	if (v->size)
		v->bytes = s->runs[i];
}

static inline void make_values(struct sample *s, uint64_t *random)
{
	for (size_t i = 0; i < s->schema.count; i++)
		make_value(s, i, random);
}

static inline void assert_same(const struct banyan_value *a,
			       const struct banyan_value *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(a[i].type, b[i].type);
		assert_int_equal(a[i].size, b[i].size);
		if (a[i].size)
			assert_memory_equal(a[i].bytes, b[i].bytes, a[i].size);
		else if (a[i].type == BANYAN_BOOLEAN)
			assert_int_equal(a[i].boolean, b[i].boolean);
		else if (a[i].type == BANYAN_INTEGER ||
			 a[i].type == BANYAN_FLOAT)
			assert_true(a[i].integer == b[i].integer);
	}
}

/* A buffer of just that size, so that sanitizers see every step beyond it */
static inline uint8_t *pack(const struct sample *s, size_t *size)
{
	ssize_t need = banyan_record_pack(&s->schema, s->values, NULL, 0);
	uint8_t *bytes;

	assert_true(need > 0);
	bytes = malloc((size_t)need);
	assert_non_null(bytes);
	*size = (size_t)need;
	assert_int_equal(
		banyan_record_pack(&s->schema, s->values, bytes, *size), need);
	return bytes;
}

/*
 * Bytes that are not what was packed: refused with nothing written, or one more
 * record that packs to just these bytes. The bytes are copied, for sanitizers.
 */
static inline void assert_harmless(const struct banyan_schema *schema,
				   const uint8_t *bytes, size_t size)
{
	struct banyan_value values[FIELDS];
	struct banyan_value before[FIELDS];
	uint8_t *copy = malloc(size ? size : 1);
	uint8_t *again = malloc(size ? size : 1);

	assert_non_null(copy);
	assert_non_null(again);
	memcpy(copy, bytes, size);
	memset(values, 0x5a, sizeof(values));
	memcpy(before, values, sizeof(values));
	if (banyan_record_unpack(schema, copy, size, values) == 0) {
		assert_int_equal(
			banyan_record_pack(schema, values, again, size), size);
		assert_memory_equal(again, copy, size);
	} else {
		assert_int_equal(banyan_record_unpack(schema, copy, size,
						      values),
				 -EUCLEAN);
		assert_memory_equal(values, before, sizeof(values));
	}
	free(again);
	free(copy);
}

#endif
