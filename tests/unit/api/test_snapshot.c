/* SPDX-License-Identifier: MIT */
/* Snapshots: names for freezes */
#include "tests/unit/api/api_fixture.h"

#include "api/handle.h"
#include "engine/snapshot.h"
#include "engine/write.h"

static int take(banyan *db, const char *name)
{
	return banyan_snapshot(db, name, strlen(name));
}

static int drop(banyan *db, const char *name)
{
	return banyan_snapshot_drop(db, name, strlen(name));
}

static int rename_to(banyan *db, const char *name, const char *new_name)
{
	return banyan_snapshot_rename(db, name, strlen(name), new_name,
				      strlen(new_name));
}

static banyan *view_of(banyan *db, const char *name)
{
	banyan *view = NULL;
	OK(banyan_view_snapshot(db, name, strlen(name), &view));
	return view;
}

static void expect_key(banyan *db, const char *name, const char *value)
{
	banyan *view = view_of(db, name);
	assert_key(view, "key", value);
	OK(banyan_close(view));
}

/* Names and what is told of them, one after another */
struct list {
	char names[200];
	struct banyan_freeze_info last;
};

static int add(void *arg, const struct banyan_snapshot_info *info)
{
	struct list *l = arg;
	strncat(l->names, info->name, info->len);
	strcat(l->names, " ");
	l->last = info->freeze;
	return 0;
}

static void expect_names(banyan *db, const char *names)
{
	struct list l = { 0 };
	OK(banyan_snapshots(db, add, &l));
	assert_string_equal(l.names, names);
}

static int count(void *arg, const struct banyan_freeze_info *info)
{
	unsigned *n = arg;
	(void)info;
	++*n;
	return 0;
}

static unsigned freezes(banyan *db)
{
	unsigned n = 0;
	OK(banyan_freezes(db, count, &n));
	return n;
}

static void a_snapshot_is_a_state_with_a_name(void **state)
{
	banyan *db = open_memory();
	struct list l = { 0 };
	(void)state;
	put(db, "key", "one");
	OK(take(db, "first"));
	put(db, "key", "two");
	OK(take(db, "second"));
	OK(banyan_remove(db, "key"));
	expect_key(db, "first", "one");
	expect_key(db, "second", "two");
	assert_key(db, "key", NULL);
	expect_names(db, "first second ");
	OK(banyan_snapshots(db, add, &l));
	assert_int_equal(l.last.keys, 1);
	assert_int_equal(l.last.live_bytes, 3);
	assert_false(l.last.automatic);
	banyan *view = NULL;
	OK(banyan_view_at_freeze(db, l.last.number, &view));
	assert_key(view, "key", "two");
	OK(banyan_close(view));
	OK(banyan_close(db));
}

/* Nothing has changed: but the name must go on to mean this moment */
static void each_is_a_freeze_of_its_own(void **state)
{
	banyan *db = open_memory();
	struct list a = { 0 }, b = { 0 };
	(void)state;
	put(db, "key", "one");
	OK(banyan_freeze(db));
	OK(take(db, "a"));
	OK(banyan_snapshots(db, add, &a));
	OK(take(db, "b"));
	OK(banyan_snapshots(db, add, &b));
	assert_true(a.last.number < b.last.number);
	expect_key(db, "a", "one");
	expect_key(db, "b", "one");
	OK(banyan_close(db));
}

static void a_name_is_checked_before_anything_is_done(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/" };
	char name[BANYAN_NAME_MAX + 2];
	banyan *db = open_memory(), *view = NULL;
	(void)state;
	memset(name, 'n', sizeof(name));
	OK(take(db, "there"));
	OK(take(db, ".banyan"));
	put(db, "key", "one");
	unsigned before = freezes(db);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(take(db, bad[i]), -EINVAL);
		assert_int_equal(drop(db, bad[i]), -EINVAL);
		assert_int_equal(rename_to(db, "there", bad[i]), -EINVAL);
		assert_int_equal(rename_to(db, bad[i], "new"), -EINVAL);
		assert_int_equal(banyan_view_snapshot(db, bad[i],
						      strlen(bad[i]), &view),
				 -EINVAL);
	}
	assert_int_equal(banyan_snapshot(db, "a\0b", 3), -EINVAL);
	assert_int_equal(banyan_snapshot(db, name, sizeof(name)),
			 -ENAMETOOLONG);
	assert_int_equal(banyan_snapshot_drop(db, name, sizeof(name)),
			 -ENAMETOOLONG);
	assert_int_equal(take(db, "there"), -EEXIST);
	assert_int_equal(drop(db, "not there"), -ENOENT);
	assert_int_equal(rename_to(db, "not there", "new"), -ENOENT);
	assert_int_equal(rename_to(db, "there", ".banyan"), -EEXIST);
	assert_int_equal(banyan_view_snapshot(db, "no", 2, &view), -ENOENT);
	assert_int_equal(freezes(db), before);
	expect_names(db, ".banyan there ");
	OK(banyan_snapshot(db, name, BANYAN_NAME_MAX));
	OK(banyan_snapshot_drop(db, name, BANYAN_NAME_MAX));
	OK(banyan_close(db));
}

