/* SPDX-License-Identifier: MIT */
/*
 * log_scan.h - read the log back: record after record, and where it ends.
 *
 * Records are chained by sequence number and checksum. Where a writer had to
 * leave a torn place behind, or a segment was full, the log goes on in a later
 * segment, whose header repeats the position that it continues. If several
 * headers continue from one segment, the last one counts: what the others began
 * was given up. Such an *exit* goes before any record that may lie at the same
 * position.
 */
#ifndef STORE_LOG_LOG_SCAN_H
#define STORE_LOG_LOG_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "file/file.h"
#include "log/format.h"

struct log_record {
	uint64_t offset;
	uint64_t size; /* padding included */
	struct record_header header;
	const uint8_t *body; /* valid until the next record is read */
	const uint8_t *array;
	uint64_t payload; /* offset of it */
};

struct log_scan {
	struct file *file;
	uint64_t salt;
	uint64_t size; /* of the file when the scan began */
	struct log_position at; /* the next record */
	uint64_t durable_to; /* the highest that was seen */
	struct segment_exit *exits; /* from first_segment on */
	uint64_t first_segment;
	uint64_t segments;
	struct buf window; /* bytes of the file at window_at */
	uint64_t window_at;
};

/* Scan from a position. size: of the file; what lies beyond is not looked at. */
int log_scan_open(struct log_scan *s, struct file *file, uint64_t salt,
		  uint64_t size, const struct log_position *from);
void log_scan_close(struct log_scan *s); /* zeroed is fine */

/* 0: a record. 1: no valid record at s->at. Negative: could not read. */
int log_scan_next(struct log_scan *s, struct log_record *record);

/* Is the segment with this number and header the one in which the log goes on
 * behind the segment that the header speaks of? */
bool log_scan_leads_to(const struct log_scan *s, uint64_t number,
		       const struct segment_header *h);

/*
 * Read the record at offset, wherever it stands in the chain: 0, 1 if there is
 * no valid one, or an error. body is filled with its body.
 */
int log_read_record(struct file *file, uint64_t salt, uint64_t size,
		    uint64_t offset, struct log_record *record,
		    struct buf *body);

/* Is it a sound freeze record? Its body is there still. */
bool log_record_freeze(const struct log_record *record, struct freeze *f);

/* The freeze whose record is at offset: 0, 1 if there is no sound one, or an
 * error */
int log_read_freeze(struct file *file, uint64_t salt, uint64_t size,
		    uint64_t offset, struct freeze *f);

/* A valid header of segment number: 0, 1 if there is none, or an error */
int log_read_segment(struct file *file, uint64_t salt, uint64_t size,
		     uint64_t number, struct segment_header *h);

/* What opening a file finds out about its log */
struct log_state {
	struct superblock sb;
	uint64_t size; /* of the file */
	struct freeze freeze; /* the last one */
	uint64_t freeze_offset;
	struct log_position end;
	uint64_t durable_to; /* for writing: what is there has been synced */
	uint64_t recorded; /* durable_to as the file tells it */
	/* End of the last record other than marks and freezes: a mark should
	 * cover up to here */
	uint64_t to_record;
};

/*
 * Find the last freeze and the end of the log behind it. report (may be NULL)
 * is told the place of damage.
 */
int log_recover(struct file *file, bool writable, struct log_state *state,
		void (*report)(void *arg, const char *line), void *arg);

#endif
