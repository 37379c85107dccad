/* SPDX-License-Identifier: MIT */
#include "log/log_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define WINDOW (256u << 10)
/* 64 TiB: of a larger file, which may be all hole, no list of exits is made */
#define SEGMENTS_MAX (1u << 24)

/* Where the log leaves a segment, and the segment in which it goes on */
struct segment_exit {
	struct log_position from;
	uint64_t to; /* 0: nowhere (no exit leads to segment 0) */
};

/*
 * The bytes at [offset, offset + size): in place, valid until the next call.
 * NULL with *rc = 0: the file ends before.
 */
static const uint8_t *look(struct log_scan *s, uint64_t offset, uint64_t size,
			   int *rc)
{
	*rc = 0;
	if (size > s->size || offset > s->size - size)
		return NULL;
	if (offset >= s->window_at && s->window.len >= size &&
	    offset - s->window_at <= s->window.len - size)
		return s->window.data + (offset - s->window_at);
	uint64_t n = size > WINDOW ? size : WINDOW;
	if (n > s->size - offset)
		n = s->size - offset;
	buf_reset(&s->window);
	if (!buf_reserve(&s->window, n)) {
		*rc = -ENOMEM;
		return NULL;
	}
	*rc = file_read(s->file, s->window.data, n, offset);
	if (*rc)
		return NULL;
	s->window.len = n;
	s->window_at = offset;
	return s->window.data;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool log_record_freeze(const struct log_record *r, struct freeze *f)
{
	return r->header.type == RECORD_FREEZE &&
	       freeze_decode(f, r->offset, r->body, r->header.body_len);
}

/* The durable_to that a record tells; 0: none */
static uint64_t record_durable_to(const struct log_record *r)
{
	struct freeze f;
	if (r->header.type == RECORD_MARK && r->header.body_len == 8 &&
	    get_le64(r->body) <= r->offset)
		return get_le64(r->body);
	return log_record_freeze(r, &f) ? f.durable_to : 0;
}

/* A record at offset that is sound in itself: 0, 1 if there is none, error */
static int read_record(struct log_scan *s, uint64_t offset,
		       struct log_record *r)
{
	int rc = 0;
	struct record_header h = { 0 };
	const uint8_t *p = look(s, offset, RECORD_HEADER_SIZE, &rc);
	if (!p)
		return rc ? rc : 1;
	if (!record_header_decode(&h, offset, p))
		return 1;
	uint64_t start = record_payload_start(h.body_len, h.payload_len);
	uint64_t total = record_size(h.body_len, h.payload_len);
	if (total > s->size - offset)
		return 1;
	p = look(s, offset, start, &rc);
	if (!p)
		return rc ? rc : 1;
	const uint8_t *body = p + RECORD_HEADER_SIZE;
	uint32_t array_len = 4 * chunk_count(h.payload_len);
	if (record_crc(s->salt, offset, p, body, h.body_len, body + h.body_len,
		       array_len) != h.crc)
		return 1;
	*r = (struct log_record){ .offset = offset,
				  .size = total,
				  .header = h,
				  .body = body,
				  .array = body + h.body_len,
				  .payload = offset + start };
	return 0;
}

int log_read_record(struct file *file, uint64_t salt, uint64_t size,
		    uint64_t offset, struct log_record *record,
		    struct buf *body)
{
	struct log_scan s = { .file = file, .salt = salt, .size = size };
	struct log_record r = { 0 };
	int rc = read_record(&s, offset, &r);
	if (!rc)
		rc = buf_set(body, r.body, r.header.body_len);
	if (!rc) {
		r.body = body->data;
		r.array = NULL;
		*record = r;
	}
	buf_free(&s.window);
	return rc;
}

int log_read_freeze(struct file *file, uint64_t salt, uint64_t size,
		    uint64_t offset, struct freeze *f)
{
	struct log_record rec;
	struct buf body = BUF_INIT;
	uint64_t end = offset + record_size(FREEZE_BODY_SIZE, 0);
	int rc = 1;
	/* No more is read than there is as a rule: a list of a thousand took 70
	 * ms, and takes 2 */
	if (offset < size && end < size)
		rc = log_read_record(file, salt, end, offset, &rec, &body);
	if (rc > 0)
		rc = log_read_record(file, salt, size, offset, &rec, &body);
	if (!rc && !log_record_freeze(&rec, f))
		rc = 1;
	buf_free(&body);
	return rc;
}

int log_read_segment(struct file *file, uint64_t salt, uint64_t size,
		     uint64_t number, struct segment_header *h)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	uint64_t start = segment_start(number);
	if (size < SEGMENT_HEADER_SIZE || start > size - SEGMENT_HEADER_SIZE)
		return 1;
	int rc = file_read(file, bytes, sizeof(bytes), start);
	if (rc)
		return rc;
	return segment_header_decode(h, salt, number, bytes) ? 0 : 1;
}

