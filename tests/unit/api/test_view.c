/* SPDX-License-Identifier: MIT */
/*
 * Views: what is committed when one is made is what it shows until it is closed,
 * whatever is written, frozen or closed meanwhile.
 */
#include "api_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "api/handle.h"
#include "tests/support/clock.h"
#include "tests/support/fault_file.h"
#include "tests/support/random.h"
#include "tests/support/temp.h"

#define LONG 20000u

static banyan *view_of(banyan *db)
{
	banyan *view = NULL;
	OK(banyan_view(db, &view));
	assert_non_null(view);
	return view;
}

/* ---- one moment ------------------------------------------------------- */

/* Keys of all kinds, and a value that has extents */
static void make_moment(banyan *db)
{
	static char bytes[LONG];
	banyan_data *d = NULL;
	put(db, "a", "first");
	put(db, "gone", "deleted later");
	put(db, "one", "the same");
	put(db, "space/in", "inner");
	put(db, "space/below/deep", "deep");
	OK(banyan_alias(db, "one", "two"));
	memset(bytes, 'l', sizeof(bytes));
	OK(banyan_put(db, "long", bytes, sizeof(bytes), 0));
	d = find(db, "a");
	OK(banyan_set_xattr(d, "user.x", "then", 4, 0));
	banyan_release(d, 1);
}

static void assert_long(banyan *db, char byte)
{
	char bytes[LONG + 1];
	banyan_data *d = find(db, "long");
	assert_int_equal(banyan_read(d, bytes, sizeof(bytes), 0), LONG);
	for (size_t i = 0; i < LONG; i++)
		assert_int_equal(bytes[i], byte);
	banyan_release(d, 1);
}

static void assert_moment(banyan *db)
{
	char value[8];
	uint64_t parent = 0;
	assert_key(db, "a", "first");
	assert_key(db, "gone", "deleted later");
	assert_key(db, "one", "the same");
	assert_key(db, "two", "the same");
	assert_key(db, "space/in", "inner");
	assert_key(db, "space/below/deep", "deep");
	assert_key(db, "moved", NULL);
	assert_key(db, "new", NULL);
	assert_names(banyan_root(db), "a gone long one space two ");
	assert_long(db, 'l');
	banyan_data *d = find(db, "a");
	assert_int_equal(banyan_get_xattr(d, "user.x", value, sizeof(value)),
			 4);
	assert_memory_equal(value, "then", 4);
	assert_int_equal(banyan_list_xattr(d, NULL, 0), 7);
	assert_int_equal(banyan_seek_hole(d, 0), 5);
	banyan_release(d, 1);
	d = find(db, "one");
	assert_int_equal(attr_of(d).nlink, 2);
	banyan_release(d, 1);
	d = find(db, "space/below");
	OK(banyan_parent(d, &parent));
	assert_names(d, "deep ");
	banyan_release(d, 1);
	d = find(db, "space");
	assert_int_equal(parent, banyan_id(d));
	assert_int_equal(attr_of(d).nlink, 3);
	assert_int_equal(banyan_fetch(d, "in", 2, value, sizeof(value)), 5);
	banyan_release(d, 1);
	assert_int_equal(stat_of(db).keys, 9);
}

static void change_all(banyan *db)
{
	static char bytes[LONG];
	banyan_data *d = find(db, "a");
	OK(banyan_set_xattr(d, "user.x", "now", 3, 0));
	OK(banyan_set_xattr(d, "user.y", "", 0, 0));
	OK(banyan_write(d, " and more", 9, 0, BANYAN_APPEND, NULL));
	banyan_release(d, 1);
	put(db, "a", "second");
	put(db, "a", "third");
	OK(banyan_remove(db, "gone"));
	put(db, "gone", "another");
	OK(banyan_rename(db, "one", "moved", 0));
	OK(banyan_remove(db, "two"));
	put(db, "new", "new");
	OK(banyan_rename(db, "space/below", "new space", 0));
	OK(banyan_remove(db, "space/in"));
	OK(banyan_remove(db, "space"));
	memset(bytes, 'L', sizeof(bytes));
	OK(banyan_put(db, "long", bytes, sizeof(bytes), 0));
}

