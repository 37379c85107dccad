/* SPDX-License-Identifier: MIT */
#include "model/packed_data.h"

#include <string.h>

#include "base/row_limits.h"

/* The word. What a new file, a short value and a key space need has room in a byte. */
enum {
	PACKED_CONTENTS = 3, /* their kind */
	PACKED_ID = 1 << 2, /* else that of the row, or the next one */
	PACKED_BIRTH = 1 << 3, /* else the stamp */
	PACKED_CTIME = 1 << 4, /* else the stamp */
	PACKED_MODE = 1 << 5, /* else as in the Data before */
	PACKED_OWNER = 1 << 6, /* likewise */
	PACKED_MTIME = 1 << 7, /* else the stamp, or */
	PACKED_MTIME_BIRTH = 1 << 8, /* the birth */
	PACKED_ATIME = 1 << 9, /* else the birth, or */
	PACKED_ATIME_MTIME = 1 << 10, /* the mtime */
	PACKED_SIZE = 1 << 11, /* else the bytes in the row */
	PACKED_NLINK = 1 << 12, /* else 2 for a key space, 1 for others */
	PACKED_RDEV = 1 << 13, /* else 0 */
	PACKED_ALL = (1 << 14) - 1,
};

#define MODE_BITS 16
#define FIRST_MODE 0100644

void packed_begin(struct packed_state *s, timestamp stamp, uint64_t next_id)
{
	*s = (struct packed_state){ .stamp = stamp,
				    .id = next_id - 1,
				    .mode = FIRST_MODE };
}

static uint32_t mode_of(const struct data *d)
{
	return d->mode | d->flags << MODE_BITS;
}

static uint32_t usual_nlink(const struct data *d)
{
	return data_is_space(d) ? 2 : 1;
}

static uint64_t usual_size(const struct data *d, size_t contents)
{
	return d->contents == CONTENTS_INLINE ? contents : 0;
}

static uint64_t usual_id(const struct packed_state *s, uint64_t id)
{
	return id ? id : s->id;
}

static void pass_on(struct packed_state *s, uint64_t id, const struct data *d)
{
	if (!id)
		s->id = d->id + 1;
	s->mode = mode_of(d);
	s->uid = d->uid;
	s->gid = d->gid;
}

/* ---- writing ---------------------------------------------------------- */

static uint32_t times_word(const struct packed_state *s, const struct data *d)
{
	uint32_t word = 0;
	if (d->birth != s->stamp)
		word |= PACKED_BIRTH;
	if (d->ctime != s->stamp)
		word |= PACKED_CTIME;
	if (d->mtime != s->stamp)
		word |= d->mtime == d->birth ? PACKED_MTIME_BIRTH :
					       PACKED_MTIME;
	if (d->atime != d->birth)
		word |= d->atime == d->mtime ? PACKED_ATIME_MTIME :
					       PACKED_ATIME;
	return word;
}

static uint32_t word_of(const struct packed_state *s, uint64_t id,
			const struct data *d, size_t contents)
{
	uint32_t word = (uint32_t)d->contents | times_word(s, d);
	if (d->id != usual_id(s, id))
		word |= PACKED_ID;
	if (mode_of(d) != s->mode)
		word |= PACKED_MODE;
	if (d->uid != s->uid || d->gid != s->gid)
		word |= PACKED_OWNER;
	if (d->size != usual_size(d, contents))
		word |= PACKED_SIZE;
	if (d->nlink != usual_nlink(d))
		word |= PACKED_NLINK;
	if (d->rdev)
		word |= PACKED_RDEV;
	return word;
}

static size_t put_time(uint8_t *to, const struct packed_state *s, timestamp t)
{
	return put_varint(to, zigzag((int64_t)(t - s->stamp)));
}

static uint8_t *put_fields(uint8_t *p, const struct packed_state *s,
			   uint32_t word, const struct data *d)
{
	if (word & PACKED_MODE)
		p += put_varint(p, mode_of(d));
	if (word & PACKED_OWNER) {
		p += put_varint(p, d->uid);
		p += put_varint(p, d->gid);
	}
	if (word & PACKED_ID)
		p += put_varint(p, d->id);
	if (word & PACKED_BIRTH)
		p += put_time(p, s, d->birth);
	if (word & PACKED_MTIME)
		p += put_time(p, s, d->mtime);
	if (word & PACKED_CTIME)
		p += put_time(p, s, d->ctime);
	if (word & PACKED_ATIME)
		p += put_time(p, s, d->atime);
	if (word & PACKED_SIZE)
		p += put_varint(p, d->size);
	if (word & PACKED_NLINK)
		p += put_varint(p, d->nlink);
	if (word & PACKED_RDEV)
		p += put_varint(p, d->rdev);
	if (data_is_space(d))
		p += put_varint(p, d->parent);
	return p;
}

