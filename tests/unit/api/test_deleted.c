/* SPDX-License-Identifier: MIT */
/* banyan_deleted(): the keys that were deleted and do not exist now */
#include "history_fixture.h"

static void newest_first(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	put(db, "b", "22");
	put(db, "c", "333");
	assert_deleted(db, "");
	OK(banyan_remove(db, "c"));
	OK(banyan_freeze(db));
	OK(banyan_remove(db, "a"));
	assert_deleted(db, "a:1 c:3 ");
	put(db, "c", "again");
	assert_deleted(db, "a:1 ");
	OK(banyan_remove(db, "c"));
	assert_deleted(db, "c:5 a:1 ");
	OK(banyan_close(db));
}

/* What was there at the first freeze has no operation that made it */
static void kept_by_a_vacuum(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/a", "1");
	put(db, "s/b", "22");
	OK(banyan_alias(db, "s/b", "s/c"));
	put(db, "gone", "x");
	OK(banyan_remove(db, "gone"));
	OK(banyan_vacuum(db, NULL, NULL));
	assert_deleted(db, "");
	remove_tree(db, "s");
	assert_deleted(db, "s/:0 s/a:1 s/b:2 s/c:2 ");
	assert_deleted_in(db, "s", "s/a:1 s/b:2 s/c:2 ");
	OK(banyan_close(db));
}

static void what_was_moved_is_not_told(void **state)
{
	banyan *db = open_memory();
	banyan *batch = NULL;
	(void)state;
	put(db, "a", "1");
	OK(banyan_rename(db, "a", "b", 0));
	put(db, "x", "22");
	OK(banyan_rename(db, "x", "b", 0));
	assert_deleted(db, "");
	put(db, "s/k", "333");
	OK(banyan_rename(db, "s", "t", 0));
	assert_deleted(db, "");
	OK(banyan_remove(db, "t/k"));
	assert_deleted(db, "t/k:3 ");
	OK(banyan_begin(db, &batch));
	OK(banyan_rename(batch, "b", "c", 0));
	put(batch, "d", "4444");
	OK(banyan_rename(batch, "c", "e", 0));
	OK(banyan_remove(batch, "d"));
	OK(banyan_commit(batch));
	assert_deleted(db, "t/k:3 ");
	OK(banyan_begin(db, &batch));
	OK(banyan_rename(batch, "e", "f", 0));
	OK(banyan_remove(batch, "f"));
	OK(banyan_commit(batch));
	assert_deleted(db, "e:2 t/k:3 ");
	OK(banyan_close(db));
}

/* As long as there is one key */
static void what_lives_on_is_not_told(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	OK(banyan_alias(db, "a", "b"));
	OK(banyan_remove(db, "a"));
	put(db, "b", "22");
	assert_deleted(db, "");
	OK(banyan_rename(db, "b", "c", 0));
	assert_deleted(db, "");
	OK(banyan_remove(db, "c"));
	assert_deleted(db, "c:2 a:1 ");
	/* Somebody holds it, but it has no key */
	put(db, "held", "333");
	banyan_data *held = find(db, "held");
	OK(banyan_remove(db, "held"));
	assert_deleted(db, "held:3 c:2 a:1 ");
	/* A key that it is given makes it live again */
	OK(banyan_insert_data(banyan_root(db), "back", 4, held));
	assert_deleted(db, "c:2 a:1 ");
	banyan_release(held, 1);
	OK(banyan_close(db));
}

/* A path stands for what had it last */
static void in_key_spaces_that_were_replaced(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/a", "1");
	put(db, "s/b", "1");
	put(db, "s/t/c", "1");
	put(db, "s/t/d", "1");
	remove_tree(db, "s");
	assert_deleted(db, "s/:0 s/a:1 s/b:1 s/t/:0 s/t/c:1 s/t/d:1 ");
	put(db, "s/a", "22");
	put(db, "s/t/c", "22");
	assert_deleted(db, "s/b:1 s/t/d:1 ");
	assert_deleted_in(db, "s/t/", "s/t/d:1 ");
	remove_tree(db, "s");
	assert_deleted(db, "s/:0 s/a:2 s/t/:0 s/t/c:2 s/b:1 s/t/d:1 ");
	put(db, "s", "a value");
	assert_deleted(db, "s/a:2 s/t/:0 s/t/c:2 s/b:1 s/t/d:1 ");
	OK(banyan_close(db));
}

static void key_spaces_that_were_moved(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/t/a", "1");
	OK(banyan_remove(db, "s/t/a"));
	remove_tree(db, "s/t");
	OK(banyan_rename(db, "s", "u", 0));
	assert_deleted(db, "u/t/:0 u/t/a:1 ");
	OK(banyan_close(db));
}

static int stop(void *arg, const struct banyan_deleted_key *key)
{
	(void)key;
	return ++*(int *)arg == 2 ? 77 : 0;
}

static void a_visit_can_end_it(void **state)
{
	banyan *db = open_memory();
	banyan *view = NULL;
	int seen = 0;
	(void)state;
	for (char key[2] = "a"; *key < 'f'; ++*key) {
		put(db, key, "value");
		OK(banyan_remove(db, key));
	}
	assert_int_equal(banyan_deleted(db, NULL, stop, &seen), 77);
	assert_int_equal(seen, 2);
	assert_int_equal(banyan_deleted(db, NULL, NULL, NULL), -EINVAL);
	OK(banyan_view(db, &view));
	assert_int_equal(banyan_deleted(view, NULL, stop, &seen), -EINVAL);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_first),
		cmocka_unit_test(kept_by_a_vacuum),
		cmocka_unit_test(what_was_moved_is_not_told),
		cmocka_unit_test(what_lives_on_is_not_told),
		cmocka_unit_test(in_key_spaces_that_were_replaced),
		cmocka_unit_test(key_spaces_that_were_moved),
		cmocka_unit_test(a_visit_can_end_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
