/* SPDX-License-Identifier: MIT */
#include "when.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"
#include "quote.h"

/* Digits behind the dot or comma, as nanoseconds */
static const char *take_fraction(const char *at, uint64_t *nsec)
{
	uint64_t unit = 100000000;

	*nsec = 0;
	if (*at != '.' && *at != ',')
		return at;
	for (at++; isdigit((unsigned char)*at); at++, unit /= 10)
		*nsec += unit * (uint64_t)(*at - '0');
	return at;
}

/* "Z" or "+hh:mm", with a blank before it or not: seconds east; NULL: none */
static const char *take_zone(const char *at, long *east)
{
	struct tm zone = { 0 };
	const char *end;

	while (*at == ' ')
		at++;
	if (!isalpha((unsigned char)*at) && *at != '+' && *at != '-')
		return NULL;
	end = strptime(at, "%z", &zone);
	*east = zone.tm_gmtoff;
	return end;
}

/* false: not a date */
static bool take_date(const char *text, struct banyan_time *time)
{
	static const char *const forms[] = { "T%H:%M:%S", " %H:%M:%S", "T%H:%M",
					     " %H:%M" };
	struct tm tm = { .tm_isdst = -1 };
	const char *day = strptime(text, "%Y-%m-%d", &tm);
	const char *at = day, *end = NULL;
	long east = 0;

	if (!day || !isdigit((unsigned char)*text))
		return false;
	for (size_t i = 0; *day && !end && i < ARRAY_SIZE(forms); i++)
		end = strptime(day, forms[i], &tm);
	if (end)
		at = end;
	at = take_fraction(at, &time->nsec);
	end = take_zone(at, &east);
	if (end) {
		time->sec = (int64_t)timegm(&tm) - east;
		return *end == '\0';
	}
	time->sec = (int64_t)mktime(&tm);
	return *at == '\0';
}

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
	if (argument[0] == '@' || !take_date(argument, &when->time))
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
