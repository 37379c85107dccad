/* SPDX-License-Identifier: MIT */
#include "log/payload.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "log/format.h"

/* Bytes that are read with one call: while they are verified they are in the
 * processor's cache */
#define READ_MAX (256u << 10)

struct payload {
	struct file *file;
	uint64_t offset;
	uint32_t length;
	const uint8_t *sums; /* of its chunks */
};

/* A part of one chunk */
static int read_part(const struct payload *p, uint32_t start, uint32_t size,
		     uint8_t *buffer)
{
	uint8_t bytes[CHUNK_MAX];
	struct chunk c = chunk_at(p->length, start);
	uint32_t n = c.end - c.start;
	int rc = file_read(p->file, bytes, n, p->offset + c.start);
	if (rc)
		return rc;
	if (crc32c(0, bytes, n) != get_le32(p->sums + 4 * (size_t)c.number))
		return -EBADMSG;
	memcpy(buffer, bytes + (start - c.start), size);
	return 0;
}

/* Chunks from their beginning to their end */
static int read_chunks(const struct payload *p, uint32_t start, uint32_t size,
		       uint8_t *buffer)
{
	uint32_t i = start / chunk_size(p->length);
	int rc = file_read(p->file, buffer, size, p->offset + start);
	for (uint32_t done = 0; !rc && done < size; i++) {
		uint32_t n = chunk_length(p->length, i);
		if (crc32c(0, buffer + done, n) !=
		    get_le32(p->sums + 4 * (size_t)i))
			rc = -EBADMSG;
		done += n;
	}
	return rc;
}

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int read_range(const struct payload *p, uint32_t start, uint32_t end,
		      uint8_t *buffer)
{
	int rc = 0;
	while (!rc && start < end) {
		struct chunk c = chunk_at(p->length, start);
		uint32_t n = min32(end - start, READ_MAX);
		if (start != c.start || n < c.end - c.start) {
			n = min32(end, c.end) - start;
			rc = read_part(p, start, n, buffer);
		} else {
			if (start + n < p->length)
				n -= n % chunk_size(p->length);
			rc = read_chunks(p, start, n, buffer);
		}
		start += n;
		buffer += n;
	}
	return rc;
}

static int read_sums(struct file *file, uint64_t offset, uint32_t chunks,
		     uint32_t sum, uint8_t *sums)
{
	size_t size = 4 * (size_t)chunks;
	int rc = file_read(file, sums, size, offset - size);
	if (rc)
		return rc;
	return crc32c(0, sums, size) == sum ? 0 : -EBADMSG;
}

int payload_read(struct file *file, uint64_t offset, uint32_t length,
		 uint32_t sum, uint32_t start, uint32_t size, uint8_t *buffer)
{
	uint8_t sums[4 * (SEGMENT_SIZE / CHUNK_SIZE)];
	struct payload p = { file, offset, length, sums };
	int rc = 0;
	if (length > SEGMENT_SIZE || size > length || start > length - size)
		return -EUCLEAN;
	if (chunk_count(length) == 1)
		put_le32(sums, sum);
	else
		rc = read_sums(file, offset, chunk_count(length), sum, sums);
	if (!rc)
		rc = read_range(&p, start, start + size, buffer);
	/* A reference to what lies behind the end of the file */
	return rc == -ENODATA ? -EUCLEAN : rc;
}

int payload_verify(struct file *file, const struct log_record *record)
{
	static const uint8_t zeros[RECORD_ALIGN];
	uint8_t bytes[CHUNK_MAX];
	uint32_t length = record->header.payload_len;
	uint64_t end = record->payload + length;
	size_t pad = record->offset + record->size - end;
	struct payload p = { file, record->payload, length, record->array };
	int rc = 0;
	for (uint32_t at = 0; !rc && at < length; at += CHUNK_MAX)
		rc = read_range(&p, at, at + min32(length - at, CHUNK_MAX),
				bytes);
	if (!rc)
		rc = file_read(file, bytes, pad, end);
	if (rc)
		return rc;
	return memcmp(bytes, zeros, pad) == 0 ? 0 : -EBADMSG;
}
