/* SPDX-License-Identifier: MIT */
#include "repair/row_tools.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/extents.h"

/* Key spaces within each other that a path is written out for */
#define PATH_DEPTH 64
#define STEP (256u << 10)

/* ---- rows ------------------------------------------------------------- */

int rows_get(const struct state *s, const struct row_key *key,
	     struct buf *value)
{
	struct row_value found;
	int rc = state_get(s, key, &found);
	return rc ? rc : buf_set(value, found.bytes, found.len);
}

int rows_has(const struct state *s, const struct row_key *key)
{
	struct row_value value;
	int rc = state_get(s, key, &value);
	return rc == 0 ? 1 : rc == -ENOENT ? 0 : rc;
}

int rows_data(const struct state *s, uint64_t id, struct data *d)
{
	struct row_key key;
	struct row_value value;
	row_key_data(&key, id);
	int rc = state_get(s, &key, &value);
	if (!rc)
		rc = data_decode(d, value.bytes, value.len);
	return !rc && d->id != id ? -EUCLEAN : rc;
}

int rows_visit(const struct state *s, const void *prefix, size_t prefix_len,
	       row_visit *visit, void *arg)
{
	struct merged_cursor *c = NULL;
	int rc = merged_cursor_open(&s->merged, prefix, prefix_len, &c);
	while (rc == 0) {
		size_t len = 0;
		size_t value_len = 0;
		const uint8_t *key = merged_cursor_key(c, &len);
		const uint8_t *value = merged_cursor_value(c, &value_len);
		rc = visit(arg, key, len, value, value_len);
		if (rc) {
			merged_cursor_free(c);
			return rc;
		}
		rc = merged_cursor_next(c);
	}
	merged_cursor_free(c);
	return rc < 0 ? rc : 0;
}

/* ---- in words --------------------------------------------------------- */

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

const char *text_of(struct buf *text, bool *no_memory)
{
	buf_add_u8(text, 0);
	if (text->failed) {
		*no_memory = true;
		return "";
	}
	text->len--;
	return (const char *)text->data;
}

void text_tell(void (*to)(void *arg, const char *line), void *arg,
	       bool *no_memory, const char *format, va_list args)
{
	char *line = NULL;
	if (!to || *no_memory)
		return;
	if (vasprintf(&line, format, args) < 0) {
		*no_memory = true;
		return;
	}
	to(arg, line);
	free(line);
}

static int take_key(void *arg, const uint8_t *key, size_t len,
		    const uint8_t *value, size_t value_len)
{
	struct row_key *k = arg;
	(void)value;
	(void)value_len;
	if (len <= ROW_LINK_LEN || len > ROW_LINK_LEN + BANYAN_NAME_MAX)
		return 0;
	memcpy(k->bytes, key, len);
	k->len = len;
	return 1;
}

int rows_first_link(const struct state *s, uint64_t id, struct row_key *link)
{
	struct row_key prefix;
	row_key_id(&prefix, ROW_LINK, id);
	return rows_visit(s, prefix.bytes, prefix.len, take_key, link);
}

int rows_parent(const struct state *s, uint64_t id, uint64_t *parent)
{
	struct row_key link;
	int rc = rows_first_link(s, id, &link);
	if (rc == 1)
		*parent = row_link_space(link.bytes);
	return rc;
}

/* Note all key spaces on the way up from here, so many */
static int note_way(const struct state *s, uint64_t id, uint64_t steps,
		    struct id_set *rooted)
{
	int rc = 1;
	while (rc > 0 && steps--) {
		rc = id_set_add(rooted, id);
		if (rc >= 0)
			rc = rows_parent(s, id, &id);
	}
	return rc < 0 ? rc : 0;
}

int rows_way_up(const struct state *s, uint64_t from, struct id_set *rooted,
		uint64_t *circle)
{
	struct id_set way = { 0 };
	uint64_t steps = 0;
	uint64_t id = from;
	int rc = 0;
	while (!rc && id != BANYAN_ROOT_ID && !id_set_has(rooted, id)) {
		rc = id_set_add(&way, id);
		if (rc)
			break; /* it was here before: a circle */
		steps++;
		int linked = rows_parent(s, id, &id);
		if (linked <= 0) {
			rc = linked;
			break;
		}
	}
	*circle = id;
	id_set_free(&way);
	if (rc < 0)
		return rc;
	/* Those on a circle, too: who comes here next need not go round again */
	int noted = note_way(s, from, steps, rooted);
	return noted ? noted : rc;
}

