/* SPDX-License-Identifier: MIT */
/* banyan_log(): the versions of a key, of which each can be read */
#include "history_fixture.h"

static void versions_of_a_key(void **state)
{
	banyan *db = open_memory();
	struct banyan_attr attr = { .mode = 0600 };
	(void)state;
	put(db, "k", "1");
	put(db, "k", "333");
	put(db, "other", "1");
	banyan_data *k = find(db, "k");
	OK(banyan_set_attr(k, &attr, BANYAN_SET_MODE, NULL));
	OK(banyan_set_xattr(k, "user.x", "1", 1, 0));
	banyan_release(k, 1);
	OK(banyan_remove(db, "k"));
	assert_log(db, "k", "d3 a3 a3 c3 n1 ");
	put(db, "k", "55555");
	assert_log(db, "k", "n5 d3 a3 a3 c3 n1 ");
	OK(banyan_freeze(db));
	put(db, "k", "4444");
	assert_log(db, "k", "c4 n5 d3 a3 a3 c3 n1 ");
	assert_log(db, "/k/", "c4 n5 d3 a3 a3 c3 n1 ");
	OK(banyan_close(db));
}

/* As editors save */
static void over_renames_onto_it(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "k", "1");
	put(db, "k.tmp", "22");
	OK(banyan_rename(db, "k.tmp", "k", 0));
	put(db, "k.tmp", "333");
	OK(banyan_freeze(db));
	OK(banyan_rename(db, "k.tmp", "k", 0));
	OK(banyan_rename(db, "k", "l", 0));
	assert_log(db, "k", "m3 r3 r2 n1 ");
	assert_log(db, "k.tmp", "m3 n3 m2 n2 ");
	assert_log(db, "l", "n3 ");
	put(db, "k", "x");
	OK(banyan_rename(db, "k", "l", BANYAN_EXCHANGE));
	assert_log(db, "l", "r1 n3 ");
	OK(banyan_close(db));
}

static void through_an_alias(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/k", "1");
	OK(banyan_alias(db, "s/k", "a"));
	put(db, "a", "22");
	OK(banyan_freeze(db));
	put(db, "a", "333");
	OK(banyan_remove(db, "s/k"));
	assert_log(db, "s/k", "d3 c3 c2 a1 n1 ");
	assert_log(db, "a", "a3 c3 c2 n1 ");
	put(db, "t/a", "4444");
	/* A Data that is in a row of its own comes with its key space */
	OK(banyan_rename(db, "a", "t/a", 0));
	OK(banyan_rename(db, "t", "s/t", 0));
	assert_log(db, "s/t/a", "n3 ");
	assert_log(db, "t/a", "m3 r3 n4 ");
	OK(banyan_close(db));
}

/* The path leads through the key spaces that had these names then */
static void through_other_key_spaces(void **state)
{
	banyan *db = open_memory();
	banyan *batch = NULL;
	(void)state;
	put(db, "s/t/k", "1");
	remove_tree(db, "s");
	assert_log(db, "s/t/k", "d1 n1 ");
	assert_log(db, "s/t", "d0 n0 ");
	put(db, "s/t/k", "22");
	put(db, "new/t/k", "333");
	OK(banyan_rename(db, "s", "old", 0));
	OK(banyan_rename(db, "new", "s", 0));
	assert_log(db, "s/t/k", "n3 m2 n2 d1 n1 ");
	OK(banyan_freeze(db));
	OK(banyan_rename(db, "s", "old", BANYAN_EXCHANGE));
	assert_log(db, "s/t/k", "r2 n3 m2 n2 d1 n1 ");
	OK(banyan_begin(db, &batch));
	remove_tree(batch, "s");
	put(batch, "s/t/k", "4444");
	OK(banyan_rename(batch, "old/t/k", "s/t/l", 0));
	OK(banyan_commit(batch));
	assert_log(db, "s/t/k", "r4 r2 n3 m2 n2 d1 n1 ");
	/* A key where a key space was */
	OK(banyan_rename(db, "s", "gone", 0));
	put(db, "s", "value");
	assert_log(db, "s/t/k", "m4 r4 r2 n3 m2 n2 d1 n1 ");
	OK(banyan_close(db));
}

