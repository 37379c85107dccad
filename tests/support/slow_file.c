/* SPDX-License-Identifier: MIT */
#include "slow_file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "random.h"

struct slow_file {
	struct file file;
	struct file *below;
	bool owned;
	struct slow slow;
	_Atomic uint64_t calls;
	_Atomic uint64_t syncs;
	_Atomic uint64_t longest;
	_Atomic uint64_t bad; /* reads of it give another byte; 0: none */
	_Atomic uint64_t stop; /* reads that cover it wait; 0: none */
	_Atomic bool waiting; /* one does, or did */
};

static struct slow_file *slow_of(struct file *f)
{
	return (struct slow_file *)f;
}

static void nap(unsigned us)
{
	struct timespec t = { .tv_sec = us / 1000000,
			      .tv_nsec = (long)(us % 1000000) * 1000 };
	if (us)
		nanosleep(&t, NULL);
}

struct naps {
	unsigned before;
	unsigned after;
};

/* One call in `rare` sleeps, before or after it */
static struct naps throw_dice(struct slow_file *s, unsigned most, unsigned rare)
{
	struct naps n = { 0, 0 };
	if (!most)
		return n;
	uint64_t dice = s->slow.seed + atomic_fetch_add(&s->calls, 1);
	if (test_below(&dice, rare))
		return n;
	unsigned us = (unsigned)test_below(&dice, most);
	if (test_below(&dice, 2))
		n.before = us;
	else
		n.after = us;
	return n;
}

/* Is `at`, if it is any place, among these bytes? */
static bool covers(uint64_t offset, size_t size, uint64_t at)
{
	return at && offset <= at && at - offset < size;
}

static int slow_read(struct file *f, void *buffer, size_t size, uint64_t offset)
{
	struct slow_file *s = slow_of(f);
	struct naps n = throw_dice(s, s->slow.read, 16);
	nap(n.before);
	while (covers(offset, size, atomic_load(&s->stop))) {
		atomic_store(&s->waiting, true);
		nap(1000);
	}
	int rc = file_read(s->below, buffer, size, offset);
	uint64_t bad = atomic_load(&s->bad);
	if (!rc && covers(offset, size, bad))
		((char *)buffer)[bad - offset] ^= 1;
	nap(n.after);
	return rc;
}

static int slow_append(struct file *f, struct iovec *iov, int count,
		       uint64_t offset, size_t *written)
{
	struct slow_file *s = slow_of(f);
	struct naps n = throw_dice(s, s->slow.append, 2);
	nap(n.before);
	int rc = file_append(s->below, iov, count, offset, written);
	nap(n.after);
	return rc;
}

static int slow_sync(struct file *f)
{
	struct slow_file *s = slow_of(f);
	struct naps n = throw_dice(s, s->slow.sync, 2);
	uint64_t began = test_now();
	nap(n.before + s->slow.sync_always / 2);
	int rc = file_sync(s->below);
	nap(n.after + s->slow.sync_always - s->slow.sync_always / 2);
	uint64_t took = test_now() - began;
	/* One at a time: see log_sync() */
	if (took > atomic_load(&s->longest))
		atomic_store(&s->longest, took);
	atomic_fetch_add(&s->syncs, 1);
	return rc;
}

static int slow_size(struct file *f, uint64_t *size)
{
	return file_size(slow_of(f)->below, size);
}

static int slow_reserve(struct file *f, uint64_t to)
{
	return file_reserve(slow_of(f)->below, to);
}

static int slow_drop_cache(struct file *f, uint64_t offset)
{
	return file_drop_cache(slow_of(f)->below, offset);
}

static int slow_publish(struct file *f, bool replace)
{
	return file_publish(slow_of(f)->below, replace);
}

static void slow_close(struct file *f)
{
	struct slow_file *s = slow_of(f);
	if (s->owned)
		file_close(s->below);
	free(s);
}

void slow_file_spoil(struct file *f, uint64_t offset)
{
	atomic_store(&slow_of(f)->bad, offset);
}

void slow_file_stop(struct file *f, uint64_t offset)
{
	struct slow_file *s = slow_of(f);
	atomic_store(&s->waiting, false);
	atomic_store(&s->stop, offset);
}

void slow_file_wait(struct file *f)
{
	while (!atomic_load(&slow_of(f)->waiting))
		nap(1000);
}

void slow_file_go(struct file *f)
{
	atomic_store(&slow_of(f)->stop, 0);
}

uint64_t slow_file_syncs(struct file *f, uint64_t *longest)
{
	struct slow_file *s = slow_of(f);
	*longest = atomic_load(&s->longest);
	return atomic_load(&s->syncs);
}

int slow_file_new(struct file *below, bool owned, const struct slow *slow,
		  struct file **f)
{
	static const struct file_ops ops = {
		.read = slow_read,
		.append = slow_append,
		.sync = slow_sync,
		.size = slow_size,
		.reserve = slow_reserve,
		.drop_cache = slow_drop_cache,
		.publish = slow_publish,
		.close = slow_close,
	};
	struct slow_file *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->file.ops = &ops;
	s->below = below;
	s->owned = owned;
	s->slow = *slow;
	*f = &s->file;
	return 0;
}
