/* SPDX-License-Identifier: MIT */
#include "fault_events.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- failing ---------------------------------------------------------- */

/* Count a call: 0, or the error that it is to fail with */
static int count_call(struct fault_file *t, enum fault_call call)
{
	struct failure *x = &t->family->failures[call];
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
	pthread_mutex_lock(&t->family->lock);
	uint64_t calls = t->family->failures[call].calls;
	pthread_mutex_unlock(&t->family->lock);
	return calls;
}

void fault_file_fail(struct file *f, enum fault_call call, uint64_t n,
		     int error, bool for_ever)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	struct failure *x = &t->family->failures[call];
	x->at = n ? x->calls + n : 0;
	x->error = error;
	x->for_ever = for_ever;
	pthread_mutex_unlock(&t->family->lock);
}

void fault_file_fail_after(struct file *f, size_t bytes)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	t->family->fail_after = bytes;
	pthread_mutex_unlock(&t->family->lock);
}

void fault_file_limit(struct file *f, uint64_t size)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	t->family->limit = size;
	pthread_mutex_unlock(&t->family->lock);
}

void fault_file_at_sync(struct file *f, fault_at_sync *call, void *arg)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	t->family->at_sync = call;
	t->family->at_sync_arg = arg;
	pthread_mutex_unlock(&t->family->lock);
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

int fault_record(struct fault_file *t, struct event e)
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
	e.time = t->family->events++;
	t->events[t->event_count++] = e;
	return 0;
}

int fault_rename(struct fault_file *t, size_t renamed, size_t durable)
{
	struct family *y = t->family;
	size_t size = (y->naming_count + 1) * sizeof(*y->namings);
	struct naming *namings = realloc(y->namings, size);
	if (!namings)
		return -ENOMEM;
	y->namings = namings;
	y->namings[y->naming_count++] = (struct naming){ t, renamed, durable };
	y->named = t;
	return 0;
}

static int record_sync(struct fault_file *t, bool good)
{
	size_t number = t->event_count;
	int rc = fault_record(t, (struct event){ .sync = number });
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
	return fault_record(t, e);
}

/* ---- the calls of file.h ---------------------------------------------- */

static int fault_read(struct file *f, void *buffer, size_t size,
		      uint64_t offset)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_READ);
	if (!rc && (offset > t->now.size || size > t->now.size - offset))
		rc = -ENODATA;
	if (!rc)
		image_read(&t->now, buffer, size, offset);
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

/* What the others on the disk leave of it for this file */
static uint64_t limit_of(const struct fault_file *t)
{
	uint64_t limit = t->family->limit;
	const struct fault_file *o = t->family->files;
	for (; o; o = o->before)
		if (o != t && !o->closed)
			limit -= o->now.size < limit ? o->now.size : limit;
	return limit;
}

/* Room ends at a block: not within the zeros behind a record */
#define ROOM_ALIGN 8u

