/* SPDX-License-Identifier: MIT */
#include "log/format.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

static const uint8_t superblock_magic[8] = { 0x89, 'B', 'A', 'N',
					     'Y',  'A', 'N', '\n' };
static const uint8_t segment_magic[4] = { 'B', 'S', 'E', 'G' };

void superblock_encode(const struct superblock *sb, uint8_t *bytes)
{
	memset(bytes, 0, SUPERBLOCK_SIZE);
	memcpy(bytes, superblock_magic, sizeof(superblock_magic));
	put_le32(bytes + 8, sb->version);
	put_le32(bytes + 12, SEGMENT_SIZE);
	put_le64(bytes + 16, sb->compat);
	put_le64(bytes + 24, sb->ro_compat);
	put_le64(bytes + 32, sb->incompat);
	memcpy(bytes + 40, sb->uuid, 16);
	memcpy(bytes + 56, sb->file_uuid, 16);
	put_le64(bytes + 72, sb->generation);
	put_le64(bytes + 80, sb->salt);
	put_le64(bytes + 88, sb->created);
	put_le32(bytes + 4092, crc32c(0, bytes, 4092));
}

int superblock_decode(struct superblock *sb, const uint8_t *bytes,
		      bool writable)
{
	if (memcmp(bytes, superblock_magic, sizeof(superblock_magic)) != 0)
		return -EMEDIUMTYPE;
	/* The version comes first: a newer one may checksum otherwise */
	if (get_le32(bytes + 8) > FORMAT_VERSION)
		return -EPROTONOSUPPORT;
	if (get_le32(bytes + 4092) != crc32c(0, bytes, 4092))
		return -EBADMSG;
	struct superblock s = {
		.version = get_le32(bytes + 8),
		.compat = get_le64(bytes + 16),
		.ro_compat = get_le64(bytes + 24),
		.incompat = get_le64(bytes + 32),
		.generation = get_le64(bytes + 72),
		.salt = get_le64(bytes + 80),
		.created = get_le64(bytes + 88),
	};
	memcpy(s.uuid, bytes + 40, 16);
	memcpy(s.file_uuid, bytes + 56, 16);
	if (s.version == 0 || get_le32(bytes + 12) != SEGMENT_SIZE ||
	    s.generation == 0)
		return -EUCLEAN;
	if (s.incompat)
		return -EPROTONOSUPPORT;
	if (s.ro_compat && writable)
		return -EROFS;
	*sb = s;
	return 0;
}

uint32_t place_seed(uint64_t salt, uint64_t offset)
{
	uint8_t bytes[16];
	put_le64(bytes, salt);
	put_le64(bytes + 8, offset);
	return crc32c(0, bytes, sizeof(bytes));
}

uint64_t segment_start(uint64_t number)
{
	return number ? number * SEGMENT_SIZE : SUPERBLOCK_SIZE;
}

uint64_t segment_end(uint64_t offset)
{
	return (offset / SEGMENT_SIZE + 1) * SEGMENT_SIZE;
}

void segment_header_encode(const struct segment_header *h, uint64_t salt,
			   uint8_t *bytes)
{
	memset(bytes, 0, SEGMENT_HEADER_SIZE);
	memcpy(bytes + 4, segment_magic, sizeof(segment_magic));
	put_le64(bytes + 8, h->number);
	put_le64(bytes + 16, h->prev.offset);
	put_le64(bytes + 24, h->prev.seq);
	put_le32(bytes + 32, h->prev.chain);
	put_le64(bytes + 40, h->durable_to);
	put_le64(bytes + 48, h->last_freeze);
	put_le64(bytes + 56, salt);
	put_le32(bytes, crc32c(place_seed(salt, segment_start(h->number)),
			       bytes + 4, SEGMENT_HEADER_SIZE - 4));
}

uint64_t segment_header_salt(const uint8_t *bytes)
{
	return get_le64(bytes + 56);
}

bool segment_header_decode(struct segment_header *h, uint64_t salt,
			   uint64_t number, const uint8_t *bytes)
{
	uint64_t start = segment_start(number);
	uint32_t crc = crc32c(place_seed(salt, start), bytes + 4,
			      SEGMENT_HEADER_SIZE - 4);
	if (memcmp(bytes + 4, segment_magic, sizeof(segment_magic)) != 0 ||
	    get_le32(bytes) != crc)
		return false;
	struct segment_header s = {
		.number = get_le64(bytes + 8),
		.prev = { .offset = get_le64(bytes + 16),
			  .seq = get_le64(bytes + 24),
			  .chain = get_le32(bytes + 32) },
		.durable_to = get_le64(bytes + 40),
		.last_freeze = get_le64(bytes + 48),
	};
	if (s.number != number || s.prev.offset > start ||
	    s.durable_to > start || s.last_freeze >= start)
		return false;
	*h = s;
	return true;
}

uint32_t chunk_size(uint32_t payload_len)
{
	return payload_len > CHUNK_MAX ? CHUNK_SIZE : CHUNK_MAX;
}

uint32_t chunk_count(uint32_t payload_len)
{
	uint32_t size = chunk_size(payload_len);
	return payload_len / size + (payload_len % size != 0);
}

uint32_t chunk_length(uint32_t payload_len, uint32_t chunk)
{
	uint32_t size = chunk_size(payload_len);
	uint32_t rest = payload_len - chunk * size;
	return rest < size ? rest : size;
}

struct chunk chunk_at(uint32_t payload_len, uint32_t offset)
{
	uint32_t number = offset / chunk_size(payload_len);
	uint32_t start = number * chunk_size(payload_len);
	return (struct chunk){ number, start,
			       start + chunk_length(payload_len, number) };
}