/* ---- scanning --------------------------------------------------------- */

/* The segment in which a log ending at offset lies; a boundary: the one before */
static uint64_t segment_of_end(uint64_t offset)
{
	return offset ? (offset - 1) / SEGMENT_SIZE : 0;
}

/* Note which segment continues which; later ones win */
static int find_exits(struct log_scan *s)
{
	for (uint64_t i = 1; i <= s->segments; i++) {
		struct segment_header h;
		uint64_t number = s->first_segment + i;
		int rc =
			log_read_segment(s->file, s->salt, s->size, number, &h);
		if (rc < 0)
			return rc;
		if (rc)
			continue;
		uint64_t from = segment_of_end(h.prev.offset);
		s->durable_to = max64(s->durable_to, h.durable_to);
		if (from < s->first_segment || from >= number)
			continue;
		struct segment_exit *e = &s->exits[from - s->first_segment];
		*e = (struct segment_exit){ h.prev, number };
	}
	return 0;
}

/* The exit from the segment that a log ending at offset has come to, which may
 * lead nowhere. NULL: that is none of those which are scanned. */
static const struct segment_exit *exit_from(const struct log_scan *s,
					    uint64_t offset)
{
	uint64_t from = segment_of_end(offset);
	if (!s->exits || from < s->first_segment ||
	    from - s->first_segment > s->segments)
		return NULL;
	return &s->exits[from - s->first_segment];
}

bool log_scan_leads_to(const struct log_scan *s, uint64_t number,
		       const struct segment_header *h)
{
	const struct segment_exit *e = exit_from(s, h->prev.offset);
	return e && e->to == number;
}

int log_scan_open(struct log_scan *s, struct file *file, uint64_t salt,
		  uint64_t size, const struct log_position *from)
{
	*s = (struct log_scan){
		.file = file, .salt = salt, .size = size, .at = *from
	};
	s->first_segment = segment_of_end(from->offset);
	if (size <= s->first_segment * SEGMENT_SIZE)
		return 0;
	/* Number of segments behind the first one */
	s->segments = (size - 1) / SEGMENT_SIZE - s->first_segment;
	if (s->segments > SEGMENTS_MAX)
		return -EFBIG;
	s->exits = calloc(s->segments + 1, sizeof(*s->exits));
	int rc = s->exits ? find_exits(s) : -ENOMEM;
	if (rc)
		log_scan_close(s);
	return rc;
}

void log_scan_close(struct log_scan *s)
{
	free(s->exits);
	s->exits = NULL;
	buf_free(&s->window);
}

static bool same_position(const struct log_position *a,
			  const struct log_position *b)
{
	return a->offset == b->offset && a->seq == b->seq &&
	       a->chain == b->chain;
}

/* If the log leaves its segment here, go to where it continues */
static void follow_exit(struct log_scan *s)
{
	for (;;) {
		const struct segment_exit *e = exit_from(s, s->at.offset);
		if (!e || !e->to || !same_position(&e->from, &s->at))
			return;
		s->at.offset = segment_start(e->to) + SEGMENT_HEADER_SIZE;
	}
}

int log_scan_next(struct log_scan *s, struct log_record *record)
{
	struct log_record r;
	follow_exit(s);
	if (s->at.offset % SEGMENT_SIZE == 0)
		return 1;
	int rc = read_record(s, s->at.offset, &r);
	if (rc)
		return rc;
	if (r.header.seq != (uint32_t)s->at.seq ||
	    r.header.chain != s->at.chain)
		return 1;
	r.header.seq = s->at.seq;
	s->durable_to = max64(s->durable_to, record_durable_to(&r));
	s->at.offset += r.size;
	s->at.seq++;
	s->at.chain = r.header.crc;
	*record = r;
	return 0;
}
