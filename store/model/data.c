/* SPDX-License-Identifier: MIT */
#include "model/data.h"

#include <errno.h>
#include <string.h>

#include "banyan.h"
#include "log/format.h"

enum {
	DATA_MTIME = 1 << 0,
	DATA_CTIME = 1 << 1,
	DATA_ATIME = 1 << 2,
	DATA_NLINK = 1 << 3,
	DATA_RDEV = 1 << 4,
	DATA_PARENT = 1 << 5,
	DATA_CONTENTS_SHIFT = 6,
};

enum {
	VALUE_REFERENCE = 0,
	VALUE_DATA = 1,
};

enum {
	EXTENT_SHARED = 1 << 0,
	EXTENT_PART = 1 << 1,
};

#define MODE_TYPE 0170000u
#define MODE_BITS 16
#define FLAGS_KNOWN \
	((uint32_t)(BANYAN_IMMUTABLE | BANYAN_APPEND_ONLY | BANYAN_NO_DUMP))

/* Since the birth, modulo 2^64 (timestamp.h): few bytes if soon after it */
static uint64_t time_since(timestamp birth, timestamp t)
{
	return zigzag((int64_t)(t - birth));
}

static timestamp read_since(timestamp birth, struct reader *in)
{
	return birth + (uint64_t)read_zigzag(in);
}

void extent_encode(const struct extent *e, struct buf *value)
{
	bool part = e->start != 0 || e->length != e->payload_len;
	buf_add_varint(value, (e->shared ? EXTENT_SHARED : 0) |
				      (part ? EXTENT_PART : 0));
	buf_add_varint(value, e->payload);
	buf_add_varint(value, e->payload_len);
	buf_add_le32(value, e->sum);
	if (part) {
		buf_add_varint(value, e->start);
		buf_add_varint(value, e->length);
	}
}

static inline bool read_extent(struct reader *in, struct extent *e)
{
	uint64_t flags = read_varint(in);
	uint64_t payload = read_varint(in);
	uint64_t payload_len = read_varint(in);
	uint32_t sum = read_le32(in);
	uint64_t start = 0;
	uint64_t length = payload_len;
	if (flags & EXTENT_PART) {
		start = read_varint(in);
		length = read_varint(in);
	}
	if (in->bad || flags > (EXTENT_SHARED | EXTENT_PART) ||
	    payload < SUPERBLOCK_SIZE || payload > INT64_MAX ||
	    payload_len > SEGMENT_SIZE || length == 0 || length > payload_len ||
	    start > payload_len - length ||
	    payload_len > segment_end(payload) - payload)
		return false;
	*e = (struct extent){
		.payload = payload,
		.payload_len = (uint32_t)payload_len,
		.sum = sum,
		.start = (uint32_t)start,
		.length = (uint32_t)length,
		.shared = flags & EXTENT_SHARED,
	};
	return true;
}

bool extent_read(struct reader *in, struct extent *e)
{
	return read_extent(in, e);
}

int extent_row_decode(struct extent *e, const uint8_t *value, size_t len)
{
	struct reader in = reader_of(value, len);
	struct extent x;
	if (!read_extent(&in, &x) || in.at != in.end)
		return -EUCLEAN;
	*e = x;
	return 0;
}

static void encode_contents(const struct data *d, struct buf *value)
{
	uint64_t end = 0;
	switch (d->contents) {
	case CONTENTS_NONE:
		break;
	case CONTENTS_INLINE:
		buf_add(value, d->inline_bytes, d->inline_len);
		break;
	case CONTENTS_EXTENTS:
		buf_add_u8(value, (uint8_t)d->extents);
		for (uint32_t i = 0; i < d->extents; i++) {
			buf_add_varint(value, d->extent[i].at - end);
			extent_encode(&d->extent[i].e, value);
			end = d->extent[i].at + d->extent[i].e.length;
		}
		break;
	case CONTENTS_ROWS:
		buf_add_varint(value, d->stored);
		break;
	}
}

static uint8_t flags_of(const struct data *d)
{
	uint8_t flags = (uint8_t)(d->contents << DATA_CONTENTS_SHIFT);
	flags |= d->mtime != d->birth ? DATA_MTIME : 0;
	flags |= d->ctime != d->mtime ? DATA_CTIME : 0;
	flags |= d->atime != d->mtime ? DATA_ATIME : 0;
	flags |= d->nlink != 1 ? DATA_NLINK : 0;
	flags |= d->rdev ? DATA_RDEV : 0;
	flags |= d->parent ? DATA_PARENT : 0;
	return flags;
}

