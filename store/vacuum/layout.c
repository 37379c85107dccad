/* SPDX-License-Identifier: MIT */
#include "vacuum/layout.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "log/payload.h"

/* No payload is longer */
#define BUFFER_SIZE SEGMENT_SIZE
/* The longest piece: in any segment, also in the first, there is room for it with
 * all that belongs to it */
#define PIECE_MAX (SEGMENT_SIZE - (16u << 10))
#define WRITE_OUT_BYTES (16u << 20)
/* A block of very small extents ends with so many of them */
#define BLOCK_EXTENTS 1024u

int layout_open(struct layout *l, struct file *from, struct log *log,
		struct file *scratch)
{
	*l = (struct layout){ .from = from, .log = log };
	int rc = extent_map_open(&l->map, scratch);
	l->buffer = rc ? NULL : malloc(BUFFER_SIZE);
	return rc || l->buffer ? rc : -ENOMEM;
}

void layout_close(struct layout *l)
{
	extent_map_close(&l->map);
	free(l->buffer);
	runs_free(&l->block);
	runs_free(&l->out);
}

void layout_begin(struct layout *l, enum layout_source source, uint64_t most)
{
	l->source = source;
	l->most = most;
	l->values = 0;
	l->noted = false;
}

uint64_t layout_forget(struct layout *l)
{
	uint64_t bytes = l->used;
	l->used = 0;
	return bytes;
}

/* The disk works beside us, or else a sync at the end would have all to wait for */
static void write_out(struct layout *l)
{
	uint64_t end = log_end(l->log).offset;
	if (end < l->out_to + WRITE_OUT_BYTES)
		return;
	file_aside_do(l->writer, l->out_to, end);
	l->out_to = end;
}

int layout_flush(struct layout *l)
{
	int rc = log_flush(l->log);
	uint64_t bytes = layout_forget(l);
	if (rc)
		return rc;
	write_out(l);
	return l->pace(l->arg, bytes);
}

/* ---- bytes ------------------------------------------------------------ */

static int make_room(struct layout *l, uint64_t size)
{
	return size > BUFFER_SIZE - l->used ? layout_flush(l) : 0;
}

static int read_extent(struct layout *l, const struct extent *e, size_t at)
{
	return payload_read(l->from, e->payload, e->payload_len, e->sum,
			    e->start, e->length, l->buffer + l->used + at);
}

/* The bytes behind those that are staged: an extent that nobody shares yet */
static int stage(struct layout *l, uint32_t size, struct extent *fresh)
{
	struct log_place place;
	int rc = log_stage_payload(l->log, RECORD_EXTENT, l->buffer + l->used,
				   size, true, &place);
	if (rc)
		return rc;
	l->used += size;
	*fresh = (struct extent){ .payload = place.payload,
				  .payload_len = size,
				  .sum = place.sum,
				  .length = size };
	return 0;
}

/* Of a hostile file: values made of the same bytes over and over */
static int count_bytes(struct layout *l, uint64_t bytes)
{
	if (l->source == LAYOUT_OPERATION)
		return 0;
	if (bytes > l->most - l->values)
		return -EUCLEAN;
	l->values += bytes;
	return 0;
}

static int copy_whole(struct layout *l, const struct extent *e,
		      struct extent *fresh)
{
	int rc = count_bytes(l, e->length);
	if (!rc)
		rc = make_room(l, e->length);
	if (!rc)
		rc = read_extent(l, e, 0);
	if (!rc)
		rc = stage(l, e->length, fresh);
	return rc ? rc : extent_map_add(&l->map, e, fresh);
}

/* Copy the extent, and all around it that is shared as well */
static int copy_shared(struct layout *l, const struct extent *e,
		       struct extent *fresh)
{
	struct extent all = *e;
	int rc = 0;
	if (l->source != LAYOUT_OPERATION) {
		rc = l->noted ? 0 : l->note_shared(l->note_arg);
		l->noted = true;
		if (!rc)
			rc = extent_map_around(&l->map, e, &all);
	}
	if (!rc)
		rc = copy_whole(l, &all, fresh);
	if (rc)
		return rc;
	fresh->start += e->start - all.start;
	fresh->length = e->length;
	fresh->shared = true;
	return 0;
}

/* ---- where extents are now -------------------------------------------- */

/* Are these one, if they touch each other in their value? */
static bool is_one(const struct extent *a, const struct extent *b)
{
	return a->payload == b->payload && a->payload_len == b->payload_len &&
	       a->sum == b->sum && a->shared == b->shared &&
	       a->start + a->length == b->start;
}

static bool goes_on(const struct run *last, uint64_t at, const struct extent *e)
{
	return last->at + last->e.length == at && is_one(&last->e, e);
}

static struct run last_out(const struct layout *l)
{
	return l->out.count ? l->out.run[l->out.count - 1] : (struct run){ 0 };
}