static void a_view_shows_the_moment_at_which_it_was_made(void **state)
{
	banyan *db = open_memory();
	(void)state;
	make_moment(db);
	banyan *view = view_of(db);
	assert_moment(view);
	change_all(db);
	assert_moment(view);
	assert_key(db, "a", "third");
	assert_long(db, 'L');
	OK(banyan_close(view));
	OK(banyan_close(db));
}

/* The rows of the moment are in the redo table, are frozen, or in the tree */
static void freezes_do_not_change_it(void **state)
{
	(void)state;
	for (unsigned when = 0; when < 8; when++) {
		banyan *db = open_memory();
		make_moment(db);
		if (when & 1)
			OK(banyan_freeze(db));
		banyan *view = view_of(db);
		if (when & 2)
			OK(banyan_freeze(db));
		change_all(db);
		if (when & 4)
			OK(banyan_freeze(db));
		assert_moment(view);
		for (unsigned i = 0; i < 3; i++) {
			put(db, "a", i % 2 ? "odd" : "even");
			OK(banyan_freeze(db));
		}
		assert_moment(view);
		OK(banyan_close(view));
		OK(banyan_close(db));
	}
}

/* A row of the redo table keeps the version that the view shows */
static void
a_key_that_is_overwritten_ten_thousand_times_is_as_it_was(void **state)
{
	banyan *db = open_memory();
	char value[16];
	(void)state;
	put(db, "a", "then");
	banyan *view = view_of(db);
	for (unsigned i = 0; i < 10000; i++) {
		sprintf(value, "%u", i);
		put(db, "a", value);
		if (i % 100 == 0)
			assert_key(view, "a", "then");
	}
	assert_key(view, "a", "then");
	assert_key(db, "a", "9999");
	OK(banyan_close(view));
	OK(banyan_close(db));
}

/* With a small cache its nodes must be read again, long after others replaced
 * them in the tree */
static void nodes_that_were_evicted_are_read_again(void **state)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	char path[16];
	char value[200] = { 0 };
	banyan *db = NULL;
	(void)state;
	OK(banyan_open(":memory:", &o, &db));
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 20000; i++) {
			sprintf(path, "%u", i * 2654435761u);
			value[0] = (char)(1 + round);
			OK(banyan_put(db, path, value, sizeof(value), 0));
		}
		OK(banyan_freeze(db));
		if (round)
			break;
	}
	banyan *view = view_of(db);
	for (unsigned i = 0; i < 20000; i++) {
		sprintf(path, "%u", i * 2654435761u);
		OK(banyan_remove(db, path));
	}
	OK(banyan_freeze(db));
	for (unsigned i = 0; i < 20000; i += 7) {
		sprintf(path, "%u", i * 2654435761u);
		assert_int_equal(banyan_fetch(banyan_root(view), path,
					      strlen(path), value,
					      sizeof(value)),
				 sizeof(value));
		assert_int_equal(value[0], 2);
	}
	assert_names(banyan_root(db), "");
	OK(banyan_close(view));
	OK(banyan_close(db));
}