size_t data_write_fields(const struct data *d, uint8_t *to)
{
	uint8_t flags = flags_of(d);
	uint8_t *p = to;
	*p++ = VALUE_DATA;
	*p++ = flags;
	p += put_varint(p, d->mode | d->flags << MODE_BITS);
	p += put_varint(p, d->uid);
	p += put_varint(p, d->gid);
	put_be64(p, d->birth);
	p += 8;
	if (flags & DATA_MTIME)
		p += put_varint(p, time_since(d->birth, d->mtime));
	if (flags & DATA_CTIME)
		p += put_varint(p, time_since(d->birth, d->ctime));
	if (flags & DATA_ATIME)
		p += put_varint(p, time_since(d->birth, d->atime));
	p += put_varint(p, d->id);
	p += put_varint(p, d->size);
	if (flags & DATA_NLINK)
		p += put_varint(p, d->nlink);
	if (flags & DATA_RDEV)
		p += put_varint(p, d->rdev);
	if (flags & DATA_PARENT)
		p += put_varint(p, d->parent);
	return (size_t)(p - to);
}

int data_encode(const struct data *d, struct buf *value)
{
	buf_reset(value);
	uint8_t *start = buf_reserve(value, DATA_FIELDS_MAX);
	if (!start)
		return -ENOMEM;
	value->len = data_write_fields(d, start);
	encode_contents(d, value);
	return value->failed ? -ENOMEM : 0;
}

static bool read_inline(struct data *d, struct reader *in)
{
	size_t n = reader_left(in);
	if (n == 0 || n > INLINE_MAX || n > d->size)
		return false;
	memcpy(d->inline_bytes, read_bytes(in, n), n);
	d->inline_len = (uint32_t)n;
	d->stored = n;
	return true;
}

static bool read_extents(struct data *d, struct reader *in)
{
	uint64_t end = 0;
	d->extents = read_u8(in);
	if (d->extents < 1 || d->extents > EXTENTS_IN_ROW)
		return false;
	for (uint32_t i = 0; i < d->extents; i++) {
		uint64_t skip = read_varint(in);
		struct extent *e = &d->extent[i].e;
		if (skip > d->size - end || !extent_read(in, e) ||
		    e->length > d->size - end - skip)
			return false;
		d->extent[i].at = end + skip;
		end = d->extent[i].at + e->length;
		d->stored += e->length;
	}
	return true;
}

static bool read_contents(struct data *d, struct reader *in)
{
	switch (d->contents) {
	case CONTENTS_NONE:
		return true;
	case CONTENTS_INLINE:
		return read_inline(d, in);
	case CONTENTS_EXTENTS:
		return read_extents(d, in);
	case CONTENTS_ROWS:
		d->stored = read_varint(in);
		return d->stored <= d->size;
	}
	return false;
}

static bool type_known(uint32_t mode)
{
	switch (mode & MODE_TYPE) {
	case 0010000:
	case 0020000:
	case 0040000:
	case 0060000:
	case 0100000:
	case 0120000:
	case 0140000:
		return true;
	default:
		return false;
	}
}

/* The fields whose presence the flags tell, and what must hold between them */
static bool read_fields(struct data *d, uint8_t flags, struct reader *in)
{
	uint64_t mode = read_varint(in);
	uint64_t uid = read_varint(in);
	uint64_t gid = read_varint(in);
	d->birth = read_be64(in);
	d->mtime = flags & DATA_MTIME ? read_since(d->birth, in) : d->birth;
	d->ctime = flags & DATA_CTIME ? read_since(d->birth, in) : d->mtime;
	d->atime = flags & DATA_ATIME ? read_since(d->birth, in) : d->mtime;
	d->id = read_varint(in);
	d->size = read_varint(in);
	uint64_t nlink = flags & DATA_NLINK ? read_varint(in) : 1;
	d->rdev = flags & DATA_RDEV ? read_varint(in) : 0;
	d->parent = flags & DATA_PARENT ? read_varint(in) : 0;
	if (in->bad || mode >> MODE_BITS > FLAGS_KNOWN || uid > UINT32_MAX ||
	    gid > UINT32_MAX || nlink > UINT32_MAX || d->id == 0 ||
	    d->id > INT64_MAX || d->size > INT64_MAX || d->parent > INT64_MAX)
		return false;
	d->mode = (uint32_t)mode & ((1u << MODE_BITS) - 1);
	d->flags = (uint32_t)(mode >> MODE_BITS);
	d->uid = (uint32_t)uid;
	d->gid = (uint32_t)gid;
	d->nlink = (uint32_t)nlink;
	return type_known(d->mode) && data_is_space(d) == (d->parent != 0);
}

