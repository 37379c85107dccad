/* SPDX-License-Identifier: MIT */
/* What a batch deletes that is held: by others, or by the batch itself */
#include "batch_fixture.h"

#include "tests/support/fault_file.h"

/* ---- what goes while others hold it ----------------------------------- */

static void delete_key(banyan *batch, unsigned how)
{
	switch (how) {
	case 0:
		OK(banyan_remove(batch, "a"));
		break;
	case 1: /* replaced */
		OK(banyan_rename(batch, "b", "a", 0));
		break;
	case 2: /* by way of a second key */
		OK(banyan_alias(batch, "a", "z"));
		OK(banyan_remove(batch, "a"));
		OK(banyan_remove(batch, "z"));
		break;
	case 3: /* after a rename, and made anew */
		OK(banyan_rename(batch, "a", "z", 0));
		put(batch, "a", "anew");
		OK(banyan_remove(batch, "z"));
		break;
	default: /* renamed in the same operation as it is read again */
		OK(banyan_rename(batch, "a", "b", BANYAN_EXCHANGE));
		OK(banyan_remove(batch, "b"));
	}
}
#define DELETES 5u

static banyan *open_for_deletes(bool many_rows)
{
	banyan *db = open_memory();
	put(db, "a", "value of a");
	put(db, "b", "value of b");
	if (!many_rows)
		return db;
	banyan_data *d = find(db, "a");
	for (unsigned i = 0; i < 20; i++) {
		char name[16];
		sprintf(name, "user.%u", i);
		OK(banyan_set_xattr(d, name, "x", 1, 0));
		OK(banyan_write(d, "x", 1, 10000 * (1 + (uint64_t)i), 0, NULL));
	}
	banyan_release(d, 1);
	return db;
}

static void assert_lives_on(banyan_data *d, bool many_rows)
{
	char bytes[10];
	struct banyan_attr attr = attr_of(d);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(banyan_read(d, bytes, 10, 0), 10);
	assert_memory_equal(bytes, "value of a", 10);
	if (many_rows) {
		assert_int_equal(banyan_get_xattr(d, "user.19", bytes, 1), 1);
		assert_int_equal(banyan_read(d, bytes, 1, 200000), 1);
		assert_int_equal(bytes[0], 'x');
	}
	OK(banyan_write(d, "V", 1, 0, 0, NULL));
	OK(banyan_set_xattr(d, "user.late", "x", 1, 0));
	assert_int_equal(banyan_read(d, bytes, 1, 0), 1);
	assert_int_equal(bytes[0], 'V');
	OK(banyan_write(d, "v", 1, 0, 0, NULL));
}

static uint64_t live_without_a(banyan *db)
{
	return has_key(db, "b") ? 10 + (has_key(db, "a") ? 4 : 0) : 10;
}

static void what_others_hold_lives_on_after_the_commit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * DELETES; i++) {
		bool rows = i & 1;
		bool frozen = i & 2;
		banyan *db = open_for_deletes(rows);
		if (frozen)
			OK(banyan_freeze(db));
		banyan_data *d = find(db, "a");
		banyan *batch = begin(db);
		delete_key(batch, i / 4);
		OK(banyan_commit(batch));
		assert_lives_on(d, rows);
		assert_sound(db);
		OK(banyan_freeze(db)); /* which sweeps only what nobody holds */
		assert_lives_on(d, rows);
		banyan_release(d, 1);
		assert_live(db, live_without_a(db));
		OK(banyan_close(db));
	}
}

/* Nobody held it when the batch deleted it */
static void so_does_what_they_come_to_hold_while_it_is_open(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * DELETES; i++) {
		bool rows = i & 1;
		bool frozen = i & 2;
		banyan *db = open_for_deletes(rows);
		if (frozen)
			OK(banyan_freeze(db));
		banyan *batch = begin(db);
		delete_key(batch, i / 4);
		banyan_data *d = find(db, "a");
		assert_int_equal(attr_of(d).nlink, 1);
		OK(banyan_commit(batch));
		assert_lives_on(d, rows);
		assert_sound(db);
		OK(banyan_freeze(db));
		assert_lives_on(d, rows);
		banyan_release(d, 1);
		assert_live(db, live_without_a(db));
		OK(banyan_close(db));
	}
}

/* It came, it went: what it held goes with the commit */
static void but_not_what_they_have_released_by_then(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * DELETES; i++) {
		banyan *db = open_for_deletes(i & 1);
		banyan_data *d = i & 2 ? find(db, "a") : NULL;
		banyan *batch = begin(db);
		delete_key(batch, i / 4);
		if (!d)
			d = find(db, "a");
		banyan_release(d, 1);
		OK(banyan_commit(batch));
		assert_int_equal(stat_of(db).live_bytes, live_without_a(db));
		assert_live(db, live_without_a(db));
		OK(banyan_close(db));
	}
}