/* How much of it is written, and what is said about the rest */
static int cut_short(struct fault_file *t, uint64_t offset, size_t *size)
{
	int rc = count_call(t, FAULT_APPEND);
	if (rc && *size > t->family->fail_after)
		*size = t->family->fail_after;
	else if (rc) /* with all of it written it is no failure */
		*size -= *size > ROOM_ALIGN ? ROOM_ALIGN : *size;
	uint64_t limit = limit_of(t);
	if (t->family->limit && (offset > limit || *size > limit - offset)) {
		*size = offset > limit ? 0 : (size_t)(limit - offset);
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
	pthread_mutex_lock(&t->family->lock);
	assert(offset >= t->now.size); /* no byte is ever written twice */
	int said = cut_short(t, offset, &size);
	*written = 0;
	int rc = size ? append(t, iov, count, offset, size) : 0;
	if (!rc && size)
		*written = size;
	pthread_mutex_unlock(&t->family->lock);
	/* The caller may rely on its iov being used up or not: spoil it */
	for (int i = 0; i < count; i++)
		iov[i] = (struct iovec){ NULL, 0 };
	return rc ? rc : said;
}

/* Not with the lock held: it may use the file */
static void call_at_sync(struct fault_file *t)
{
	pthread_mutex_lock(&t->family->lock);
	bool named = t == t->family->named;
	fault_at_sync *call = named ? t->family->at_sync : NULL;
	void *arg = t->family->at_sync_arg;
	pthread_mutex_unlock(&t->family->lock);
	if (call)
		call(arg);
}

static int fault_sync(struct file *f)
{
	struct fault_file *t = fault_of(f);
	call_at_sync(t);
	pthread_mutex_lock(&t->family->lock);
	int said = count_call(t, FAULT_SYNC);
	int rc = record_sync(t, !said);
	pthread_mutex_unlock(&t->family->lock);
	call_at_sync(t);
	return rc ? rc : said;
}

static int fault_verify(struct file *f)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_VERIFY);
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

static int fault_size(struct file *f, uint64_t *size)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_SIZE);
	if (!rc)
		*size = t->now.size;
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

static int fault_reserve(struct file *f, uint64_t to)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_RESERVE);
	if (!rc && t->family->limit && to > limit_of(t))
		rc = -ENOSPC;
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

static int new_punch(struct fault_file *t)
{
	size_t size = (t->punch_count + 1) * sizeof(*t->punches);
	struct punch *punches = realloc(t->punches, size);
	if (!punches)
		return -ENOMEM;
	t->punches = punches;
	struct punch *p = &punches[t->punch_count];
	*p = (struct punch){ .events = t->event_count };
	int rc = image_copy(&p->before, &t->now);
	if (rc)
		image_free(&p->before);
	else
		t->punch_count++;
	return rc;
}

int fault_punch(struct fault_file *t, uint64_t from, uint64_t to)
{
	size_t last = t->punch_count - 1;
	int rc = 0;
	if (!t->punch_count || t->punches[last].events != t->event_count)
		rc = new_punch(t);
	if (rc)
		return rc;
	struct punch *p = &t->punches[t->punch_count - 1];
	struct range *ranges =
		realloc(p->ranges, (p->count + 1) * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	p->ranges = ranges;
	p->ranges[p->count++] = (struct range){ from, to };
	return image_zero(&t->now, to - from, from);
}

static int fault_punch_out(struct file *f, uint64_t from, uint64_t to)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_PUNCH);
	if (!rc)
		rc = fault_punch(t, from, to);
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

static int fault_exclude(struct file *f, bool on)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = on ? count_call(t, FAULT_EXCLUDE) : 0;
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

/* What only the cache had is gone; what is still to be written stays there */
static int fault_drop_cache(struct file *f, uint64_t offset)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_DROP_CACHE);
	for (size_t i = 0; !rc && i < t->event_count; i++) {
		struct event *e = &t->events[i];
		if (!e->doubtful || e->lost || e->offset < offset)
			continue;
		e->lost = true;
		rc = image_zero(&t->now, e->length, e->offset);
	}
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

/* In the place of the one that has the name */
static int replace_named(struct fault_file *t)
{
	struct family *y = t->family;
	int rc = fault_rename(t, y->events, NOT_YET);
	if (rc)
		return rc;
	t->file.published = true;
	y->events++;
	rc = count_call(t, FAULT_DIRECTORY);
	if (!rc)
		y->namings[y->naming_count - 1].durable = y->events++;
	return rc;
}

static int fault_publish(struct file *f, bool replace)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_PUBLISH);
	if (!rc)
		rc = record_sync(t, true);
	if (!rc && replace && t->family->named != t)
		rc = replace_named(t);
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

