/* SPDX-License-Identifier: MIT */
#include "log/log_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/*
 * Bytes that are checksummed in one segment to find a record in it: a hostile
 * file may have what looks like a record of 3 MiB at each of its places.
 */
#define SEARCH_MAX (UINT64_C(64) << 20)
/* So many segments in a row without a header are searched; of a file that is
 * one large hole the rest is passed over */
#define SEARCH_SEGMENTS 64u
#define BLOCK (64u << 10)
/* Bytes in the shortest operation record, without rows */
#define OPERATION_LEAST 28u

/* ---- the list --------------------------------------------------------- */

void log_walk_close(struct log_walk *w)
{
	free(w->runs);
	w->runs = NULL;
	w->count = 0;
}

static int add_run(struct log_walk *w, const struct log_position *at,
		   enum walk_gap gap, uint64_t broke_at)
{
	if (w->count == w->capacity) {
		size_t capacity = w->capacity ? w->capacity * 2 : 16;
		struct walk_run *r = realloc(w->runs, capacity * sizeof(*r));
		if (!r)
			return -ENOMEM;
		w->runs = r;
		w->capacity = capacity;
	}
	w->runs[w->count++] = (struct walk_run){ *at, *at, gap, broke_at };
	return 0;
}

static void note_record(struct log_walk *w, const struct log_record *rec)
{
	struct freeze f;
	uint64_t found = 0;
	if (rec->header.type == RECORD_MARK && rec->header.body_len == 8 &&
	    get_le64(rec->body) <= rec->offset)
		found = get_le64(rec->body);
	if (log_record_freeze(rec, &f) && f.replay.seq <= rec->header.seq) {
		found = f.durable_to;
		w->freeze = f;
		w->freeze_offset = rec->offset;
		w->freeze_seq = rec->header.seq;
		if (f.punched)
			w->begin = f.replay;
	}
	if (found > w->durable_to)
		w->durable_to = found;
}

/* Follow the records from s->at to the next break; each jump begins a run */
static int follow(struct log_walk *w, struct log_scan *s)
{
	struct log_record rec;
	int rc;
	for (;;) {
		struct walk_run *run = &w->runs[w->count - 1];
		struct log_position before = s->at;
		rc = log_scan_next(s, &rec);
		if (rc)
			break;
		note_record(w, &rec);
		if (rec.offset != run->to.offset) {
			before.offset = rec.offset;
			rc = add_run(w, &before, WALK_EXIT, 0);
			if (rc)
				return rc;
			run = &w->runs[w->count - 1];
		}
		run->to = s->at;
	}
	return rc < 0 ? rc : 0;
}

/* ---- behind a break --------------------------------------------------- */

struct search {
	struct log_walk *w;
	const struct log_scan *scan;
	struct log_position from; /* where the log broke off */
	uint64_t budget; /* bytes that may be checksummed in this segment */
	struct buf body;
};

/* Could a record with this number lie here, behind the break? */
static bool number_suits(const struct search *f, const struct record_header *h,
			 uint64_t offset)
{
	uint64_t most = (offset - f->from.offset) / RECORD_HEADER_SIZE;
	uint64_t missing = whole_seq(f->from.seq, h->seq) - f->from.seq;
	return missing ? missing <= most : h->chain == f->from.chain;
}

/* 0: *at is the position of a record there. 1: there is none. */
static int try_place(struct search *f, uint64_t offset, const uint8_t *bytes,
		     struct log_position *at)
{
	struct record_header h;
	struct log_record rec;
	if (!record_header_decode(&h, offset, bytes) ||
	    !number_suits(f, &h, offset))
		return 1;
	uint64_t cost = record_payload_start(h.body_len, h.payload_len);
	if (cost > f->budget)
		return 1;
	f->budget -= cost;
	int rc = log_read_record(f->w->file, f->w->salt, f->w->size, offset,
				 &rec, &f->body);
	if (rc)
		return rc;
	*at = (struct log_position){ offset,
				     whole_seq(f->from.seq, rec.header.seq),
				     rec.header.chain };
	return 0;
}

