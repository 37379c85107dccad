/* SPDX-License-Identifier: MIT */
/*
 * log_recover.c - where a log ends, and from where it is to be replayed.
 *
 * The header of the last segment knows a durable freeze. From where that freeze
 * says, records are followed until the chain breaks, at B; a newer freeze that is
 * met on the way is the one to use. If anything behind B knows that the log was
 * durable beyond B, bytes that had been safe are damaged: that is an error.
 * Otherwise B is where a crash tore the log, and its end. Payloads that were
 * not known to be durable are read: the first one that does not match ends the
 * log as well.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"
#include "log/log_scan.h"
#include "log/payload.h"

/* Most segments (4 TiB) to look through behind the last one that a freeze
 * knows: a hostile file could be one large hole */
#define SEGMENTS_MAX (1u << 20)
/* Of records and freezes: no honest writer reaches it. A hostile file may begin
 * near 2^63, where the next freezes would not be valid. */
#define NUMBER_MAX (UINT64_C(1) << 62)

struct recovery {
	struct file *file;
	struct log_state *state;
	uint64_t last; /* the last segment with a header */
	void (*report)(void *arg, const char *line);
	void *arg;
};

__attribute__((format(printf, 2, 3))) static void say(const struct recovery *r,
						      const char *format, ...)
{
	char line[256];
	va_list args;
	if (!r->report)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	r->report(r->arg, line);
}

static int read_superblock(struct recovery *r, bool writable)
{
	/* If the file is shorter, zeros stand for the rest */
	uint8_t bytes[SUPERBLOCK_SIZE] = { 0 };
	uint64_t size = 0;
	int rc = file_size(r->file, &size);
	if (!rc)
		rc = file_read(r->file, bytes,
			       size < sizeof(bytes) ? size : sizeof(bytes), 0);
	if (rc)
		return rc;
	r->state->size = size;
	rc = superblock_decode(&r->state->sb, bytes, writable);
	if (rc == -EBADMSG && size < sizeof(bytes)) {
		say(r, "cut off after %" PRIu64 " bytes", size);
		return -EUCLEAN;
	}
	if (is_damage(rc))
		say(r, "damaged superblock at offset 0");
	return rc;
}

static int last_segment(struct recovery *r, struct segment_header *h)
{
	struct log_state *st = r->state;
	uint64_t last = (st->size - 1) / SEGMENT_SIZE;
	for (uint64_t back = 0; back <= last && back < SEGMENTS_MAX; back++) {
		int rc = log_read_segment(r->file, st->sb.salt, st->size,
					  last - back, h);
		if (!rc)
			r->last = last - back;
		if (rc <= 0)
			return rc;
	}
	say(r, "no valid segment header: the file is damaged or cut off");
	return -EUCLEAN;
}

/*
 * A newer freeze in the segment with header h: 0, 1 if none, or an error. *end
 * is how far its records go.
 */
static int newest_in_segment(struct recovery *r, const struct segment_header *h,
			     uint64_t *end)
{
	struct log_state *st = r->state;
	struct log_position from = h->prev;
	uint64_t size = segment_end(segment_start(h->number));
	struct log_scan s;
	struct log_record rec;
	bool found = false;
	from.offset = segment_start(h->number) + SEGMENT_HEADER_SIZE;
	int rc = log_scan_open(&s, r->file, st->sb.salt,
			       size < st->size ? size : st->size, &from);
	if (rc)
		return rc;
	while ((rc = log_scan_next(&s, &rec)) == 0) {
		if (log_record_freeze(&rec, &st->freeze)) {
			st->freeze_offset = rec.offset;
			found = true;
		}
	}
	*end = s.at.offset;
	log_scan_close(&s);
	return rc < 0 ? rc : !found;
}

