/* SPDX-License-Identifier: MIT */
/*
 * Rows that nobody honest has written, on a database that is sound up to there:
 * a sound freeze, and behind it one operation whose body is the input. Two bytes
 * go before it: what is done, and a choice among operations.
 */
#include <assert.h>
#include <stdlib.h>

#include "api/handle.h"
#include "exercise.h"
#include "honest.h"
#include "image_file.h"
#include "targets.h"

enum {
	READ = 1 << 0,
	FREEZE = 1 << 1, /* then read them from the tree */
	WRITE = 1 << 2,
};

static const struct banyan_options options = { .cache_bytes =
						       BANYAN_CACHE_MIN };

struct base {
	struct image image;
	struct log_state end;
};

static void make_base(struct base *base)
{
	struct file *f = NULL;
	banyan *db = NULL;
	int rc = image_file(NULL, &base->image, &f);
	if (!rc)
		rc = handle_open_file(f, &options, true, &db);
	assert(!rc);
	honest_fill(db);
	rc = banyan_close(db);
	if (!rc)
		rc = image_file(&base->image, NULL, &f);
	if (!rc)
		rc = log_recover(f, false, &base->end, NULL, NULL);
	assert(!rc && base->end.end.offset == base->image.size);
	file_close(f);
}

/* Append the operation record */
static int add_operation(const struct log_state *st, const uint8_t *body,
			 size_t size, struct image *image)
{
	uint8_t head[RECORD_HEADER_SIZE];
	uint64_t at = st->end.offset;
	struct record_header h = { .chain = st->end.chain,
				   .seq = st->end.seq,
				   .type = RECORD_OPERATION,
				   .body_len = (uint32_t)size };
	record_header_encode(&h, head);
	h.crc = record_crc(st->sb.salt, at, head, body, size, NULL, 0);
	record_header_encode(&h, head);
	image->size = at + record_size((uint32_t)size, 0);
	int rc = image_write(image, head, sizeof(head), at);
	return rc ? rc : image_write(image, body, size, at + sizeof(head));
}

static void use(const struct image *image, const uint8_t *input)
{
	struct image kept = { 0 };
	struct file *f = NULL;
	banyan *db = NULL;
	if (image_file(image, &kept, &f))
		return;
	int rc = handle_open_file(f, &options, false, &db);
	if (!rc) {
		if (input[0] & READ)
			exercise_read(db);
		if (input[0] & FREEZE) {
			(void)banyan_freeze(db);
			exercise_read(db);
		}
		if (input[0] & WRITE)
			exercise_write(db, input[1]);
		(void)banyan_close(db);
	}
	image_free(&kept);
}

void fuzz_rows(const uint8_t *input, size_t size)
{
	static struct base base;
	struct image image = { 0 };
	if (!base.image.size)
		make_base(&base);
	if (size < 2 || size > 1u << 20)
		return;
	if (!image_copy(&image, &base.image) &&
	    !add_operation(&base.end, input + 2, size - 2, &image))
		use(&image, input);
	image_free(&image);
}
