/* SPDX-License-Identifier: MIT */
#include "repair/row_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/row_lookup.h"

/* Most key spaces in a path that is written out */
#define PATH_DEPTH 64

void text_add(struct buf *text, const char *format, ...)
{
	char line[256];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		buf_add(text, line,
			(size_t)n < sizeof(line) ? (size_t)n :
						   sizeof(line) - 1);
}

/* Rows that cannot be read make the text less exact. A lack of memory must not:
 * the text fails. */
static void note_failure(struct buf *text, int rc)
{
	text->failed |= rc == -ENOMEM;
}

void text_key(const struct state *s, uint64_t space, const void *name,
	      size_t len, struct buf *text)
{
	struct row_key *links = calloc(PATH_DEPTH, sizeof(*links));
	unsigned depth = 0;
	int rc = links ? 1 : -ENOMEM;
	while (rc == 1 && space != BANYAN_ROOT_ID && depth < PATH_DEPTH) {
		rc = rows_first_link(s, space, &links[depth]);
		if (rc == 1)
			space = row_link_space(links[depth++].bytes);
	}
	note_failure(text, rc);
	text_add(text, "key ");
	if (space != BANYAN_ROOT_ID)
		text_add(text, "(space %" PRIu64 ")/", space);
	while (depth--) {
		const struct row_key *k = &links[depth];
		buf_add(text, k->bytes + ROW_LINK_LEN, k->len - ROW_LINK_LEN);
		buf_add_u8(text, '/');
	}
	buf_add(text, name, len);
	free(links);
}

void text_data(const struct state *s, uint64_t id, struct buf *text)
{
	struct row_key link;
	int rc = id == BANYAN_ROOT_ID ? 0 : rows_first_link(s, id, &link);
	note_failure(text, rc);
	if (id == BANYAN_ROOT_ID) {
		text_add(text, "the root key space");
	} else if (rc == 1) {
		text_key(s, row_link_space(link.bytes),
			 link.bytes + ROW_LINK_LEN, link.len - ROW_LINK_LEN,
			 text);
	} else {
		text_add(text, "Data %" PRIu64, id);
	}
}

void text_row(const struct state *s, const uint8_t *key, size_t len,
	      struct buf *text)
{
	if (len > 1 && key[0] == ROW_SNAPSHOT) {
		text_add(text, "snapshot ");
		buf_add(text, key + 1, len - 1);
		return;
	}
	if (len < ROW_ID_LEN) {
		text_add(text, len && key[0] > ROW_ORPHAN ? "the last row" :
							    "the first row");
		return;
	}
	uint64_t id = get_be64(key + 1);
	const uint8_t *rest = key + ROW_ID_LEN;
	size_t n = len - ROW_ID_LEN;
	switch (key[0]) {
	case ROW_NAME:
		text_key(s, id, rest, n, text);
		break;
	case ROW_DATA:
		text_add(text, "the attributes of ");
		text_data(s, id, text);
		break;
	case ROW_LINK:
		text_add(text, "a link of ");
		text_data(s, id, text);
		break;
	case ROW_XATTR:
		text_add(text, "attribute ");
		buf_add(text, rest, n);
		text_add(text, " of ");
		text_data(s, id, text);
		break;
	case ROW_EXTENT:
		text_add(text, "byte %" PRIu64 " of ",
			 n >= 8 ? get_be64(rest) : 0);
		text_data(s, id, text);
		break;
	case ROW_ORPHAN:
		text_add(text, "Data %" PRIu64 ", which has no key", id);
		break;
	default:
		text_add(text, "a row of type %u", key[0]);
	}
}
