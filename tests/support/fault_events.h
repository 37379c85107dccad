/* SPDX-License-Identifier: MIT */
/*
 * fault_events.h - a fault file inside: fault_file.c, in which things happen to
 * it, and fault_cut.c, which makes other files of what has happened.
 *
 * The file is kept twice: `now`, what reads see, and the history, from which
 * every earlier state can be had. `base` is what the disk had from the
 * beginning.
 *
 * Files that are beside each other are a family. One mutex protects all of it. It
 * is held across a whole call: what a call does happens at one time. The history is
 * that of the family: each event has its number there as its `time`, while files
 * count their own. A change of the name has a number too, and is no file's event.
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
	size_t time;
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

/*
 * Holes that were punched between two events. An event that came before them is
 * read from `before`: what it has appended is whole there. (What is punched lies
 * before all that is appended later.)
 */
struct punch {
	size_t events; /* the file's, so far */
	struct image before;
	struct range {
		uint64_t from, to;
	} * ranges;
	size_t count;
};

/* A change of the name */
struct naming {
	struct fault_file *to;
	size_t renamed; /* when */
	size_t durable; /* and when its directory was synced; NOT_YET */
};

struct family {
	pthread_mutex_t lock;
	struct fault_file *files; /* the last one first */
	struct fault_file *named;
	struct naming *namings;
	size_t naming_count;
	size_t events;
	struct failure failures[FAULT_CALLS];
	size_t fail_after;
	uint64_t limit;
	fault_at_sync *at_sync;
	void *at_sync_arg;
};

struct fault_file {
	struct file file;
	struct family *family;
	struct fault_file *before;
	bool closed;
	struct image base;
	struct image now;
	struct event *events;
	size_t event_count;
	size_t event_room;
	size_t uncovered; /* the first event that no sync covers */
	struct punch *punches;
	size_t punch_count;
};

static inline struct fault_file *fault_of(struct file *f)
{
	return (struct fault_file *)f;
}

static inline uint64_t event_end(const struct event *e)
{
	return e->offset + e->length;
}

/* An empty one, of this family, or of a new one; NULL: no memory. To be freed with
 * fault_file_free(). */
struct fault_file *fault_new(struct family *family);

/* Append to the history, which takes over e.bytes. 0 or -ENOMEM. */
int fault_record(struct fault_file *t, struct event e);

/* Punch a hole into what reads see, and note it. 0 or -ENOMEM. */
int fault_punch(struct fault_file *t, uint64_t from, uint64_t to);

/* So does the name: it is t's from now on, which is durable at that time */
int fault_rename(struct fault_file *t, size_t renamed, size_t durable);

#endif
