/* SPDX-License-Identifier: MIT */
/*
 * Typed records: there is one form for each, so what unpacks is what it packs
 * to. Input: a byte with the number of fields, their types, a byte that says
 * whether the rest is one record or a block of them.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/record.h"
#include "targets.h"

#define FIELDS 24

struct sample {
	struct banyan_field fields[FIELDS];
	char names[FIELDS][24];
	struct banyan_schema schema;
	struct banyan_value values[FIELDS];
};

/* How many bytes of the input it took; 0: too few */
static size_t read_schema(struct sample *s, const uint8_t *input, size_t size)
{
	size_t count = size ? 1 + input[0] % FIELDS : 0;
	if (size < count + 2)
		return 0;
	for (size_t i = 0; i < count; i++) {
		snprintf(s->names[i], sizeof(s->names[i]), "f%u",
			 (unsigned)i & 63);
		s->fields[i].name = s->names[i];
		s->fields[i].type = (enum banyan_type)(1 + input[1 + i] % 5);
	}
	s->schema = (struct banyan_schema){ s->fields, count, 0 };
	return count + 1;
}

static void pack_again(const struct sample *s, const uint8_t *bytes,
		       size_t size)
{
	uint8_t *again = malloc(size ? size : 1);
	if (!again)
		return;
	ssize_t n = banyan_record_pack(&s->schema, s->values, again, size);
	assert(n == (ssize_t)size && !memcmp(again, bytes, size));
	if (size > 1) {
		n = banyan_record_pack(&s->schema, s->values, again, size - 1);
		assert(n == -ERANGE);
	}
	free(again);
}

static void use_values(const struct sample *s)
{
	char name[BANYAN_NAME_MAX + 1];
	for (size_t i = 0; i < s->schema.count; i++) {
		const struct banyan_value *v = &s->values[i];
		assert(v->type == BANYAN_ABSENT ||
		       v->type == s->fields[i].type);
		if (v->type == BANYAN_TEXT)
			assert(is_utf8(v->bytes, v->size));
	}
	ssize_t n = banyan_record_key(&s->schema, s->values, name);
	assert(n < 0 || (n <= BANYAN_NAME_MAX && !name[n]));
}

static void one_block(struct sample *s, const uint8_t *bytes, size_t size)
{
	uint8_t *again = malloc(size ? size : 1);
	size_t at = 0;
	size_t used = 0;
	int rc = 0;
	if (!again)
		return;
	while ((rc = banyan_block_next(&s->schema, bytes, size, &at,
				       s->values)) == 0) {
		assert(at <= size);
		use_values(s);
		rc = banyan_block_append(&s->schema, s->values, again, size,
					 &used);
		assert(!rc && used == at);
		assert(!memcmp(again, bytes, used));
	}
	assert(rc == 1 || rc == -EUCLEAN);
	free(again);
}

void fuzz_record(const uint8_t *input, size_t size)
{
	static struct sample s;
	size_t skip = read_schema(&s, input, size);
	if (!skip)
		return;
	bool block = input[skip++] & 1;
	size -= skip;
	uint8_t *bytes = malloc(size ? size : 1);
	if (!bytes)
		return;
	if (size)
		memcpy(bytes, input + skip, size);
	if (s.fields[0].type == BANYAN_FLOAT ||
	    s.fields[0].type == BANYAN_BOOLEAN)
		s.fields[0].type = BANYAN_TEXT;
	if (block) {
		one_block(&s, bytes, size);
	} else if (!banyan_record_unpack(&s.schema, bytes, size, s.values)) {
		use_values(&s);
		pack_again(&s, bytes, size);
	}
	free(bytes);
}
