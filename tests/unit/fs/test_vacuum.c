/* SPDX-License-Identifier: MIT */
/* When a vacuum is worth while. The rest of fs/vacuum.c: tests/mount/vacuum.sh */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/vacuum.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct banyan_stat stat_of(uint64_t live, uint64_t dead)
{
	return (struct banyan_stat){ .file_bytes = live + dead,
				     .live_bytes = live,
				     .reclaimable_bytes = dead };
}

static bool trims(uint64_t live, uint64_t dead, uint64_t least)
{
	struct banyan_stat stat = stat_of(live, dead);
	return vacuum_is_worth_trimming(&stat, 10, least);
}

static void a_small_database_is_trimmed_if_anything_is_dead(void **state)
{
	(void)state;
	assert_true(trims(GIB, GIB / 32, 0));
	assert_true(trims(MIB, MIB, 0));
	assert_true(trims(0, MIB, 0));
	assert_false(trims(GIB, 0, 0));
	/* within the error of the estimate */
	assert_false(trims(GIB, GIB / 100, 0));
	assert_false(trims(4096, 4096, 0));
}

static void a_large_database_is_trimmed_for_a_share(void **state)
{
	(void)state;
	assert_false(trims(90 * GIB, 9 * GIB, 0));
	assert_true(trims(90 * GIB, 10 * GIB, 0));
	assert_false(trims(GIB + 1, GIB / 16, 0));
	struct banyan_stat stat = stat_of(90 * GIB, 10 * GIB);
	assert_false(vacuum_is_worth_trimming(&stat, 11, 0));
	stat = stat_of(UINT64_MAX / 4, UINT64_MAX / 4);
	assert_true(vacuum_is_worth_trimming(&stat, 50, 0));
	assert_false(vacuum_is_worth_trimming(&stat, 51, 0));
}

static void least_is_a_bound(void **state)
{
	(void)state;
	assert_true(trims(MIB, MIB, MIB));
	assert_false(trims(MIB, MIB, MIB + 1));
	assert_false(trims(0, 0, 0));
}

static void autovacuum_leaves_small_files_alone(void **state)
{
	(void)state;
	struct banyan_stat stat = stat_of(20 * MIB, 43 * MIB);
	assert_false(vacuum_is_due(&stat, 50));
	stat = stat_of(20 * MIB, 44 * MIB);
	assert_true(vacuum_is_due(&stat, 50));
	stat = stat_of(90 * GIB, 10 * GIB);
	assert_false(vacuum_is_due(&stat, 50));
	assert_true(vacuum_is_due(&stat, 10));
	stat = stat_of(100 * GIB, GIB);
	assert_false(vacuum_is_due(&stat, 1)); /* for ever again */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_small_database_is_trimmed_if_anything_is_dead),
		cmocka_unit_test(a_large_database_is_trimmed_for_a_share),
		cmocka_unit_test(least_is_a_bound),
		cmocka_unit_test(autovacuum_leaves_small_files_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
