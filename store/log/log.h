/* SPDX-License-Identifier: MIT */
/*
 * log.h - the log: append records, make them durable, read payloads back.
 *
 * Appending has two steps. Staging lays records out: it says where each will
 * lie, so that later records can refer to it, and cuts payloads where a segment
 * ends. Committing writes all that is staged with one call. Bytes reach the
 * file strictly in log order. What a failed write left behind is skipped: the
 * next record goes to the next segment, whose header says where the log before
 * it ends (log_scan.h reads by the same rule).
 *
 * The staging functions belong to whoever holds the store's write lock.
 * log_sync() and the reading functions may be called by any thread.
 */
#ifndef STORE_LOG_LOG_H
#define STORE_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file/file.h"
#include "log/format.h"

struct log;
struct log_state;

/*
 * Kept free beyond the end for what makes room: deletes, shrinking truncates
 * and freezes. Without it a full disk could not be emptied.
 */
#define LOG_RESERVE (8u << 20)

/* Start a log in an empty file. The log borrows the file. */
int log_create(struct file *file, const struct superblock *sb,
	       struct log **log);

/*
 * Continue a log from what log_recover() has found for writing. If the file goes
 * on behind the log's end, that is a torn tail, and the log goes on at the next
 * segment.
 */
int log_continue(struct file *file, const struct log_state *st,
		 struct log **log);

void log_free(struct log *log); /* NULL is fine */

/* Where a staged payload lies, and what extents need to find it */
struct log_place {
	uint64_t record; /* offset of the record */
	uint64_t payload; /* offset of the payload */
	uint32_t length; /* bytes of payload in this record */
	/* CRC-32C of the chunk if there is one, else of the array */
	uint32_t sum;
};

/*
 * Begin an operation. makes_room: it may use the reserve (deletes, freezes).
 */
void log_begin(struct log *log, bool makes_room);
/* Change what log_begin() was told, before the operation is committed */
void log_makes_room(struct log *log, bool makes_room);

/*
 * Stage a record with a payload, as much of it as the segment takes:
 * place->length tells; call again with the rest. whole: never cut it. A payload
 * of more than LOG_COPY_MAX bytes must stay until it is flushed or committed.
 */
#define LOG_COPY_MAX 4096u
int log_stage_payload(struct log *log, enum record_type type,
		      const void *payload, size_t size, bool whole,
		      struct log_place *place);

/* Stage a record with a body (copied). *offset is where it will lie. */
int log_stage_body(struct log *log, enum record_type type, const void *body,
		   size_t size, uint64_t *offset);

/* Is there room for so many bytes more than are staged, with LOG_RESERVE behind
 * them unless the operation may use that? 0, -ENOSPC, ... */
int log_reserve(struct log *log, uint64_t more);
/* The same, but what lies behind them need not stay free */
int log_has_room(struct log *log, uint64_t more);

/*
 * Write what is staged. -ENOSPC: nothing is lost and the log goes on. Any other
 * failure to write poisons the log.
 */
int log_commit(struct log *log);
/* Write staged payloads already, so that their memory can go */
int log_flush(struct log *log);
void log_abort(struct log *log); /* forget what is staged */

/* After log_begin(): where the next record goes, and its sequence number */
struct log_position log_end(const struct log *log);

/* Go on in the next segment, whose header tells of the last freeze. Not synced. */
int log_leave_segment(struct log *log);

/* The last freeze whose sync has returned, for the segment headers to come */
void log_set_last_freeze(struct log *log, uint64_t offset);

/*
 * Make everything committed so far durable; callers share a sync. *fresh, if
 * not NULL: a mark is worth writing, as this call moved durable_to, or as the
 * file does not tell yet what was there when the log was continued.
 */
int log_sync(struct log *log, bool *fresh);
uint64_t log_durable_to(const struct log *log);
/* Append a mark that tells later readers durable_to. Not synced. */
int log_mark(struct log *log);

/* 0, or the -EIO with which everything but reading answers from now on */
int log_poisoned(const struct log *log);
void log_poison(struct log *log);

#endif
