/* SPDX-License-Identifier: MIT */
#include "common/iso_time.h"

#include <ctype.h>
#include <time.h>

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

bool iso_time_parse(const char *text, struct banyan_time *time)
{
	static const char *const forms[] = { "T%H:%M:%S", " %H:%M:%S", "T%H:%M",
					     " %H:%M" };
	struct tm tm = { .tm_isdst = -1 };
	const char *day = strptime(text, "%Y-%m-%d", &tm);
	const char *at = day, *end = NULL;
	long east = 0;

	if (!day || !isdigit((unsigned char)*text))
		return false;
	for (size_t i = 0; *day && !end && i < sizeof(forms) / sizeof(forms[0]);
	     i++)
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
