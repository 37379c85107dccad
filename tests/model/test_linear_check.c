/* SPDX-License-Identifier: MIT */
/* The check for an order (linear.h) itself: what it must find, and must not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "banyan.h"
#include "linear.h"

/* Key 0 has value 10, keys 1 and 2 are aliases of one Data with 20 */
static const struct linear_row start[LINEAR_KEYS] = {
	{ .value = 10, .links = 1, .id = 100 },
	{ .value = 20, .links = 2, .id = 200 },
	{ .value = 20, .links = 2, .id = 200 },
};

#define OP(from, to, ...)                                       \
	{                                                       \
		.begin = from, .end = to, .count = 1, .step = { \
			{ __VA_ARGS__ }                         \
		}                                               \
	}
#define GET(k, v) .kind = LINEAR_GET, .key = k, .value = v
#define GONE(k) .kind = LINEAR_GET, .key = k, .rc = -ENOENT
#define PUT(k, v) .kind = LINEAR_PUT, .key = k, .value = v
#define REMOVE(k) .kind = LINEAR_REMOVE, .key = k
#define RENAME(k, to_key, how) \
	.kind = LINEAR_RENAME, .key = k, .to = to_key, .flags = how

#define YES(ops) assert_int_equal(verdict(ops, sizeof(ops)), LINEAR_YES)
#define NO(ops) assert_int_equal(verdict(ops, sizeof(ops)), LINEAR_NO)

static enum linear_verdict verdict(const struct linear_op *ops, size_t size)
{
	return linear_check(start, ops, size / sizeof(*ops), NULL);
}

static void what_comes_one_after_another_is_explained(void **state)
{
	(void)state;
	const struct linear_op ops[] = {
		OP(1, 2, GET(0, 10)), OP(3, 4, PUT(0, 11)),
		OP(5, 6, GET(0, 11)), OP(7, 8, REMOVE(0)),
		OP(9, 9, GONE(0)),
	};
	YES(ops);
}

static void a_stale_read_is_not(void **state)
{
	(void)state;
	const struct linear_op ops[] = {
		OP(1, 2, PUT(0, 11)),
		OP(3, 4, GET(0, 10)),
	};
	NO(ops);
}

static void beside_a_put_both_values_can_be_read(void **state)
{
	(void)state;
	const struct linear_op ops[] = {
		OP(1, 9, PUT(0, 11)),
		OP(2, 3, GET(0, 10)),
		OP(4, 5, GET(0, 11)),
	};
	YES(ops);
}

static void but_not_the_old_one_after_the_new_one(void **state)
{
	(void)state;
	const struct linear_op ops[] = {
		OP(1, 9, PUT(0, 11)),
		OP(2, 3, GET(0, 11)),
		OP(4, 5, GET(0, 10)),
	};
	NO(ops);
}

static void nor_in_the_other_order_for_another_reader(void **state)
{
	(void)state;
	/* Two puts side by side: all must agree which one was the last */
	const struct linear_op ops[] = {
		OP(1, 9, PUT(0, 11)),
		OP(1, 9, PUT(0, 12)),
		OP(10, 20, GET(0, 11)),
		OP(10, 20, GET(0, 12)),
	};
	NO(ops);
}

static void a_value_that_nobody_wrote_is_refused(void **state)
{
	(void)state;
	const struct linear_op ops[] = { OP(1, 2, GET(0, 13)) };
	NO(ops);
}

static void a_put_goes_through_to_aliases(void **state)
{
	(void)state;
	const struct linear_op good[] = { OP(1, 2, PUT(1, 21)),
					  OP(3, 4, GET(2, 21)) };
	const struct linear_op bad[] = { OP(1, 2, PUT(1, 21)),
					 OP(3, 4, GET(2, 20)) };
	YES(good);
	NO(bad);
}

static void half_a_batch_is_never_seen(void **state)
{
	(void)state;
	struct linear_op ops[] = {
		{ .begin = 1,
		  .end = 9,
		  .count = 2,
		  .step = { { PUT(0, 11) }, { PUT(1, 21) } } },
		OP(2, 3, GET(0, 11)),
		OP(4, 5, GET(1, 20)),
	};
	NO(ops);
	ops[0].count = 1;
	YES(ops);
}

static void nor_anything_of_an_aborted_one(void **state)
{
	(void)state;
	struct linear_op ops[] = {
		{ .begin = 1,
		  .end = 9,
		  .count = 2,
		  .aborted = true,
		  .step = { { PUT(0, 11) }, { GET(0, 11) } } },
		OP(10, 11, GET(0, 10)),
	};
	YES(ops);
	ops[0].aborted = false;
	NO(ops);
}

