/* SPDX-License-Identifier: MIT */
/* Data that nobody holds, while an operation moves them (store/model/moves.h) */
#include "held_fixture.h"

static void moves_are_known_from_publish_to_settle(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	const struct location a = at("a"), b = at("b"), c = at("c");
	banyan_data *held = hold(t, 7, "a", 10);
	for (unsigned committed = 0; committed < 2; committed++) {
		struct moves m = { 0 };
		assert_int_equal(moves_add(&m, 7, &a, &b, false), 0);
		assert_int_equal(moves_add(&m, 8, &b, &c, false), 0);
		assert_int_equal(moves_add(&m, 7, &b, NULL, true), 0);
		assert_int_equal(moves_remove(&m, t, 7), 0);
		assert_int_equal(moves_remove(&m, t, 9), 1);
		assert_place(held, 20, "a");
		assert_int_equal(moves_publish(&m, t, 20), 0);
		assert_place(held, 19, "a");
		assert_place(held, 20, NULL);
		assert_false(moves_settle(&m, t, 20, committed));
		assert_int_equal(m.count, 0);
		assert_place(held, 20, committed ? NULL : "a");
		moves_free(&m);
	}
	assert_hold_again(t, 8, "b", 19);
	assert_hold_again(t, 9, "x", 19);
	assert_true(release(t, held, true));
}

/* A batch that is dropped has told nobody */
static void moves_that_were_not_published_leave_nothing(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	const struct location a = at("a"), b = at("b");
	struct moves m = { 0 };
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(moves_add(&m, i, &a, i % 2 ? &b : NULL, true),
				 0);
	assert_false(moves_settle(&m, t, 20, false));
	banyan_data *d = hold(t, 7, "a", 19);
	assert_place(d, 20, "a");
	assert_true(release(t, d, false));
	moves_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(moves_are_known_from_publish_to_settle),
		TEST(moves_that_were_not_published_leave_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
