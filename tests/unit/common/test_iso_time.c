/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/iso_time.h"

#define NOON INT64_C(1780228800) /* 2026-05-31 12:00 UTC */

static void is(const char *text, int64_t sec, uint64_t nsec)
{
	struct banyan_time t;

	if (!iso_time_parse(text, &t))
		fail_msg("%s is not taken", text);
	if (t.sec != sec || t.nsec != nsec)
		fail_msg("%s is %jd.%ju", text, (intmax_t)t.sec,
			 (uintmax_t)t.nsec);
}

static int in_brussels(void **state)
{
	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return 0;
}

static void with_a_zone(void **state)
{
	(void)state;
	is("2026-05-31T12:00:00Z", NOON, 0);
	is("2026-05-31 12:00:00Z", NOON, 0);
	is("2026-05-31T14:00:00+02:00", NOON, 0);
	is("2026-05-31T14:00+0200", NOON, 0);
	is("2026-05-31T11:30-00:30", NOON, 0);
	is("2026-05-31T12:00:00 Z", NOON, 0);
	is("2026-05-31T12:00:00.5Z", NOON, 500000000);
	is("2026-05-31T12:00:00,000000001Z", NOON, 1);
	is("2026-05-31T12:00:00.1234567899Z", NOON, 123456789);
	is("1969-12-31T23:59:59.25Z", -1, 250000000);
}

static void in_local_time(void **state)
{
	(void)state;
	is("2026-05-31T14:00:00", NOON, 0);
	is("2026-05-31 14:00", NOON, 0);
	is("2026-01-01", INT64_C(1767222000), 0);
}

static void nothing_else(void **state)
{
	static const char *const wrong[] = {
		"",
		"7",
		"now",
		"2026",
		"2026-05",
		"2026-13-01",
		"2026-05-31T",
		"2026-05-31T25:00",
		"2026-05-31T12:00:00x",
		"2026-05-31T12:00:00+",
		"+2026-05-31",
		" 2026-05-31",
		"2026-05-31T12:00:00Z ",
		"12:00",
	};
	struct banyan_time t;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (iso_time_parse(wrong[i], &t))
			fail_msg("'%s' is taken", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_a_zone),
		cmocka_unit_test(in_local_time),
		cmocka_unit_test(nothing_else),
	};

	return cmocka_run_group_tests(tests, in_brussels, NULL);
}
