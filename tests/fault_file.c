/* SPDX-License-Identifier: MIT */
/*
 * The file is kept twice: `now`, what reads see, and the history, from which
 * every earlier state can be had. `base` is what the disk had from the
 * beginning.
 *
 * One mutex protects everything. It is held across a whole call: what a call
 * does happens at one time.
 */
#include "fault_file.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fault_image.h"
#include "random.h"

#define SECTOR 512u

/* The bytes of an append, for all files that have it in their history */
struct bytes {
	_Atomic unsigned refs;
	uint8_t at[];
};

#define NOT_YET SIZE_MAX

/*
 * An append, or a sync, which has no length and covers itself. After a failed
 * sync nobody knows what of it is on the disk, and nobody writes it again: what
 * that sync covered stays in doubt for ever.
 */
struct event {
	uint64_t offset;
	size_t length;
	struct bytes *bytes; /* NULL: a sync */
	size_t sync; /* the number of the event that covers it */
	bool doubtful; /* that one failed */
	bool lost; /* and the cache does not have it any more either */
};

struct failure {
	uint64_t calls;
	uint64_t at; /* fail when calls gets here; 0: never */
	int error;
	bool for_ever;
};

struct fault_file {
	struct file file;
	pthread_mutex_t lock;
	bool closed;
	struct image base;
	struct image now;
	struct event *events;
	size_t event_count;
	size_t event_room;
	size_t uncovered; /* the first event that no sync covers */
	struct failure failures[FAULT_CALLS];
	size_t fail_after;
	uint64_t limit;
};

static struct fault_file *fault_of(struct file *f)
{
	return (struct fault_file *)f;
}

/* ---- failing ---------------------------------------------------------- */

/* Count a call: 0, or the error that it is to fail with */
static int count_call(struct fault_file *t, enum fault_call call)
{
	struct failure *x = &t->failures[call];
	assert(!t->closed);
	x->calls++;
	if (!x->at || x->calls < x->at)
		return 0;
	if (!x->for_ever)
		x->at = 0;
	return x->error;
}

uint64_t fault_file_calls(struct file *f, enum fault_call call)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	uint64_t calls = t->failures[call].calls;
	pthread_mutex_unlock(&t->lock);
	return calls;
}

void fault_file_fail(struct file *f, enum fault_call call, uint64_t n,
		     int error, bool for_ever)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	struct failure *x = &t->failures[call];
	x->at = n ? x->calls + n : 0;
	x->error = error;
	x->for_ever = for_ever;
	pthread_mutex_unlock(&t->lock);
}

void fault_file_fail_after(struct file *f, size_t bytes)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	t->fail_after = bytes;
	pthread_mutex_unlock(&t->lock);
}

void fault_file_limit(struct file *f, uint64_t size)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	t->limit = size;
	pthread_mutex_unlock(&t->lock);
}

/* ---- recording -------------------------------------------------------- */

static void bytes_unref(struct bytes *b)
{
	if (b && atomic_fetch_sub(&b->refs, 1) == 1)
		free(b);
}

static struct bytes *bytes_of(const struct iovec *iov, int count, size_t size)
{
	struct bytes *b = malloc(sizeof(*b) + size);
	size_t at = 0;
	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	for (int i = 0; i < count && at < size; i++) {
		size_t n = iov[i].iov_len;
		if (n > size - at)
			n = size - at;
		if (n)
			memcpy(b->at + at, iov[i].iov_base, n);
		at += n;
	}
	return b;
}

static int record(struct fault_file *t, struct event e)
{
	if (t->event_count == t->event_room) {
		size_t room = t->event_room * 2 + 16;
		struct event *events =
			realloc(t->events, room * sizeof(*events));
		if (!events)
			return -ENOMEM;
		t->events = events;
		t->event_room = room;
	}
	t->events[t->event_count++] = e;
	return 0;
}

static int record_sync(struct fault_file *t, bool good)
{
	size_t number = t->event_count;
	int rc = record(t, (struct event){ .sync = number });
	if (rc)
		return rc;
	for (; t->uncovered < number; t->uncovered++) {
		t->events[t->uncovered].sync = number;
		t->events[t->uncovered].doubtful = !good;
	}
	t->uncovered = number + 1;
	return 0;
}

