/* SPDX-License-Identifier: MIT */
#include "mend.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "log/format.h"

/* More than a recipe can sensibly have */
#define RECORDS_MAX 4096u
#define NODES_MAX 4096u

struct mender {
	struct image *image;
	uint64_t salt;
	struct log_position at;
	/* Positions in front of records, for what refers to them */
	struct log_position seen[RECORDS_MAX];
	size_t count;
	unsigned nodes;
};

static bool inside(const struct mender *m, uint64_t offset, uint64_t size)
{
	return offset <= m->image->size && size <= m->image->size - offset;
}

/* ---- superblock and segment headers ----------------------------------- */

static int mend_superblock(struct mender *m)
{
	static const uint8_t magic[8] = { 0x89, 'B', 'A', 'N',
					  'Y',	'A', 'N', '\n' };
	uint8_t b[SUPERBLOCK_SIZE];
	image_read(m->image, b, sizeof(b), 0);
	memcpy(b, magic, sizeof(magic));
	put_le32(b + 8, FORMAT_VERSION);
	put_le32(b + 12, SEGMENT_SIZE);
	memset(b + 32, 0, 8);
	put_le32(b + 4092, crc32c(0, b, 4092));
	m->salt = get_le64(b + 80);
	return image_write(m->image, b, sizeof(b), 0);
}

static bool read_header(const struct mender *m, uint64_t number, uint8_t *b)
{
	if (!inside(m, segment_start(number), SEGMENT_HEADER_SIZE))
		return false;
	image_read(m->image, b, SEGMENT_HEADER_SIZE, segment_start(number));
	return memcmp(b + 4, "BSEG", 4) == 0;
}

static int write_header(struct mender *m, uint64_t number, uint8_t *b)
{
	put_le64(b + 8, number);
	put_le32(b, crc32c(place_seed(m->salt, segment_start(number)), b + 4,
			   SEGMENT_HEADER_SIZE - 4));
	return image_write(m->image, b, SEGMENT_HEADER_SIZE,
			   segment_start(number));
}

static uint64_t segments(const struct mender *m)
{
	return m->image->size / SEGMENT_SIZE + 1;
}