static void a_held_key_space_lives_on_without_a_key(void **state)
{
	struct banyan_new make = { .mode = 0600 };
	banyan *db = open_memory();
	(void)state;
	put(db, "s/k", "v");
	banyan_data *d = find(db, "s");
	banyan *batch = begin(db);
	OK(banyan_remove(batch, "s/k"));
	OK(banyan_remove(batch, "s"));
	assert_names(d, "k ");
	OK(banyan_commit(batch));
	assert_names(d, "");
	assert_int_equal(attr_of(d).nlink, 0);
	assert_int_equal(banyan_insert(d, "k", 1, &make, NULL, NULL), -ENOENT);
	banyan_release(d, 1);
	assert_live(db, 0);
	OK(banyan_close(db));
}

/* The process dies between the commit and the release */
static void nobody_holds_it_when_the_database_is_opened_again(void **state)
{
	struct banyan_options o = { 0 };
	struct file *f = NULL, *after = NULL;
	banyan *db = NULL;
	(void)state;
	OK(fault_file_new(NULL, 0, &f));
	OK(handle_open_file(f, &o, true, &db));
	put(db, "a", "value of a");
	banyan *batch = begin(db);
	OK(banyan_remove(batch, "a"));
	banyan_data *d = find(db, "a");
	OK(banyan_commit(batch));
	OK(fault_file_after_kill(f, fault_file_events(f), &after));
	assert_lives_on(d, false);
	banyan_release(d, 1);
	OK(banyan_close(db));
	OK(handle_open_file(after, &o, false, &db));
	assert_live(db, 0);
	OK(banyan_close(db));
	fault_file_free(after);
	fault_file_free(f);
}

/* ---- what the batch itself holds -------------------------------------- */

static void it_may_hold_what_it_deletes(void **state)
{
	banyan *db = open_for_deletes(true);
	(void)state;
	for (unsigned commit = 0; commit < 2; commit++) {
		banyan *batch = begin(db);
		banyan_data *d = find(batch, "a");
		OK(banyan_remove(batch, "a"));
		assert_false(has_key(batch, "a"));
		assert_lives_on(d, true);
		banyan_release(d, 1);
		if (commit)
			OK(banyan_commit(batch));
		else
			banyan_abort(batch);
		assert_int_equal(has_key(db, "a"), !commit);
		assert_sound(db);
	}
	assert_live(db, 10);
	OK(banyan_close(db));
}

static void it_may_give_it_another_key(void **state)
{
	banyan *db = open_for_deletes(false);
	banyan_data *d = NULL;
	(void)state;
	banyan_data *outside = find(db, "a");
	banyan *batch = begin(db);
	OK(banyan_delete(banyan_root(batch), "a", 1, 0, &d));
	assert_int_equal(attr_of(d).nlink, 0);
	assert_int_equal(attr_of(outside).nlink, 1);
	OK(banyan_insert_data(banyan_root(batch), "c", 1, d));
	banyan_release(d, 1);
	assert_key(batch, "c", "value of a");
	OK(banyan_commit(batch));
	assert_key(db, "c", "value of a");
	assert_int_equal(attr_of(outside).nlink, 1);
	assert_int_equal(banyan_id(outside), banyan_id(find(db, "c")));
	banyan_release(outside, 2);
	assert_live(db, 20);
	OK(banyan_close(db));
}

/* Made and gone: no row is left of it, and its id is not used again */
static void what_it_makes_and_deletes_leaves_nothing(void **state)
{
	struct banyan_new make = { .mode = 0600, .value = "x", .size = 1 };
	banyan *db = open_memory();
	banyan_data *d = NULL;
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		banyan *batch = begin(db);
		put(batch, "a", "value");
		OK(banyan_alias(batch, "a", "b"));
		OK(banyan_remove(batch, "a"));
		OK(banyan_remove(batch, "b"));
		OK(banyan_make_space(batch, "s", 0));
		OK(banyan_remove(batch, "s"));
		OK(banyan_insert_unnamed(batch, &make, &d, NULL));
		uint64_t id = banyan_id(d);
		banyan_release(d, 1);
		if (i)
			OK(banyan_commit(batch));
		else
			banyan_abort(batch);
		assert_int_equal(stat_of(db).keys, 0);
		OK(banyan_insert(banyan_root(db), "c", 1, &make, &d, NULL));
		assert_true(banyan_id(d) > id);
		banyan_release(d, 1);
		OK(banyan_remove(db, "c"));
	}
	assert_live(db, 0);
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_others_hold_lives_on_after_the_commit),
		cmocka_unit_test(
			so_does_what_they_come_to_hold_while_it_is_open),
		cmocka_unit_test(but_not_what_they_have_released_by_then),
		cmocka_unit_test(a_held_key_space_lives_on_without_a_key),
		cmocka_unit_test(
			nobody_holds_it_when_the_database_is_opened_again),
		cmocka_unit_test(it_may_hold_what_it_deletes),
		cmocka_unit_test(it_may_give_it_another_key),
		cmocka_unit_test(what_it_makes_and_deletes_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
