/* SPDX-License-Identifier: MIT */
/*
 * record.c - records to and from bytes. Both ways are two passes over the same
 * code: packing measures and then writes, unpacking validates and then hands
 * out, so that nothing is written unless all of it will be.
 */
#include "record/record.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

_Static_assert(sizeof(double) == 8, "IEEE 754");

/* ---- text ------------------------------------------------------------- */

/* The length of the sequence that a byte begins, 0 if it begins none */
static size_t sequence_len(uint8_t byte)
{
	if (byte < 0x80)
		return 1;
	if (byte < 0xc2) /* 10xxxxxx, or overlong */
		return 0;
	if (byte < 0xe0)
		return 2;
	if (byte < 0xf0)
		return 3;
	return byte < 0xf5 ? 4 : 0;
}

/* Of three and four bytes the second decides whether the rest is in range */
static bool is_second(uint8_t first, uint8_t second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0; /* else overlong */
	case 0xed:
		return second < 0xa0; /* else a surrogate */
	case 0xf0:
		return second >= 0x90; /* else overlong */
	case 0xf4:
		return second < 0x90; /* else beyond U+10FFFF */
	default:
		return true;
	}
}

bool is_utf8(const void *text, size_t size)
{
	const uint8_t *at = text;
	const uint8_t *end = size ? at + size : at;

	while (at < end) {
		size_t len = sequence_len(*at);

		if (len == 0 || len > (size_t)(end - at))
			return false;
		for (size_t i = 1; i < len; i++)
			if ((at[i] & 0xc0) != 0x80)
				return false;
		if (len > 1 && !is_second(at[0], at[1]))
			return false;
		at += len;
	}
	return true;
}

/* ---- schemas and keys ------------------------------------------------- */

static bool is_type(enum banyan_type type)
{
	return type >= BANYAN_INTEGER && type <= BANYAN_BOOLEAN;
}

static bool is_key_type(enum banyan_type type)
{
	return type == BANYAN_INTEGER || type == BANYAN_TEXT ||
	       type == BANYAN_BYTES;
}

static bool is_field(const struct banyan_schema *schema, size_t index)
{
	const struct banyan_field *field = &schema->fields[index];

	if (!is_type(field->type) || !field->name || !*field->name)
		return false;
	for (size_t i = 0; i < index; i++)
		if (strcmp(schema->fields[i].name, field->name) == 0)
			return false;
	return true;
}

/* Can its fields be looked at? The rest is for banyan_check_schema(), which
 * takes too long to be done for each record. */
static bool is_usable(const struct banyan_schema *schema)
{
	return schema && schema->fields && schema->count > 0 &&
	       schema->count <= BANYAN_FIELDS_MAX &&
	       schema->key < schema->count;
}

int banyan_check_schema(const struct banyan_schema *schema)
{
	if (!is_usable(schema))
		return -EINVAL;
	for (size_t i = 0; i < schema->count; i++)
		if (!is_field(schema, i))
			return -EINVAL;
	return is_key_type(schema->fields[schema->key].type) ? 0 : -EINVAL;
}

static bool is_name(const char *bytes, size_t len)
{
	if (len == 0 || memchr(bytes, '/', len) || memchr(bytes, '\0', len))
		return false;
	return bytes[0] != '.' || (len != 1 && (len != 2 || bytes[1] != '.'));
}