static int mend_headers(struct mender *m)
{
	uint8_t b[SEGMENT_HEADER_SIZE];
	for (uint64_t i = 0; i < segments(m); i++) {
		int rc = read_header(m, i, b) ? write_header(m, i, b) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

/* If the last segment that continues this one does so from here, go there */
static bool follow_exit(struct mender *m, bool write)
{
	uint64_t here = (m->at.offset - 1) / SEGMENT_SIZE;
	uint8_t b[SEGMENT_HEADER_SIZE];
	for (uint64_t i = segments(m); i-- > here + 1;) {
		if (!read_header(m, i, b))
			continue;
		uint64_t from = get_le64(b + 16);
		if (!from || (from - 1) / SEGMENT_SIZE != here)
			continue;
		if (from != m->at.offset)
			return false;
		put_le64(b + 24, m->at.seq);
		put_le32(b + 32, m->at.chain);
		if (write && write_header(m, i, b))
			return false;
		m->at.offset = segment_start(i) + SEGMENT_HEADER_SIZE;
		return true;
	}
	return false;
}

/* ---- nodes ------------------------------------------------------------ */

static int mend_node(struct mender *m, uint64_t offset, uint32_t length,
		     unsigned level, uint32_t *crc);

/* The children of a node above level 0; false: it is none */
static bool mend_children(struct mender *m, uint8_t *b, uint64_t offset,
			  uint32_t length, unsigned level)
{
	struct reader in = reader_of(b, length);
	unsigned count = get_le16(b + 2);
	read_bytes(&in, 8u + get_le16(b + 4) + get_le16(b + 6));
	while (count-- && !in.bad) {
		read_bytes(&in, read_varint(&in));
		uint64_t v = read_varint(&in);
		uint64_t child_len = read_varint(&in);
		uint64_t child = v & 1 ? offset - v / 2 : v / 2;
		uint8_t *sum = b + (in.at - b);
		uint32_t crc = 0;
		if (!read_bytes(&in, 4) || child_len > NODE_MAX ||
		    child >= offset)
			return false;
		if (!mend_node(m, child, (uint32_t)child_len, level - 1, &crc))
			put_le32(sum, crc);
	}
	return !in.bad;
}

static int mend_node(struct mender *m, uint64_t offset, uint32_t length,
		     unsigned level, uint32_t *crc)
{
	if (length < 8 || length > NODE_MAX || !inside(m, offset, length) ||
	    m->nodes++ > NODES_MAX)
		return -EINVAL;
	uint8_t *b = malloc(length);
	if (!b)
		return -ENOMEM;
	image_read(m->image, b, length, offset);
	int rc = 0;
	if (level && mend_children(m, b, offset, length, level))
		rc = image_write(m->image, b, length, offset);
	*crc = crc32c(0, b, length);
	free(b);
	return rc;
}

/* ---- records ---------------------------------------------------------- */

/* What a freeze says of the tree and of the log before it */
static void mend_freeze(struct mender *m, uint8_t *body)
{
	uint64_t height = get_le64(body + 40);
	uint32_t crc = 0;
	if (height && height <= TREE_HEIGHT_MAX &&
	    !mend_node(m, get_le64(body + 24), get_le32(body + 32),
		       (unsigned)height - 1, &crc))
		put_le32(body + 36, crc);
	for (size_t i = 0; i < m->count; i++) {
		if (m->seen[i].offset != get_le64(body + 48))
			continue;
		put_le64(body + 56, m->seen[i].seq);
		put_le32(body + 64, m->seen[i].chain);
	}
}

static void mend_sums(struct mender *m, uint8_t *b,
		      const struct record_header *h)
{
	uint8_t *body = b + RECORD_HEADER_SIZE;
	uint8_t *array = body + h->body_len;
	uint32_t chunks = chunk_count(h->payload_len);
	uint8_t *chunk = array + 4 * chunks;
	for (uint32_t i = 0; i < chunks; i++) {
		uint32_t n = chunk_length(h->payload_len, i);
		put_le32(array + 4 * i, crc32c(0, chunk, n));
		chunk += n;
	}
	put_le32(b + 4, m->at.chain);
	put_le32(b + 8, (uint32_t)m->at.seq);
	put_le32(b, record_crc(m->salt, m->at.offset, b, body, h->body_len,
			       array, 4 * chunks));
}

/* The record at the position. 1: none is there. */
static int mend_record(struct mender *m, bool sums)
{
	uint8_t head[RECORD_HEADER_SIZE];
	struct record_header h;
	if (m->at.offset % SEGMENT_SIZE == 0 ||
	    !inside(m, m->at.offset, sizeof(head)))
		return 1;
	image_read(m->image, head, sizeof(head), m->at.offset);
	if (!record_header_decode(&h, m->at.offset, head))
		return 1;
	uint64_t size = record_size(h.body_len, h.payload_len);
	if (!inside(m, m->at.offset, size))
		return 1;
	uint8_t *b = malloc(size);
	if (!b)
		return -ENOMEM;
	image_read(m->image, b, size, m->at.offset);
	if (h.type == RECORD_FREEZE && h.body_len == FREEZE_BODY_SIZE)
		mend_freeze(m, b + RECORD_HEADER_SIZE);
	if (sums)
		mend_sums(m, b, &h);
	int rc = sums ? image_write(m->image, b, size, m->at.offset) : 0;
	m->seen[m->count++] = m->at;
	m->at.offset += size;
	m->at.seq++;
	m->at.chain = get_le32(b);
	free(b);
	return rc;
}

static int mend_log(struct mender *m, bool sums)
{
	int rc = 0;
	m->at = (struct log_position){ SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE, 1,
				       0 };
	m->count = 0;
	m->nodes = 0;
	while (!rc && m->count < RECORDS_MAX) {
		while (follow_exit(m, sums))
			;
		rc = mend_record(m, sums);
	}
	return rc < 0 ? rc : 0;
}

int mend(struct image *image)
{
	if (image->size < SUPERBLOCK_SIZE)
		return 0;
	struct mender *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->image = image;
	int rc = mend_superblock(m);
	if (!rc)
		rc = mend_headers(m);
	/* First the nodes, on which the sums of their records depend */
	if (!rc)
		rc = mend_log(m, false);
	if (!rc)
		rc = mend_log(m, true);
	free(m);
	return rc;
}