static void held_data_of_a_view_outlive_their_keys(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "value");
	banyan_data *live = find(db, "a");
	banyan *view = view_of(db);
	banyan_data *then = find(view, "a");
	assert_int_equal(banyan_id(then), banyan_id(live));
	assert_ptr_not_equal(then, live);
	assert_ptr_equal(banyan_db(then), view);
	assert_ptr_equal(find(view, "a"), then);
	banyan_release(then, 1);
	OK(banyan_write(live, "V", 1, 0, 0, NULL));
	OK(banyan_rename(db, "a", "b", 0));
	OK(banyan_alias(db, "b", "c"));
	assert_data(then, "value");
	OK(banyan_remove(db, "b"));
	OK(banyan_remove(db, "c"));
	assert_data(live, "Value");
	assert_data(then, "value");
	banyan_release(live, 1); /* it is swept */
	OK(banyan_freeze(db));
	assert_int_equal(stat_of(db).live_bytes, 0);
	assert_data(then, "value");
	assert_int_equal(attr_of(then).nlink, 1);
	banyan_hold(then);
	banyan_release(then, 2);
	assert_data(find(view, "a"), "value");
	banyan_release(find(view, "a"), 2);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

/* ---- counters --------------------------------------------------------- */

static int add_freeze(void *arg, const struct banyan_freeze_info *info)
{
	uint64_t *sum = arg;
	*sum = *sum * 31 + info->number;
	return 0;
}

static uint64_t freezes_of(banyan *db)
{
	uint64_t sum = 0;
	OK(banyan_freezes(db, add_freeze, &sum));
	return sum;
}

static void the_counters_are_those_of_its_moment(void **state)
{
	banyan *db = open_memory();
	(void)state;
	make_moment(db);
	OK(banyan_freeze(db));
	put(db, "behind", "the freeze");
	struct banyan_stat was = stat_of(db);
	uint64_t freezes = freezes_of(db);
	banyan *view = view_of(db);
	OK(banyan_remove(db, "behind"));
	change_all(db);
	OK(banyan_freeze(db));
	assert_true(stat_of(db).next_id > was.next_id);
	struct banyan_stat st = stat_of(view);
	assert_int_equal(st.keys, was.keys);
	assert_int_equal(st.live_bytes, was.live_bytes);
	assert_int_equal(st.next_id, was.next_id);
	assert_memory_equal(st.uuid, was.uuid, sizeof(st.uuid));
	assert_int_equal(freezes_of(view), freezes);
	assert_int_not_equal(freezes_of(db), freezes);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

/* ---- cursors and walks ------------------------------------------------ */

static void fill_letters(banyan *db, const char *value)
{
	char path[2] = "a";
	for (; path[0] <= 'z'; path[0]++)
		put(db, path, value);
}

static void a_cursor_of_a_view_shows_its_moment(void **state)
{
	struct banyan_range range = { .values = true };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	banyan_data *d = NULL;
	banyan *db = open_memory();
	(void)state;
	fill_letters(db, "then");
	banyan *view = view_of(db);
	fill_letters(db, "now");
	for (char name = 'a'; name <= 'z'; name = (char)(name + 2))
		OK(banyan_delete(banyan_root(db), &name, 1, 0, NULL));
	OK(banyan_scan(banyan_root(view), &range, &c));
	for (char name = 'a'; name <= 'z'; name++) {
		OK(banyan_next(c, &e));
		assert_int_equal(e.name[0], name);
		assert_memory_equal(e.value, "then", 4);
		OK(banyan_entry_data(c, &d));
		assert_data(d, "then");
		banyan_release(d, 1);
		if (name == 'k')
			OK(banyan_freeze(db));
	}
	assert_int_equal(banyan_next(c, &e), 1);
	OK(banyan_seek(c, "m", 1, BANYAN_SEEK_REVERSE));
	OK(banyan_next(c, &e));
	assert_string_equal(e.name, "m");
	OK(banyan_next(c, &e));
	assert_string_equal(e.name, "l");
	banyan_scan_end(c);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

static int gather(void *arg, const char *path, const struct banyan_entry *entry)
{
	(void)entry;
	strcat(arg, path);
	strcat(arg, " ");
	return 0;
}

static void a_walk_of_a_view_shows_its_moment(void **state)
{
	char paths[1024] = "";
	banyan *db = open_memory();
	(void)state;
	make_moment(db);
	banyan *view = view_of(db);
	change_all(db);
	OK(banyan_walk(view, "", NULL, true, gather, paths));
	assert_string_equal(paths, "a gone long one space space/below "
				   "space/below/deep space/in two ");
	OK(banyan_close(view));
	OK(banyan_close(db));
}

/* ---- handles ---------------------------------------------------------- */

static void a_view_of_a_view_shows_the_same(void **state)
{
	banyan *db = open_memory();
	(void)state;
	make_moment(db);
	banyan *first = view_of(db);
	change_all(db);
	banyan *second = view_of(first);
	banyan *third = view_of(second);
	assert_int_equal(stat_of(second).next_id, stat_of(first).next_id);
	assert_int_equal(freezes_of(second), freezes_of(first));
	OK(banyan_close(first));
	OK(banyan_freeze(db));
	assert_moment(second);
	OK(banyan_close(second));
	assert_moment(third);
	OK(banyan_close(third));
	OK(banyan_close(db));
}

/* The database, two views of it and one of these, closed in every order */
static void handles_may_be_closed_in_any_order(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 4 * 4 * 4 * 4; order++) {
		unsigned closed = 0;
		banyan *h[4];
		h[0] = open_memory();
		make_moment(h[0]);
		h[1] = view_of(h[0]);
		h[2] = view_of(h[0]);
		h[3] = view_of(h[1]);
		for (unsigned i = 0, rest = order; i < 4; i++, rest /= 4)
			closed |= 1u << rest % 4;
		for (unsigned i = 0, rest = order; closed == 15 && i < 4;
		     i++, rest /= 4) {
			banyan_data *d = find(h[rest % 4], "a");
			assert_moment(h[rest % 4]);
			banyan_release(d, 1);
			OK(banyan_close(h[rest % 4]));
		}
		for (unsigned i = 0; closed != 15 && i < 4; i++)
			OK(banyan_close(h[i]));
	}
}

static void it_lives_on_when_the_database_is_closed(void **state)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	banyan *db = NULL;
	(void)state;
	OK(temp_directory(dir, TEMP_IN_MEMORY));
	temp_path(path, dir, "db");
	OK(banyan_open(path, &o, &db));
	make_moment(db);
	banyan *view = view_of(db);
	change_all(db);
	OK(banyan_close(db));
	assert_moment(view);
	/* Others may write to it: the view does not mind */
	OK(banyan_open(path, NULL, &db));
	put(db, "a", "fourth");
	OK(banyan_freeze(db));
	assert_moment(view);
	banyan *another = view_of(view);
	OK(banyan_close(db));
	OK(unlink(path));
	assert_moment(another);
	OK(banyan_close(another));
	assert_moment(view);
	OK(banyan_close(view));
	OK(rmdir(dir));
}

