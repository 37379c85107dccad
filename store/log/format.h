/* SPDX-License-Identifier: MIT */
/*
 * format.h - the bytes of the file: superblock, segment headers, records.
 *
 * Encoding and validation only, no I/O. docs/FORMAT.md says the same for
 * readers in other languages. All numbers are little-endian.
 *
 *   0        4096          4 MiB              8 MiB
 *   +--------+-------------+------------------+-----
 *   | super  | segment 0   | segment 1        | ...
 *   | block  | hdr rec rec | hdr rec rec rec  |
 *   +--------+-------------+------------------+-----
 *
 * Checksums of segment headers and of records are CRC-32C, seeded by the file's
 * salt and by the place (see place_seed()): a block that has strayed, or that
 * was left by an earlier file in the same place, does not pass.
 */
#ifndef STORE_LOG_FORMAT_H
#define STORE_LOG_FORMAT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/row_limits.h"
#include "base/timestamp.h"

/* The error means that bytes differ from what was written. Others mean that the
 * disk or memory failed. */
static inline bool is_damage(int rc)
{
	return rc == -EBADMSG || rc == -EUCLEAN;
}

#define FORMAT_VERSION 1u
#define SUPERBLOCK_SIZE 4096u
#define SEGMENT_SIZE (4u << 20)
#define SEGMENT_HEADER_SIZE 64u
#define RECORD_HEADER_SIZE 16u
#define RECORD_ALIGN 4u
/*
 * A payload is verified in chunks. One of up to 16 KiB is a single chunk, whose
 * checksum is in the reference to it: it is read with one call. Longer ones have
 * chunks of 4 KiB, as programs read so much at random places and overwrite it; the
 * checksums of a MiB are then 1 KiB.
 */
#define CHUNK_MAX (16u << 10)
#define CHUNK_SIZE (4u << 10)
/* No body is larger: what is left of a segment must do for any record */
#define BODY_MAX (3u << 20)

/*
 * Superblock
 *   OFFSET SIZE DESCRIPTION
 *   0      8    magic: 89 'B' 'A' 'N' 'Y' 'A' 'N' 0A
 *   8      4    format version: 1
 *   12     4    bytes in a segment: 4194304
 *   16     8    compatible features: unknown bits do not matter
 *   24     8    read-only compatible: unknown bits forbid writing
 *   32     8    incompatible: unknown bits forbid opening
 *   40     16   UUID of the database, kept by vacuum
 *   56     16   UUID of this file
 *   72     8    generation: 1, one more with each vacuum
 *   80     8    salt
 *   88     8    time of the database's creation, a timestamp
 *   96     3996 zeros
 *   4092   4    CRC-32C of bytes 0 to 4091
 */
struct superblock {
	uint32_t version;
	uint64_t compat;
	uint64_t ro_compat;
	uint64_t incompat;
	uint8_t uuid[16];
	uint8_t file_uuid[16];
	uint64_t generation;
	uint64_t salt;
	timestamp created;
};

void superblock_encode(const struct superblock *sb, uint8_t *bytes);

/*
 * -EMEDIUMTYPE: no Banyan file; -EPROTONOSUPPORT: newer format or incompatible
 * feature; -EROFS: writable was asked for and a feature forbids it; -EBADMSG,
 * -EUCLEAN: damaged.
 */
int superblock_decode(struct superblock *sb, const uint8_t *bytes,
		      bool writable);

/* The value that a checksum of something at this offset starts from */
uint32_t place_seed(uint64_t salt, uint64_t offset);

/* A point of the log: where the next record goes, and what it must carry */
struct log_position {
	uint64_t offset;
	uint64_t seq;
	uint32_t chain; /* the CRC of the record before */
};

/*
 * Segment header, at number * 4 MiB; that of segment 0 at 4096
 *   0      4    CRC-32C of bytes 4 to 63, seeded
 *   4      4    magic: 'B' 'S' 'E' 'G'
 *   8      8    number of the segment
 *   16     8    end of the log before this segment; 0 in segment 0
 *   24     8    sequence number of the next record
 *   32     4    chain: CRC of the record before
 *   36     4    zero
 *   40     8    durable_to: the log up to here is known to be durable
 *   48     8    offset of the last durable freeze record; 0: none
 *   56     8    salt: for a salvage, if the superblock is damaged
 */
struct segment_header {
	uint64_t number;
	struct log_position prev; /* the end of what is before, and its chain */
	uint64_t durable_to;
	uint64_t last_freeze;
};

uint64_t segment_start(uint64_t number); /* offset of the header */
uint64_t segment_end(uint64_t offset); /* end of the segment it lies in */
void segment_header_encode(const struct segment_header *h, uint64_t salt,
			   uint8_t *bytes);
