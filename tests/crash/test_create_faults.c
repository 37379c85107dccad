/* SPDX-License-Identifier: MIT */
/*
 * Making a database where a call fails, each one there is: an error, and
 * nothing else is left of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/handle.h"
#include "chores.h"
#include "tests/support/fault_calls.h"

/* Make one while a call fails: false if it needs no such call */
static bool make_one(const struct calls_plan *p)
{
	struct banyan_options o = { 0 };
	struct file *below = NULL;
	banyan *db = NULL;
	assert_int_equal(fault_file_new(NULL, 0, &below), 0);
	struct file *file = calls_new(below);
	assert_non_null(file);
	calls_fail(file, p);
	int rc = handle_open_file(file, &o, true, &db);
	bool met = calls_failed(file) > 0;
	if (rc ? !met || !chore_is_fault(rc) : met)
		fail_msg("call %llu of kind %d failed with %d: it said %d",
			 (unsigned long long)p->nth, (int)p->call, p->error,
			 rc);
	calls_pause(file);
	assert_int_equal(banyan_close(db), 0);
	calls_free(file);
	fault_file_free(below);
	return met;
}

static void what_cannot_be_made_is_an_error(void **state)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT, -ENOMEM };
	unsigned failures = 0;
	(void)state;
	for (unsigned i = 0; i < 4 * (FAULT_CALLS + 1); i++) {
		struct calls_plan p = { .call = (enum fault_call)(i / 4),
					.error = errors[i % 4],
					.partly = 100 };
		for (p.nth = 1; make_one(&p); p.nth++)
			failures++;
	}
	print_message("%u could not be made\n", failures);
	assert_true(failures > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_made_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