static void nothing_can_be_written_through_a_view(void **state)
{
	struct banyan_new make = { .mode = 0600 };
	struct banyan_attr attr = { .mode = 0600 };
	banyan *db = open_memory();
	banyan *batch = NULL;
	banyan_data *d = NULL;
	(void)state;
	make_moment(db);
	banyan *view = view_of(db);
	banyan_data *root = banyan_root(view);
	banyan_data *a = find(view, "a");
	assert_true(banyan_read_only(view));
	assert_false(banyan_read_only(db));
	assert_int_equal(banyan_begin(view, &batch), -EROFS);
	assert_int_equal(banyan_put(view, "a", "x", 1, 0), -EROFS);
	assert_int_equal(banyan_put_data(view, "b", a, 0), -EROFS);
	assert_int_equal(banyan_remove(view, "a"), -EROFS);
	assert_int_equal(banyan_alias(view, "a", "b"), -EROFS);
	assert_int_equal(banyan_rename(view, "a", "b", 0), -EROFS);
	assert_int_equal(banyan_make_space(view, "s", 0), -EROFS);
	assert_int_equal(banyan_insert(root, "b", 1, &make, &d, NULL), -EROFS);
	assert_int_equal(banyan_insert_unnamed(view, &make, &d, NULL), -EROFS);
	assert_int_equal(banyan_insert_data(root, "b", 1, a), -EROFS);
	assert_int_equal(banyan_delete(root, "a", 1, 0, &d), -EROFS);
	assert_int_equal(banyan_move(root, "a", 1, root, "b", 1, 0), -EROFS);
	assert_int_equal(banyan_set_attr(a, &attr, BANYAN_SET_MODE, NULL),
			 -EROFS);
	assert_int_equal(banyan_write(a, "x", 1, 0, 0, NULL), -EROFS);
	assert_int_equal(banyan_truncate(a, 0), -EROFS);
	assert_int_equal(banyan_punch(a, 0, 1, false), -EROFS);
	assert_int_equal(banyan_clone(a, 0, a, 100, 1), -EROFS);
	assert_int_equal(banyan_set_xattr(a, "user.x", "x", 1, 0), -EROFS);
	assert_int_equal(banyan_remove_xattr(a, "user.x"), -EROFS);
	assert_int_equal(banyan_freeze(view), -EROFS);
	OK(banyan_sync(view));
	assert_null(d);
	assert_null(batch);
	banyan_release(a, 1);
	assert_moment(view);
	assert_moment(db);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

/* ---- of what ---------------------------------------------------------- */

/* Also before anything is written through the handle */
static void there_are_views_of_what_was_replayed(void **state)
{
	struct banyan_options o = { 0 };
	struct file *f = NULL;
	struct file *killed = NULL;
	banyan *db = NULL;
	(void)state;
	OK(fault_file_new(NULL, 0, &f));
	OK(handle_open_file(f, &o, true, &db));
	put(db, "before", "the freeze");
	OK(banyan_freeze(db));
	make_moment(db);
	OK(banyan_remove(db, "before"));
	OK(fault_file_after_kill(f, fault_file_events(f), &killed));
	OK(banyan_close(db));
	for (unsigned i = 0; i < 2; i++) {
		struct file *copy = NULL;
		o.flags = i ? 0 : BANYAN_READ_ONLY;
		OK(fault_file_after_kill(killed, fault_file_events(killed),
					 &copy));
		OK(handle_open_file(copy, &o, false, &db));
		banyan *view = view_of(db);
		assert_moment(view);
		OK(banyan_close(db));
		assert_moment(view);
		OK(banyan_close(view));
		fault_file_free(copy);
	}
	fault_file_free(killed);
	fault_file_free(f);
}

static void there_are_views_of_the_past_and_of_nothing(void **state)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	struct banyan_options past = { .flags = BANYAN_READ_ONLY, .freeze = 2 };
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	banyan *db = NULL;
	(void)state;
	OK(temp_directory(dir, TEMP_IN_MEMORY));
	temp_path(path, dir, "db");
	OK(banyan_open(path, &o, &db));
	banyan *view = view_of(db);
	make_moment(db);
	OK(banyan_freeze(db));
	change_all(db);
	assert_names(banyan_root(view), "");
	assert_int_equal(stat_of(view).keys, 0);
	OK(banyan_close(view));
	OK(banyan_close(db));
	OK(banyan_open(path, &past, &db));
	view = view_of(db);
	assert_moment(view);
	assert_int_equal(freezes_of(view), freezes_of(db));
	OK(banyan_close(db));
	OK(unlink(path));
	assert_moment(view);
	OK(banyan_close(view));
	OK(rmdir(dir));
}