/* The salt that a header repeats: it may be anything */
uint64_t segment_header_salt(const uint8_t *bytes);
/* false: no valid header of this number */
bool segment_header_decode(struct segment_header *h, uint64_t salt,
			   uint64_t number, const uint8_t *bytes);

/*
 * Record, 4-byte aligned
 *   0      4    CRC-32C of bytes 4 to the end of the array, seeded
 *   4      4    chain: CRC of the record before
 *   8      4    lower half of its sequence number, which is one more than that of
 *               the record before
 *   12     1    type
 *   13     3    length of the payload in an extent or nodes, else of the body
 *   16     B    body
 *   16+B   4n   array: CRC-32C of each chunk of the payload
 *   ..     P    payload
 *   ..     0-3  zeros
 *
 * Who follows the log knows the upper half of the number, and a segment header
 * has all of it.
 */
enum record_type {
	RECORD_OPERATION = 1, /* body: see redo.h */
	RECORD_EXTENT = 2, /* payload: bytes of a value */
	RECORD_NODES = 3, /* payload: nodes of the tree */
	RECORD_FREEZE = 4, /* body: struct freeze */
	RECORD_MARK = 5, /* body: durable_to, 8 bytes */
};

struct record_header {
	uint32_t crc;
	uint32_t chain;
	uint64_t seq; /* decoded: only its lower half */
	enum record_type type;
	uint32_t body_len; /* 0 in those that have a payload */
	uint32_t payload_len; /* 0 in others */
};

/* The sequence number with this lower half, from `least` on */
static inline uint64_t whole_seq(uint64_t least, uint64_t half)
{
	return least + (uint32_t)(half - least);
}

/* Bytes in the chunks of a payload; the last one may be shorter */
uint32_t chunk_size(uint32_t payload_len);
uint32_t chunk_count(uint32_t payload_len);
uint32_t chunk_length(uint32_t payload_len, uint32_t chunk);

/* The chunk of a payload that has the byte at an offset */
struct chunk {
	uint32_t number;
	uint32_t start, end; /* in the payload */
};

struct chunk chunk_at(uint32_t payload_len, uint32_t offset);

/* Bytes from the start of the record to that of its payload */
uint64_t record_payload_start(uint32_t body_len, uint32_t payload_len);
/* Bytes in the whole record, padding included */
uint64_t record_size(uint32_t body_len, uint32_t payload_len);

/* All but the crc, which comes from record_crc() over what follows it */
void record_header_encode(const struct record_header *h, uint8_t *bytes);
uint32_t record_crc(uint64_t salt, uint64_t offset, const uint8_t *header,
		    const void *body, size_t body_len, const void *array,
		    size_t array_len);

/*
 * Take a header apart and see whether a record of these lengths can be at
 * offset. Says nothing about the checksum, which needs the body.
 */
bool record_header_decode(struct record_header *h, uint64_t offset,
			  const uint8_t *bytes);

/*
 * Body of a freeze record
 *   0      8    number: 1, 2, ...
 *   8      8    time, a timestamp
 *   16     8    flags: 1 automatic, 2 gap, 4 punched
 *   24     8    offset of the root node; 0: the empty tree
 *   32     4    its length
 *   36     4    its CRC-32C
 *   40     8    height of the tree
 *   48     8    where replay starts: offset,
 *   56     8    sequence number,
 *   64     4    chain
 *   68     4    punches: how often the file was punched
 *   72     8    offset of the previous freeze record; 0: none
 *   80     8    durable_to
 *   88     8    next id
 *   96     8    keys
 *   104    8    live bytes
 *   112    8    bytes of the index: of all nodes that the tree uses, about
 */
#define FREEZE_BODY_SIZE 120u

enum freeze_flags {
	FREEZE_AUTOMATIC = 1 << 0,
	FREEZE_GAP = 1 << 1,
	FREEZE_PUNCHED = 1 << 2,
	FREEZE_FLAGS = 7, /* all that there are */
};

struct freeze {
	uint64_t number;
	timestamp time;
	bool automatic;
	/* Operations between the freeze before it and this one are not in
	 * the file */
	bool gap;
	bool punched; /* of the log before the replay position there may be only
			 what the tree refers to; there is no previous freeze */
	struct node_ref root;
	unsigned height;
	struct log_position replay;
	uint32_t punches; /* of this file so far */
	uint64_t previous;
	uint64_t durable_to;
	uint64_t next_id;
	uint64_t keys;
	uint64_t live_bytes;
	uint64_t index_bytes;
};

void freeze_encode(const struct freeze *f, uint8_t *body);
/* offset: of the record, which everything that it points to precedes */
bool freeze_decode(struct freeze *f, uint64_t offset, const uint8_t *body,
		   size_t len);

#endif