static void only_a_database_takes_them(void **state)
{
	banyan *db = open_memory(), *view = NULL, *batch = NULL, *out = NULL;
	(void)state;
	OK(take(db, "s"));
	OK(banyan_view(db, &view));
	assert_int_equal(take(view, "t"), -EROFS);
	assert_int_equal(drop(view, "s"), -EROFS);
	assert_int_equal(rename_to(view, "s", "t"), -EROFS);
	assert_int_equal(banyan_view_snapshot(view, "s", 1, &out), -EINVAL);
	OK(banyan_begin(db, &batch));
	assert_int_equal(take(batch, "t"), -EINVAL);
	assert_int_equal(drop(batch, "s"), -EINVAL);
	assert_int_equal(rename_to(batch, "s", "t"), -EINVAL);
	expect_names(batch, "s ");
	banyan_abort(batch);
	expect_names(view, "s ");
	OK(drop(db, "s"));
	expect_names(view, "s ");
	expect_names(db, "");
	OK(banyan_close(view));
	assert_int_equal(take(NULL, "s"), -EINVAL);
	assert_int_equal(banyan_snapshot(db, NULL, 0), -EINVAL);
	assert_int_equal(banyan_snapshots(db, NULL, NULL), -EINVAL);
	OK(banyan_close(db));
}

static void names_come_and_go(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "key", "one");
	OK(take(db, "b"));
	put(db, "key", "two");
	OK(rename_to(db, "b", "a"));
	OK(rename_to(db, "a", "a"));
	OK(take(db, "b"));
	expect_names(db, "a b ");
	expect_key(db, "a", "one");
	expect_key(db, "b", "two");
	OK(drop(db, "a"));
	assert_int_equal(drop(db, "a"), -ENOENT);
	OK(rename_to(db, "b", "a"));
	expect_names(db, "a ");
	expect_key(db, "a", "two");
	OK(banyan_close(db));
}

static void a_view_stays_when_its_snapshot_is_dropped(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "key", "one");
	OK(take(db, "s"));
	banyan *view = view_of(db, "s");
	OK(banyan_remove(db, "key"));
	OK(drop(db, "s"));
	OK(banyan_vacuum(db, NULL, NULL));
	assert_key(view, "key", "one");
	OK(banyan_close(view));
	OK(banyan_close(db));
}

static int drop_it(void *arg, const struct banyan_snapshot_info *info)
{
	return banyan_snapshot_drop(arg, info->name, info->len);
}

static int stop(void *arg, const struct banyan_snapshot_info *info)
{
	(void)arg;
	(void)info;
	return 7;
}

static void a_visit_may_drop_what_it_is_told(void **state)
{
	banyan *db = open_memory();
	(void)state;
	OK(take(db, "a"));
	OK(take(db, "b"));
	assert_int_equal(banyan_snapshots(db, stop, NULL), 7);
	OK(banyan_snapshots(db, drop_it, db));
	expect_names(db, "");
	OK(banyan_close(db));
}

/* ---- hostile rows ----------------------------------------------------- */

static void put_row(banyan *db, const char *name, uint64_t number,
		    uint64_t offset)
{
	const struct snapshot s = { name, strlen(name), number, offset };
	struct txn *txn = NULL;
	OK(store_write_begin(db->store, OPERATION_BATCH, false, &txn));
	OK(store_write_end(db->store, snapshots_put(txn, &s)));
}

/* The row says which freeze lies where: neither is believed */
static void a_row_that_names_no_freeze_is_damage(void **state)
{
	banyan *db = open_memory(), *view = NULL;
	struct list l = { 0 };
	(void)state;
	put(db, "key", "one");
	OK(take(db, "s"));
	OK(banyan_snapshots(db, add, &l));
	const uint64_t at = l.last.offset, number = l.last.number;
	const uint64_t bad[][2] = {
		{ number, at + 8 }, { number, at - 1 },
		{ number + 1, at }, { number, 0 },
		{ number, 4096 },   { number, INT64_MAX - 1 },
		{ 0, at },	    { number, UINT64_MAX },
		{ UINT64_MAX, at },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put_row(db, "bad", bad[i][0], bad[i][1]);
		int rc = banyan_view_snapshot(db, "bad", 3, &view);
		assert_true(rc == -EUCLEAN || rc == -EBADMSG);
		rc = banyan_snapshots(db, stop, NULL);
		assert_true(rc == -EUCLEAN || rc == -EBADMSG);
		assert_int_equal(take(db, "bad"), -EEXIST);
		OK(drop(db, "bad"));
	}
	expect_key(db, "s", "one");
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_is_a_state_with_a_name),
		cmocka_unit_test(each_is_a_freeze_of_its_own),
		cmocka_unit_test(a_name_is_checked_before_anything_is_done),
		cmocka_unit_test(only_a_database_takes_them),
		cmocka_unit_test(names_come_and_go),
		cmocka_unit_test(a_view_stays_when_its_snapshot_is_dropped),
		cmocka_unit_test(a_visit_may_drop_what_it_is_told),
		cmocka_unit_test(a_row_that_names_no_freeze_is_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