/* Neither while it is open nor when it is committed */
static void a_view_sees_nothing_of_a_batch_that_was_open(void **state)
{
	banyan *db = open_memory();
	banyan *batch = NULL;
	banyan *none = NULL;
	(void)state;
	make_moment(db);
	OK(banyan_begin(db, &batch));
	change_all(batch);
	assert_int_equal(banyan_view(batch, &none), -EINVAL);
	assert_null(none);
	banyan *view = view_of(db);
	assert_moment(view);
	banyan_data *d = find(view, "one"); /* moved and aliased in the batch */
	assert_int_equal(attr_of(d).nlink, 2);
	OK(banyan_commit(batch));
	assert_moment(view);
	assert_int_equal(attr_of(d).nlink, 2);
	banyan_release(d, 1);
	assert_key(db, "a", "third");
	OK(banyan_close(view));
	OK(banyan_begin(db, &batch));
	put(batch, "a", "fourth");
	view = view_of(db);
	banyan_abort(batch);
	assert_key(view, "a", "third");
	assert_int_equal(stat_of(view).keys, stat_of(db).keys);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

#define MANY 500u

static void each_of_many_views_shows_its_own_moment(void **state)
{
	static banyan *view[MANY];
	uint64_t random = test_seed();
	banyan *db = open_memory();
	char value[32];
	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		sprintf(value, "%u", i);
		put(db, "number", value);
		if (i)
			OK(banyan_rename(db, "moving", value, 0));
		put(db, "moving", value);
		view[i] = view_of(db);
		if (i % 50 == 7)
			OK(banyan_freeze(db));
	}
	for (unsigned left = MANY; left; left--) {
		unsigned n = (unsigned)test_below(&random, left);
		unsigned number = 0;
		for (; !view[number] || n--; number++)
			;
		sprintf(value, "%u", number);
		assert_key(view[number], "number", value);
		assert_key(view[number], "moving", value);
		assert_int_equal(stat_of(view[number]).keys, 2 + number);
		OK(banyan_close(view[number]));
		view[number] = NULL;
		if (left == MANY / 2)
			OK(banyan_freeze(db));
	}
	OK(banyan_close(db));
}