static int find_freeze(struct recovery *r)
{
	struct log_state *st = r->state;
	struct segment_header h;
	uint64_t end = 0;
	int rc = last_segment(r, &h);
	if (rc)
		return rc;
	st->durable_to = h.durable_to;
	rc = newest_in_segment(r, &h, &end);
	if (rc <= 0)
		return rc;
	rc = h.last_freeze ? log_read_freeze(r->file, st->sb.salt, st->size,
					     h.last_freeze, &st->freeze) :
			     1;
	st->freeze_offset = h.last_freeze;
	if (rc > 0) {
		if (h.last_freeze)
			say(r, "damaged freeze record at offset %" PRIu64,
			    h.last_freeze);
		else
			say(r,
			    "damaged or cut off at offset %" PRIu64
			    ": no freeze record is left",
			    end);
		rc = -EBADMSG;
	}
	return rc;
}

static int open_scan(struct recovery *r, struct log_scan *s)
{
	struct log_state *st = r->state;
	uint64_t from = st->freeze.replay.offset / SEGMENT_SIZE;
	if (st->freeze.replay.offset > st->size ||
	    st->size / SEGMENT_SIZE - from > SEGMENTS_MAX)
		return -EUCLEAN;
	return log_scan_open(s, r->file, st->sb.salt, st->size,
			     &st->freeze.replay);
}

/* Follow the records to the first break */
static int find_break(struct recovery *r)
{
	struct log_state *st = r->state;
	struct log_scan s;
	struct log_record rec;
	int rc = open_scan(r, &s);
	if (rc)
		return rc;
	st->to_record = 0;
	/* A segment may have been begun while the last freeze was synced: its
	 * header does not know of it */
	while ((rc = log_scan_next(&s, &rec)) == 0) {
		if (rec.offset > st->freeze_offset &&
		    log_record_freeze(&rec, &st->freeze))
			st->freeze_offset = rec.offset;
		if (rec.header.type != RECORD_MARK &&
		    rec.header.type != RECORD_FREEZE)
			st->to_record = s.at.offset;
	}
	st->end = s.at;
	if (s.durable_to > st->durable_to)
		st->durable_to = s.durable_to;
	if (st->freeze.durable_to > st->durable_to)
		st->durable_to = st->freeze.durable_to;
	log_scan_close(&s);
	return rc < 0 ? rc : 0;
}

/* The longest record that tells of a durable_to */
#define TELLING_MAX (RECORD_HEADER_SIZE + FREEZE_BODY_SIZE)

/* A mark or a freeze in these bytes of the file: the durable_to it tells, or 0 */
static uint64_t durable_to_at(uint64_t salt, const uint8_t *bytes, size_t size,
			      uint64_t offset)
{
	const uint8_t *body = bytes + RECORD_HEADER_SIZE;
	struct record_header h;
	struct freeze f;
	if (!record_header_decode(&h, offset, bytes) || h.payload_len ||
	    !((h.type == RECORD_MARK && h.body_len == 8) ||
	      (h.type == RECORD_FREEZE && h.body_len == FREEZE_BODY_SIZE)) ||
	    h.body_len > size - RECORD_HEADER_SIZE ||
	    record_crc(salt, offset, bytes, body, h.body_len, NULL, 0) != h.crc)
		return 0;
	if (h.type == RECORD_MARK)
		return get_le64(body) <= offset ? get_le64(body) : 0;
	return freeze_decode(&f, offset, body, h.body_len) ? f.durable_to : 0;
}

/*
 * Look at every place in [from, to) where a record might begin. There may be
 * bytes of a value that look like one at each: so none costs a read.
 */
static int search_durable_to(struct recovery *r, uint64_t from, uint64_t to,
			     uint64_t *durable_to)
{
	uint8_t block[4096 + TELLING_MAX];
	for (; from < to; from += sizeof(block) - TELLING_MAX) {
		size_t n = to - from < sizeof(block) ? (size_t)(to - from) :
						       sizeof(block);
		int rc = file_read(r->file, block, n, from);
		if (rc)
			return rc;
		for (size_t i = 0; i + RECORD_HEADER_SIZE <= n &&
				   i < sizeof(block) - TELLING_MAX;
		     i += RECORD_ALIGN) {
			uint64_t recorded = durable_to_at(
				r->state->sb.salt, block + i, n - i, from + i);
			if (recorded > *durable_to)
				*durable_to = recorded;
		}
	}
	return 0;
}

/* The same from a place to the end of its segment */
static int search_segment(struct recovery *r, uint64_t from,
			  uint64_t *durable_to)
{
	uint64_t end = segment_end(from);
	uint64_t size = r->state->size;
	return search_durable_to(r, from, end < size ? end : size, durable_to);
}

