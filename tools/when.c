/* SPDX-License-Identifier: MIT */
#include "when.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/iso_time.h"
#include "common.h"
#include "quote.h"

int when_take(const char *command, const char *argument, struct when *when)
{
	size_t digits = strspn(argument, "0123456789");
	struct timespec now;

	*when = (struct when){ 0 };
	if (digits && argument[digits] == '\0')
		return take_number(command, argument, "the number of a freeze",
				   1, UINT64_MAX, &when->freeze);
	if (!iso_time_parse(argument, &when->time)) {
		complain("%s: '%s' is neither the number of a freeze nor a "
			 "time like 2026-05-31T12:00:00",
			 command, quote(argument));
		return EINVAL;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if (when->time.sec > (int64_t)now.tv_sec) {
		complain("%s: '%s' is in the future", command, quote(argument));
		return EINVAL;
	}
	when->by_time = true;
	return 0;
}
