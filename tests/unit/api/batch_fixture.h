/* SPDX-License-Identifier: MIT */
/* batch_fixture.h - what the tests of batches share, beside api_fixture.h */
#ifndef TESTS_BATCH_FIXTURE_H
#define TESTS_BATCH_FIXTURE_H

#include "api_fixture.h"

#include "api/handle.h"
#include "repair/check.h"

static inline banyan *begin(banyan *db)
{
	banyan *batch = NULL;
	OK(banyan_begin(db, &batch));
	assert_non_null(batch);
	return batch;
}

static inline void print_found(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

static inline void assert_sound(banyan *db)
{
	struct banyan_check options = { .found = print_found };
	struct checker k;
	checker_init(&k, &options);
	OK(check_now(&k, db->store));
	assert_int_equal(k.tell.count, 0);
}

/* Nothing is left of what has gone */
static inline void assert_live(banyan *db, uint64_t bytes)
{
	OK(banyan_freeze(db));
	assert_int_equal(stat_of(db).live_bytes, bytes);
	assert_sound(db);
}

#endif