/* Damage shows in the words; a lack of memory must not look like that */
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
		text_add(text, "key ");
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
		text_add(text, "key ");
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

/* ---- extents ---------------------------------------------------------- */

void verifier_free(struct verifier *v)
{
	free(v->buffer);
	v->buffer = NULL;
}

/* A part that lies in one chunk. 0: sound. 1: damaged. */
static int verify_chunk(struct verifier *v, const struct extent *e,
			uint32_t from, uint32_t size)
{
	uint32_t chunk = from / CHUNK_SIZE;
	uint64_t hash = (e->payload + chunk * UINT64_C(0x10001)) *
			UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(hash >> 40) % VERIFIED_MAX;
	if (v->seen[i].payload == e->payload && v->seen[i].chunk == chunk &&
	    v->seen[i].sum == e->sum &&
	    v->seen[i].payload_len == e->payload_len)
		return !v->seen[i].sound;
	int rc = log_read_payload(v->file, e->payload, e->payload_len, e->sum,
				  from, size, v->buffer);
	if (rc && !is_damage(rc))
		return rc;
	v->seen[i].payload = e->payload;
	v->seen[i].payload_len = e->payload_len;
	v->seen[i].sum = e->sum;
	v->seen[i].chunk = chunk;
	v->seen[i].sound = rc == 0;
	return rc ? 1 : 0;
}

/* [from, to) of the payload, chunk by chunk: tell what is damaged */
static int find_damage(struct verifier *v, const struct extent *e,
		       uint32_t from, uint32_t to,
		       int (*bad)(void *arg, uint32_t start, uint32_t end),
		       void *arg)
{
	int rc = 0;
	while (rc == 0 && from < to) {
		uint32_t n = CHUNK_SIZE - from % CHUNK_SIZE;
		if (n > to - from)
			n = to - from;
		rc = verify_chunk(v, e, from, n);
		if (rc > 0)
			rc = bad(arg, from - e->start, from - e->start + n);
		from += n;
	}
	return rc;
}

int verify_extent(struct verifier *v, const struct extent *e,
		  int (*bad)(void *arg, uint32_t start, uint32_t end),
		  void *arg)
{
	uint32_t from = e->start;
	uint32_t to = e->start + e->length;
	if (!v->buffer)
		v->buffer = malloc(STEP);
	if (!v->buffer)
		return -ENOMEM;
	while (from < to) {
		uint32_t n = STEP - from % STEP;
		int rc = -EBADMSG;
		if (n > to - from)
			n = to - from;
		if (n > CHUNK_SIZE)
			rc = log_read_payload(v->file, e->payload,
					      e->payload_len, e->sum, from, n,
					      v->buffer);
		if (is_damage(rc))
			rc = find_damage(v, e, from, from + n, bad, arg);
		if (rc)
			return rc;
		from += n;
	}
	return 0;
}

struct in_value {
	uint64_t at;
	int (*bad)(void *arg, uint64_t start, uint64_t end);
	void *arg;
};

static int bad_in_value(void *arg, uint32_t start, uint32_t end)
{
	struct in_value *in = arg;
	return in->bad(in->arg, in->at + start, in->at + end);
}

int verify_value(struct verifier *v, const struct state *s,
		 const struct data *d,
		 int (*bad)(void *arg, uint64_t start, uint64_t end), void *arg,
		 uint64_t *stored, uint64_t *own)
{
	struct extent_iter it;
	struct run run = { 0 };
	struct in_value in = { .bad = bad, .arg = arg };
	uint64_t end = 0;
	*stored = *own = 0;
	int rc = extent_iter_open(&it, s, d, 0);
	while (!rc && (rc = extent_iter_next(&it, &run)) == 0) {
		in.at = run.at;
		end = run.at + run.e.length;
		*stored += run.e.length;
		*own += run.e.shared ? 0 : run.e.length;
		rc = verify_extent(v, &run.e, bad_in_value, &in);
		if (!rc && v->step)
			rc = v->step(v->arg, run.e.length);
	}
	extent_iter_close(&it);
	if (is_damage(rc))
		rc = bad(arg, end, d->size);
	return rc < 0 ? rc : 0;
}