static void of_a_key_space(void **state)
{
	banyan *db = open_memory();
	struct banyan_attr attr = { .mode = 0700 };
	(void)state;
	put(db, "s/k", "1");
	banyan_data *s = find(db, "s");
	put(db, "s/l", "1");
	OK(banyan_set_attr(s, &attr, BANYAN_SET_MODE, NULL));
	OK(banyan_set_xattr(s, "user.x", "1", 1, 0));
	banyan_release(s, 1);
	OK(banyan_remove(db, "s/l"));
	static struct log_text t;
	OK(banyan_log(db, "s", note_version, &t));
	assert_string_equal(t.text, "a0 a0 n0 ");
	OK(banyan_close(db));
}

static void batches_are_one_step(void **state)
{
	banyan *db = open_memory();
	banyan *batch = NULL;
	(void)state;
	put(db, "k", "1");
	OK(banyan_begin(db, &batch));
	put(batch, "k", "22");
	put(batch, "k", "333");
	put(batch, "brief", "1");
	OK(banyan_remove(batch, "brief"));
	OK(banyan_commit(batch));
	assert_log(db, "k", "c3 n1 ");
	assert_no_log(db, "brief");
	OK(banyan_begin(db, &batch));
	OK(banyan_remove(batch, "k"));
	put(batch, "k", "4444");
	OK(banyan_commit(batch));
	assert_log(db, "k", "r4 c3 n1 ");
	OK(banyan_close(db));
}

/* Bytes in rows of their own; and clones, which change nothing */
static void large_values(void **state)
{
	static char bytes[5000];
	banyan *db = open_memory();
	(void)state;
	put(db, "k", "");
	banyan_data *k = find(db, "k");
	for (unsigned i = 0; i < 8; i++)
		OK(banyan_write(k, bytes, sizeof(bytes), i * 100000, 0, NULL));
	OK(banyan_freeze(db));
	OK(banyan_write(k, bytes, sizeof(bytes), 300000, 0, NULL));
	OK(banyan_put_data(db, "clone", k, 0));
	banyan_release(k, 1);
	assert_log(db, "k",
		   "c705000 c705000 c605000 c505000 c405000 c305000 c205000 "
		   "c105000 c5000 n0 ");
	assert_log(db, "clone", "n705000 ");
	OK(banyan_close(db));
}

static void a_vacuum_is_the_beginning(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "k", "1");
	put(db, "k", "22");
	put(db, "s/gone", "x");
	remove_tree(db, "s");
	OK(banyan_vacuum(db, NULL, NULL));
	assert_log(db, "k", "k2 ");
	assert_no_log(db, "s/gone");
	assert_no_log(db, "s");
	put(db, "k", "333");
	assert_log(db, "k", "c3 k2 ");
	OK(banyan_close(db));
}

static int stop(void *arg, const struct banyan_version *version)
{
	(void)version;
	return ++*(int *)arg == 2 ? 77 : 0;
}

static void a_visit_can_end_it(void **state)
{
	banyan *db = open_memory();
	int seen = 0;
	(void)state;
	put(db, "k", "1");
	put(db, "k", "2");
	put(db, "k", "3");
	assert_int_equal(banyan_log(db, "k", stop, &seen), 77);
	assert_int_equal(seen, 2);
	OK(banyan_close(db));
}

static void bad_paths(void **state)
{
	banyan *db = open_memory();
	banyan *view = NULL;
	char name[BANYAN_NAME_MAX + 2];
	int seen = 0;
	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(banyan_log(db, "", stop, &seen), -EINVAL);
	assert_int_equal(banyan_log(db, "//", stop, &seen), -EINVAL);
	assert_int_equal(banyan_log(db, "a/../b", stop, &seen), -EINVAL);
	assert_int_equal(banyan_log(db, name, stop, &seen), -ENAMETOOLONG);
	assert_int_equal(banyan_log(db, "no/such", stop, &seen), -ENOENT);
	assert_int_equal(banyan_log(db, "k", NULL, &seen), -EINVAL);
	OK(banyan_view(db, &view));
	assert_int_equal(banyan_log(view, "k", stop, &seen), -EINVAL);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_of_a_key),
		cmocka_unit_test(over_renames_onto_it),
		cmocka_unit_test(through_an_alias),
		cmocka_unit_test(through_other_key_spaces),
		cmocka_unit_test(of_a_key_space),
		cmocka_unit_test(batches_are_one_step),
		cmocka_unit_test(large_values),
		cmocka_unit_test(a_vacuum_is_the_beginning),
		cmocka_unit_test(a_visit_can_end_it),
		cmocka_unit_test(bad_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
