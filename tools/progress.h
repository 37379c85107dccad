/* SPDX-License-Identifier: MIT */
/*
 * progress.h - a bar with the rate and the time that is left, on standard error
 * if that is a terminal and else nowhere.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct progress {
	const char *what; /* is being done: "importing" */
	uint64_t total; /* of whatever is done; 0: unknown */
	bool bytes; /* the rate is that of what is done, in bytes, not of rows */
	bool on_terminal;
	struct timespec began;
	int64_t shown; /* nanoseconds since then */
};

void progress_begin(struct progress *progress, const char *what,
		    uint64_t total);

/*
 * done of the total, and that many rows by now. Cheap: looks at the clock, and
 * draws ten times a second at the most.
 */
void progress_show(struct progress *progress, uint64_t done, uint64_t rows);

/* What the library may tell how far it is, with the progress as its argument:
 * -ECANCELED when the process was interrupted */
int progress_told(void *progress, uint64_t done, uint64_t total);

/* Clear the line: before any other output. It may be shown again. */
void progress_clear(struct progress *progress);

#endif
