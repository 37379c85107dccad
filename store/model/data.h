/* SPDX-License-Identifier: MIT */
/*
 * data.h - a Data, and the values of NAME, DATA and EXTENT rows.
 *
 * The value of a NAME row is a Data, or a reference to one that lies in a DATA
 * row; the value of a DATA row is a Data.
 *
 *   Reference: 00, type (mode >> 12), varint id.
 *   Data:
 *     1 byte  01
 *     1 byte  flags, see below
 *     varint  mode, above its 16 bits the flags of banyan.h
 *     varint  uid, gid
 *     8 bytes birth, a timestamp, big-endian (alike times share beginnings)
 *     zigzag  mtime - birth, if DATA_MTIME; else mtime is birth
 *     zigzag  ctime - birth, if DATA_CTIME; else ctime is mtime
 *     zigzag  atime - birth, if DATA_ATIME; else atime is mtime
 *     varint  id
 *     varint  size
 *     varint  nlink, if DATA_NLINK; else nlink is 1
 *     varint  rdev, if DATA_RDEV
 *     varint  id of the space it lies in, if DATA_PARENT (key spaces)
 *     rest    contents, by the top two bits of the flags:
 *             none; inline: the bytes; extents: a count of 1 to 4 and as many
 *             of {varint offset in the value less the end of the extent before,
 *             extent}; rows: varint bytes stored, and EXTENT rows
 *   Extent:
 *     varint  flags: 1 shared, 2 part; others must be 0 (codecs to come)
 *     varint  offset of the payload in the file
 *     varint  length of the payload
 *     4 bytes CRC-32C: of the chunk if there is one, else of the array
 *     varint  start and length of the part, if part; else all of the payload
 *
 * Decoding validates: what it gives can be used without further checks.
 */
#ifndef STORE_MODEL_DATA_H
#define STORE_MODEL_DATA_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/timestamp.h"
#include "banyan.h"

/*
 * Values up to this many bytes live in their row. Each freeze that touches the
 * row's leaf writes them again; an extent costs a read of its own.
 */
#define INLINE_MAX 256u
#define EXTENTS_IN_ROW 4u

/* A part of a payload in the log, which it is checked with */
struct extent {
	uint64_t payload; /* offset in the file */
	uint32_t payload_len;
	uint32_t sum;
	uint32_t start; /* of the part, in the payload */
	uint32_t length; /* of the part */
	bool shared; /* others may refer to the same bytes */
};

enum contents_kind {
	CONTENTS_NONE = 0,
	CONTENTS_INLINE = 1,
	CONTENTS_EXTENTS = 2,
	CONTENTS_ROWS = 3,
};

struct data {
	uint64_t id;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t nlink;
	uint32_t flags; /* BANYAN_IMMUTABLE, ... */
	uint64_t size;
	uint64_t rdev;
	uint64_t parent; /* 0: not a key space */
	timestamp birth;
	timestamp atime;
	timestamp mtime;
	timestamp ctime;
	enum contents_kind contents;
	uint32_t inline_len;
	uint32_t extents; /* used in extent[] */
	uint64_t stored; /* bytes in the contents; the rest are holes */
	uint8_t inline_bytes[INLINE_MAX];
	struct {
		uint64_t at; /* offset in the value */
		struct extent e;
	} extent[EXTENTS_IN_ROW];
};

/* All zeros and no contents; not the arrays, which are long */
static inline void data_clear(struct data *d)
{
	memset(d, 0, offsetof(struct data, inline_bytes));
}

static inline bool data_is_space(const struct data *d)
{
	return (d->mode & 0170000) == 0040000;
}

static inline bool data_is_file(const struct data *d)
{
	return (d->mode & 0170000) == 0100000;
}

/* -EPERM if the flags forbid any change */
static inline int data_may_change(const struct data *d)
{
	return d->flags & (BANYAN_IMMUTABLE | BANYAN_APPEND_ONLY) ? -EPERM : 0;
}

/* -EPERM if they forbid to write from this offset on, or to make keys */
static inline int data_may_write(const struct data *d, uint64_t offset)
{
	return (d->flags & BANYAN_IMMUTABLE) ||
			       ((d->flags & BANYAN_APPEND_ONLY) &&
				offset < d->size) ?
		       -EPERM :
		       0;
}

/* The row's value replaces what is in *value: 0 or -ENOMEM */
int data_encode(const struct data *d, struct buf *value);
/* 0 or -EUCLEAN, after which *d is of no use */
int data_decode(struct data *d, const uint8_t *value, size_t len);

/* What is before the contents takes no more: two bytes, the birth and varints */
#define DATA_FIELDS_MAX (2 + 8 + 12 * VARINT_MAX)

/*
 * The fields of a row's value, which are all that is before the contents: how many
 * bytes they take, or 0 if it is no Data or they are not as data_encode() makes them.
 * d gets the kind of the contents, but none of them.
 */
size_t data_read_fields(struct data *d, const uint8_t *value, size_t len);
/* The same bytes of d: their number, at most DATA_FIELDS_MAX */
size_t data_write_fields(const struct data *d, uint8_t *to);

/* Does the value of a NAME or DATA row look like a Data with extents? Only a look,
 * which decoding may refute. */
bool data_may_have_extents(const uint8_t *value, size_t len);

/* What a NAME row says: a reference, or a Data of its own */
struct name_row {
	uint64_t id;
	uint32_t type; /* the type bits of the mode */
	bool embedded;
};

/* Never of an embedded one: a key space has a row of its own */
static inline bool name_row_is_space(const struct name_row *row)
{
	return row->type == 0040000;
}

int reference_encode(uint64_t id, uint32_t mode, struct buf *value);
/* d is filled in if the row embeds a Data; may be NULL */
int name_row_decode(struct name_row *row, struct data *d, const uint8_t *value,
		    size_t len);

void extent_encode(const struct extent *e, struct buf *value);
/* false: not a valid extent */
bool extent_read(struct reader *in, struct extent *e);
int extent_row_decode(struct extent *e, const uint8_t *value, size_t len);

/* 0, -ENAMETOOLONG, or -EINVAL: empty, ".", "..", with '/' or NUL in it */
int name_check(uint64_t space, const char *name, size_t len);

#endif
