/* SPDX-License-Identifier: MIT */
/* fault_cut.c - the files that a machine or the next process could find. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "fault_events.h"
#include "random.h"

#define SECTOR 512u

/* One power cut: the history up to it, the new image, and what is decided */
struct cut {
	const struct fault_file *from;
	size_t events;
	enum fault_cut kind;
	uint64_t random;
	bool any_byte; /* sectors are torn as well */
	bool in_order; /* what is there came before what is not */
	uint64_t keep; /* out of order: so many of 16 appends are kept */
	size_t open; /* appends that no sync covers */
	size_t torn; /* in order: which of those is the last, */
	size_t torn_at; /* and how much of it is there */
	struct image *to;
};

/* The image in which what this event appended is as it was then */
static const struct image *image_of(const struct fault_file *t,
				    const struct event *e)
{
	size_t n = (size_t)(e - t->events);
	for (size_t i = 0; i < t->punch_count; i++)
		if (t->punches[i].events > n)
			return &t->punches[i].before;
	return &t->now;
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
		else if (event_end(e) > size)
			size = event_end(e);
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
	if (c->any_byte)
		return 0;
	image_read(image_of(c->from, e), bytes, n, e->offset - n);
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
		return image_take(c->to, image_of(c->from, e), to - from,
				  offset);
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

/* Its beginning, its end, or all but a piece of it */
static int keep_some_bytes(struct cut *c, const struct event *e)
{
	size_t from = test_below(&c->random, e->length);
	size_t to = from + 1 + test_below(&c->random, e->length - from);
	uint64_t how = test_below(&c->random, 4);
	int rc = how ? 0 : keep_part(c, e, from, e->length);
	if (!rc && how)
		rc = keep_part(c, e, 0, how == 1 ? to : from);
	if (!rc && how > 2)
		rc = keep_part(c, e, to, e->length);
	return rc;
}

/* Where an append is torn: at the end of a sector, 0 being its beginning */
static size_t some_place(struct cut *c, const struct event *e)
{
	size_t end = 0;
	if (c->any_byte)
		return test_below(&c->random, e->length + 1);
	size_t sectors = e->length / SECTOR + 2;
	for (size_t n = test_below(&c->random, sectors); n; n--)
		end = end < e->length ? sector_end(e, end) : end;
	return end;
}

/* An append of which the disk has what the kind of cut says */
static int keep_open(struct cut *c, const struct event *e, size_t number)
{
	if (c->kind == FAULT_KEEP)
		return keep_part(c, e, 0, e->length);
	if (c->kind == FAULT_DROP || c->kind == FAULT_ZEROS)
		return 0;
	if (c->in_order) {
		size_t to = number < c->torn ? e->length : c->torn_at;
		return number > c->torn ? 0 : keep_part(c, e, 0, to);
	}
	if (test_below(&c->random, 16) < c->keep)
		return keep_part(c, e, 0, e->length);
	if (test_below(&c->random, 2))
		return 0;
	return c->any_byte ? keep_some_bytes(c, e) : keep_some_sectors(c, e);
}

/* How things are torn, which size the file has, and where what it has ends */
static void decide(struct cut *c)
{
	uint64_t size = sure_size(c);
	size_t last = c->open; /* the append after which the size was such */
	bool dice = c->kind >= FAULT_PREFIX;
	c->any_byte = c->kind == FAULT_BYTES || c->kind == FAULT_GARBAGE;
	c->in_order = c->kind == FAULT_PREFIX ||
		      (c->any_byte && test_below(&c->random, 2));
	if (dice)
		last = test_below(&c->random, c->open + 1);
	c->keep = test_below(&c->random, 17);
	c->to->size = size;
	const struct event *e = NULL;
	if (c->kind != FAULT_DROP && last > 0)
		e = open_append(c, last - 1);
	if (!e)
		return;
	uint64_t end = event_end(e);
	if (c->in_order || c->any_byte) {
		c->torn = last - 1;
		c->torn_at = some_place(c, e);
		if (test_below(&c->random, 2))
			end = e->offset + c->torn_at;
	}
	if (end > size)
		c->to->size = end;
}

/* What was lost reads as what some earlier file left there */
static int fill_with_garbage(struct cut *c)
{
	uint8_t bytes[SECTOR];
	int rc = 0;
	for (size_t i = 0; i < c->events && !rc; i++) {
		const struct event *e = &c->from->events[i];
		uint64_t at = e->offset;
		uint64_t end = event_end(e);
		if (is_safe(c, e))
			continue;
		if (end > c->to->size)
			end = c->to->size;
		for (; at < end && !rc; at += sizeof(bytes)) {
			for (size_t k = 0; k < sizeof(bytes); k++)
				bytes[k] = (uint8_t)test_random(&c->random);
			size_t n = end - at < sizeof(bytes) ? end - at :
							      sizeof(bytes);
			rc = image_write(c->to, bytes, n, at);
		}
	}
	return rc;
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

/* Are holes durable that were punched then? */
static bool is_punch_safe(const struct cut *c, const struct punch *p)
{
	for (size_t i = p->events; i < c->events; i++) {
		const struct event *e = &c->from->events[i];
		if (!e->length && !e->doubtful)
			return true;
	}
	return false;
}

static int punch_some(struct cut *c, const struct range *r, bool all)
{
	bool dice = c->kind >= FAULT_PREFIX;
	int rc = 0;
	uint64_t to = r->to < c->to->size ? r->to : c->to->size;
	for (uint64_t at = r->from; !rc && at + FILE_BLOCK <= to;
	     at += FILE_BLOCK)
		if (all ||
		    (dice ? test_below(&c->random, 2) : c->kind == FAULT_KEEP))
			rc = image_zero(c->to, FILE_BLOCK, at);
	return rc;
}

static int punch(struct cut *c)
{
	int rc = 0;
	for (size_t i = 0; i < c->from->punch_count; i++) {
		const struct punch *p = &c->from->punches[i];
		if (p->events > c->events)
			break;
		bool all = is_punch_safe(c, p);
		for (size_t k = 0; !rc && k < p->count; k++)
			rc = punch_some(c, &p->ranges[k], all);
	}
	return rc;
}

/* Of the file's own events, how many are among the first `events` */
static size_t own_events(const struct fault_file *t, size_t events)
{
	size_t low = 0;
	size_t high = t->event_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (t->events[middle].time < events)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool name_survives(struct cut *c, const struct naming *n, size_t events)
{
	if (n->renamed >= events)
		return false;
	if (n->durable < events)
		return true;
	if (c->kind == FAULT_DROP || c->kind == FAULT_KEEP)
		return c->kind == FAULT_KEEP;
	return test_below(&c->random, 2);
}

/* Which file has the name behind so many events */
static struct fault_file *named_then(struct cut *c, const struct family *y,
				     size_t events)
{
	struct fault_file *t = y->files;
	while (t->before)
		t = t->before;
	for (size_t i = 0; i < y->naming_count; i++)
		if (name_survives(c, &y->namings[i], events))
			t = y->namings[i].to;
	return t;
}

int fault_file_after_cut(struct file *f, size_t events, enum fault_cut cut,
			 uint64_t seed, struct file **after)
{
	struct family *y = fault_of(f)->family;
	struct fault_file *made = fault_new(NULL);
	if (!made)
		return -ENOMEM;
	struct cut c = { .kind = cut, .random = seed, .to = &made->base };
	pthread_mutex_lock(&y->lock);
	assert(events <= y->events);
	struct fault_file *t = named_then(&c, y, events);
	c.from = t;
	c.events = own_events(t, events);
	int rc = image_copy(&made->base, &t->base);
	if (!rc) {
		decide(&c);
		if (cut == FAULT_GARBAGE)
			rc = fill_with_garbage(&c);
	}
	if (!rc)
		rc = fill(&c);
	if (!rc)
		rc = punch(&c);
	pthread_mutex_unlock(&y->lock);
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
		return fault_record(to, *e);
	}
	struct event again = { .offset = e->offset,
			       .length = e->length,
			       .bytes = e->bytes,
			       .sync = NOT_YET };
	int rc = fault_record(to, again);
	if (rc)
		return rc;
	atomic_fetch_add(&e->bytes->refs, 1);
	to->now.size = event_end(e);
	if (e->sync < events) {
		struct event *made = &to->events[to->event_count - 1];
		made->sync = e->sync;
		made->doubtful = e->doubtful;
		made->lost = e->lost;
		if (e->lost)
			return 0;
	}
	if (!e->lost)
		return image_take(&to->now, image_of(from, e), e->length,
				  e->offset);
	return image_write(&to->now, e->bytes->at, e->length, e->offset);
}

/* The holes that were punched behind so many of the file's events. Those of the
 * last moment are half of them there. */
static int replay_punches(struct fault_file *to, const struct fault_file *from,
			  size_t at, size_t own)
{
	int rc = 0;
	for (size_t i = 0; i < from->punch_count; i++) {
		const struct punch *p = &from->punches[i];
		size_t count = at < own ? p->count : p->count / 2;
		if (p->events != at)
			continue;
		for (size_t k = 0; !rc && k < count; k++)
			rc = fault_punch(to, p->ranges[k].from,
					 p->ranges[k].to);
	}
	return rc;
}

/* What had happened to one file by then, in that place of the new family */
static int replay_file(struct fault_file *to, const struct fault_file *from,
		       size_t events)
{
	size_t own = own_events(from, events);
	int rc = image_copy(&to->base, &from->base);
	if (!rc)
		rc = image_copy(&to->now, &from->base);
	for (size_t i = 0; i < own && !rc; i++) {
		rc = replay_punches(to, from, i, own);
		to->family->events = from->events[i].time;
		if (!rc)
			rc = replay(to, from, &from->events[i], own);
	}
	return rc ? rc : replay_punches(to, from, own, own);
}

/* All files, those that have gone included: a power cut looks back at them */
static int replay_files(struct family *to, const struct fault_file *from,
			size_t events)
{
	const struct family *y = from->family;
	if (!from->before)
		return replay_file(to->files, from, events);
	int rc = replay_files(to, from->before, events);
	struct fault_file *made = rc ? NULL : fault_new(to);
	if (!made)
		return rc ? rc : -ENOMEM;
	made->closed = true;
	rc = replay_file(made, from, events);
	for (size_t i = 0; !rc && i < y->naming_count; i++) {
		const struct naming *n = &y->namings[i];
		bool durable = n->durable < events;
		if (n->to == from && n->renamed < events)
			rc = fault_rename(made, n->renamed,
					  durable ? n->durable : NOT_YET);
	}
	return rc;
}

int fault_file_after_kill(struct file *f, size_t events, struct file **after)
{
	struct family *y = fault_of(f)->family;
	struct fault_file *made = fault_new(NULL);
	if (!made)
		return -ENOMEM;
	pthread_mutex_lock(&y->lock);
	assert(events <= y->events);
	int rc = replay_files(made->family, y->files, events);
	pthread_mutex_unlock(&y->lock);
	made->family->events = events;
	if (rc) {
		fault_file_free(&made->file);
		return rc;
	}
	made->closed = true;
	made->family->named->closed = false;
	*after = &made->family->named->file;
	return 0;
}