/* All but the contents, whose kind is known then */
static bool decode_fields(struct data *d, struct reader *in)
{
	uint8_t kind = read_u8(in);
	uint8_t flags = read_u8(in);
	if (in->bad || kind != VALUE_DATA)
		return false;
	d->contents = (enum contents_kind)(flags >> DATA_CONTENTS_SHIFT);
	return read_fields(d, flags, in);
}

size_t data_read_fields(struct data *d, const uint8_t *value, size_t len)
{
	struct reader in = reader_of(value, len);
	if (!decode_fields(d, &in) || value[1] != flags_of(d))
		return 0;
	return (size_t)(in.at - value);
}

int data_decode(struct data *d, const uint8_t *value, size_t len)
{
	struct reader in = reader_of(value, len);
	d->inline_len = 0;
	d->extents = 0;
	d->stored = 0;
	if (!decode_fields(d, &in) || !read_contents(d, &in) || in.bad ||
	    in.at != in.end)
		return -EUCLEAN;
	if (data_is_space(d) && (d->contents != CONTENTS_NONE || d->size))
		return -EUCLEAN;
	return 0;
}

int reference_encode(uint64_t id, uint32_t mode, struct buf *value)
{
	buf_reset(value);
	buf_add_u8(value, VALUE_REFERENCE);
	buf_add_u8(value, (uint8_t)((mode & MODE_TYPE) >> 12));
	buf_add_varint(value, id);
	return value->failed ? -ENOMEM : 0;
}

bool data_may_have_extents(const uint8_t *value, size_t len)
{
	return len > 1 && value[0] == VALUE_DATA &&
	       value[1] >> DATA_CONTENTS_SHIFT == CONTENTS_EXTENTS;
}

int name_row_decode(struct name_row *row, struct data *d, const uint8_t *value,
		    size_t len)
{
	struct reader in = reader_of(value, len);
	struct data scratch;
	if (len && value[0] == VALUE_DATA) {
		struct data *to = d ? d : &scratch;
		int rc = data_decode(to, value, len);
		if (rc)
			return rc;
		if (data_is_space(to) || to->nlink != 1)
			return -EUCLEAN;
		*row = (struct name_row){ to->id, to->mode & MODE_TYPE, true };
		return 0;
	}
	uint8_t kind = read_u8(&in);
	uint32_t type = (uint32_t)read_u8(&in) << 12;
	uint64_t id = read_varint(&in);
	if (in.bad || in.at != in.end || kind != VALUE_REFERENCE || id == 0 ||
	    id > INT64_MAX || (type & ~MODE_TYPE) || !type_known(type))
		return -EUCLEAN;
	*row = (struct name_row){ id, type, false };
	return 0;
}

/* Is one of the eight bytes 0? (An old trick: only it borrows from its top bit,
 * or what is above it.) */
static bool has_zero(uint64_t bytes)
{
	const uint64_t ones = UINT64_MAX / 0xff;
	return ((bytes - ones) & ~bytes & ones << 7) != 0;
}

/* A slash, or the end of a string */
static bool has_separator(const char *name, size_t len)
{
	const uint64_t slashes = UINT64_MAX / 0xff * '/';
	size_t i = 0;
	for (; i + 8 <= len; i += 8) {
		uint64_t bytes = get_le64(name + i);
		if (has_zero(bytes) || has_zero(bytes ^ slashes))
			return true;
	}
	while (i < len && name[i] && name[i] != '/')
		i++;
	return i < len;
}

int name_check(uint64_t space, const char *name, size_t len)
{
	if (len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || has_separator(name, len) ||
	    (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.'))
		return -EINVAL;
	if (space == BANYAN_ROOT_ID && len == 7 &&
	    memcmp(name, ".banyan", 7) == 0)
		return -EINVAL;
	return 0;
}