static int record_append(struct fault_file *t, struct bytes *bytes,
			 uint64_t offset, size_t size)
{
	struct event e = { .offset = offset,
			   .length = size,
			   .bytes = bytes,
			   .sync = NOT_YET };
	return record(t, e);
}

/* ---- the calls of file.h ---------------------------------------------- */

static int fault_read(struct file *f, void *buffer, size_t size,
		      uint64_t offset)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	int rc = count_call(t, FAULT_READ);
	if (!rc && (offset > t->now.size || size > t->now.size - offset))
		rc = -ENODATA;
	if (!rc)
		image_read(&t->now, buffer, size, offset);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* How much of it is written, and what is said about the rest */
static int cut_short(struct fault_file *t, uint64_t offset, size_t *size)
{
	int rc = count_call(t, FAULT_APPEND);
	if (rc && *size > t->fail_after)
		*size = t->fail_after;
	else if (rc && *size) /* with all of it written it is no failure */
		--*size;
	if (t->limit && (offset > t->limit || *size > t->limit - offset)) {
		*size = offset > t->limit ? 0 : (size_t)(t->limit - offset);
		rc = rc ? rc : -ENOSPC;
	}
	return rc;
}

static int append(struct fault_file *t, const struct iovec *iov, int count,
		  uint64_t offset, size_t size)
{
	struct bytes *bytes = bytes_of(iov, count, size);
	if (!bytes)
		return -ENOMEM;
	int rc = image_write(&t->now, bytes->at, size, offset);
	if (!rc)
		rc = record_append(t, bytes, offset, size);
	if (rc)
		bytes_unref(bytes);
	else
		t->now.size = offset + size;
	return rc;
}

static int fault_append(struct file *f, struct iovec *iov, int count,
			uint64_t offset, size_t *written)
{
	struct fault_file *t = fault_of(f);
	size_t size = 0;
	for (int i = 0; i < count; i++)
		size += iov[i].iov_len;
	pthread_mutex_lock(&t->lock);
	assert(offset >= t->now.size); /* no byte is ever written twice */
	int said = cut_short(t, offset, &size);
	*written = 0;
	int rc = size ? append(t, iov, count, offset, size) : 0;
	if (!rc && size)
		*written = size;
	pthread_mutex_unlock(&t->lock);
	/* The caller may rely on its iov being used up or not: spoil it */
	for (int i = 0; i < count; i++)
		iov[i] = (struct iovec){ NULL, 0 };
	return rc ? rc : said;
}

static int fault_sync(struct file *f)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	int said = count_call(t, FAULT_SYNC);
	int rc = record_sync(t, !said);
	pthread_mutex_unlock(&t->lock);
	return rc ? rc : said;
}

static int fault_size(struct file *f, uint64_t *size)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	int rc = count_call(t, FAULT_SIZE);
	if (!rc)
		*size = t->now.size;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int fault_reserve(struct file *f, uint64_t to)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	int rc = count_call(t, FAULT_RESERVE);
	if (!rc && t->limit && to > t->limit)
		rc = -ENOSPC;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* What only the cache had is gone; what is still to be written stays there */
static int fault_drop_cache(struct file *f, uint64_t offset)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	int rc = count_call(t, FAULT_DROP_CACHE);
	for (size_t i = 0; !rc && i < t->event_count; i++) {
		struct event *e = &t->events[i];
		if (!e->doubtful || e->lost || e->offset < offset)
			continue;
		e->lost = true;
		rc = image_zero(&t->now, e->length, e->offset);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int fault_publish(struct file *f, bool replace)
{
	struct fault_file *t = fault_of(f);
	(void)replace;
	pthread_mutex_lock(&t->lock);
	int rc = count_call(t, FAULT_PUBLISH);
	if (!rc)
		rc = record_sync(t, true);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static void fault_close(struct file *f)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	assert(!t->closed);
	t->closed = true;
	pthread_mutex_unlock(&t->lock);
}

static const struct file_ops fault_ops = {
	.read = fault_read,
	.append = fault_append,
	.sync = fault_sync,
	.size = fault_size,
	.reserve = fault_reserve,
	.drop_cache = fault_drop_cache,
	.publish = fault_publish,
	.close = fault_close,
};

static struct fault_file *new_file(void)
{
	struct fault_file *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->file.ops = &fault_ops;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

int fault_file_new(const void *bytes, size_t size, struct file **f)
{
	struct fault_file *t = new_file();
	if (!t)
		return -ENOMEM;
	int rc = image_write(&t->base, bytes, size, 0);
	t->base.size = size;
	if (!rc)
		rc = image_copy(&t->now, &t->base);
	if (rc)
		fault_file_free(&t->file);
	else
		*f = &t->file;
	return rc;
}

void fault_file_free(struct file *f)
{
	struct fault_file *t = fault_of(f);
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	image_free(&t->base);
	image_free(&t->now);
	for (size_t i = 0; i < t->event_count; i++)
		bytes_unref(t->events[i].bytes);
	free(t->events);
	free(t);
}

/* ---- power cuts ------------------------------------------------------- */

size_t fault_file_events(struct file *f)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->lock);
	size_t count = t->event_count;
	pthread_mutex_unlock(&t->lock);
	return count;
}