/* The first record in [from, to): 0, 1 if there is none, or an error */
static int search_range(struct search *f, uint64_t from, uint64_t to,
			struct log_position *at)
{
	uint8_t *block = malloc(BLOCK);
	int rc = block ? 1 : -ENOMEM;
	f->budget = SEARCH_MAX;
	while (rc == 1 && from + RECORD_HEADER_SIZE <= to) {
		size_t n = to - from < BLOCK ? (size_t)(to - from) : BLOCK;
		size_t i = 0;
		rc = file_read(f->w->file, block, n, from);
		if (rc)
			break;
		for (rc = 1; rc == 1 && i + RECORD_HEADER_SIZE <= n;
		     i += RECORD_ALIGN)
			rc = try_place(f, from + i, block + i, at);
		from += i;
	}
	free(block);
	return rc;
}

/*
 * A later segment as a place to go on. 0: from its header. 1: it has none, so
 * there may be records in it all the same. 2: not this one.
 */
static int try_segment(const struct search *f, uint64_t number,
		       struct log_position *at)
{
	struct segment_header h;
	int rc = log_read_segment(f->w->file, f->w->salt, f->w->size, number,
				  &h);
	if (rc)
		return rc;
	/* Of several that continue the same one the last counts; and what is
	 * older than the break is of a time before a tear */
	if (h.prev.seq < f->from.seq || !log_scan_leads_to(f->scan, number, &h))
		return 2;
	*at = h.prev;
	at->offset = segment_start(number) + SEGMENT_HEADER_SIZE;
	return 0;
}

/* Where the log goes on behind a break: 0, 1 if nowhere, or an error */
static int search_on(struct search *f, struct log_position *at)
{
	uint64_t offset = f->from.offset;
	uint64_t number = offset / SEGMENT_SIZE;
	uint64_t last = (f->w->size - 1) / SEGMENT_SIZE;
	unsigned bare = 0;
	int rc = 1;
	if (offset >= f->w->size)
		return 1;
	if (offset % SEGMENT_SIZE == 0) /* it broke off at the very end */
		rc = try_segment(f, number, at);
	for (;;) {
		uint64_t end = segment_start(number + 1);
		if (rc == 1 && bare++ < SEARCH_SEGMENTS)
			rc = search_range(f, offset,
					  end < f->w->size ? end : f->w->size,
					  at);
		else if (rc == 2)
			bare = 0;
		if (rc <= 0 || number == last)
			return rc > 0 ? 1 : rc;
		number++;
		offset = segment_start(number);
		rc = try_segment(f, number, at);
	}
}

/* ---- what is missing -------------------------------------------------- */

/* Is this the body of a freeze record? header: what is legible of its header
 * says so. */
static bool is_freeze(const struct log_position *broke, bool header,
		      const uint8_t *body)
{
	struct freeze f;
	if (freeze_decode(&f, broke->offset, body, FREEZE_BODY_SIZE))
		return true;
	/* Its body is damaged, its header is not; such numbers are seldom there
	 * in an operation */
	return header && get_le64(body + 16) <= FREEZE_FLAGS &&
	       get_le64(body + 40) <= TREE_HEIGHT_MAX;
}

/*
 * One record is missing between a break and the record at `to`. Can it have been
 * an operation? Its length tells, and what is legible of it.
 */
