/* SPDX-License-Identifier: MIT */
#include "log/log.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "log/log_scan.h"

/* A run of bytes to be written: the caller's, or at an offset of `heads` */
struct piece {
	const void *bytes; /* NULL: in heads */
	size_t at;
	size_t size;
};

/* More pieces than this are written before the operation is complete */
#define PIECES_MAX 900
/* A payload is not cut to begin with less than this */
#define SPLIT_MIN 4096u

struct log {
	struct file *file;
	struct superblock sb;

	/* Under the store's write lock */
	struct log_position end; /* of what is written */
	struct log_position at; /* of what is staged */
	uint64_t resume; /* not 0: the segment to go on with, after a tear */
	uint64_t run; /* where the staged pieces will lie */
	bool makes_room;
	struct piece *pieces;
	struct iovec *iov;
	size_t count;
	size_t capacity;
	struct buf heads; /* headers, bodies and arrays that are staged */
	uint64_t last_freeze;
	uint64_t marked; /* durable_to in the last mark */
	_Atomic bool unrecorded; /* what was found durable is more than that */

	_Atomic uint64_t written; /* end of the last record but marks */
	_Atomic uint64_t durable_to;
	_Atomic int poisoned;
	pthread_mutex_t sync_lock; /* protects syncing */
	pthread_cond_t synced;
	bool syncing;
};

static int log_new(struct file *file, const struct superblock *sb,
		   struct log **out)
{
	struct log *log = calloc(1, sizeof(*log));
	if (!log)
		return -ENOMEM;
	log->file = file;
	log->sb = *sb;
	pthread_mutex_init(&log->sync_lock, NULL);
	pthread_cond_init(&log->synced, NULL);
	*out = log;
	return 0;
}

void log_free(struct log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->sync_lock);
	pthread_cond_destroy(&log->synced);
	buf_free(&log->heads);
	free(log->pieces);
	free(log->iov);
	free(log);
}

int log_poisoned(const struct log *log)
{
	return atomic_load(&log->poisoned);
}

void log_poison(struct log *log)
{
	atomic_store(&log->poisoned, -EIO);
}

uint64_t log_durable_to(const struct log *log)
{
	return atomic_load(&log->durable_to);
}

void log_set_last_freeze(struct log *log, uint64_t offset)
{
	log->last_freeze = offset;
	/* Its record says that all before it is durable */
	atomic_store(&log->unrecorded, false);
}

struct log_position log_end(const struct log *log)
{
	return log->at;
}

/* ---- staging ---------------------------------------------------------- */

static int add_piece(struct log *log, const void *bytes, size_t size)
{
	if (log->count == log->capacity) {
		size_t capacity = log->capacity ? log->capacity * 2 : 16;
		struct piece *p = realloc(log->pieces, capacity * sizeof(*p));
		if (!p)
			return -ENOMEM;
		log->pieces = p;
		struct iovec *iov = realloc(log->iov, capacity * sizeof(*iov));
		if (!iov)
			return -ENOMEM;
		log->iov = iov;
		log->capacity = capacity;
	}
	log->pieces[log->count++] =
		(struct piece){ bytes, log->heads.len, size };
	return 0;
}

/* Stage bytes that go into heads: the room for them, or NULL */
static uint8_t *add_head(struct log *log, size_t size)
{
	uint8_t *to = buf_reserve(&log->heads, size);
	if (!to || add_piece(log, NULL, size))
		return NULL;
	log->heads.len += size;
	return to;
}

static void drop_staged(struct log *log)
{
	log->count = 0;
	buf_reset(&log->heads);
}

void log_abort(struct log *log)
{
	drop_staged(log);
	log->at = log->end;
	log->run = log->end.offset;
}

void log_begin(struct log *log, bool makes_room)
{
	assert(log->count == 0);
	log->makes_room = makes_room;
	log_abort(log);
}

void log_makes_room(struct log *log, bool makes_room)
{
	log->makes_room = makes_room;
}

/* Some of the staged bytes are in the file: never write there again */
static void tear(struct log *log, uint64_t written_to)
{
	log->resume = (written_to + SEGMENT_SIZE - 1) / SEGMENT_SIZE;
}