/* One power cut: the history up to it, the new image, and what is decided */
struct cut {
	const struct fault_file *from;
	size_t events;
	enum fault_cut kind;
	uint64_t random;
	uint64_t keep; /* FAULT_RANDOM: so many of 16 appends are kept */
	size_t open; /* appends that no sync covers */
	size_t torn; /* FAULT_PREFIX: which of those is the last, */
	size_t torn_at; /* and how much of it is there */
	struct image *to;
};

static uint64_t end_of(const struct event *e)
{
	return e->offset + e->length;
}

static bool is_safe(const struct cut *c, const struct event *e)
{
	return e->sync < c->events && !e->doubtful;
}

/* The size that is sure, and how many appends are not */
static uint64_t sure_size(struct cut *c)
{
	uint64_t size = c->from->base.size;
	c->open = 0;
	for (size_t i = 0; i < c->events; i++) {
		const struct event *e = &c->from->events[i];
		if (!is_safe(c, e))
			c->open++;
		else if (end_of(e) > size)
			size = end_of(e);
	}
	return size;
}

/* The nth of the appends that are not sure */
static const struct event *open_append(const struct cut *c, size_t n)
{
	for (size_t i = 0; i < c->events; i++)
		if (!is_safe(c, &c->from->events[i]) && n-- == 0)
			return &c->from->events[i];
	return NULL;
}

/*
 * What earlier appends wrote to the sector where this one begins: as a sector is
 * never torn, it is there as well.
 */
static int keep_sector_before(struct cut *c, const struct event *e)
{
	uint8_t bytes[SECTOR];
	size_t n = (size_t)(e->offset % SECTOR);
	image_read(&c->from->now, bytes, n, e->offset - n);
	return image_write(c->to, bytes, n, e->offset - n);
}

/* A part of an append, from its byte at `from` to that before `to` */
static int keep_part(struct cut *c, const struct event *e, size_t from,
		     size_t to)
{
	uint64_t offset = e->offset + from;
	if (offset >= c->to->size || from >= to)
		return 0;
	if (to - from > c->to->size - offset)
		to = from + (size_t)(c->to->size - offset);
	int rc = from ? 0 : keep_sector_before(c, e);
	if (rc)
		return rc;
	/* What is not lost is still there, in pages that can be shared */
	if (!e->lost)
		return image_take(c->to, &c->from->now, to - from, offset);
	return image_write(c->to, e->bytes->at + from, to - from, offset);
}

/* Where in an append the sector ends in which its byte `at` lies */
static size_t sector_end(const struct event *e, size_t at)
{
	size_t end = at + SECTOR - (size_t)((e->offset + at) % SECTOR);
	return end < e->length ? end : e->length;
}

static int keep_some_sectors(struct cut *c, const struct event *e)
{
	int rc = 0;
	size_t next;
	for (size_t at = 0; at < e->length && !rc; at = next) {
		next = sector_end(e, at);
		if (test_below(&c->random, 2))
			rc = keep_part(c, e, at, next);
	}
	return rc;
}

/* The end of some sector of an append, 0 being its beginning */
static size_t some_sector(struct cut *c, const struct event *e)
{
	size_t end = 0;
	size_t sectors = e->length / SECTOR + 2;
	for (size_t n = test_below(&c->random, sectors); n; n--)
		end = end < e->length ? sector_end(e, end) : end;
	return end;
}

