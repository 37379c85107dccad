/* SPDX-License-Identifier: MIT */
/* tell.h - what a check or a salvage tells its caller: lines, and progress. */
#ifndef STORE_REPAIR_TELL_H
#define STORE_REPAIR_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Functions may be NULL: they are those of struct banyan_check or
 * banyan_salvage */
struct teller {
	void (*bad)(void *arg, const char *line); /* damaged, or lost */
	void (*note)(void *arg, const char *line);
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	const char *begin; /* of each bad line; NULL: none */
	int64_t count; /* of bad lines */
	uint64_t done; /* bytes of work, for progress */
	uint64_t total;
	bool cancelled;
	bool no_memory; /* for a line: no more lines, and the whole must fail */
};

/* Tell one line. Once memory has run out nothing is told any more: a line that
 * lacks a name is worse than none. */
__attribute__((format(printf, 2, 3))) typedef void
tell_line(struct teller *t, const char *format, ...);
__attribute__((format(printf, 2, 3))) void tell_bad(struct teller *t,
						    const char *format, ...);
__attribute__((format(printf, 2, 3))) void tell_note(struct teller *t,
						     const char *format, ...);

/* So much is done: 0, or -ECANCELED */
int tell_progress(struct teller *t, uint64_t done);
/* No more is done than before: the same, to be called during long work */
int tell_still(void *teller);

/* A text to be told, with a NUL behind it; "" if there was no memory for it */
const char *tell_text(struct teller *t, struct buf *text);

#endif