static int classify(struct log_walk *w, const struct log_position *broke,
		    const struct log_position *to, enum walk_gap *gap)
{
	uint8_t bytes[RECORD_HEADER_SIZE + FREEZE_BODY_SIZE];
	uint64_t left = to->offset - broke->offset;
	*gap = WALK_LOST;
	if (to->seq != broke->seq + 1 || to->offset < broke->offset ||
	    left < RECORD_HEADER_SIZE || left > SEGMENT_SIZE)
		return 0;
	if (left < OPERATION_LEAST) {
		*gap = WALK_HARMLESS;
		return 0;
	}
	size_t n = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
	int rc = file_read(w->file, bytes, n, broke->offset);
	if (rc)
		return rc;
	/* The array of a payload takes room: with another type in its header
	 * an operation would be longer */
	struct record_header h = { 0 };
	bool legible = record_header_decode(&h, broke->offset, bytes) &&
		       record_size(h.body_len, h.payload_len) == left;
	bool values = legible && h.payload_len > 0;
	bool header = legible && h.type == RECORD_FREEZE &&
		      h.crc == to->chain && h.chain == broke->chain &&
		      h.seq == (uint32_t)broke->seq;
	if (values || (left == sizeof(bytes) &&
		       is_freeze(broke, header, bytes + RECORD_HEADER_SIZE)))
		*gap = WALK_HARMLESS;
	return 0;
}

/* The run before broke off at s->at: begin the next one. 1: there is none. */
static int resume(struct log_walk *w, struct log_scan *s)
{
	struct search f = { .w = w, .scan = s, .from = s->at };
	struct log_position at;
	enum walk_gap gap = WALK_HEADER;
	int rc = search_on(&f, &at);
	buf_free(&f.body);
	if (rc)
		return rc;
	if (at.seq != s->at.seq || at.chain != s->at.chain)
		rc = classify(w, &s->at, &at, &gap);
	if (!rc)
		rc = add_run(w, &at, gap, s->at.offset);
	s->at = at;
	return rc;
}

/* A break with nothing durable beyond it is where the log ends */
static void find_end(struct log_walk *w)
{
	size_t n = 1;
	while (n < w->count && (w->runs[n].gap == WALK_EXIT ||
				w->runs[n].broke_at < w->durable_to))
		n++;
	if (n < w->count)
		w->cut = w->runs[n].broke_at;
	w->count = n;
}

/* What there is before a punch is not the log any more */
static void drop_punched(struct log_walk *w)
{
	size_t n = 0;
	if (!w->begin.seq)
		return;
	while (n + 1 < w->count && w->runs[n].to.seq <= w->begin.seq)
		n++;
	w->count -= n;
	memmove(w->runs, w->runs + n, w->count * sizeof(*w->runs));
	if (w->runs[0].from.seq < w->begin.seq)
		w->runs[0].from = w->begin;
	w->runs[0].gap = WALK_LOST;
}

static int walk(struct log_walk *w, struct log_scan *s)
{
	int rc = add_run(w, &s->at, WALK_EXIT, 0);
	while (!rc) {
		rc = follow(w, s);
		if (!rc)
			rc = resume(w, s);
	}
	return rc < 0 ? rc : 0;
}

static int note_freeze(void *arg, const struct log_record *rec)
{
	note_record(arg, rec);
	return 0;
}

/* The last freeze may have been behind the end: look again */
static int find_freeze(struct log_walk *w)
{
	const struct walk_run *last = &w->runs[w->count - 1];
	if (!w->freeze_offset || w->freeze_seq < last->to.seq)
		return 0;
	w->freeze_offset = 0;
	return log_walk_visit(w, 0, UINT64_MAX, NULL, note_freeze, w);
}

int log_walk_open(struct log_walk *out, struct file *file, uint64_t salt,
		  uint64_t size)
{
	struct log_walk w = { .file = file, .salt = salt, .size = size };
	struct log_position start = {
		.offset = SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE, .seq = 1
	};
	struct log_scan s = { 0 };
	int rc = log_scan_open(&s, file, salt, size, &start);
	if (!rc) {
		w.durable_to = s.durable_to; /* what segment headers say */
		rc = walk(&w, &s);
	}
	log_scan_close(&s);
	if (!rc) {
		find_end(&w);
		rc = find_freeze(&w);
		drop_punched(&w);
	}
	if (rc)
		log_walk_close(&w);
	else
		*out = w;
	return rc;
}

void log_walk_cut(struct log_walk *w, uint64_t seq)
{
	while (w->count > 1 && w->runs[w->count - 1].from.seq >= seq)
		w->count--;
	/* The visits stop by number, within a run */
	struct walk_run *last = &w->runs[w->count - 1];
	if (last->to.seq > seq)
		last->to.seq = seq;
}

