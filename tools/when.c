/* SPDX-License-Identifier: MIT */
#include "when.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/iso_time.h"
#include "common.h"
#include "quote.h"

static int take_name(const char *command, const char *argument,
		     struct when *when)
{
	const char *name = argument + (argument[0] == '@');
	size_t len = strlen(name);

	if (len && len <= BANYAN_NAME_MAX && !strchr(name, '/') &&
	    strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
		when->snapshot = name;
		return 0;
	}
	complain("%s: '%s' is neither the number of a freeze, nor a time like "
		 "2026-05-31T12:00:00, nor the name of a snapshot",
		 command, quote(argument));
	return EINVAL;
}

int when_take(const char *command, const char *argument, struct when *when)
{
	size_t digits = strspn(argument, "0123456789");
	struct timespec now;

	*when = (struct when){ 0 };
	if (digits && argument[digits] == '\0')
		return take_number(command, argument, "the number of a freeze",
				   1, UINT64_MAX, &when->freeze);
	if (argument[0] == '@' || !iso_time_parse(argument, &when->time))
		return take_name(command, argument, when);
	clock_gettime(CLOCK_REALTIME, &now);
	if (when->time.sec > (int64_t)now.tv_sec) {
		complain("%s: '%s' is in the future", command, quote(argument));
		return EINVAL;
	}
	when->by_time = true;
	return 0;
}

int when_open(banyan *db, const struct when *when, banyan **view)
{
	if (when->snapshot)
		return banyan_view_snapshot(db, when->snapshot,
					    strlen(when->snapshot), view);
	if (when->by_time)
		return banyan_view_at_time(db, when->time, view);
	if (when->freeze)
		return banyan_view_at_freeze(db, when->freeze, view);
	*view = db;
	return 0;
}
