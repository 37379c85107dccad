/* SPDX-License-Identifier: MIT */
/* Flags of Data: what immutable and append-only forbid, and that all else works */
#include "api_fixture.h"

#include <sys/stat.h>

static void set(banyan *db, const char *path, uint32_t flags)
{
	const struct banyan_attr attr = { .flags = flags };
	struct banyan_attr after;
	banyan_data *d = find(db, path);
	OK(banyan_set_attr(d, &attr, BANYAN_SET_FLAGS, &after));
	assert_int_equal(after.flags, flags);
	banyan_release(d, 1);
}

static banyan *fill(void)
{
	banyan *db = open_memory();
	put(db, "s/f", "value");
	put(db, "s/g", "other");
	put(db, "e/k", "x");
	OK(banyan_make_space(db, "empty", 0));
	return db;
}

/* What neither of the two flags lets through */
static void assert_fixed(banyan *db, bool may_grow)
{
	static const unsigned sets[] = { BANYAN_SET_MODE,  BANYAN_SET_UID,
					 BANYAN_SET_GID,   BANYAN_SET_SIZE,
					 BANYAN_SET_ATIME, BANYAN_SET_MTIME };
	struct banyan_attr attr = { .size = 5 };
	banyan_data *f = find(db, "s/f"), *g = find(db, "s/g");
	const int grown = may_grow ? 0 : -EPERM;
	for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++)
		assert_int_equal(banyan_set_attr(f, &attr, sets[i], NULL),
				 -EPERM);
	assert_int_equal(banyan_set_attr(f, &attr, BANYAN_SET_MTIME_NOW, NULL),
			 grown);
	assert_int_equal(banyan_write(f, "x", 1, 0, 0, NULL), -EPERM);
	assert_int_equal(banyan_write(f, "x", 1, 4, 0, NULL), -EPERM);
	assert_int_equal(banyan_punch(f, 0, 1, true), -EPERM);
	assert_int_equal(banyan_clone(g, 0, f, 2, 3), -EPERM);
	assert_int_equal(banyan_clone(f, 0, g, 5, 1), 1);
	assert_int_equal(banyan_put(db, "s/f", "new", 3, 0), -EPERM);
	assert_int_equal(banyan_put_data(db, "s/f", g, 0), -EPERM);
	assert_int_equal(banyan_set_xattr(f, "user.x", "1", 1, 0), -EPERM);
	assert_int_equal(banyan_remove_xattr(f, "user.y"), -EPERM);
	assert_int_equal(banyan_remove_xattr(f, "user.none"), -ENODATA);
	assert_int_equal(banyan_alias(db, "s/f", "alias"), -EPERM);
	assert_int_equal(banyan_remove(db, "s/f"), -EPERM);
	assert_int_equal(banyan_rename(db, "s/f", "s/new", 0), -EPERM);
	assert_int_equal(banyan_rename(db, "s/g", "s/f", 0), -EPERM);
	assert_int_equal(banyan_rename(db, "s/g", "s/f", BANYAN_EXCHANGE),
			 -EPERM);
	assert_key(db, "s/f", "value");
	assert_int_equal(banyan_write(f, "!", 1, 5, 0, NULL), grown);
	assert_int_equal(banyan_write(f, "!", 1, 0, BANYAN_APPEND, NULL),
			 grown);
	assert_key(db, "s/f", may_grow ? "value!!" : "value");
	banyan_release(f, 1);
	banyan_release(g, 1);
}

static void an_immutable_value_stays_as_it_is(void **state)
{
	banyan *db = fill();
	banyan_data *f = find(db, "s/f");
	(void)state;
	OK(banyan_set_xattr(f, "user.y", "1", 1, 0));
	banyan_release(f, 1);
	set(db, "s/f", BANYAN_IMMUTABLE);
	assert_fixed(db, false);
	set(db, "s/f", 0);
	OK(banyan_remove(db, "s/f"));
	OK(banyan_close(db));
}