static int fault_sync_name(struct file *f)
{
	struct fault_file *t = fault_of(f);
	struct family *y = t->family;
	pthread_mutex_lock(&y->lock);
	int rc = count_call(t, FAULT_DIRECTORY);
	for (size_t i = 0; !rc && i < y->naming_count; i++)
		if (y->namings[i].durable == NOT_YET)
			y->namings[i].durable = y->events++;
	pthread_mutex_unlock(&y->lock);
	return rc;
}

static int fault_beside(struct file *f, struct file **fresh)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	int rc = count_call(t, FAULT_BESIDE);
	struct fault_file *made = rc ? NULL : fault_new(t->family);
	if (!rc && !made)
		rc = -ENOMEM;
	if (!rc)
		*fresh = &made->file;
	pthread_mutex_unlock(&t->family->lock);
	return rc;
}

static void fault_close(struct file *f)
{
	struct fault_file *t = fault_of(f);
	pthread_mutex_lock(&t->family->lock);
	assert(!t->closed);
	t->closed = true;
	pthread_mutex_unlock(&t->family->lock);
}

static const struct file_ops fault_ops = {
	.read = fault_read,
	.append = fault_append,
	.sync = fault_sync,
	.verify = fault_verify,
	.size = fault_size,
	.reserve = fault_reserve,
	.drop_cache = fault_drop_cache,
	.publish = fault_publish,
	.sync_name = fault_sync_name,
	.beside = fault_beside,
	.exclude = fault_exclude,
	.punch = fault_punch_out,
	.close = fault_close,
};

static struct family *family_new(void)
{
	struct family *y = calloc(1, sizeof(*y));
	if (y)
		pthread_mutex_init(&y->lock, NULL);
	return y;
}

struct fault_file *fault_new(struct family *family)
{
	struct fault_file *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->family = family ? family : family_new();
	if (!t->family) {
		free(t);
		return NULL;
	}
	t->file.ops = &fault_ops;
	t->before = t->family->files;
	t->family->files = t;
	if (!t->family->named)
		t->family->named = t;
	return t;
}

int fault_file_new(const void *bytes, size_t size, struct file **f)
{
	struct fault_file *t = fault_new(NULL);
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

static void free_one(struct fault_file *t)
{
	image_free(&t->base);
	image_free(&t->now);
	for (size_t i = 0; i < t->event_count; i++)
		bytes_unref(t->events[i].bytes);
	free(t->events);
	for (size_t i = 0; i < t->punch_count; i++) {
		image_free(&t->punches[i].before);
		free(t->punches[i].ranges);
	}
	free(t->punches);
	free(t);
}

void fault_file_free(struct file *f)
{
	if (!f)
		return;
	struct family *y = fault_of(f)->family;
	while (y->files) {
		struct fault_file *t = y->files;
		y->files = t->before;
		free_one(t);
	}
	pthread_mutex_destroy(&y->lock);
	free(y->namings);
	free(y);
}

size_t fault_file_events(struct file *f)
{
	struct family *y = fault_of(f)->family;
	pthread_mutex_lock(&y->lock);
	size_t count = y->events;
	pthread_mutex_unlock(&y->lock);
	return count;
}

uint64_t fault_file_size(struct file *f)
{
	struct family *y = fault_of(f)->family;
	pthread_mutex_lock(&y->lock);
	uint64_t size = y->named->now.size;
	pthread_mutex_unlock(&y->lock);
	return size;
}

static bool had_the_name(const struct fault_file *t)
{
	const struct family *y = t->family;
	for (size_t i = 0; i < y->naming_count; i++)
		if (y->namings[i].to == t)
			return true;
	return !t->before; /* the first */
}

size_t fault_file_temporaries(struct file *f)
{
	struct family *y = fault_of(f)->family;
	size_t count = 0;
	pthread_mutex_lock(&y->lock);
	for (struct fault_file *t = y->files; t; t = t->before)
		count += !t->closed && !had_the_name(t);
	pthread_mutex_unlock(&y->lock);
	return count;
}