static int put_out(struct layout *l, uint64_t at, const struct extent *e)
{
	struct run last = last_out(l);
	if (!goes_on(&last, at, e))
		return runs_add(&l->out, at, e);
	l->out.run[l->out.count - 1].e.length += e->length;
	return 0;
}

/* What the map knows of *rest, which it goes along: the next piece. 0; 1: it does
 * not know where this has gone; or an error. */
static int next_piece(struct layout *l, struct run *rest, struct run *piece)
{
	int rc = extent_map_find(&l->map, &rest->e, &piece->e);
	if (rc)
		return rc;
	piece->at = rest->at;
	rest->at += piece->e.length;
	rest->e.start += piece->e.length;
	rest->e.length -= piece->e.length;
	return 0;
}

/*
 * Is all of the extent in the new file? 0, and it takes *count runs more than there
 * are up to *last, which becomes its last one; 1: no; or an error.
 */
static int find_copied(struct layout *l, const struct run *old,
		       struct run *last, size_t *count)
{
	struct run rest = *old;
	struct run piece;
	*count = 0;
	if (l->source == LAYOUT_FIRST && !old->e.shared)
		return 1;
	while (rest.e.length) {
		int rc = next_piece(l, &rest, &piece);
		if (rc)
			return rc;
		if (!goes_on(last, piece.at, &piece.e))
			++*count;
		*last = piece;
	}
	return 0;
}

/* How many more runs may come out, if so many are for others */
static size_t out_room(const struct layout *l, size_t others)
{
	return l->out_max - l->out.count - others;
}

/* One that is in the new file: if it lies there in too many pieces it is copied
 * once more, as one */
static int put_copied(struct layout *l, const struct run *old, size_t others)
{
	struct run rest = *old;
	struct run last = last_out(l);
	struct run piece;
	size_t count = 0;
	int rc = find_copied(l, old, &last, &count);
	if (!rc && count > out_room(l, others)) {
		rc = copy_whole(l, &old->e, &piece.e);
		piece.e.shared = old->e.shared;
		return rc ? rc : put_out(l, old->at, &piece.e);
	}
	while (!rc && rest.e.length) {
		rc = next_piece(l, &rest, &piece);
		if (!rc)
			rc = put_out(l, piece.at, &piece.e);
	}
	return rc > 0 ? -EUCLEAN : rc;
}

/* ---- blocks ----------------------------------------------------------- */

/* The payload that a record has room for in what is left of the segment */
static uint64_t segment_room(const struct layout *l)
{
	uint64_t at = log_end(l->log).offset;
	uint64_t room = at % SEGMENT_SIZE ? segment_end(at) - at : 0;
	uint64_t extra = record_payload_start(0, (uint32_t)room) + RECORD_ALIGN;
	room = room > extra ? room - extra : 0;
	return room < PIECE_MAX ? room : PIECE_MAX;
}

/* How much of so many bytes, which are at this place in a value, goes next, if
 * there is this room in the segment */
static uint32_t piece_size(uint64_t room, uint64_t at, uint64_t bytes)
{
	if (bytes <= room)
		return (uint32_t)bytes;
	if (bytes <= LAYOUT_WHOLE || room < LAYOUT_WHOLE)
		room = PIECE_MAX;
	if (bytes <= room)
		return (uint32_t)bytes;
	return (uint32_t)(room - (at + room) % CHUNK_SIZE);
}

static size_t count_pieces(const struct layout *l, uint64_t at, uint64_t bytes)
{
	uint64_t room = segment_room(l);
	size_t count = 0;
	for (; bytes; count++) {
		uint32_t size = piece_size(room, at, bytes);
		at += size;
		bytes -= size;
		room = PIECE_MAX;
	}
	return count;
}

/* Read what the block has in [from, to), or tell the map that it is in *fresh */
static int visit_block(struct layout *l, uint64_t from, uint64_t to,
		       const struct extent *fresh)
{
	int rc = 0;
	for (size_t i = 0; !rc && i < l->block.count; i++) {
		const struct run *old = &l->block.run[i];
		if (old->at >= to || old->at + old->e.length <= from)
			continue;
		struct run part = run_part(old, from, to);
		if (!fresh) {
			rc = read_extent(l, &part.e, (size_t)(part.at - from));
			continue;
		}
		struct extent now = *fresh;
		now.start = (uint32_t)(part.at - from);
		now.length = part.e.length;
		rc = extent_map_add(&l->map, &part.e, &now);
	}
	return rc;
}

static int write_piece(struct layout *l, uint64_t at, uint32_t size)
{
	struct extent fresh;
	int rc = make_room(l, size);
	if (!rc)
		rc = visit_block(l, at, at + size, NULL);
	if (!rc)
		rc = stage(l, size, &fresh);
	if (!rc)
		rc = visit_block(l, at, at + size, &fresh);
	return rc ? rc : put_out(l, at, &fresh);
}

