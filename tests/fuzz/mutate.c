/* SPDX-License-Identifier: MIT */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "base/bytes.h"
#include "log/format.h"
#include "image_file.h"

#define RECORDS_MAX 256u

struct spot {
	uint64_t offset;
	uint64_t size;
	struct record_header header;
};

struct mutator {
	struct image image;
	uint64_t random;
	struct spot spot[RECORDS_MAX]; /* the records */
	size_t count;
};

/* ---- where the records are -------------------------------------------- */

/* One behind the other, from a header on to what is no record */
static void find_in_segment(struct mutator *m, uint64_t at)
{
	uint8_t head[RECORD_HEADER_SIZE];
	while (m->count < RECORDS_MAX && at < m->image.size) {
		struct spot *s = &m->spot[m->count];
		image_read(&m->image, head, sizeof(head), at);
		if (!record_header_decode(&s->header, at, head))
			break;
		s->offset = at;
		s->size =
			record_size(s->header.body_len, s->header.payload_len);
		at += s->size;
		m->count++;
	}
}

static void find_records(struct mutator *m)
{
	for (uint64_t i = 0; i * SEGMENT_SIZE < m->image.size; i++)
		find_in_segment(m, segment_start(i) + SEGMENT_HEADER_SIZE);
}

static const struct spot *any_record(struct mutator *m)
{
	return &m->spot[test_below(&m->random, m->count)];
}

static const struct spot *any_of_type(struct mutator *m, enum record_type type)
{
	for (unsigned i = 0; i < 32; i++) {
		const struct spot *s = any_record(m);
		if (s->header.type == type)
			return s;
	}
	return any_record(m);
}

/* ---- numbers ---------------------------------------------------------- */

/* One that means something in this file, or nearly */
static uint64_t telling_number(struct mutator *m, uint64_t was)
{
	static const uint64_t edges[] = {
		0,	    1,		2,	   16,
		0x7f,	    4096,	4160,	   SEGMENT_SIZE,
		1u << 31,   UINT32_MAX, INT64_MAX, 1ull << 63,
		UINT64_MAX, 32768,	300,
	};
	const struct spot *s = any_record(m);
	switch (test_below(&m->random, 8)) {
	case 0:
		return edges[test_below(&m->random,
					sizeof(edges) / sizeof(*edges))];
	case 1:
		return s->offset;
	case 2:
		return s->offset + record_payload_start(s->header.body_len,
							s->header.payload_len);
	case 3:
		return s->offset + s->size;
	case 4:
		return m->image.size - test_below(&m->random, 64);
	case 5:
		return was + 8 - test_below(&m->random, 17);
	case 6:
		return any_of_type(m, RECORD_FREEZE)->offset;
	default:
		return test_random(&m->random) >> test_below(&m->random, 64);
	}
}

static void change_number(struct mutator *m, uint64_t at, unsigned width)
{
	uint8_t b[8] = { 0 };
	if (at > m->image.size || m->image.size - at < width)
		return;
	image_read(&m->image, b, width, at);
	put_le64(b, telling_number(m, get_le64(b)));
	(void)image_write(&m->image, b, width, at);
}

static void change_header(struct mutator *m)
{
	static const uint8_t fields[] = { 8, 16, 24, 40, 48 };
	uint64_t last = (m->image.size - 1) / SEGMENT_SIZE;
	uint64_t number = test_below(&m->random, last + 1);
	change_number(m,
		      segment_start(number) +
			      fields[test_below(&m->random, sizeof(fields))],
		      8);
}

static void change_freeze(struct mutator *m)
{
	static const uint8_t fields[] = { 0,  24, 32, 40, 48, 56,
					  72, 72, 80, 88, 96, 104 };
	const struct spot *s = any_of_type(m, RECORD_FREEZE);
	uint8_t field = fields[test_below(&m->random, sizeof(fields))];
	change_number(m, s->offset + RECORD_HEADER_SIZE + field,
		      field == 32 ? 4 : 8);
}

/* Somewhere in what a record holds: a byte, a number */
static void change_contents(struct mutator *m)
{
	const struct spot *s = any_record(m);
	uint64_t at = s->offset + 12;
	at += test_below(&m->random, s->size - 12);
	change_number(m, at, test_below(&m->random, 3) ? 1 : 2);
}

/* ---- whole records ---------------------------------------------------- */

static void copy_record(struct mutator *m)
{
	struct spot from = *any_record(m);
	struct spot to = *any_record(m);
	size_t n = from.size < 1u << 16 ? (size_t)from.size : 1u << 16;
	uint8_t *b = malloc(n);
	if (!b)
		return;
	image_read(&m->image, b, n, from.offset);
	if (to.offset + n > m->image.size)
		m->image.size = to.offset + n;
	(void)image_write(&m->image, b, n, to.offset);
	free(b);
}

/* Let a segment behind continue the log from anywhere: what it holds is copied
 * from another, or is to come */
static void add_exit(struct mutator *m)
{
	uint8_t b[SEGMENT_HEADER_SIZE] = { 0 };
	struct spot from = *any_record(m);
	uint64_t number =
		m->image.size / SEGMENT_SIZE + 1 - test_below(&m->random, 2);
	if (!number || number > 2)
		return;
	memcpy(b + 4, "BSEG", 4);
	put_le64(b + 8, number);
	put_le64(b + 16, from.offset + from.size);
	put_le64(b + 40, test_below(&m->random, 2) ? from.offset : 0);
	put_le64(b + 48, any_of_type(m, RECORD_FREEZE)->offset);
	if (m->image.size < segment_start(number) + sizeof(b))
		m->image.size = segment_start(number) + sizeof(b);
	(void)image_write(&m->image, b, sizeof(b), segment_start(number));
}

static void cut_off(struct mutator *m)
{
	struct image cut = { 0 };
	const struct spot *s = any_record(m);
	uint64_t size = s->offset + test_below(&m->random, s->size + 1);
	if (image_take(&cut, &m->image, size, 0)) {
		image_free(&cut);
		return;
	}
	cut.size = size;
	image_free(&m->image);
	m->image = cut;
}

/* ----------------------------------------------------------------------- */

static void change(struct mutator *m)
{
	switch (test_below(&m->random, 12)) {
	case 0:
	case 1:
		change_header(m);
		break;
	case 2:
	case 3:
	case 4:
		change_freeze(m);
		break;
	case 5:
		copy_record(m);
		break;
	case 6:
		add_exit(m);
		break;
	case 7:
		cut_off(m);
		break;
	case 8: /* type and length of a record */
		change_number(m, any_record(m)->offset + 12, 1);
		change_number(m, any_record(m)->offset + 13, 3);
		break;
	default:
		change_contents(m);
	}
}

size_t mutate_file(uint8_t *input, size_t size, size_t most, uint64_t seed)
{
	struct mutator *m = calloc(1, sizeof(*m));
	struct buf recipe = BUF_INIT;
	size_t result = 0;
	if (!m || size < 2 || recipe_read(input + 2, size - 2, &m->image))
		goto out;
	m->random = seed;
	find_records(m);
	if (!m->count)
		goto out;
	for (uint64_t n = 1 + test_below(&m->random, 3); n; n--)
		change(m);
	recipe_write(&m->image, &recipe);
	if (recipe.failed || recipe.len > most - 2)
		goto out;
	memcpy(input + 2, recipe.data, recipe.len);
	result = recipe.len + 2;
out:
	if (m)
		image_free(&m->image);
	free(m);
	buf_free(&recipe);
	return result;
}
