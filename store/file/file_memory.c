/* SPDX-License-Identifier: MIT */
/*
 * file_memory.c - a file in memory, for ":memory:" and for tests.
 *
 * The bytes lie in blocks that double in number by levels, so that a block
 * never moves: readers need no lock beside the one writer, only the size, which
 * is published last.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "file/file.h"

#define BLOCK (1u << 20)
/* Level i has 2^i blocks: 40 levels are an EiB */
#define LEVELS 40u

struct memory_file {
	struct file file;
	_Atomic uint64_t size;
	uint8_t **_Atomic level[LEVELS]; /* arrays of blocks */
};

static struct memory_file *memory_of(struct file *f)
{
	return (struct memory_file *)f;
}

/* Where the pointer to block number n is kept: its level and its index there */
static unsigned level_of(uint64_t n, uint64_t *index)
{
	unsigned level = 63u - (unsigned)__builtin_clzll(n + 1);
	*index = n + 1 - (1ull << level);
	return level;
}

static uint8_t *find_block(struct memory_file *m, uint64_t n)
{
	uint64_t index = 0;
	unsigned level = level_of(n, &index);
	uint8_t **blocks = level < LEVELS ? atomic_load(&m->level[level]) :
					    NULL;
	return blocks ? blocks[index] : NULL;
}

static uint8_t *make_block(struct memory_file *m, uint64_t n)
{
	uint64_t index = 0;
	unsigned level = level_of(n, &index);
	if (level >= LEVELS)
		return NULL;
	uint8_t **blocks = atomic_load(&m->level[level]);
	if (!blocks) {
		blocks = calloc((size_t)1 << level, sizeof(*blocks));
		if (!blocks)
			return NULL;
		atomic_store(&m->level[level], blocks);
	}
	if (!blocks[index])
		blocks[index] = calloc(1, BLOCK);
	return blocks[index];
}

static int memory_read(struct file *f, void *buffer, size_t size,
		       uint64_t offset)
{
	struct memory_file *m = memory_of(f);
	uint64_t end = atomic_load(&m->size);
	uint8_t *to = buffer;
	if (offset > end || size > end - offset)
		return -ENODATA;
	while (size) {
		uint64_t skip = offset % BLOCK;
		size_t n = size < BLOCK - skip ? size : (size_t)(BLOCK - skip);
		const uint8_t *block = find_block(m, offset / BLOCK);
		if (block)
			memcpy(to, block + skip, n);
		else
			memset(to, 0, n);
		to += n;
		offset += n;
		size -= n;
	}
	return 0;
}

/* How many bytes there was memory for */
static size_t copy_in(struct memory_file *m, const uint8_t *from, size_t size,
		      uint64_t offset)
{
	size_t done = 0;
	while (done < size) {
		uint64_t skip = offset % BLOCK;
		size_t n = size - done;
		if (n > BLOCK - skip)
			n = (size_t)(BLOCK - skip);
		uint8_t *block = make_block(m, offset / BLOCK);
		if (!block)
			break;
		memcpy(block + skip, from + done, n);
		offset += n;
		done += n;
	}
	return done;
}

static int memory_append(struct file *f, struct iovec *iov, int count,
			 uint64_t offset, size_t *written)
{
	struct memory_file *m = memory_of(f);
	size_t done = 0;
	int rc = 0;
	for (int i = 0; i < count && !rc; i++) {
		size_t n = copy_in(m, iov[i].iov_base, iov[i].iov_len,
				   offset + done);
		done += n;
		if (n < iov[i].iov_len)
			rc = -ENOSPC;
	}
	if (done)
		atomic_store(&m->size, offset + done);
	*written = done;
	return rc;
}

static int memory_sync(struct file *f)
{
	(void)f;
	return 0;
}

static int memory_size(struct file *f, uint64_t *size)
{
	*size = atomic_load(&memory_of(f)->size);
	return 0;
}

static int memory_reserve(struct file *f, uint64_t to)
{
	(void)f;
	(void)to;
	return -EOPNOTSUPP;
}

static int memory_drop_cache(struct file *f, uint64_t offset)
{
	(void)f;
	(void)offset;
	return 0;
}

static int memory_publish(struct file *f, bool replace)
{
	(void)f;
	(void)replace;
	return 0;
}

static int memory_beside(struct file *f, struct file **fresh)
{
	(void)f;
	return file_memory(fresh);
}

static void memory_close(struct file *f)
{
	struct memory_file *m = memory_of(f);
	for (unsigned level = 0; level < LEVELS; level++) {
		uint8_t **blocks = atomic_load(&m->level[level]);
		for (size_t i = 0; blocks && i < (size_t)1 << level; i++)
			free(blocks[i]);
		free(blocks);
	}
	free(m);
}

int file_memory(struct file **f)
{
	static const struct file_ops ops = {
		.read = memory_read,
		.append = memory_append,
		.sync = memory_sync,
		.size = memory_size,
		.reserve = memory_reserve,
		.drop_cache = memory_drop_cache,
		.publish = memory_publish,
		.beside = memory_beside,
		.close = memory_close,
	};
	struct memory_file *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->file.ops = &ops;
	*f = &m->file;
	return 0;
}
