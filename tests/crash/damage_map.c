/* SPDX-License-Identifier: MIT */
#include "damage_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

/* Where the walk is, and what it walks over */
struct walk {
	struct damage_map *map;
	const uint8_t *bytes;
	uint64_t size;
	uint64_t salt;
	struct log_position at;
};

static void add(struct damage_map *m, struct region r)
{
	if (r.start == r.end)
		return;
	assert_true(r.start < r.end);
	if (m->count == m->room) {
		m->room = m->room * 2 + 64;
		m->regions = realloc(m->regions, m->room * sizeof(r));
		assert_non_null(m->regions);
	}
	m->regions[m->count++] = r;
}

static void promise(struct damage_map *m, uint64_t start, uint64_t end,
		    uint64_t durable_to)
{
	if (m->promise_count == m->promise_room) {
		m->promise_room = m->promise_room * 2 + 16;
		m->promises = realloc(m->promises,
				      m->promise_room * sizeof(*m->promises));
		assert_non_null(m->promises);
	}
	m->promises[m->promise_count++] =
		(struct promise){ start, end, durable_to };
}

/* The header of the segment that goes on where the walk is, if there is one */
static bool walk_segment(struct walk *w, uint64_t number)
{
	struct segment_header h;
	uint64_t start = segment_start(number);
	if (start + SEGMENT_HEADER_SIZE > w->size ||
	    !segment_header_decode(&h, w->salt, number, w->bytes + start) ||
	    h.prev.offset != w->at.offset || h.prev.seq != w->at.seq ||
	    h.prev.chain != w->at.chain)
		return false;
	if (number)
		add(w->map, (struct region){ .kind = REGION_GAP,
					     .start = w->at.offset,
					     .end = start });
	add(w->map, (struct region){ .kind = REGION_SEGMENT,
				     .start = start,
				     .end = start + SEGMENT_HEADER_SIZE,
				     .record = start,
				     .prev = h.prev.offset });
	promise(w->map, start, start + SEGMENT_HEADER_SIZE, h.durable_to);
	w->at.offset = start + SEGMENT_HEADER_SIZE;
	return true;
}

/* What a mark or a freeze record tells */
static void walk_promise(struct walk *w, const struct record_header *h)
{
	uint64_t at = w->at.offset;
	const uint8_t *body = w->bytes + at + RECORD_HEADER_SIZE;
	uint64_t end = at + record_size(h->body_len, 0);
	struct freeze f;
	if (h->type == RECORD_MARK)
		promise(w->map, at, end, get_le64(body));
	if (h->type != RECORD_FREEZE)
		return;
	assert_true(freeze_decode(&f, at, body, h->body_len));
	promise(w->map, at, end, f.durable_to);
	if (!w->map->first_freeze_end)
		w->map->first_freeze_end = end;
}

static bool walk_record(struct walk *w)
{
	struct record_header h;
	uint64_t at = w->at.offset;
	if (at + RECORD_HEADER_SIZE > w->size ||
	    !record_header_decode(&h, at, w->bytes + at) ||
	    h.seq != (uint32_t)w->at.seq || h.chain != w->at.chain)
		return false;
	struct region r = {
		.kind = REGION_RECORD, .start = at, .record = at, .type = h.type
	};
	r.end = at + record_payload_start(h.body_len, h.payload_len);
	add(w->map, r);
	r.kind = REGION_PAYLOAD;
	r.start = r.end;
	r.end += h.payload_len;
	add(w->map, r);
	r.kind = REGION_PADDING;
	r.start = r.end;
	r.end = at + record_size(h.body_len, h.payload_len);
	add(w->map, r);
	walk_promise(w, &h);
	w->at.offset = r.end;
	w->at.seq++;
	w->at.chain = h.crc;
	return true;
}

void damage_map_make(struct damage_map *m, const uint8_t *bytes, uint64_t size)
{
	struct superblock sb;
	*m = (struct damage_map){ 0 };
	assert_true(size >= SUPERBLOCK_SIZE);
	assert_int_equal(superblock_decode(&sb, bytes, false), 0);
	struct walk w = { .map = m,
			  .bytes = bytes,
			  .size = size,
			  .salt = sb.salt,
			  .at = { .seq = 1 } };
	add(m, (struct region){ .kind = REGION_SUPERBLOCK,
				.end = SUPERBLOCK_SIZE });
	for (uint64_t number = 0; walk_segment(&w, number); number++)
		while (walk_record(&w))
			;
	m->end = w.at.offset;
	add(m, (struct region){
		       .kind = REGION_GAP, .start = m->end, .end = size });
}

void damage_map_free(struct damage_map *m)
{
	free(m->regions);
	free(m->promises);
	*m = (struct damage_map){ 0 };
}

const struct region *damage_map_at(const struct damage_map *m, uint64_t offset)
{
	size_t low = 0;
	size_t high = m->count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (m->regions[middle].start <= offset)
			low = middle;
		else
			high = middle;
	}
	return &m->regions[low];
}

uint64_t damage_map_durable(const struct damage_map *m, uint64_t from,
			    uint64_t to)
{
	uint64_t durable_to = 0;
	for (size_t i = 0; i < m->promise_count; i++) {
		const struct promise *p = &m->promises[i];
		bool damaged = p->start < to && from < p->end;
		if (!damaged && p->durable_to > durable_to)
			durable_to = p->durable_to;
	}
	return durable_to;
}

uint64_t region_log_end(const struct region *r)
{
	return r->kind == REGION_SEGMENT ? r->prev : r->record;
}

const char *region_unread(const struct region *r, uint64_t durable_to)
{
	if (r->kind == REGION_GAP)
		return "no record is there: it is what a segment had left";
	if (r->kind != REGION_SUPERBLOCK && region_log_end(r) >= durable_to)
		return "nothing says that it was durable: as good as torn";
	return NULL;
}
