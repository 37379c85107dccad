/* SPDX-License-Identifier: MIT */
/*
 * log_walk.h - all of a log that is left, whatever has happened to it.
 *
 * log_scan.h follows the log to the first break and no further. A walk goes on
 * behind it: at the next record whose checksum is right, or at the next segment
 * whose header says where the log stood. What it finds is a list of *runs*:
 * records one behind the other, each chained to the one before. Sequence numbers
 * tell how many records are missing between two runs.
 *
 * If the file was punched the walk begins at the replay position of the freeze that
 * ended the past, as behind records that were lost: what lies before is not looked
 * at.
 *
 * A last break beyond which the log was never durable is no damage but its end,
 * as log_recover.c has it.
 */
#ifndef STORE_LOG_LOG_WALK_H
#define STORE_LOG_LOG_WALK_H

#include "log/log_scan.h"

/* What lies between a run and the one before */
enum walk_gap {
	WALK_EXIT, /* nothing: the log left its segment */
	WALK_HEADER, /* a segment header is damaged; no record is missing */
	WALK_HARMLESS, /* a damaged record, which was no operation */
	WALK_LOST, /* records, of which some may have been operations */
};

struct walk_run {
	struct log_position from; /* of the first record, and its chain */
	struct log_position to; /* behind the last one */
	enum walk_gap gap;
	uint64_t broke_at; /* the offset at which the run before broke off */
};

struct log_walk {
	struct file *file; /* borrowed */
	uint64_t salt;
	uint64_t size;
	struct walk_run *runs;
	size_t count;
	size_t capacity;
	uint64_t durable_to; /* the highest that anything tells of */
	struct freeze freeze; /* the last sound one */
	uint64_t freeze_offset; /* 0: there is none */
	uint64_t freeze_seq;
	struct log_position begin; /* where a punch lets the log begin; 0: none */
	uint64_t cut; /* break that ended the log, 0: its end was reached */
};

/* Find the runs. On failure *w is as good as zeroed. */
int log_walk_open(struct log_walk *w, struct file *file, uint64_t salt,
		  uint64_t size);
void log_walk_close(struct log_walk *w); /* zeroed is fine */

/* Forget all records from this sequence number on: the log ends before */
void log_walk_cut(struct log_walk *w, uint64_t seq);

/*
 * A node or an extent refers to these bytes, so they lie in a record that is no
 * operation. If one record is missing there, no operation is missing.
 */
void log_walk_excuse(struct log_walk *w, uint64_t offset, uint64_t size);

/* Are all operations with numbers in [from, to) there? */
bool log_walk_complete(const struct log_walk *w, uint64_t from, uint64_t to);

/*
 * Visit the records in [from, to), in order. *stop, if not NULL, ends it before
 * a gap in which operations may be missing, and gets the run behind that gap, or
 * NULL if there was none. A visit that returns non-zero ends it; that comes
 * back.
 */
typedef int walk_visit(void *arg, const struct log_record *record);
int log_walk_visit(const struct log_walk *w, uint64_t from, uint64_t to,
		   const struct walk_run **stop, walk_visit *visit, void *arg);

/*
 * The salt of a file whose superblock is damaged: a segment header has it, and
 * the one found in the superblock counts if the first record suits it. 0, 1 if
 * there is none, or an error of reading.
 */
int log_find_salt(struct file *file, uint64_t size, uint64_t found,
		  uint64_t *salt);

#endif
