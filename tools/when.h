/* SPDX-License-Identifier: MIT */
/* when.h - a moment of the past, as people write it: a freeze or a time */
#ifndef TOOLS_WHEN_H
#define TOOLS_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include "banyan.h"

/* All zeros: the present */
struct when {
	uint64_t freeze; /* its number, or 0 */
	bool by_time;
	struct banyan_time time;
	const char *snapshot; /* its name, or NULL; of the argument */
};

/*
 * Take the argument of a command: the number of a freeze, or a date as ISO 8601
 * has it, with a time or without, with a zone or in local time; what is neither,
 * and what follows an '@', is the name of a snapshot. 0, or EINVAL after
 * complaining, also about a time that is in the future.
 */
int when_take(const char *command, const char *argument, struct when *when);

/* A view of it, or an error; *view is db itself for the present */
int when_open(banyan *db, const struct when *when, banyan **view);

/*
 * The option of the commands that can read the past: an entry for a table of
 * options.
 */
enum { OPTION_AT = 512 };
#define AT_OPTION                                                             \
	{                                                                     \
		"at", OPTION_AT, "WHEN", 0,                                   \
			"As it was then: the number of a freeze (see "        \
			"'banyan freezes'), a date and time as "              \
			"2026-05-31T12:00:00, with or without fractions of "  \
			"a second and a zone, or else the name of a "         \
			"snapshot (see 'banyan snapshots'); @NAME is always " \
			"a snapshot",                                         \
			0                                                     \
	}

#endif