static int write_pieces(struct layout *l)
{
	uint64_t at = l->block.run[0].at;
	uint64_t left = l->bytes;
	int rc = count_bytes(l, left);
	while (!rc && left) {
		uint32_t size = piece_size(segment_room(l), at, left);
		rc = write_piece(l, at, size);
		at += size;
		left -= size;
	}
	return rc;
}

/* Each extent as one */
static int write_each(struct layout *l)
{
	int rc = 0;
	for (size_t i = 0; !rc && i < l->block.count; i++) {
		struct extent fresh;
		rc = copy_whole(l, &l->block.run[i].e, &fresh);
		if (!rc)
			rc = put_out(l, l->block.run[i].at, &fresh);
	}
	return rc;
}

static int end_block(struct layout *l, size_t others)
{
	int rc = 0;
	if (!l->block.count)
		return 0;
	if (count_pieces(l, l->block.run[0].at, l->bytes) <=
	    out_room(l, others))
		rc = write_pieces(l);
	else
		rc = write_each(l);
	l->block.count = 0;
	l->bytes = 0;
	return rc;
}

/* What is too much for the block goes to the next one */
static int add_to_block(struct layout *l, const struct run *old)
{
	uint64_t end = old->at + old->e.length;
	uint64_t at = old->at;
	int rc = 0;
	while (!rc && at < end) {
		if (!l->block.count)
			l->limit = l->out_max < SIZE_MAX ?
					   UINT64_MAX :
					   piece_size(segment_room(l), at,
						      UINT64_MAX);
		uint64_t room = l->limit - l->bytes;
		struct run part =
			run_part(old, at, room < end - at ? at + room : end);
		rc = runs_add(&l->block, part.at, &part.e);
		at += part.e.length;
		l->bytes += part.e.length;
		if (!rc &&
		    (l->bytes == l->limit || l->block.count == BLOCK_EXTENTS))
			rc = end_block(l, 0);
	}
	return rc;
}

/* ---- extents ---------------------------------------------------------- */

static bool touches_block(const struct layout *l, uint64_t at)
{
	return l->block.count && l->block.run[0].at + l->bytes == at;
}

/* need: the runs that are kept for it; others: for those behind it */
static int add(struct layout *l, const struct run *old, size_t need,
	       size_t others)
{
	struct run last = { 0 };
	struct extent fresh;
	size_t count = 0;
	int rc = 0;
	if (!touches_block(l, old->at))
		rc = end_block(l, need + others);
	if (!rc)
		rc = find_copied(l, old, &last, &count);
	if (rc < 0)
		return rc;
	if (rc > 0 && !old->e.shared)
		return add_to_block(l, old);
	bool copied = rc == 0;
	rc = end_block(l, need + others);
	if (!rc && copied)
		return put_copied(l, old, others);
	if (!rc)
		rc = copy_shared(l, &old->e, &fresh);
	return rc ? rc : put_out(l, old->at, &fresh);
}

void layout_start(struct layout *l)
{
	l->out.count = 0;
	l->block.count = 0;
	l->bytes = 0;
	l->out_max = SIZE_MAX;
}

int layout_add(struct layout *l, const struct run *old)
{
	return add(l, old, 0, 0);
}

bool layout_is_settled(const struct layout *l)
{
	return l->block.count == 0;
}

int layout_end(struct layout *l)
{
	return end_block(l, 0);
}

/* How many runs each will need at the least, if what was copied is not copied
 * again; more than there may be: one for each must do */
static int count_needs(struct layout *l, const struct run *old, size_t count,
		       size_t most, size_t *need)
{
	struct run last = { 0 };
	size_t sum = 0;
	for (size_t i = 0; i < count; i++) {
		int rc = find_copied(l, &old[i], &last, &need[i]);
		if (rc < 0)
			return rc;
		if (rc > 0) {
			last = (struct run){ 0 };
			need[i] = 1;
		}
		sum += need[i];
	}
	for (size_t i = 0; sum > most && i < count; i++)
		need[i] = 1;
	return 0;
}

#define ROW_EXTENTS_MAX 8u

int layout_row(struct layout *l, const struct run *old, size_t count,
	       size_t most)
{
	size_t need[ROW_EXTENTS_MAX];
	size_t others = 0;
	assert(count <= most && most <= ROW_EXTENTS_MAX);
	int rc = count_needs(l, old, count, most, need);
	for (size_t i = 0; !rc && i < count; i++)
		others += need[i];
	layout_start(l);
	l->out_max = most;
	for (size_t i = 0; !rc && i < count; i++) {
		others -= need[i];
		rc = add(l, &old[i], need[i], others);
	}
	return rc ? rc : end_block(l, 0);
}

static int is_copied(struct layout *l, const struct extent *e)
{
	const struct run old = { 0, *e };
	struct run last = { 0 };
	size_t count = 0;
	return find_copied(l, &old, &last, &count);
}

int layout_note(struct layout *l, const struct extent *e)
{
	int rc = e->shared ? is_copied(l, e) : 0;
	return rc > 0 ? extent_map_note(&l->map, e) : rc;
}