size_t packed_write(struct packed_state *s, uint64_t id, const uint8_t *value,
		    size_t len, uint8_t *to)
{
	struct data d;
	size_t n = data_read_fields(&d, value, len);
	size_t contents = len - n;
	if (!n || (d.contents == CONTENTS_NONE && contents))
		return 0;
	uint32_t word = word_of(s, id, &d, contents);
	uint8_t *p = to + put_varint(to, word);
	p = put_fields(p, s, word, &d);
	if (d.contents != CONTENTS_NONE) {
		p += put_varint(p, contents);
		memcpy(p, value + n, contents);
		p += contents;
	}
	pass_on(s, id, &d);
	return (size_t)(p - to);
}

/* ---- reading ---------------------------------------------------------- */

static timestamp read_time(const struct packed_state *s, struct reader *in)
{
	return s->stamp + (uint64_t)read_zigzag(in);
}

static void read_times(const struct packed_state *s, uint32_t word,
		       struct reader *in, struct data *d)
{
	d->birth = word & PACKED_BIRTH ? read_time(s, in) : s->stamp;
	d->mtime = word & PACKED_MTIME	     ? read_time(s, in) :
		   word & PACKED_MTIME_BIRTH ? d->birth :
					       s->stamp;
	d->ctime = word & PACKED_CTIME ? read_time(s, in) : s->stamp;
	d->atime = word & PACKED_ATIME	     ? read_time(s, in) :
		   word & PACKED_ATIME_MTIME ? d->mtime :
					       d->birth;
}

/* A number that has 32 bits in struct data */
static uint32_t read_u32(struct reader *in)
{
	uint64_t v = read_varint(in);
	if (v > UINT32_MAX)
		reader_fail(in);
	return (uint32_t)v;
}

static void read_mode_and_owner(const struct packed_state *s, uint32_t word,
				struct reader *in, struct data *d)
{
	uint32_t mode = word & PACKED_MODE ? read_u32(in) : s->mode;
	d->mode = mode & ((1u << MODE_BITS) - 1);
	d->flags = mode >> MODE_BITS;
	d->uid = word & PACKED_OWNER ? read_u32(in) : s->uid;
	d->gid = word & PACKED_OWNER ? read_u32(in) : s->gid;
}

static bool word_valid(uint64_t word)
{
	const uint32_t mtime = PACKED_MTIME | PACKED_MTIME_BIRTH;
	const uint32_t atime = PACKED_ATIME | PACKED_ATIME_MTIME;
	return word <= PACKED_ALL && (word & mtime) != mtime &&
	       (word & atime) != atime;
}

size_t packed_read(struct packed_state *s, uint64_t id, struct reader *in,
		   uint8_t *value)
{
	struct data d;
	uint64_t all = read_varint(in);
	if (!word_valid(all))
		return 0;
	uint32_t word = (uint32_t)all;
	d.contents = (enum contents_kind)(word & PACKED_CONTENTS);
	read_mode_and_owner(s, word, in, &d);
	d.id = word & PACKED_ID ? read_varint(in) : usual_id(s, id);
	read_times(s, word, in, &d);
	d.size = word & PACKED_SIZE ? read_varint(in) : 0;
	d.nlink = word & PACKED_NLINK ? read_u32(in) : usual_nlink(&d);
	d.rdev = word & PACKED_RDEV ? read_varint(in) : 0;
	d.parent = data_is_space(&d) ? read_varint(in) : 0;
	uint64_t contents = d.contents == CONTENTS_NONE ? 0 : read_varint(in);
	const uint8_t *bytes = read_bytes(in, contents);
	if (!bytes)
		return 0;
	if (!(word & PACKED_SIZE))
		d.size = usual_size(&d, contents);
	size_t n = data_write_fields(&d, value);
	if (contents > ROW_VALUE_MAX - n)
		return 0;
	memcpy(value + n, bytes, contents);
	pass_on(s, id, &d);
	return n + contents;
}