/* ---- what it costs ----------------------------------------------------- */

/* Making one costs microseconds, however much there is */
static void a_view_costs_no_more_of_a_large_database(void **state)
{
	banyan *db = open_memory();
	banyan *batch = NULL;
	char path[16];
	(void)state;
	OK(banyan_begin(db, &batch));
	for (unsigned i = 0; i < 20000; i++) {
		sprintf(path, "%u", i);
		put(batch, path, path);
	}
	OK(banyan_commit(batch));
	uint64_t began = test_now();
	for (unsigned i = 0; i < 1000; i++)
		OK(banyan_close(view_of(db)));
	uint64_t took = test_now() - began;
	print_message("%.1f us a view\n", (double)took / 1e6);
	assert_true(took < 1000 * TEST_MS);
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_view_shows_the_moment_at_which_it_was_made),
		cmocka_unit_test(freezes_do_not_change_it),
		cmocka_unit_test(
			a_key_that_is_overwritten_ten_thousand_times_is_as_it_was),
		cmocka_unit_test(nodes_that_were_evicted_are_read_again),
		cmocka_unit_test(held_data_of_a_view_outlive_their_keys),
		cmocka_unit_test(the_counters_are_those_of_its_moment),
		cmocka_unit_test(a_cursor_of_a_view_shows_its_moment),
		cmocka_unit_test(a_walk_of_a_view_shows_its_moment),
		cmocka_unit_test(a_view_of_a_view_shows_the_same),
		cmocka_unit_test(handles_may_be_closed_in_any_order),
		cmocka_unit_test(it_lives_on_when_the_database_is_closed),
		cmocka_unit_test(nothing_can_be_written_through_a_view),
		cmocka_unit_test(there_are_views_of_what_was_replayed),
		cmocka_unit_test(there_are_views_of_the_past_and_of_nothing),
		cmocka_unit_test(a_view_sees_nothing_of_a_batch_that_was_open),
		cmocka_unit_test(each_of_many_views_shows_its_own_moment),
		cmocka_unit_test(a_view_costs_no_more_of_a_large_database),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
