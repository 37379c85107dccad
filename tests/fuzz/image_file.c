/* SPDX-License-Identifier: MIT */
#include "image_file.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* ---- recipes ---------------------------------------------------------- */

int recipe_read(const uint8_t *recipe, size_t size, struct image *image)
{
	struct reader in = reader_of(recipe, size);
	uint64_t at = 0;
	int rc = 0;
	while (!rc && reader_left(&in)) {
		uint64_t gap = read_varint(&in);
		uint64_t n = read_varint(&in);
		if (in.bad || gap > RECIPE_FILE_MAX - at)
			break;
		at += gap;
		if (n > reader_left(&in))
			n = reader_left(&in);
		if (n > RECIPE_FILE_MAX - at)
			break;
		if (n)
			rc = image_write(image, read_bytes(&in, n), n, at);
		at += n;
		image->size = at;
	}
	return rc;
}

static void write_run(struct buf *recipe, uint64_t *end, uint64_t at,
		      const uint8_t *bytes, size_t n)
{
	buf_add_varint(recipe, at - *end);
	buf_add_varint(recipe, n);
	buf_add(recipe, bytes, n);
	*end = at + n;
}

/* How many bytes from here on belong to one run */
static size_t run_length(const uint8_t *bytes, size_t n)
{
	size_t zeros = 0;
	for (size_t i = 0; i < n; i++) {
		zeros = bytes[i] ? 0 : zeros + 1;
		if (zeros == 8)
			return i + 1 - zeros;
	}
	return n - zeros;
}

static void write_block(struct buf *recipe, uint64_t *end, uint64_t at,
			const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n;) {
		if (!bytes[i]) {
			i++;
			continue;
		}
		size_t run = run_length(bytes + i, n - i);
		write_run(recipe, end, at + i, bytes + i, run);
		i += run;
	}
}

void recipe_write(const struct image *image, struct buf *recipe)
{
	static const uint8_t zeros[1 << 14];
	uint8_t bytes[sizeof(zeros)];
	uint64_t end = 0;
	for (uint64_t at = 0; at < image->size; at += sizeof(bytes)) {
		size_t n = sizeof(bytes);
		if (n > image->size - at)
			n = (size_t)(image->size - at);
		image_read(image, bytes, n, at);
		if (memcmp(bytes, zeros, n) != 0)
			write_block(recipe, &end, at, bytes, n);
	}
	if (end < image->size)
		write_run(recipe, &end, image->size, NULL, 0);
}

/* ---- files ------------------------------------------------------------ */

struct image_file {
	struct file file;
	pthread_mutex_t lock; /* protects the image */
	struct image image;
	struct image *keep;
};

static struct image_file *image_of(struct file *f)
{
	return (struct image_file *)f;
}

static int read_op(struct file *f, void *buffer, size_t size, uint64_t offset)
{
	struct image_file *m = image_of(f);
	int rc = -ENODATA;
	pthread_mutex_lock(&m->lock);
	if (offset <= m->image.size && size <= m->image.size - offset) {
		image_read(&m->image, buffer, size, offset);
		rc = 0;
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int append_op(struct file *f, struct iovec *iov, int count,
		     uint64_t offset, size_t *written)
{
	struct image_file *m = image_of(f);
	int rc = 0;
	*written = 0;
	pthread_mutex_lock(&m->lock);
	/* Not a byte that is there may change, whatever the file said */
	assert(offset >= m->image.size);
	for (int i = 0; i < count && !rc; i++) {
		rc = image_write(&m->image, iov[i].iov_base, iov[i].iov_len,
				 offset);
		if (rc)
			break;
		offset += iov[i].iov_len;
		*written += iov[i].iov_len;
		if (iov[i].iov_len)
			m->image.size = offset;
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int size_op(struct file *f, uint64_t *size)
{
	struct image_file *m = image_of(f);
	pthread_mutex_lock(&m->lock);
	*size = m->image.size;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static int sync_op(struct file *f)
{
	(void)f;
	return 0;
}

static int reserve_op(struct file *f, uint64_t to)
{
	(void)f;
	(void)to;
	return -EOPNOTSUPP;
}

static int drop_cache_op(struct file *f, uint64_t offset)
{
	(void)f;
	(void)offset;
	return 0;
}

static int publish_op(struct file *f, bool replace)
{
	(void)f;
	(void)replace;
	return 0;
}

static void close_op(struct file *f)
{
	struct image_file *m = image_of(f);
	if (m->keep)
		*m->keep = m->image;
	else
		image_free(&m->image);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int image_file(const struct image *image, struct image *keep, struct file **f)
{
	static const struct file_ops ops = {
		.read = read_op,
		.append = append_op,
		.sync = sync_op,
		.size = size_op,
		.reserve = reserve_op,
		.drop_cache = drop_cache_op,
		.publish = publish_op,
		.close = close_op,
	};
	struct image_file *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->file.ops = &ops;
	m->keep = keep;
	pthread_mutex_init(&m->lock, NULL);
	int rc = image ? image_copy(&m->image, image) : 0;
	if (rc) {
		m->keep = NULL;
		close_op(&m->file);
		return rc;
	}
	*f = &m->file;
	return 0;
}

int image_file_now(struct file *f, struct image *image)
{
	struct image_file *m = image_of(f);
	pthread_mutex_lock(&m->lock);
	int rc = image_copy(image, &m->image);
	pthread_mutex_unlock(&m->lock);
	return rc;
}