static void a_scan_shows_one_moment(void **state)
{
	(void)state;
	struct linear_op ops[] = {
		OP(1, 9, PUT(0, 11)),
		OP(1, 9, REMOVE(1)),
		OP(2, 3, GONE(1)),
		{ .begin = 4,
		  .end = 8,
		  .count = 1,
		  .step = { { .kind = LINEAR_SCAN } },
		  .keys = 7,
		  .rows = { { 11, 1, 100 }, { 0, 0, 0 }, { 20, 1, 200 } } },
	};
	YES(ops);
	ops[3].rows[2].links = 2; /* that was before key 1 went */
	NO(ops);
	ops[3].rows[2].links = 1;
	ops[3].rows[1] = (struct linear_row){ 20, 1, 200 };
	NO(ops);
	ops[3].rows[1] = (struct linear_row){ 0, 0, 0 };
	ops[3].rows[2].id = 300;
	NO(ops);
}

static void renames_take_what_is_in_their_way(void **state)
{
	(void)state;
	const struct linear_op over[] = { OP(1, 2, RENAME(0, 1, 0)),
					  OP(3, 4, GONE(0)),
					  OP(5, 6, GET(1, 10)),
					  OP(7, 8, GET(2, 20)) };
	const struct linear_op swapped[] = {
		OP(1, 2, RENAME(0, 1, BANYAN_EXCHANGE)), OP(3, 4, GET(0, 20)),
		OP(5, 6, GET(1, 10))
	};
	const struct linear_op nothing[] = { OP(1, 2, RENAME(1, 2, 0)),
					     OP(3, 4, GET(1, 20)) };
	const struct linear_op twice[] = { OP(1, 2, RENAME(0, 3, 0)),
					   OP(3, 4, GET(0, 10)) };
	YES(over);
	YES(swapped);
	YES(nothing);
	NO(twice);
}

static void a_held_data_lives_on_without_a_key(void **state)
{
	(void)state;
	struct linear_op ops[] = {
		OP(1, 2, .kind = LINEAR_SEARCH, .key = 0, .id = 100),
		OP(3, 4, REMOVE(0)),
		OP(5, 6, .kind = LINEAR_WRITE, .id = 100, .value = 12),
		OP(7, 8, .kind = LINEAR_LINKS, .id = 100, .links = 0),
		OP(9, 10, .kind = LINEAR_INSERT_DATA, .id = 100, .to = 4),
		OP(11, 12, GET(4, 12)),
	};
	YES(ops);
	ops[3].step[0].links = 1;
	NO(ops);
}

static void an_id_is_that_of_one_data_only(void **state)
{
	(void)state;
	struct linear_op ops[] = {
		OP(1, 2, PUT(3, 30)),
		OP(3, 4, .kind = LINEAR_SEARCH, .key = 3, .id = 300),
		OP(5, 6, .kind = LINEAR_READ, .id = 300, .value = 30),
	};
	YES(ops);
	ops[1].step[0].id = 100;
	ops[2].step[0].id = 100;
	NO(ops);
}

static void what_was_seen_from_beside_may_be_ahead(void **state)
{
	(void)state;
	/* In the file already, and not yet for those who read in the process */
	struct linear_op ops[] = {
		OP(1, 9, PUT(0, 11)),
		{ .begin = 2,
		  .end = 3,
		  .count = 1,
		  .step = { { .kind = LINEAR_SCAN } },
		  .keys = 1,
		  .rows = { { 11, 1, 100 } } },
		OP(4, 5, GET(0, 10)),
	};
	NO(ops);
	ops[1].beside = true;
	YES(ops);
	/* But never behind */
	ops[0].end = 1;
	ops[1].rows[0].value = 10;
	NO(ops);
}

/* Nothing is known of 12 puts side by side but which was the last */
static void many_at_once_are_no_trouble(void **state)
{
	(void)state;
	struct linear_op ops[14];
	for (unsigned i = 0; i < 12; i++)
		ops[i] = (struct linear_op)OP(1, 9, PUT(i % 2, 1000 + i));
	ops[12] = (struct linear_op)OP(10, 11, GET(0, 1004));
	ops[13] = (struct linear_op)OP(10, 11, GET(1, 1007));
	YES(ops);
	ops[13].step[0].value = 1004;
	NO(ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_one_after_another_is_explained),
		cmocka_unit_test(a_stale_read_is_not),
		cmocka_unit_test(beside_a_put_both_values_can_be_read),
		cmocka_unit_test(but_not_the_old_one_after_the_new_one),
		cmocka_unit_test(nor_in_the_other_order_for_another_reader),
		cmocka_unit_test(a_value_that_nobody_wrote_is_refused),
		cmocka_unit_test(a_put_goes_through_to_aliases),
		cmocka_unit_test(half_a_batch_is_never_seen),
		cmocka_unit_test(nor_anything_of_an_aborted_one),
		cmocka_unit_test(a_scan_shows_one_moment),
		cmocka_unit_test(renames_take_what_is_in_their_way),
		cmocka_unit_test(a_held_data_lives_on_without_a_key),
		cmocka_unit_test(an_id_is_that_of_one_data_only),
		cmocka_unit_test(what_was_seen_from_beside_may_be_ahead),
		cmocka_unit_test(many_at_once_are_no_trouble),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
