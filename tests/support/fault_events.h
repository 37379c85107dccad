/* SPDX-License-Identifier: MIT */
/*
 * fault_events.h - a fault file inside: fault_file.c, in which things happen to
 * it, and fault_cut.c, which makes other files of what has happened.
 *
 * The file is kept twice: `now`, what reads see, and the history, from which
 * every earlier state can be had. `base` is what the disk had from the
 * beginning.
 *
 * One mutex protects everything. It is held across a whole call: what a call
 * does happens at one time.
 */
#ifndef TESTS_FAULT_EVENTS_H
#define TESTS_FAULT_EVENTS_H

#include <pthread.h>

#include "fault_file.h"
#include "fault_image.h"

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
	fault_at_sync *at_sync;
	void *at_sync_arg;
};

static inline struct fault_file *fault_of(struct file *f)
{
	return (struct fault_file *)f;
}

static inline uint64_t event_end(const struct event *e)
{
	return e->offset + e->length;
}

/* An empty one; NULL: no memory. To be freed with fault_file_free(). */
struct fault_file *fault_new(void);

/* Append to the history, which takes over e.bytes. 0 or -ENOMEM. */
int fault_record(struct fault_file *t, struct event e);

#endif
