/* SPDX-License-Identifier: MIT */
/* Which Data are known to have no extended attributes */
#include "tests/unit/api/api_fixture.h"

#include "fs/nodes.h"
#include "fs/xattrs.h"

static banyan *start(banyan_data **data)
{
	banyan *db = open_memory();
	put(db, "key", "value");
	*data = find(db, "key");
	return db;
}

static void end(banyan *db, banyan_data *data)
{
	banyan_release(data, 1);
	OK(banyan_close(db));
}

static bool is_bare(const banyan_data *data)
{
	return nodes_is(data, NODES_BARE);
}

static void who_lists_none_marks_the_Data(void **state)
{
	char value[8];
	banyan_data *data = NULL;
	banyan *db = start(&data);
	(void)state;
	assert_int_equal(xattrs_get(data, "user.a", value, sizeof(value)),
			 -ENODATA);
	assert_false(is_bare(data)); /* it may have others */
	assert_int_equal(xattrs_list(data, NULL, 0), 0);
	assert_true(is_bare(data));
	assert_int_equal(xattrs_get(data, "user.a", value, sizeof(value)),
			 -ENODATA);
	assert_int_equal(xattrs_list(data, NULL, 0), 0);
	end(db, data);
}

static void one_that_is_set_takes_the_mark_off(void **state)
{
	char value[8];
	banyan_data *data = NULL;
	banyan *db = start(&data);
	(void)state;
	xattrs_none(data, xattrs_count());
	assert_true(is_bare(data));
	OK(xattrs_set(data, "user.a", "1", 1, 0));
	assert_false(is_bare(data));
	assert_int_equal(xattrs_get(data, "user.a", value, sizeof(value)), 1);
	assert_int_equal(xattrs_list(data, NULL, 0), 7);
	assert_false(is_bare(data));
	end(db, data);
}

static void a_look_from_before_a_change_leaves_no_mark(void **state)
{
	banyan_data *data = NULL;
	banyan *db = start(&data);
	unsigned count = xattrs_count();
	(void)state;
	OK(xattrs_set(data, "user.a", "1", 1, 0));
	xattrs_none(data, count);
	assert_false(is_bare(data));
	end(db, data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_lists_none_marks_the_Data),
		cmocka_unit_test(one_that_is_set_takes_the_mark_off),
		cmocka_unit_test(a_look_from_before_a_change_leaves_no_mark),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
