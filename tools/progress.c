/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"

#define SECOND INT64_C(1000000000)
#define WIDTH 24 /* of the bar, in characters */

static int64_t elapsed(const struct progress *progress)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - progress->began.tv_sec) * SECOND + now.tv_nsec -
	       progress->began.tv_nsec;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	memset(progress, 0, sizeof(*progress));
	progress->what = what;
	progress->total = total;
	progress->on_terminal = isatty(STDERR_FILENO);
	clock_gettime(CLOCK_MONOTONIC, &progress->began);
}

static void draw(const struct progress *progress, double part, double seconds,
		 uint64_t rows)
{
	int full = (int)(part * WIDTH);
	int64_t left = (int64_t)(seconds / part - seconds + 0.5);
	double rate = (double)rows / seconds;
	const char *unit = "rows";

	if (progress->bytes) {
		rate = part * (double)progress->total / seconds / 1e6;
		unit = "MB";
	}
	fprintf(stderr,
		"\r%s [%.*s%*s] %3d %%  %.0f %s/s  %" PRId64 ":%02" PRId64
		" left\033[K",
		progress->what, full, "########################", WIDTH - full,
		"", (int)(part * 100), rate, unit, left / 60, left % 60);
}

void progress_show(struct progress *progress, uint64_t done, uint64_t rows)
{
	int64_t now;
	double seconds, part;

	if (!progress->on_terminal)
		return;
	now = elapsed(progress);
	if (now - progress->shown < SECOND / 10)
		return;
	progress->shown = now;
	seconds = (double)now / (double)SECOND;
	part = progress->total ? (double)done / (double)progress->total : 0;
	if (part > 0)
		draw(progress, part < 1 ? part : 1, seconds, rows);
	else if (progress->bytes)
		fprintf(stderr, "\r%s\033[K", progress->what);
	else
		fprintf(stderr, "\r%s  %" PRIu64 " rows  %.0f rows/s\033[K",
			progress->what, rows, (double)rows / seconds);
	fflush(stderr);
}

int progress_told(void *arg, uint64_t done, uint64_t total)
{
	struct progress *progress = arg;

	progress->total = total;
	progress_show(progress, done, 0);
	return interrupted() ? -ECANCELED : 0;
}

void progress_clear(struct progress *progress)
{
	if (progress->on_terminal && progress->shown)
		fputs("\r\033[K", stderr);
}