/*
 * Behind the break: what is known there of the log having been durable? Headers
 * tell of all but the last segment, and the last one that has a header need not
 * be the last.
 */
static int judge_break(struct recovery *r)
{
	struct log_state *st = r->state;
	uint64_t at = st->end.offset;
	uint64_t durable_to = st->durable_to;
	int rc = search_segment(r, at, &durable_to);
	uint64_t headed = segment_start(r->last);
	uint64_t last = segment_start((st->size - 1) / SEGMENT_SIZE);
	if (!rc && headed > at)
		rc = search_segment(r, headed, &durable_to);
	if (!rc && last > at && last != headed)
		rc = search_segment(r, last, &durable_to);
	if (rc)
		return rc;
	if (durable_to <= at) {
		/* A bad payload below it is no torn one either */
		st->durable_to = durable_to;
		return 0;
	}
	say(r,
	    "damaged record at offset %" PRIu64
	    ": the log was durable up to %" PRIu64,
	    at, durable_to);
	return -EBADMSG;
}

/* Payloads that are not known to be durable may be torn: the log ends there */
static int verify_tail(struct recovery *r)
{
	struct log_state *st = r->state;
	struct log_scan s;
	struct log_record rec;
	if (st->end.offset <= st->durable_to)
		return 0;
	int rc = open_scan(r, &s);
	if (rc)
		return rc;
	for (;;) {
		struct log_position before = s.at;
		rc = log_scan_next(&s, &rec);
		if (rc || rec.offset >= st->end.offset)
			break;
		if (!rec.header.payload_len || rec.offset < st->durable_to)
			continue;
		rc = payload_verify(r->file, &rec);
		if (rc == -EBADMSG) {
			before.offset = rec.offset;
			st->end = before;
			rc = 0;
			break;
		}
		if (rc)
			break;
	}
	log_scan_close(&s);
	return rc < 0 ? rc : 0;
}

static int find_end(struct recovery *r)
{
	int rc = find_freeze(r);
	if (!rc)
		rc = find_break(r);
	if (!rc)
		rc = judge_break(r);
	/* A process that is killed leaves the beginning of what it was writing */
	return rc || r->file->trusted ? rc : verify_tail(r);
}

/* Numbers beyond NUMBER_MAX would make freezes that are not valid any more */
static int judge_numbers(struct recovery *r)
{
	const struct log_state *st = r->state;
	if (st->end.seq <= NUMBER_MAX && st->freeze.number <= NUMBER_MAX)
		return 0;
	say(r, "sequence numbers are exhausted: it can be opened read-only");
	return -EUCLEAN;
}

int log_recover(struct file *file, bool writable, struct log_state *state,
		void (*report)(void *arg, const char *line), void *arg)
{
	struct log_state st = { 0 };
	struct recovery r = {
		.file = file, .state = &st, .report = report, .arg = arg
	};
	int rc = read_superblock(&r, writable);
	if (!rc)
		rc = find_end(&r);
	if (!rc && writable && !file->trusted) {
		/*
		 * If a sync had failed, pages may be clean in the cache and
		 * nowhere else: have them written or see the error, then look
		 * again at what the disk has. Always: the end looks clean, too,
		 * when it was the sync behind the last freeze that failed.
		 */
		rc = file_sync(file);
		if (!rc)
			rc = file_drop_cache(file, st.durable_to);
		if (!rc)
			rc = find_end(&r);
		if (!rc)
			file_trust(file);
	}
	if (!rc && writable)
		rc = judge_numbers(&r);
	if (rc)
		return rc;
	st.recorded = st.durable_to;
	/* What was read after the sync is what the disk has */
	if (writable && !file->trusted)
		st.durable_to = st.end.offset;
	if (st.size > st.end.offset && writable)
		say(&r,
		    "torn tail: %" PRIu64 " bytes behind offset %" PRIu64
		    " are not a whole record and are ignored: its writer was "
		    "killed, or the file was cut short",
		    st.size - st.end.offset, st.end.offset);
	*state = st;
	return 0;
}