static void to_an_append_only_value_bytes_can_be_added(void **state)
{
	banyan *db = fill();
	banyan_data *f = find(db, "s/f");
	(void)state;
	OK(banyan_set_xattr(f, "user.y", "1", 1, 0));
	banyan_release(f, 1);
	set(db, "s/f", BANYAN_APPEND_ONLY | BANYAN_NO_DUMP);
	assert_fixed(db, true);
	set(db, "s/f", BANYAN_NO_DUMP);
	OK(banyan_remove(db, "s/f"));
	OK(banyan_close(db));
}

static void an_immutable_key_space_keeps_its_keys(void **state)
{
	banyan *db = fill();
	(void)state;
	set(db, "s", BANYAN_IMMUTABLE);
	assert_int_equal(banyan_put(db, "s/new", "x", 1, 0), -EPERM);
	assert_int_equal(banyan_make_space(db, "s/new", 0), -EPERM);
	assert_int_equal(banyan_alias(db, "e/k", "s/new"), -EPERM);
	assert_int_equal(banyan_remove(db, "s/f"), -EPERM);
	assert_int_equal(banyan_rename(db, "s/f", "e/f", 0), -EPERM);
	assert_int_equal(banyan_rename(db, "e/k", "s/k", 0), -EPERM);
	assert_int_equal(banyan_rename(db, "s", "t", 0), -EPERM);
	put(db, "s/f", "keys in it can change");
	set(db, "empty", BANYAN_IMMUTABLE);
	assert_int_equal(banyan_remove(db, "empty"), -EPERM);
	assert_int_equal(banyan_rename(db, "e", "empty", 0), -EPERM);
	set(db, "s", 0);
	OK(banyan_remove(db, "s/f"));
	OK(banyan_close(db));
}

static void an_append_only_key_space_only_gets_keys(void **state)
{
	banyan *db = fill();
	(void)state;
	set(db, "s", BANYAN_APPEND_ONLY);
	put(db, "s/new", "x");
	OK(banyan_make_space(db, "s/t", 0));
	OK(banyan_alias(db, "e/k", "s/alias"));
	OK(banyan_rename(db, "e/k", "s/k", 0));
	assert_int_equal(banyan_remove(db, "s/f"), -EPERM);
	assert_int_equal(banyan_rename(db, "s/f", "e/f", 0), -EPERM);
	put(db, "e/new", "x");
	assert_int_equal(banyan_rename(db, "e/new", "s/f", 0), -EPERM);
	OK(banyan_close(db));
}

static void flags_that_are_not_known_are_refused(void **state)
{
	banyan *db = fill();
	struct banyan_attr attr = { .flags = 8 };
	banyan_data *f = find(db, "s/f");
	(void)state;
	assert_int_equal(banyan_set_attr(f, &attr, BANYAN_SET_FLAGS, NULL),
			 -EINVAL);
	OK(banyan_set_attr(f, &attr, BANYAN_SET_MODE, &attr));
	assert_int_equal(attr.flags, 0);
	banyan_release(f, 1);
	OK(banyan_close(db));
}

static int count_change(void *arg, const struct banyan_change *change)
{
	assert_int_equal(change->before->flags ^ change->after->flags,
			 BANYAN_NO_DUMP);
	++*(unsigned *)arg;
	return 0;
}

static void a_change_of_flags_is_a_difference(void **state)
{
	banyan *db = fill();
	banyan *view = NULL;
	unsigned count = 0;
	(void)state;
	OK(banyan_view(db, &view));
	set(db, "s", BANYAN_NO_DUMP);
	set(db, "s/f", BANYAN_NO_DUMP);
	OK(banyan_diff(view, db, count_change, &count));
	assert_int_equal(count, 2);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_immutable_value_stays_as_it_is),
		cmocka_unit_test(to_an_append_only_value_bytes_can_be_added),
		cmocka_unit_test(an_immutable_key_space_keeps_its_keys),
		cmocka_unit_test(an_append_only_key_space_only_gets_keys),
		cmocka_unit_test(flags_that_are_not_known_are_refused),
		cmocka_unit_test(a_change_of_flags_is_a_difference),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