/* ---- visiting --------------------------------------------------------- */

/* The run that has the record with this number, or the one behind */
static size_t run_of(const struct log_walk *w, uint64_t seq)
{
	size_t from = 0;
	size_t to = w->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (w->runs[middle].to.seq <= seq)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

void log_walk_excuse(struct log_walk *w, uint64_t offset, uint64_t size)
{
	size_t from = 1;
	size_t to = w->count;
	/* The first run that begins behind; offsets ascend as numbers do */
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (w->runs[middle].from.offset <= offset)
			from = middle + 1;
		else
			to = middle;
	}
	if (from >= w->count)
		return;
	struct walk_run *run = &w->runs[from];
	if (run->gap == WALK_LOST && run->from.seq == run[-1].to.seq + 1 &&
	    offset >= run->broke_at + RECORD_HEADER_SIZE &&
	    size <= run->from.offset - offset)
		run->gap = WALK_HARMLESS;
}

bool log_walk_complete(const struct log_walk *w, uint64_t from, uint64_t to)
{
	if (from >= to)
		return true;
	for (size_t i = run_of(w, from); i < w->count; i++) {
		const struct walk_run *run = &w->runs[i];
		if (run->from.seq >= to) /* to lies in the gap in front of it */
			return run->gap != WALK_LOST;
		if (run->gap == WALK_LOST && run->from.seq > from)
			return false;
		if (run->to.seq >= to)
			return true;
	}
	return w->count && w->runs[w->count - 1].to.seq >= to;
}

static int visit_run(const struct log_walk *w, const struct walk_run *run,
		     uint64_t from, uint64_t to, struct buf *bytes,
		     walk_visit *visit, void *arg)
{
	struct log_scan s = { .file = w->file,
			      .salt = w->salt,
			      .size = w->size,
			      .at = run->from };
	struct log_record rec;
	int rc = 0;
	if (run->to.seq < to)
		to = run->to.seq;
	s.window = *bytes;
	while (!rc && s.at.seq < to) {
		rc = log_scan_next(&s, &rec);
		if (rc > 0)
			rc = -EBADMSG; /* the walk has seen it */
		if (!rc && rec.header.seq >= from)
			rc = visit(arg, &rec);
	}
	*bytes = s.window;
	return rc;
}

int log_walk_visit(const struct log_walk *w, uint64_t from, uint64_t to,
		   const struct walk_run **stop, walk_visit *visit, void *arg)
{
	struct buf window = BUF_INIT;
	int rc = 0;
	if (stop)
		*stop = NULL;
	for (size_t i = run_of(w, from); !rc && i < w->count; i++) {
		const struct walk_run *run = &w->runs[i];
		if (run->from.seq >= to)
			break;
		if (stop && run->gap == WALK_LOST && run->from.seq > from) {
			*stop = run;
			break;
		}
		buf_reset(&window);
		rc = visit_run(w, run, from, to, &window, visit, arg);
	}
	buf_free(&window);
	return rc;
}

/* ---- the salt --------------------------------------------------------- */

/* Segments whose headers are looked at */
#define SALT_SEGMENTS 16u

int log_find_salt(struct file *file, uint64_t size, uint64_t found,
		  uint64_t *salt)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header h;
	struct log_record rec;
	struct buf body = BUF_INIT;
	int rc = 0;
	for (uint64_t i = 0; i < SALT_SEGMENTS; i++) {
		uint64_t at = segment_start(i);
		if (at + sizeof(bytes) > size)
			break;
		rc = file_read(file, bytes, sizeof(bytes), at);
		if (rc)
			return rc;
		*salt = segment_header_salt(bytes);
		if (segment_header_decode(&h, *salt, i, bytes))
			return 0;
	}
	*salt = found;
	rc = log_read_record(file, found, size,
			     SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE, &rec,
			     &body);
	buf_free(&body);
	return rc;
}
