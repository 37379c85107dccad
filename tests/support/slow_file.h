/* SPDX-License-Identifier: MIT */
/*
 * slow_file.h - a file that takes its time, over another one.
 *
 * Bytes go to the file below and come from it; at moments that follow from the
 * seed, or always, the thread sleeps before and after that. So what lies between
 * the steps of a write, a sync and a freeze, and is over at once on a fast disk,
 * lasts long enough for other threads to come in between. When it is told to, it
 * also keeps the reads of one place waiting, or spoils them.
 */
#ifndef TESTS_SLOW_FILE_H
#define TESTS_SLOW_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "file/file.h"

struct slow {
	uint64_t seed;
	/* The longest sleep in us; 0: none. Half the calls sleep not at all,
	 * the others up to that, before or after. */
	unsigned append;
	unsigned read; /* one call in 16 */
	unsigned sync;
	unsigned sync_always; /* every sync takes so many us */
};

/*
 * The file below belongs to it if `owned`; else it stays open when this one is
 * closed. 0 or -ENOMEM.
 */
int slow_file_new(struct file *below, bool owned, const struct slow *slow,
		  struct file **f);

/* From now on reads give another byte at offset than there is; 0: no more */
void slow_file_spoil(struct file *f, uint64_t offset);

/*
 * Reads that cover offset do not return until slow_file_go(). slow_file_wait()
 * returns when one has come.
 */
void slow_file_stop(struct file *f, uint64_t offset);
void slow_file_wait(struct file *f);
void slow_file_go(struct file *f);

/* Syncs so far that have returned; and what the longest took, in ns */
uint64_t slow_file_syncs(struct file *f, uint64_t *longest);

#endif
