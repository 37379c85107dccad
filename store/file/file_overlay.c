/* SPDX-License-Identifier: MIT */
#include "file/file_overlay.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u

struct over {
	struct file file; /* first */
	struct file *below;
	int (*watch)(void *arg);
	void (*unreadable)(void *arg, uint64_t offset, size_t size);
	void *arg;
	pthread_t thread; /* whose watch it is */
	_Atomic int stopped; /* what watch has said */
};

static struct over *over_of(struct file *f)
{
	return (struct over *)f;
}

static int ask(struct over *o)
{
	int rc = atomic_load(&o->stopped);
	if (!rc && o->watch && pthread_equal(o->thread, pthread_self())) {
		rc = o->watch(o->arg);
		if (rc)
			atomic_store(&o->stopped, rc);
	}
	return rc;
}

static int over_read(struct file *f, void *buffer, size_t size, uint64_t offset)
{
	struct over *o = over_of(f);
	int rc = ask(o);
	return rc ? rc : file_read(o->below, buffer, size, offset);
}

/* A disk fails in blocks; what of a read lies in others may be sound */
static int read_in_blocks(struct over *o, uint8_t *to, size_t size,
			  uint64_t offset)
{
	while (size) {
		size_t n = BLOCK - offset % BLOCK;
		if (n > size)
			n = size;
		int rc = ask(o);
		if (!rc)
			rc = file_read(o->below, to, n, offset);
		if (rc == -EIO) {
			memset(to, 0, n);
			if (o->unreadable)
				o->unreadable(o->arg, offset, n);
			rc = 0;
		}
		if (rc)
			return rc;
		to += n;
		offset += n;
		size -= n;
	}
	return 0;
}

static int watched_read(struct file *f, void *buffer, size_t size,
			uint64_t offset)
{
	int rc = over_read(f, buffer, size, offset);
	return rc == -EIO ? read_in_blocks(over_of(f), buffer, size, offset) :
			    rc;
}

static int over_size(struct file *f, uint64_t *size)
{
	return file_size(over_of(f)->below, size);
}

static void over_close(struct file *f)
{
	free(over_of(f));
}

static int deferred_append(struct file *f, struct iovec *iov, int count,
			   uint64_t offset, size_t *written)
{
	struct over *o = over_of(f);
	*written = 0;
	int rc = ask(o);
	return rc ? rc : file_append(o->below, iov, count, offset, written);
}

static int deferred_reserve(struct file *f, uint64_t to)
{
	return file_reserve(over_of(f)->below, to);
}

static int no_append(struct file *f, struct iovec *iov, int count,
		     uint64_t offset, size_t *written)
{
	(void)f;
	(void)iov;
	(void)count;
	(void)offset;
	*written = 0;
	return -EROFS;
}

static int no_reserve(struct file *f, uint64_t to)
{
	(void)f;
	(void)to;
	return -EROFS;
}

static int nothing(struct file *f)
{
	(void)f;
	return 0;
}

static int nothing_from(struct file *f, uint64_t offset)
{
	(void)f;
	(void)offset;
	return 0;
}

static int nothing_published(struct file *f, bool replace)
{
	(void)f;
	(void)replace;
	return 0;
}

static const struct file_ops watched_ops = {
	.read = watched_read,
	.append = no_append,
	.sync = nothing,
	.size = over_size,
	.reserve = no_reserve,
	.drop_cache = nothing_from,
	.publish = nothing_published,
	.close = over_close,
};

static const struct file_ops deferred_ops = {
	.read = over_read,
	.append = deferred_append,
	.sync = nothing,
	.size = over_size,
	.reserve = deferred_reserve,
	.drop_cache = nothing_from,
	.publish = nothing_published,
	.close = over_close,
};

static int new_over(const struct file_ops *ops, struct file *below,
		    int (*watch)(void *arg), void *arg, struct file **f)
{
	struct over *o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->file.ops = ops;
	o->below = below;
	o->watch = watch;
	o->arg = arg;
	o->thread = pthread_self();
	*f = &o->file;
	return 0;
}

int file_watched(struct file *below, int (*watch)(void *arg),
		 void (*unreadable)(void *arg, uint64_t offset, size_t size),
		 void *arg, struct file **f)
{
	int rc = new_over(&watched_ops, below, watch, arg, f);
	if (!rc)
		over_of(*f)->unreadable = unreadable;
	return rc;
}

int file_deferred(struct file *below, int (*watch)(void *arg), void *arg,
		  struct file **f)
{
	return new_over(&deferred_ops, below, watch, arg, f);
}
