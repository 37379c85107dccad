/* SPDX-License-Identifier: MIT */
/*
 * fault_file.h - a file in memory that fails on request, and that knows how it
 * could look after a power cut.
 *
 * It is a struct file like any other (file.h), to be given to the code under
 * test. It records every append and every sync as an event. From any point of
 * that history fault_file_after_cut() makes the file that a machine could find
 * when the power comes back: a new fault file with a history of its own, so
 * that the recovery can be cut short as well.
 *
 * All functions may be called while other threads use the file.
 */
#ifndef TESTS_FAULT_FILE_H
#define TESTS_FAULT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file/file.h"

/* A new file that has these bytes on the disk already. 0 or -ENOMEM. */
int fault_file_new(const void *bytes, size_t size, struct file **f);

/*
 * file_close() only forbids further use through file.h: what is recorded stays
 * until this is called. NULL is fine.
 *
 * Files that file_beside() has made of it, and of those, are on the same disk:
 * what these functions say of a file they say of all of them. They fail together,
 * have one history, and are freed together, whichever of them is named here. One
 * of them has the name: the first, until another is published in its place.
 */
void fault_file_free(struct file *f);

/* ---- failing ---------------------------------------------------------- */

enum fault_call {
	FAULT_READ,
	FAULT_APPEND,
	FAULT_SYNC,
	FAULT_VERIFY,
	FAULT_SIZE,
	FAULT_RESERVE,
	FAULT_DROP_CACHE,
	FAULT_PUBLISH, /* before the name has changed */
	FAULT_BESIDE,
	FAULT_EXCLUDE,
	FAULT_PUNCH,
	FAULT_DIRECTORY, /* in publish, when the name has changed: its sync */
	FAULT_CALLS, /* how many there are */
};

/* How often it was called, failures included */
uint64_t fault_file_calls(struct file *f, enum fault_call call);

/*
 * Let the nth call from now (1: the next) fail with the negative errno value
 * error, or all from the nth on. n = 0: none any more.
 */
void fault_file_fail(struct file *f, enum fault_call call, uint64_t n,
		     int error, bool for_ever);

/*
 * An append that fails writes so many bytes of what it was given, though never
 * all of them; if this was not called: none.
 */
void fault_file_fail_after(struct file *f, size_t bytes);

/*
 * A disk that is full when the file, and what is beside it, has so many bytes (0:
 * never): appends write what fits and say -ENOSPC, and so does reserving more.
 */
void fault_file_limit(struct file *f, uint64_t size);

/*
 * Have this called at the beginning and at the end of every sync of the file
 * that has the name, by whoever syncs: what it appends happens while the sync is
 * under way, the first time covered by it and the second time not. NULL: no
 * more. Other threads must not use the file meanwhile.
 */
typedef void fault_at_sync(void *arg);
void fault_file_at_sync(struct file *f, fault_at_sync *call, void *arg);

/* ---- power cuts ------------------------------------------------------- */

/* Of what happened after the last sync that was good, the disk has ... */
enum fault_cut {
	FAULT_DROP, /* nothing: the size of then, too */
	FAULT_KEEP, /* everything */
	FAULT_ZEROS, /* the size, but no byte */
	FAULT_PREFIX, /* what came first, up to some sector */
	FAULT_RANDOM, /* some appends, some sectors of others, and some size */
	FAULT_BYTES, /* one of the last two, torn at any byte */
	FAULT_GARBAGE, /* likewise, and what was lost does not read as zeros */
	FAULT_CUTS, /* how many there are */
};

/*
 * Appends and syncs so far. An append that failed counts if it wrote anything,
 * publishing counts as a sync, dropping the cache does not count. To be published
 * in the place of another is three: the sync, the change of the name, and the sync
 * of the directory.
 */
size_t fault_file_events(struct file *f);

/* The size of the one that has the name, be it closed or not */
uint64_t fault_file_size(struct file *f);

/*
 * The file as it is on the disk after a power cut behind the first `events`
 * events. seed: for FAULT_PREFIX and what follows it, which give the same for
 * the same seed. 0 or -ENOMEM.
 *
 * What a sync covers is whole: all that was appended before it. What a failed
 * sync covered can be lost even if a later sync is good. A sector (512 bytes)
 * is never torn, but by FAULT_BYTES and FAULT_GARBAGE. The size is one that the
 * file had at some time since; or the file ends where it is torn. Lost bytes
 * below the size read as zeros, but with FAULT_GARBAGE. What was punched since the
 * last sync that was good is a hole or is not, block by block. Where a name has changed,
 * and that is not durable yet, it is one file or the other.
 */
int fault_file_after_cut(struct file *f, size_t events, enum fault_cut cut,
			 uint64_t seed, struct file **after);

/* Of what there is beside the one that has the name: how many were not closed, nor
 * have had it */
size_t fault_file_temporaries(struct file *f);

/*
 * The file as the next process finds it when one died behind the first `events`
 * events and the machine did not: all that was written, and with the same
 * history up to there. What a failed sync covered is in the cache alone: it
 * becomes zeros when file_drop_cache() is called for a place before it.
 */
int fault_file_after_kill(struct file *f, size_t events, struct file **after);

#endif