/* An append of which the disk has what the kind of cut says */
static int keep_open(struct cut *c, const struct event *e, size_t number)
{
	switch (c->kind) {
	case FAULT_KEEP:
		return keep_part(c, e, 0, e->length);
	case FAULT_PREFIX:
		if (number > c->torn)
			return 0;
		return keep_part(c, e, 0,
				 number < c->torn ? e->length : c->torn_at);
	case FAULT_RANDOM:
		if (test_below(&c->random, 16) < c->keep)
			return keep_part(c, e, 0, e->length);
		if (test_below(&c->random, 2))
			return keep_some_sectors(c, e);
		return 0;
	case FAULT_DROP:
	case FAULT_ZEROS:
	case FAULT_CUTS:
		break;
	}
	return 0;
}

/* Which size the file has, and where a prefix ends */
static void decide(struct cut *c)
{
	uint64_t size = sure_size(c);
	size_t last = c->open; /* the append after which the size was such */
	if (c->kind == FAULT_RANDOM || (c->kind == FAULT_PREFIX && c->open))
		last = test_below(&c->random, c->open + 1);
	c->keep = test_below(&c->random, 17);
	c->to->size = size;
	const struct event *e = NULL;
	if (c->kind != FAULT_DROP && last > 0)
		e = open_append(c, last - 1);
	if (!e)
		return;
	uint64_t end = end_of(e);
	if (c->kind == FAULT_PREFIX) {
		c->torn = last - 1;
		c->torn_at = some_sector(c, e);
		if (test_below(&c->random, 2))
			end = e->offset + c->torn_at;
	}
	if (end > size)
		c->to->size = end;
}

static int fill(struct cut *c)
{
	size_t open = 0;
	int rc = 0;
	for (size_t i = 0; i < c->events && !rc; i++) {
		const struct event *e = &c->from->events[i];
		if (is_safe(c, e))
			rc = keep_part(c, e, 0, e->length);
		else if (!e->lost)
			rc = keep_open(c, e, open++);
		else
			open++;
	}
	return rc;
}

int fault_file_after_cut(struct file *f, size_t events, enum fault_cut cut,
			 uint64_t seed, struct file **after)
{
	struct fault_file *t = fault_of(f);
	struct fault_file *made = new_file();
	if (!made)
		return -ENOMEM;
	struct cut c = { .from = t,
			 .events = events,
			 .kind = cut,
			 .random = seed,
			 .to = &made->base };
	pthread_mutex_lock(&t->lock);
	assert(events <= t->event_count);
	int rc = image_copy(&made->base, &t->base);
	if (!rc) {
		decide(&c);
		rc = fill(&c);
	}
	pthread_mutex_unlock(&t->lock);
	if (!rc)
		rc = image_copy(&made->now, &made->base);
	if (rc)
		fault_file_free(&made->file);
	else
		*after = &made->file;
	return rc;
}

/* Do again what the event was, as it was known behind `events` events */
static int replay(struct fault_file *to, const struct fault_file *from,
		  const struct event *e, size_t events)
{
	if (!e->length) {
		to->uncovered = to->event_count + 1;
		return record(to, *e);
	}
	int rc = record_append(to, e->bytes, e->offset, e->length);
	if (rc)
		return rc;
	atomic_fetch_add(&e->bytes->refs, 1);
	to->now.size = end_of(e);
	if (e->sync < events) {
		struct event *made = &to->events[to->event_count - 1];
		made->sync = e->sync;
		made->doubtful = e->doubtful;
		made->lost = e->lost;
		if (e->lost)
			return 0;
	}
	if (!e->lost)
		return image_take(&to->now, &from->now, e->length, e->offset);
	return image_write(&to->now, e->bytes->at, e->length, e->offset);
}

int fault_file_after_kill(struct file *f, size_t events, struct file **after)
{
	struct fault_file *t = fault_of(f);
	struct fault_file *made = new_file();
	if (!made)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	assert(events <= t->event_count);
	int rc = image_copy(&made->base, &t->base);
	if (!rc)
		rc = image_copy(&made->now, &t->base);
	for (size_t i = 0; i < events && !rc; i++)
		rc = replay(made, t, &t->events[i], events);
	pthread_mutex_unlock(&t->lock);
	if (rc)
		fault_file_free(&made->file);
	else
		*after = &made->file;
	return rc;
}