/* If the file system cannot reserve, appends will fail when there is no room */
static int reserve(struct log *log, uint64_t to)
{
	int rc = file_reserve(log->file, to);
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* The reserve behind the end is for those who make room */
static int keep_reserve(struct log *log, uint64_t to)
{
	return log->makes_room ? 0 : reserve(log, to + LOG_RESERVE);
}

int log_reserve(struct log *log, uint64_t more)
{
	return keep_reserve(log, log->at.offset + more);
}

int log_has_room(struct log *log, uint64_t more)
{
	return reserve(log, log->at.offset + more);
}

static bool out_of_space(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

/* Write the staged pieces; they begin and end at record boundaries */
static int flush(struct log *log)
{
	size_t written = 0;
	if (log->count == 0)
		return 0;
	int rc = keep_reserve(log, log->at.offset);
	if (rc)
		return rc;
	for (size_t i = 0; i < log->count; i++) {
		const struct piece *p = &log->pieces[i];
		const void *bytes = p->bytes ? p->bytes :
					       log->heads.data + p->at;
		/* iovec has no const; append does not write there */
		memcpy(&log->iov[i].iov_base, &bytes, sizeof(bytes));
		log->iov[i].iov_len = p->size;
	}
	rc = file_append(log->file, log->iov, (int)log->count, log->run,
			 &written);
	if (rc) {
		if (written)
			tear(log, log->run + written);
		if (!out_of_space(rc)) {
			log_poison(log);
			rc = -EIO;
		}
		return rc;
	}
	drop_staged(log);
	log->end = log->at;
	log->run = log->at.offset;
	log->resume = 0;
	return 0;
}

static int open_segment(struct log *log, uint64_t number)
{
	uint64_t start = segment_start(number);
	int rc = flush(log);
	if (rc)
		return rc;
	uint8_t *to = add_head(log, SEGMENT_HEADER_SIZE);
	if (!to)
		return -ENOMEM;
	struct segment_header h = {
		.number = number,
		.prev = log->at,
		.durable_to = log_durable_to(log),
		.last_freeze = log->last_freeze,
	};
	segment_header_encode(&h, log->sb.salt, to);
	log->run = start;
	log->at.offset = start + SEGMENT_HEADER_SIZE;
	return 0;
}

/* The most payload that a record can take in the room that there is */
static uint32_t payload_room(uint64_t room, uint32_t body_len, size_t size)
{
	uint64_t least = RECORD_HEADER_SIZE + body_len;
	if (room < least + 8)
		return 0;
	uint64_t n = size < SEGMENT_SIZE ? size : SEGMENT_SIZE;
	if (n > room - least)
		n = room - least;
	while (n > 0 && record_size(body_len, (uint32_t)n) > room) {
		uint64_t over = record_size(body_len, (uint32_t)n) - room;
		n = over < n ? n - over : 0;
	}
	/* So that chunks stay where blocks of the value are */
	if (n < size && n > CHUNK_MAX)
		n -= n % CHUNK_SIZE;
	return (uint32_t)n;
}

static uint64_t room_here(const struct log *log)
{
	if (log->at.offset % SEGMENT_SIZE == 0 || (log->resume && !log->count))
		return 0;
	return segment_end(log->at.offset) - log->at.offset;
}

static uint64_t next_segment(const struct log *log)
{
	if (log->resume && !log->count)
		return log->resume;
	return (log->at.offset + SEGMENT_SIZE - 1) / SEGMENT_SIZE;
}

/* See to it that the next record fits: how much payload it may have */
static int make_room(struct log *log, uint32_t body_len, size_t size,
		     bool whole, uint32_t *take)
{
	size_t least = whole || size < SPLIT_MIN ? size : SPLIT_MIN;
	if (log->count > PIECES_MAX) {
		int rc = flush(log);
		if (rc)
			return rc;
	}
	uint64_t room = room_here(log);
	uint32_t n = payload_room(room, body_len, size);
	/* The first segment, which has the superblock, takes less than others */
	for (unsigned tries = 0;
	     tries < 2 && (n < least || record_size(body_len, n) > room);
	     tries++) {
		int rc = open_segment(log, next_segment(log));
		if (rc)
			return rc;
		room = room_here(log);
		n = payload_room(room, body_len, size);
	}
	if (n < least)
		return -E2BIG;
	*take = n;
	return 0;
}

static int add_payload(struct log *log, const uint8_t *payload, uint32_t size)
{
	if (size > LOG_COPY_MAX)
		return add_piece(log, payload, size);
	uint8_t *to = add_head(log, size);
	if (!to)
		return -ENOMEM;
	memcpy(to, payload, size);
	return 0;
}

/* Header, body and array go into heads as one piece, the payload follows */
static int stage(struct log *log, enum record_type type, const void *body,
		 uint32_t body_len, const uint8_t *payload, uint32_t size,
		 uint32_t *sum)
{
	static const uint8_t zeros[RECORD_ALIGN];
	struct record_header h = { .chain = log->at.chain,
				   .seq = log->at.seq,
				   .type = type,
				   .body_len = body_len,
				   .payload_len = size };
	uint64_t start = record_payload_start(body_len, size);
	uint64_t total = record_size(body_len, size);
	uint32_t chunks = chunk_count(size);
	uint8_t *head = add_head(log, start);
	if (!head)
		return -ENOMEM;
	record_header_encode(&h, head);
	if (body_len)
		memcpy(head + RECORD_HEADER_SIZE, body, body_len);
	uint8_t *array = head + RECORD_HEADER_SIZE + body_len;
	for (uint32_t i = 0; i < chunks; i++)
		put_le32(array + 4 * (size_t)i,
			 crc32c(0, payload + (size_t)i * chunk_size(size),
				chunk_length(size, i)));
	h.crc = record_crc(log->sb.salt, log->at.offset, head,
			   head + RECORD_HEADER_SIZE, body_len, array,
			   4 * (size_t)chunks);
	put_le32(head, h.crc);
	*sum = chunks == 1 ? get_le32(array) :
			     crc32c(0, array, 4 * (size_t)chunks);
	if (size && add_payload(log, payload, size))
		return -ENOMEM;
	if (total > start + size && add_piece(log, zeros, total - start - size))
		return -ENOMEM;
	log->at.offset += total;
	log->at.seq++;
	log->at.chain = h.crc;
	return 0;
}

int log_stage_payload(struct log *log, enum record_type type,
		      const void *payload, size_t size, bool whole,
		      struct log_place *place)
{
	uint32_t take = 0;
	uint32_t sum = 0;
	assert(size > 0);
	int rc = log_poisoned(log);
	if (!rc)
		rc = make_room(log, 0, size, whole, &take);
	if (rc)
		return rc;
	uint64_t record = log->at.offset;
	rc = stage(log, type, NULL, 0, payload, take, &sum);
	if (rc)
		return rc;
	*place = (struct log_place){
		.record = record,
		.payload = record + record_payload_start(0, take),
		.length = take,
		.sum = sum,
	};
	return 0;
}

int log_stage_body(struct log *log, enum record_type type, const void *body,
		   size_t size, uint64_t *offset)
{
	uint32_t none = 0;
	int rc = log_poisoned(log);
	if (!rc && size > BODY_MAX)
		rc = -E2BIG;
	if (!rc)
		rc = make_room(log, (uint32_t)size, 0, true, &none);
	if (rc)
		return rc;
	*offset = log->at.offset;
	return stage(log, type, body, (uint32_t)size, NULL, 0, &none);
}

int log_flush(struct log *log)
{
	int rc = log_poisoned(log);
	return rc ? rc : flush(log);
}

int log_commit(struct log *log)
{
	int rc = log_poisoned(log);
	if (!rc)
		rc = flush(log);
	if (rc) {
		log_abort(log);
		return rc;
	}
	atomic_store(&log->written, log->end.offset);
	return 0;
}

/* ---- durability ------------------------------------------------------- */

int log_sync(struct log *log, bool *fresh)
{
	uint64_t target = atomic_load(&log->written);
	bool moved = false;
	pthread_mutex_lock(&log->sync_lock);
	while (log_durable_to(log) < target && !log_poisoned(log)) {
		if (log->syncing) {
			pthread_cond_wait(&log->synced, &log->sync_lock);
			continue;
		}
		/* Lead: one sync for all who have come by now */
		log->syncing = true;
		pthread_mutex_unlock(&log->sync_lock);
		uint64_t to = atomic_load(&log->written);
		int rc = file_sync(log->file);
		pthread_mutex_lock(&log->sync_lock);
		log->syncing = false;
		if (rc) {
			/* The kernel may have dropped what it could not write:
			 * no later sync can be believed */
			log_poison(log);
		} else {
			atomic_store(&log->durable_to, to);
			moved = true;
		}
		pthread_cond_broadcast(&log->synced);
	}
	int rc = log_poisoned(log);
	pthread_mutex_unlock(&log->sync_lock);
	/* What was durable before this call may have been cut or deleted
	 * since */
	if (!rc && !moved && file_verify(log->file)) {
		log_poison(log);
		rc = log_poisoned(log);
	}
	if (fresh)
		*fresh = moved || atomic_load(&log->unrecorded);
	return rc;
}

int log_mark(struct log *log)
{
	uint8_t body[8];
	uint64_t offset = 0;
	uint64_t durable_to = log_durable_to(log);
	if (durable_to <= log->marked)
		return 0;
	put_le64(body, durable_to);
	log_begin(log, true);
	int rc = log_stage_body(log, RECORD_MARK, body, sizeof(body), &offset);
	if (!rc)
		rc = flush(log);
	if (rc) {
		log_abort(log);
		return rc;
	}
	log->marked = durable_to;
	atomic_store(&log->unrecorded, false);
	return 0;
}

int log_leave_segment(struct log *log)
{
	log_begin(log, true);
	int rc = log_poisoned(log);
	if (!rc)
		rc = open_segment(log, next_segment(log));
	if (rc) {
		log_abort(log);
		return rc;
	}
	return log_commit(log);
}

/* ---- beginning -------------------------------------------------------- */

int log_create(struct file *file, const struct superblock *sb, struct log **out)
{
	struct log *log = NULL;
	size_t written = 0;
	uint8_t bytes[SUPERBLOCK_SIZE];
	int rc = log_new(file, sb, &log);
	if (rc)
		return rc;
	superblock_encode(sb, bytes);
	struct iovec iov = { bytes, sizeof(bytes) };
	rc = file_append(file, &iov, 1, 0, &written);
	if (rc) {
		log_free(log);
		return rc;
	}
	/* Nothing is before segment 0: its header says "end 0, next is 1" */
	log->end = (struct log_position){ .offset = 0, .seq = 1, .chain = 0 };
	log_abort(log);
	*out = log;
	return 0;
}

/*
 * Behind the end lies what a crash has torn, and it might not stay as it is: a
 * record that the end of the file cuts short, in bytes that are zeros, is whole
 * once the file is longer. So the exit that gives it up is made durable before
 * anybody sees the log without it. With a full disk that must wait.
 */
static int give_up_tail(struct log *log)
{
	log_begin(log, true);
	int rc = open_segment(log, log->resume);
	if (!rc)
		rc = flush(log);
	if (rc) {
		log_abort(log);
		return out_of_space(rc) ? 0 : rc;
	}
	rc = file_sync(log->file);
	if (rc)
		return rc;
	atomic_store(&log->durable_to, log->end.offset);
	atomic_store(&log->written, log->end.offset);
	return 0;
}

int log_continue(struct file *file, const struct log_state *st,
		 struct log **out)
{
	struct log *log = NULL;
	int rc = log_new(file, &st->sb, &log);
	if (rc)
		return rc;
	log->end = st->end;
	log->last_freeze = st->freeze_offset;
	log->marked = st->recorded;
	/* Marks and the last freeze need no mark: opening and closing a file
	 * leaves it as it was */
	atomic_store(&log->unrecorded, st->to_record > st->recorded);
	atomic_store(&log->durable_to, st->durable_to);
	atomic_store(&log->written, st->end.offset);
	log_abort(log);
	if (st->size > st->end.offset) {
		tear(log, st->size);
		rc = give_up_tail(log);
	}
	if (rc)
		log_free(log);
	else
		*out = log;
	return rc;
}