uint64_t record_payload_start(uint32_t body_len, uint32_t payload_len)
{
	return RECORD_HEADER_SIZE + (uint64_t)body_len +
	       4 * (uint64_t)chunk_count(payload_len);
}

uint64_t record_size(uint32_t body_len, uint32_t payload_len)
{
	uint64_t size =
		record_payload_start(body_len, payload_len) + payload_len;
	return (size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

static bool has_payload(uint32_t type)
{
	return type == RECORD_EXTENT || type == RECORD_NODES;
}

void record_header_encode(const struct record_header *h, uint8_t *bytes)
{
	put_le32(bytes, h->crc);
	put_le32(bytes + 4, h->chain);
	uint32_t length = has_payload(h->type) ? h->payload_len : h->body_len;
	put_le32(bytes + 8, (uint32_t)h->seq);
	put_le32(bytes + 12, (uint32_t)h->type | length << 8);
}

uint32_t record_crc(uint64_t salt, uint64_t offset, const uint8_t *header,
		    const void *body, size_t body_len, const void *array,
		    size_t array_len)
{
	uint32_t crc = place_seed(salt, offset);
	crc = crc32c(crc, header + 4, RECORD_HEADER_SIZE - 4);
	crc = crc32c(crc, body, body_len);
	return crc32c(crc, array, array_len);
}

static bool record_type_known(uint8_t type)
{
	return type >= RECORD_OPERATION && type <= RECORD_MARK;
}

bool record_header_decode(struct record_header *h, uint64_t offset,
			  const uint8_t *bytes)
{
	uint32_t word = get_le32(bytes + 12);
	uint8_t type = (uint8_t)word;
	struct record_header r = {
		.crc = get_le32(bytes),
		.chain = get_le32(bytes + 4),
		.seq = get_le32(bytes + 8),
		.body_len = has_payload(type) ? 0 : word >> 8,
		.payload_len = has_payload(type) ? word >> 8 : 0,
	};
	if (!record_type_known(type) || offset % RECORD_ALIGN != 0 ||
	    r.body_len > BODY_MAX || r.payload_len > SEGMENT_SIZE ||
	    record_size(r.body_len, r.payload_len) >
		    segment_end(offset) - offset)
		return false;
	r.type = (enum record_type)type;
	*h = r;
	return true;
}

void freeze_encode(const struct freeze *f, uint8_t *body)
{
	memset(body, 0, FREEZE_BODY_SIZE);
	put_le64(body, f->number);
	put_le64(body + 8, f->time);
	put_le64(body + 16, (f->automatic ? FREEZE_AUTOMATIC : 0) |
				    (f->gap ? FREEZE_GAP : 0) |
				    (f->punched ? FREEZE_PUNCHED : 0));
	put_le64(body + 24, f->root.offset);
	put_le32(body + 32, f->root.length);
	put_le32(body + 36, f->root.crc);
	put_le64(body + 40, f->height);
	put_le64(body + 48, f->replay.offset);
	put_le64(body + 56, f->replay.seq);
	put_le32(body + 64, f->replay.chain);
	put_le32(body + 68, f->punches);
	put_le64(body + 72, f->previous);
	put_le64(body + 80, f->durable_to);
	put_le64(body + 88, f->next_id);
	put_le64(body + 96, f->keys);
	put_le64(body + 104, f->live_bytes);
	put_le64(body + 112, f->index_bytes);
}

static bool freeze_sane(const struct freeze *f, uint64_t height,
			uint64_t offset)
{
	bool empty = height == 0;
	if (height > TREE_HEIGHT_MAX || empty != (f->root.offset == 0) ||
	    empty != (f->root.length == 0))
		return false;
	if (!empty && (f->root.offset < SUPERBLOCK_SIZE ||
		       f->root.length > NODE_MAX || f->root.offset > offset ||
		       f->root.length > offset - f->root.offset))
		return false;
	return f->number > 0 && f->number < INT64_MAX && f->next_id > 0 &&
	       f->next_id <= INT64_MAX &&
	       f->replay.offset >= SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE &&
	       f->replay.offset <= offset && f->replay.seq > 0 &&
	       f->replay.seq < INT64_MAX && f->previous < offset &&
	       !(f->punched && f->previous) && f->durable_to <= offset;
}

bool freeze_decode(struct freeze *f, uint64_t offset, const uint8_t *body,
		   size_t len)
{
	if (len != FREEZE_BODY_SIZE)
		return false;
	struct freeze d = {
		.number = get_le64(body),
		.time = get_le64(body + 8),
		.automatic = get_le64(body + 16) & FREEZE_AUTOMATIC,
		.gap = get_le64(body + 16) & FREEZE_GAP,
		.punched = get_le64(body + 16) & FREEZE_PUNCHED,
		.root = { .offset = get_le64(body + 24),
			  .length = get_le32(body + 32),
			  .crc = get_le32(body + 36) },
		.replay = { .offset = get_le64(body + 48),
			    .seq = get_le64(body + 56),
			    .chain = get_le32(body + 64) },
		.punches = get_le32(body + 68),
		.previous = get_le64(body + 72),
		.durable_to = get_le64(body + 80),
		.next_id = get_le64(body + 88),
		.keys = get_le64(body + 96),
		.live_bytes = get_le64(body + 104),
		.index_bytes = get_le64(body + 112),
	};
	uint64_t height = get_le64(body + 40);
	if (!freeze_sane(&d, height, offset))
		return false;
	d.height = (unsigned)height;
	*f = d;
	return true;
}