static ssize_t name_of_bytes(const struct banyan_value *value,
			     char name[BANYAN_NAME_MAX + 1])
{
	if (value->size > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	if (!value->bytes || !is_name(value->bytes, value->size))
		return -EINVAL;
	memcpy(name, value->bytes, value->size);
	name[value->size] = '\0';
	return (ssize_t)value->size;
}

ssize_t banyan_record_key(const struct banyan_schema *schema,
			  const struct banyan_value *values,
			  char name[BANYAN_NAME_MAX + 1])
{
	const struct banyan_value *value;

	if (!is_usable(schema) || !values || !name)
		return -EINVAL;
	value = &values[schema->key];
	if (value->type == BANYAN_ABSENT)
		return -ENODATA;
	if (value->type != schema->fields[schema->key].type ||
	    !is_key_type(value->type))
		return -EINVAL;
	if (value->type != BANYAN_INTEGER)
		return name_of_bytes(value, name);
	return snprintf(name, BANYAN_NAME_MAX + 1, "%" PRId64, value->integer);
}

/* ---- packing ---------------------------------------------------------- */

/* Bytes that are counted in any case, and written where there is a place */
struct writer {
	uint8_t *at; /* NULL: only count */
	size_t size;
	bool overflow; /* of size */
};

static void write_bytes(struct writer *w, const void *bytes, size_t n)
{
	if (n > (size_t)SSIZE_MAX - w->size) {
		w->overflow = true;
		return;
	}
	w->size += n;
	if (!w->at || n == 0)
		return;
	memcpy(w->at, bytes, n);
	w->at += n;
}

static void write_varint(struct writer *w, uint64_t v)
{
	uint8_t bytes[VARINT_MAX];

	write_bytes(w, bytes, put_varint(bytes, v));
}

static void write_float(struct writer *w, double number)
{
	uint8_t bytes[8];
	uint64_t bits;

	memcpy(&bits, &number, sizeof(bits));
	put_le64(bytes, bits);
	write_bytes(w, bytes, sizeof(bytes));
}

static void write_value(struct writer *w, const struct banyan_value *value)
{
	switch (value->type) {
	case BANYAN_ABSENT:
		break;
	case BANYAN_INTEGER:
		write_varint(w, zigzag(value->integer));
		break;
	case BANYAN_FLOAT:
		write_float(w, value->number);
		break;
	case BANYAN_TEXT:
	case BANYAN_BYTES:
		write_varint(w, value->size);
		write_bytes(w, value->bytes, value->size);
		break;
	case BANYAN_BOOLEAN:
		write_bytes(w, value->boolean ? "\1" : "\0", 1);
		break;
	}
}

static void write_present(struct writer *w, const struct banyan_value *values,
			  size_t count)
{
	for (size_t i = 0; i < count; i += 8) {
		uint8_t bits = 0;

		for (size_t k = i; k < i + 8 && k < count; k++)
			if (values[k].type != BANYAN_ABSENT)
				bits |= (uint8_t)(1u << (k - i));
		write_bytes(w, &bits, 1);
	}
}

static void write_record(struct writer *w, const struct banyan_schema *schema,
			 const struct banyan_value *values)
{
	size_t count = schema->count;

	while (count && values[count - 1].type == BANYAN_ABSENT)
		count--;
	write_varint(w, count);
	write_present(w, values, count);
	for (size_t i = 0; i < count; i++)
		write_value(w, &values[i]);
}

static int check_value(enum banyan_type type, const struct banyan_value *value)
{
	bool run = type == BANYAN_TEXT || type == BANYAN_BYTES;

	if (value->type != type || !is_type(type) ||
	    (run && value->size && !value->bytes))
		return -EINVAL;
	if (type == BANYAN_TEXT && !is_utf8(value->bytes, value->size))
		return -EILSEQ;
	return 0;
}

static int check_values(const struct banyan_schema *schema,
			const struct banyan_value *values)
{
	int rc = 0;

	if (!is_usable(schema) || !values)
		return -EINVAL;
	for (size_t i = 0; !rc && i < schema->count; i++)
		if (values[i].type != BANYAN_ABSENT)
			rc = check_value(schema->fields[i].type, &values[i]);
	return rc;
}

/* The size of a record: its values have been checked then */
static ssize_t measure(const struct banyan_schema *schema,
		       const struct banyan_value *values)
{
	struct writer w = { 0 };
	int error = check_values(schema, values);

	if (error)
		return error;
	write_record(&w, schema, values);
	return w.overflow ? -ERANGE : (ssize_t)w.size;
}

ssize_t banyan_record_pack(const struct banyan_schema *schema,
			   const struct banyan_value *values, void *buffer,
			   size_t size)
{
	struct writer w = { .at = buffer };
	ssize_t need = measure(schema, values);

	if (need < 0 || size == 0)
		return need;
	if (!buffer)
		return -EINVAL;
	if ((size_t)need > size)
		return -ERANGE;
	write_record(&w, schema, values);
	return need;
}

int banyan_block_append(const struct banyan_schema *schema,
			const struct banyan_value *values, void *block,
			size_t size, size_t *used)
{
	ssize_t need = measure(schema, values);
	uint8_t length[VARINT_MAX];
	struct writer w = { 0 };
	size_t n;

	if (need < 0)
		return (int)need;
	if (!used || (size && !block))
		return -EINVAL;
	n = put_varint(length, (uint64_t)need);
	if (*used > size || n > size - *used || (size_t)need > size - *used - n)
		return -ERANGE;
	w.at = (uint8_t *)block + *used;
	write_bytes(&w, length, n);
	write_record(&w, schema, values);
	*used += w.size;
	return 0;
}

/* ---- unpacking -------------------------------------------------------- */

static double read_float(struct reader *r)
{
	uint64_t bits = read_le64(r);
	double number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

static bool read_boolean(struct reader *r)
{
	uint8_t byte = read_u8(r);

	if (byte > 1)
		reader_fail(r);
	return byte == 1;
}

static void read_run(struct reader *r, struct banyan_value *value)
{
	uint64_t size = read_varint(r);

	value->bytes = read_bytes(r, size);
	if (r->bad)
		return;
	value->size = (size_t)size;
	if (!size)
		value->bytes = NULL;
}

static struct banyan_value read_value(struct reader *r, enum banyan_type type)
{
	struct banyan_value value = { .type = type };

	switch (type) {
	case BANYAN_INTEGER:
		value.integer = read_zigzag(r);
		break;
	case BANYAN_FLOAT:
		value.number = read_float(r);
		break;
	case BANYAN_TEXT:
	case BANYAN_BYTES:
		read_run(r, &value);
		break;
	case BANYAN_BOOLEAN:
		value.boolean = read_boolean(r);
		break;
	case BANYAN_ABSENT:
	default: /* the schema is not fit */
		reader_fail(r);
	}
	return value;
}

/*
 * Read a record. values is NULL in the first pass, which is the one that finds
 * whatever may be wrong: false then.
 */
static bool read_record(struct reader *r, const struct banyan_schema *schema,
			struct banyan_value *values)
{
	uint64_t count = read_varint(r);
	const uint8_t *present;

	if (r->bad || count > schema->count)
		return false;
	present = read_bytes(r, (count + 7) / 8);
	if (!present)
		return false;
	/* The last is there, and nothing behind it */
	if (count && present[(count - 1) / 8] >> (count - 1) % 8 != 1)
		return false;

	for (size_t i = 0; i < schema->count; i++) {
		struct banyan_value value = { .type = BANYAN_ABSENT };

		if (i < count && (present[i / 8] >> i % 8 & 1))
			value = read_value(r, schema->fields[i].type);
		if (r->bad)
			return false;
		if (values)
			values[i] = value;
		else if (value.type == BANYAN_TEXT &&
			 !is_utf8(value.bytes, value.size))
			return false;
	}
	return reader_left(r) == 0;
}

int banyan_record_unpack(const struct banyan_schema *schema, const void *bytes,
			 size_t size, struct banyan_value *values)
{
	struct reader first, second;

	if (!is_usable(schema) || !values || (size && !bytes))
		return -EINVAL;
	first = second = reader_of(bytes, size);
	if (!read_record(&first, schema, NULL))
		return -EUCLEAN;
	read_record(&second, schema, values);
	return 0;
}

int banyan_block_next(const struct banyan_schema *schema, const void *block,
		      size_t size, size_t *at, struct banyan_value *values)
{
	struct reader r;
	const uint8_t *record;
	uint64_t length;
	int error;

	if (!is_usable(schema) || !at || !values || (size && !block))
		return -EINVAL;
	if (*at > size)
		return -EUCLEAN;
	if (*at == size)
		return 1;
	r = reader_of((const uint8_t *)block + *at, size - *at);
	length = read_varint(&r);
	record = read_bytes(&r, length);
	if (!record)
		return -EUCLEAN;
	error = banyan_record_unpack(schema, record, (size_t)length, values);
	if (!error)
		*at = size - reader_left(&r);
	return error;
}
