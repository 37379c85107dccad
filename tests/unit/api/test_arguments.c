/* SPDX-License-Identifier: MIT */
/*
 * Arguments that are never right: each function of banyan.h says so, changes
 * nothing, and does not crash, whichever kind of handle it is given.
 */
#include "all_calls.h"
#include "api_fixture.h"

#include <limits.h>
#include <unistd.h>

#include "tests/support/temp.h"

#define UNKNOWN (1u << 31) /* a flag that no function has */

struct fixture {
	banyan *db;
	banyan *view;
	struct subject s; /* of db, as are: */
	banyan_data *root;
	banyan_data *space;
	banyan_data *file;
	banyan_data *link;
	banyan *none; /* stay NULL */
	banyan_data *no_data;
};

static int set_up(void **state)
{
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = "to",
				   .size = 2 };
	struct fixture *x = calloc(1, sizeof(*x));
	*state = x;
	if (!x || banyan_open(":memory:", NULL, &x->db))
		return -1;
	subject_make(x->db);
	x->root = banyan_root(x->db);
	OK(banyan_insert(x->root, "link", 4, &link, &x->link, NULL));
	OK(banyan_view(x->db, &x->view));
	subject_take(&x->s, x->db);
	x->space = x->s.space;
	x->file = x->s.file;
	return 0;
}

/* All is as set_up() has made it */
static int tear_down(void **state)
{
	struct fixture *x = *state;
	assert_null(x->none);
	assert_null(x->no_data);
	assert_names(x->root, "file link space ");
	assert_names(x->space, "k ");
	assert_key(x->db, "file", "a file");
	assert_int_equal(banyan_list_xattr(x->file, NULL, 0), 7);
	struct banyan_attr then, now;
	banyan_data *d = find(x->view, "file");
	then = attr_of(d);
	now = attr_of(x->file);
	assert_int_equal(now.nlink, 1);
	assert_int_equal(now.mode, then.mode);
	assert_int_equal(now.ctime.sec, then.ctime.sec);
	assert_int_equal(now.ctime.nsec, then.ctime.nsec);
	banyan_release(d, 1);
	subject_give_back(&x->s);
	banyan_release(x->link, 1);
	OK(banyan_close(x->view));
	OK(banyan_close(x->db));
	free(x);
	return 0;
}

/* The call says this */
#define SAYS(call, wanted)                                            \
	do {                                                          \
		int64_t says = (call);                                \
		if (says != (wanted))                                 \
			fail_msg("%s says %lld, not " #wanted, #call, \
				 (long long)says);                    \
	} while (0)

/* ---- open and close --------------------------------------------------- */

static void to_open(void **state)
{
	struct fixture *x = *state;
	struct banyan_options o = { .flags = UNKNOWN };
	struct {
		struct banyan_options known;
		uint64_t later;
	} larger = { 0 };
	SAYS(banyan_open(NULL, NULL, &x->none), -EINVAL);
	SAYS(banyan_open(":memory:", NULL, NULL), -EINVAL);
	SAYS(banyan_open(":memory:", &o, &x->none), -EINVAL);
	o = (struct banyan_options){ .freeze = 1 };
	SAYS(banyan_open(":memory:", &o, &x->none), -EINVAL);
	o = (struct banyan_options){ .mode = S_IFREG | 0600 };
	SAYS(banyan_open(":memory:", &o, &x->none), -EINVAL);
	o = (struct banyan_options){ .struct_size = 3 };
	SAYS(banyan_open(":memory:", &o, &x->none), -EINVAL);
	o = (struct banyan_options){ .struct_size = sizeof(o) - 1 };
	SAYS(banyan_open(":memory:", &o, &x->none), -EINVAL);
	SAYS(banyan_open("", NULL, &x->none), -ENOENT);
	assert_true(banyan_open("/", NULL, &x->none) < 0);
	/* A program that knows of more than the library */
	larger.known.struct_size = sizeof(larger);
	larger.later = 1;
	SAYS(banyan_open(":memory:", &larger.known, &x->none), -E2BIG);
	larger.later = 0;
	banyan *db = NULL;
	SAYS(banyan_open(":memory:", &larger.known, &db), 0);
	SAYS(banyan_close(db), 0);
}

static void to_close(void **state)
{
	struct fixture *x = *state;
	SAYS(banyan_close(NULL), 0);
	SAYS(banyan_commit(NULL), -EINVAL);
	SAYS(banyan_commit(x->db), -EINVAL);
	SAYS(banyan_commit(x->view), -EINVAL);
	banyan_abort(NULL);
	banyan_abort(x->db);
	banyan_abort(x->view);
	banyan_free(NULL);
	banyan_scan_end(NULL);
	assert_key(x->view, "file", "a file");
}

static void what_is_told_of_errors(void **state)
{
	static const int errors[] = { 0,	1,	 -1,	 INT_MAX,
				      -INT_MAX, INT_MIN, -EBUSY, EBUSY };
	struct fixture *x = *state;
	char text[8];
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_true(strlen(banyan_strerror(errors[i])) > 0);
	assert_string_equal(banyan_version(), BANYAN_VERSION);
	assert_int_equal(banyan_last_error(NULL, text, sizeof(text)), 0);
	assert_int_equal(banyan_last_error(x->db, text, sizeof(text)), 0);
	SAYS(banyan_remove(x->db, "nothing of this name"), -ENOENT);
	assert_int_equal(banyan_last_error(x->db, NULL, sizeof(text)), 0);
	size_t len = banyan_last_error(x->db, NULL, 0);
	assert_true(len > 20);
	assert_int_equal(banyan_last_error(x->db, text, sizeof(text)), len);
	assert_string_equal(text, "remove ");
	assert_int_equal(banyan_last_error(x->db, text, 1), len);
	assert_string_equal(text, "");
}

static void what_a_handle_is(void **state)
{
	const struct banyan_time now = { .sec = INT64_MAX };
	struct fixture *x = *state;
	SAYS(banyan_holder(NULL), -EINVAL);
	assert_true(banyan_holder("/nowhere/at/all") < -1);
	assert_false(banyan_read_only(NULL));
	assert_null(banyan_root(NULL));
	assert_int_equal(banyan_id(NULL), 0);
	assert_null(banyan_db(NULL));
	banyan_hold(NULL);
	banyan_release(NULL, 1);
	banyan_release(x->file, 0);
	banyan_release(x->root, 1000); /* it need not be */
	assert_int_equal(attr_of(x->root).id, BANYAN_ROOT_ID);
	SAYS(banyan_view(NULL, &x->none), -EINVAL);
	SAYS(banyan_view(x->db, NULL), -EINVAL);
	SAYS(banyan_view(x->view, NULL), -EINVAL);
	SAYS(banyan_view_at_freeze(NULL, 1, &x->none), -EINVAL);
	SAYS(banyan_view_at_freeze(x->db, 1, NULL), -EINVAL);
	SAYS(banyan_view_at_freeze(x->db, 0, &x->none), -ENOENT);
	SAYS(banyan_view_at_time(NULL, now, &x->none), -EINVAL);
	SAYS(banyan_view_at_time(x->db, now, NULL), -EINVAL);
	SAYS(banyan_begin(NULL, &x->none), -EINVAL);
	SAYS(banyan_begin(x->db, NULL), -EINVAL);
	SAYS(banyan_begin(x->view, &x->none), -EROFS);
}

/* ---- keys ------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t len;
} bad_names[] = {
	{ "", 0 }, { ".", 1 }, { "..", 2 }, { "a/b", 3 }, { "a\0b", 3 },
};

#define BAD_NAMES (sizeof(bad_names) / sizeof(*bad_names))

static char long_name[BANYAN_NAME_MAX + 2];

static void to_search(void **state)
{
	struct fixture *x = *state;
	memset(long_name, 'x', BANYAN_NAME_MAX + 1);
	SAYS(banyan_search(NULL, "k", 1, &x->no_data, NULL), -EINVAL);
	SAYS(banyan_search(x->space, NULL, 1, &x->no_data, NULL), -EINVAL);
	SAYS(banyan_search(x->space, "k", 1, NULL, NULL), -EINVAL);
	SAYS(banyan_search(x->space, long_name, 256, &x->no_data, NULL),
	     -ENAMETOOLONG);
	SAYS(banyan_search(x->file, "k", 1, &x->no_data, NULL), -ENOTDIR);
	SAYS(banyan_search(x->space, "", 0, &x->no_data, NULL), -ENOENT);
	SAYS(banyan_find_id(NULL, 1, &x->no_data), -EINVAL);
	SAYS(banyan_find_id(x->db, 1, NULL), -EINVAL);
	SAYS(banyan_find_id(x->db, 0, &x->no_data), -ESTALE);
	SAYS(banyan_find_id(x->db, UINT64_MAX, &x->no_data), -ESTALE);
	assert_null(banyan_held(NULL, 1));
	assert_null(banyan_held(x->db, 0));
	banyan_set_tag(NULL, 1, true);
	SAYS(banyan_tag(NULL), 0);
	SAYS(banyan_home(NULL), 0);
	SAYS(banyan_find(NULL, "file", &x->no_data), -EINVAL);
	SAYS(banyan_find(x->db, NULL, &x->no_data), -EINVAL);
	SAYS(banyan_find(x->db, "file", NULL), -EINVAL);
	SAYS(banyan_find(x->db, "./file", &x->no_data), -EINVAL);
	SAYS(banyan_find(x->db, "file/k", &x->no_data), -ENOTDIR);
	SAYS(banyan_find(x->db, ".banyan", &x->no_data), -EINVAL);
	SAYS(banyan_find(x->db, long_name, &x->no_data), -ENAMETOOLONG);
}

static void to_insert(void **state)
{
	struct fixture *x = *state;
	struct banyan_new make = call_new();
	banyan_data **no = &x->no_data;
	memset(long_name, 'x', BANYAN_NAME_MAX + 1);
	SAYS(banyan_insert(NULL, "n", 1, &make, no, NULL), -EINVAL);
	SAYS(banyan_insert(x->space, NULL, 1, &make, no, NULL), -EINVAL);
	SAYS(banyan_insert(x->space, "n", 1, NULL, no, NULL), -EINVAL);
	SAYS(banyan_insert(x->file, "n", 1, &make, no, NULL), -ENOTDIR);
	SAYS(banyan_insert(x->space, "k", 1, &make, no, NULL), -EEXIST);
	SAYS(banyan_insert(x->space, long_name, 256, &make, no, NULL),
	     -ENAMETOOLONG);
	SAYS(banyan_insert(x->root, ".banyan", 7, &make, no, NULL), -EINVAL);
	for (size_t i = 0; i < BAD_NAMES; i++)
		SAYS(banyan_insert(x->space, bad_names[i].name,
				   bad_names[i].len, &make, no, NULL),
		     -EINVAL);
	SAYS(banyan_insert_unnamed(NULL, &make, no, NULL), -EINVAL);
	SAYS(banyan_insert_unnamed(x->db, NULL, no, NULL), -EINVAL);
	SAYS(banyan_insert_unnamed(x->db, &make, NULL, NULL), -EINVAL);
	/* What it is made of */
	static const struct banyan_new bad[] = {
		{ .mode = S_IFDIR | 0700, .value = "x", .size = 1 },
		{ .mode = S_IFIFO, .value = "x", .size = 1 },
		{ .mode = S_IFREG, .value = NULL, .size = 1 },
		{ .mode = S_IFMT },
		{ .mode = 0030000 },
		{ .struct_size = 1 },
		{ .struct_size = sizeof(struct banyan_new) - 1 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		SAYS(banyan_insert(x->space, "n", 1, &bad[i], no, NULL),
		     -EINVAL);
		SAYS(banyan_insert_unnamed(x->db, &bad[i], no, NULL), -EINVAL);
	}
	make = (struct banyan_new){ .mode = S_IFDIR | 0700 };
	SAYS(banyan_insert_unnamed(x->db, &make, no, NULL), -EINVAL);
}

static void to_insert_data(void **state)
{
	struct fixture *x = *state;
	SAYS(banyan_insert_data(NULL, "n", 1, x->file), -EINVAL);
	SAYS(banyan_insert_data(x->space, NULL, 1, x->file), -EINVAL);
	SAYS(banyan_insert_data(x->space, "n", 1, NULL), -EINVAL);
	SAYS(banyan_insert_data(x->space, "n", 1, x->space), -EPERM);
	SAYS(banyan_insert_data(x->file, "n", 1, x->file), -ENOTDIR);
	SAYS(banyan_insert_data(x->space, "k", 1, x->file), -EEXIST);
	SAYS(banyan_alias(NULL, "file", "n"), -EINVAL);
	SAYS(banyan_alias(x->db, NULL, "n"), -EINVAL);
	SAYS(banyan_alias(x->db, "file", NULL), -EINVAL);
	SAYS(banyan_alias(x->db, "space", "n"), -EPERM);
	SAYS(banyan_alias(x->db, "file", ""), -EBUSY);
	for (size_t i = 0; i < BAD_NAMES; i++)
		SAYS(banyan_insert_data(x->space, bad_names[i].name,
					bad_names[i].len, x->file),
		     -EINVAL);
}

static void to_delete(void **state)
{
	struct fixture *x = *state;
	banyan_data **no = &x->no_data;
	SAYS(banyan_delete(NULL, "k", 1, 0, no), -EINVAL);
	SAYS(banyan_delete(x->space, NULL, 1, 0, no), -EINVAL);
	SAYS(banyan_delete(x->space, "k", 1, UNKNOWN, no), -EINVAL);
	SAYS(banyan_delete(x->space, "k", 1, BANYAN_EXCHANGE, no), -EINVAL);
	SAYS(banyan_delete(x->space, "k", 1, BANYAN_ONLY_SPACE, no), -ENOTDIR);
	SAYS(banyan_delete(x->root, "space", 5, BANYAN_NOT_SPACE, no), -EISDIR);
	SAYS(banyan_delete(x->root, "space", 5, 0, no), -ENOTEMPTY);
	SAYS(banyan_delete(x->file, "k", 1, 0, no), -ENOTDIR);
	for (size_t i = 0; i < BAD_NAMES; i++)
		SAYS(banyan_delete(x->space, bad_names[i].name,
				   bad_names[i].len, 0, no),
		     -EINVAL);
	SAYS(banyan_remove(NULL, "file"), -EINVAL);
	SAYS(banyan_remove(x->db, NULL), -EINVAL);
	SAYS(banyan_remove(x->db, "/"), -EBUSY);
	SAYS(banyan_remove(x->db, "space/.."), -EINVAL);
}

static void to_move(void **state)
{
	const unsigned both = BANYAN_NO_REPLACE | BANYAN_EXCHANGE;
	struct fixture *x = *state;
	SAYS(banyan_move(NULL, "k", 1, x->space, "n", 1, 0), -EINVAL);
	SAYS(banyan_move(x->space, NULL, 1, x->space, "n", 1, 0), -EINVAL);
	SAYS(banyan_move(x->space, "k", 1, NULL, "n", 1, 0), -EINVAL);
	SAYS(banyan_move(x->space, "k", 1, x->space, NULL, 1, 0), -EINVAL);
	SAYS(banyan_move(x->space, "k", 1, x->space, "n", 1, UNKNOWN), -EINVAL);
	SAYS(banyan_move(x->space, "k", 1, x->space, "n", 1, both), -EINVAL);
	SAYS(banyan_move(x->space, "k", 1, x->file, "n", 1, 0), -ENOTDIR);
	SAYS(banyan_move(x->root, "space", 5, x->space, "n", 1, 0), -EINVAL);
	for (size_t i = 0; i < BAD_NAMES; i++) {
		SAYS(banyan_move(x->space, "k", 1, x->space, bad_names[i].name,
				 bad_names[i].len, 0),
		     -EINVAL);
		SAYS(banyan_move(x->space, bad_names[i].name, bad_names[i].len,
				 x->space, "n", 1, 0),
		     -EINVAL);
	}
	SAYS(banyan_rename(NULL, "file", "n", 0), -EINVAL);
	SAYS(banyan_rename(x->db, NULL, "n", 0), -EINVAL);
	SAYS(banyan_rename(x->db, "file", NULL, 0), -EINVAL);
	SAYS(banyan_rename(x->db, "file", "n", UNKNOWN), -EINVAL);
	SAYS(banyan_rename(x->db, "file", "n", both), -EINVAL);
	SAYS(banyan_rename(x->db, "file", "n", BANYAN_ONLY_SPACE), -EINVAL);
	SAYS(banyan_rename(x->db, "", "n", 0), -EBUSY);
	SAYS(banyan_rename(x->db, "file", "", 0), -EBUSY);
}

static void to_put(void **state)
{
	struct fixture *x = *state;
	void *value = NULL;
	size_t size = 0;
	SAYS(banyan_put(NULL, "n", "x", 1, 0), -EINVAL);
	SAYS(banyan_put(x->db, NULL, "x", 1, 0), -EINVAL);
	SAYS(banyan_put(x->db, "n", NULL, 1, 0), -EINVAL);
	SAYS(banyan_put(x->db, "n", "x", 1, UNKNOWN), -EINVAL);
	SAYS(banyan_put(x->db, "space", "x", 1, 0), -EISDIR);
	SAYS(banyan_put(x->db, "link", "x", 1, 0), -EINVAL);
	SAYS(banyan_put(x->db, "", "x", 1, 0), -EBUSY);
	SAYS(banyan_put(x->db, "file", "x", 1, BANYAN_NEW_ONLY), -EEXIST);
	SAYS(banyan_put(x->db, "a/.", "x", 1, BANYAN_PARENTS), -EINVAL);
	SAYS(banyan_put_data(NULL, "n", x->file, 0), -EINVAL);
	SAYS(banyan_put_data(x->db, NULL, x->file, 0), -EINVAL);
	SAYS(banyan_put_data(x->db, "n", NULL, 0), -EINVAL);
	SAYS(banyan_put_data(x->db, "n", x->file, UNKNOWN), -EINVAL);
	SAYS(banyan_put_data(x->db, "n", x->space, 0), -EISDIR);
	SAYS(banyan_get(NULL, "file", &value, &size), -EINVAL);
	SAYS(banyan_get(x->db, NULL, &value, &size), -EINVAL);
	SAYS(banyan_get(x->db, "file", NULL, &size), -EINVAL);
	SAYS(banyan_get(x->db, "file", &value, NULL), -EINVAL);
	SAYS(banyan_get(x->db, "space", &value, &size), -EISDIR);
	assert_null(value);
	SAYS(banyan_make_space(NULL, "n", 0), -EINVAL);
	SAYS(banyan_make_space(x->db, NULL, 0), -EINVAL);
	SAYS(banyan_make_space(x->db, "n", UNKNOWN), -EINVAL);
	SAYS(banyan_make_space(x->db, "n", BANYAN_NEW_ONLY), -EINVAL);
	SAYS(banyan_make_space(x->db, "", 0), -EEXIST);
	SAYS(banyan_make_space(x->db, "file", BANYAN_PARENTS), -EEXIST);
	SAYS(banyan_walk(NULL, "", NULL, true, call_visit, NULL), -EINVAL);
	SAYS(banyan_diff(NULL, x->db, call_diff_visit, NULL), -EINVAL);
	SAYS(banyan_diff(x->db, NULL, call_diff_visit, NULL), -EINVAL);
	SAYS(banyan_diff(x->db, x->db, NULL, NULL), -EINVAL);
	SAYS(banyan_walk(x->db, NULL, NULL, true, call_visit, NULL), -EINVAL);
	SAYS(banyan_walk(x->db, "", NULL, true, NULL, NULL), -EINVAL);
	SAYS(banyan_walk(x->db, "file", NULL, true, call_visit, NULL),
	     -ENOTDIR);
}

/* ---- Data ------------------------------------------------------------- */

static void of_attributes(void **state)
{
	struct fixture *x = *state;
	struct banyan_attr attr = { .size = UINT64_MAX };
	uint64_t id = 0;
	SAYS(banyan_parent(NULL, &id), -EINVAL);
	SAYS(banyan_parent(x->space, NULL), -EINVAL);
	SAYS(banyan_parent(x->file, &id), -ENOTDIR);
	SAYS(banyan_get_attr(NULL, &attr), -EINVAL);
	SAYS(banyan_get_attr(x->file, NULL), -EINVAL);
	SAYS(banyan_set_attr(NULL, &attr, BANYAN_SET_MODE, NULL), -EINVAL);
	SAYS(banyan_set_attr(x->file, NULL, BANYAN_SET_MODE, NULL), -EINVAL);
	SAYS(banyan_set_attr(x->file, &attr, UNKNOWN, NULL), -EINVAL);
	SAYS(banyan_set_attr(x->file, &attr, BANYAN_SET_FLAGS << 1, NULL),
	     -EINVAL);
	SAYS(banyan_set_attr(x->file, &attr, BANYAN_SET_SIZE, NULL), -EFBIG);
	attr.size = 0;
	SAYS(banyan_set_attr(x->space, &attr, BANYAN_SET_SIZE, NULL), -EISDIR);
	SAYS(banyan_set_attr(x->link, &attr, BANYAN_SET_SIZE, NULL), -EINVAL);
}

static void of_contents(void **state)
{
	const uint64_t far = UINT64_MAX;
	struct fixture *x = *state;
	char b[8];
	SAYS(banyan_read(NULL, b, 8, 0), -EINVAL);
	SAYS(banyan_read(x->file, NULL, 8, 0), -EINVAL);
	SAYS(banyan_read(x->space, b, 8, 0), -EISDIR);
	SAYS(banyan_read(x->file, NULL, 0, 0), 0);
	SAYS(banyan_read(x->file, b, 8, far), 0);
	SAYS(banyan_read(x->file, b, SIZE_MAX, 5), 1);
	SAYS(banyan_fetch(NULL, "k", 1, b, 8), -EINVAL);
	SAYS(banyan_fetch(x->space, NULL, 1, b, 8), -EINVAL);
	SAYS(banyan_fetch(x->space, "k", 1, NULL, 8), -EINVAL);
	SAYS(banyan_fetch(x->file, "k", 1, b, 8), -ENOTDIR);
	SAYS(banyan_fetch(x->space, long_name, 256, b, 8), -ENAMETOOLONG);
	SAYS(banyan_write(NULL, "x", 1, 0, 0, NULL), -EINVAL);
	SAYS(banyan_write(x->file, NULL, 1, 0, 0, NULL), -EINVAL);
	SAYS(banyan_write(x->file, "x", 1, 0, UNKNOWN, NULL), -EINVAL);
	SAYS(banyan_write(x->file, "x", 1, 0, BANYAN_KEEP_MTIME << 1, NULL),
	     -EINVAL);
	SAYS(banyan_write(x->file, "x", 1, far, 0, NULL), -EFBIG);
	SAYS(banyan_write(x->file, "x", 1, INT64_MAX, 0, NULL), -EFBIG);
	SAYS(banyan_write(x->space, "x", 1, 0, 0, NULL), -EISDIR);
	SAYS(banyan_write(x->link, "x", 1, 0, 0, NULL), -EINVAL);
	SAYS(banyan_write(x->file, NULL, 0, 0, 0, NULL), 0);
	SAYS(banyan_truncate(NULL, 0), -EINVAL);
	SAYS(banyan_truncate(x->file, far), -EFBIG);
	SAYS(banyan_truncate(x->space, 0), -EISDIR);
	SAYS(banyan_punch(NULL, 0, 1, true), -EINVAL);
	SAYS(banyan_punch(x->file, far, 1, true), -EFBIG);
	SAYS(banyan_punch(x->file, 2, far, true), -EFBIG);
	SAYS(banyan_punch(x->space, 0, 1, true), -EISDIR);
	SAYS(banyan_clone(NULL, 0, x->file, 0, 1), -EINVAL);
	SAYS(banyan_clone(x->file, 0, NULL, 0, 1), -EINVAL);
	SAYS(banyan_clone(x->file, far, x->file, 0, 1), -EFBIG);
	SAYS(banyan_clone(x->file, 0, x->file, far, 1), -EFBIG);
	SAYS(banyan_clone(x->file, 0, x->file, 1, far), -EFBIG);
	SAYS(banyan_clone(x->file, 0, x->file, 1, 2), -EINVAL);
	SAYS(banyan_clone(x->space, 0, x->file, 1, 2), -EISDIR);
	SAYS(banyan_clone(x->file, 0, x->space, 1, 2), -EISDIR);
	SAYS(banyan_clone(x->file, 0, x->file, 0, 0), 0);
	SAYS(banyan_seek_data(NULL, 0), -EINVAL);
	SAYS(banyan_seek_hole(NULL, 0), -EINVAL);
	SAYS(banyan_seek_data(x->file, far), -ENXIO);
	SAYS(banyan_seek_hole(x->file, 6), -ENXIO);
	SAYS(banyan_seek_data(x->space, 0), -EISDIR);
}

static void of_extended_attributes(void **state)
{
	const unsigned both = BANYAN_XATTR_CREATE | BANYAN_XATTR_REPLACE;
	static const char large[BANYAN_XATTR_MAX + 1];
	struct fixture *x = *state;
	char b[8];
	memset(long_name, 'x', BANYAN_NAME_MAX + 1);
	SAYS(banyan_get_xattr(NULL, "user.x", b, 8), -EINVAL);
	SAYS(banyan_get_xattr(x->file, NULL, b, 8), -EINVAL);
	SAYS(banyan_get_xattr(x->file, "user.x", NULL, 8), -EINVAL);
	SAYS(banyan_get_xattr(x->file, "", b, 8), -EINVAL);
	SAYS(banyan_get_xattr(x->file, "none", b, 8), -ENODATA);
	SAYS(banyan_set_xattr(NULL, "n", "x", 1, 0), -EINVAL);
	SAYS(banyan_set_xattr(x->file, NULL, "x", 1, 0), -EINVAL);
	SAYS(banyan_set_xattr(x->file, "n", NULL, 1, 0), -EINVAL);
	SAYS(banyan_set_xattr(x->file, "n", "x", 1, UNKNOWN), -EINVAL);
	SAYS(banyan_set_xattr(x->file, "n", "x", 1, both << 1), -EINVAL);
	SAYS(banyan_set_xattr(x->file, "", "x", 1, 0), -EINVAL);
	SAYS(banyan_set_xattr(x->file, long_name, "x", 1, 0), -ERANGE);
	SAYS(banyan_set_xattr(x->file, "n", large, sizeof(large), 0), -E2BIG);
	SAYS(banyan_set_xattr(x->file, "user.x", "x", 1, BANYAN_XATTR_CREATE),
	     -EEXIST);
	SAYS(banyan_set_xattr(x->file, "n", "x", 1, BANYAN_XATTR_REPLACE),
	     -ENODATA);
	assert_true(banyan_set_xattr(x->file, "n", "x", 1, both) < 0);
	SAYS(banyan_list_xattr(NULL, b, 8), -EINVAL);
	SAYS(banyan_list_xattr(x->file, NULL, 8), -EINVAL);
	SAYS(banyan_list_xattr(x->file, b, 6), -ERANGE);
	SAYS(banyan_remove_xattr(NULL, "user.x"), -EINVAL);
	SAYS(banyan_remove_xattr(x->file, NULL), -EINVAL);
	SAYS(banyan_remove_xattr(x->file, "none"), -ENODATA);
}

/* ---- scans ------------------------------------------------------------ */

static void of_scans(void **state)
{
	struct fixture *x = *state;
	struct banyan_range range = { .struct_size = 1 };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	memset(long_name, 'x', BANYAN_NAME_MAX + 1);
	SAYS(banyan_scan(NULL, NULL, &c), -EINVAL);
	SAYS(banyan_scan(x->space, NULL, NULL), -EINVAL);
	SAYS(banyan_scan(x->file, NULL, &c), -ENOTDIR);
	SAYS(banyan_scan(x->space, &range, &c), -EINVAL);
	range = (struct banyan_range){ .prefix = long_name, .prefix_len = 256 };
	SAYS(banyan_scan(x->space, &range, &c), -ENAMETOOLONG);
	range = (struct banyan_range){ .from = long_name, .from_len = 256 };
	SAYS(banyan_scan(x->space, &range, &c), -ENAMETOOLONG);
	range = (struct banyan_range){ .to = long_name, .to_len = SIZE_MAX };
	SAYS(banyan_scan(x->space, &range, &c), -ENAMETOOLONG);
	SAYS(banyan_walk(x->db, "", &range, true, call_visit, NULL),
	     -ENAMETOOLONG);
	assert_null(c);
	SAYS(banyan_next(NULL, &e), -EINVAL);
	SAYS(banyan_entry_data(NULL, &x->no_data), -EINVAL);
	SAYS(banyan_seek(NULL, "k", 1, 0), -EINVAL);
	OK(banyan_scan(x->space, NULL, &c));
	SAYS(banyan_next(c, NULL), -EINVAL);
	SAYS(banyan_entry_data(c, &x->no_data), -EINVAL); /* of which? */
	SAYS(banyan_seek(c, "k", 1, UNKNOWN), -EINVAL);
	SAYS(banyan_seek(c, long_name, 256, 0), -ENAMETOOLONG);
	OK(banyan_next(c, &e));
	assert_string_equal(e.name, "k");
	SAYS(banyan_entry_data(c, NULL), -EINVAL);
	banyan_scan_end(c);
}

/* ---- the whole -------------------------------------------------------- */

static void of_the_whole(void **state)
{
	struct fixture *x = *state;
	struct banyan_vacuum_plan plan = { 0 };
	struct banyan_stat stat = { .struct_size = 8 };
	struct banyan_check check = { .struct_size = 8 };
	struct banyan_salvage salvage = { .struct_size = 8 };
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	char out[TEMP_FILE_MAX];
	SAYS(banyan_sync(NULL), -EINVAL);
	SAYS(banyan_freeze(NULL), -EINVAL);
	SAYS(banyan_vacuum(NULL, NULL, NULL), -EINVAL);
	SAYS(banyan_vacuum_punch(NULL, NULL, NULL), -EINVAL);
	SAYS(banyan_vacuum_plan(NULL, NULL, NULL, &plan), -EINVAL);
	SAYS(banyan_vacuum_plan(x->db, NULL, NULL, NULL), -EINVAL);
	SAYS(banyan_vacuum_punch_plan(NULL, NULL, &plan), -EINVAL);
	SAYS(banyan_vacuum_punch_plan(x->db, NULL, NULL), -EINVAL);
	SAYS(banyan_vacuum_losses(x->db, NULL, NULL, NULL), -EINVAL);
	SAYS(banyan_backup(NULL, "x", NULL, NULL), -EINVAL);
	SAYS(banyan_backup(x->db, NULL, NULL, NULL), -EINVAL);
	SAYS(banyan_freezes(NULL, call_freeze_visit, NULL), -EINVAL);
	SAYS(banyan_freezes(x->db, NULL, NULL), -EINVAL);
	SAYS(banyan_get_stat(NULL, &stat), -EINVAL);
	SAYS(banyan_get_stat(x->db, NULL), -EINVAL);
	SAYS(banyan_get_stat(x->db, &stat), -EINVAL);
	SAYS(banyan_check(NULL, NULL), -EINVAL);
	SAYS(banyan_check(NULL, &check), -EINVAL);
	OK(temp_directory(dir, TEMP_IN_MEMORY));
	temp_path(path, dir, "db");
	temp_path(out, dir, "out");
	SAYS(banyan_check(path, &check), -EINVAL);
	SAYS(banyan_check(path, NULL), -ENOENT);
	SAYS(banyan_salvage(NULL, out, NULL), -EINVAL);
	SAYS(banyan_salvage(path, NULL, NULL), -EINVAL);
	SAYS(banyan_salvage(path, out, &salvage), -EINVAL);
	SAYS(banyan_salvage(path, out, NULL), -ENOENT);
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	OK(banyan_open(path, &o, &db));
	OK(banyan_close(db));
	SAYS(banyan_check(path, NULL), 0);
	SAYS(banyan_salvage(path, out, NULL), 0);
	SAYS(banyan_salvage(path, out, NULL), -EEXIST);
	OK(unlink(path));
	OK(unlink(out));
	OK(rmdir(dir));
}

/* ---- records ---------------------------------------------------------- */

static void of_records(void **state)
{
	static const struct banyan_field fields[] = { { "id",
							BANYAN_INTEGER } };
	const struct banyan_schema good = { fields, 1, 0 };
	const struct banyan_schema bad[] = {
		{ NULL, 0, 0 },	  { NULL, 1, 0 },	   { fields, 0, 0 },
		{ fields, 1, 1 }, { fields, SIZE_MAX, 0 },
	};
	struct banyan_value value = { .type = BANYAN_INTEGER, .integer = 7 };
	char name[BANYAN_NAME_MAX + 1];
	char bytes[64];
	size_t at = 0;
	(void)state;
	SAYS(banyan_check_schema(NULL), -EINVAL);
	SAYS(banyan_record_key(NULL, &value, name), -EINVAL);
	SAYS(banyan_record_key(&good, NULL, name), -EINVAL);
	SAYS(banyan_record_key(&good, &value, NULL), -EINVAL);
	SAYS(banyan_record_pack(NULL, &value, bytes, 64), -EINVAL);
	SAYS(banyan_record_pack(&good, NULL, bytes, 64), -EINVAL);
	SAYS(banyan_record_pack(&good, &value, NULL, 64), -EINVAL);
	SAYS(banyan_record_unpack(NULL, bytes, 1, &value), -EINVAL);
	SAYS(banyan_record_unpack(&good, NULL, 1, &value), -EINVAL);
	SAYS(banyan_record_unpack(&good, bytes, 1, NULL), -EINVAL);
	SAYS(banyan_block_append(NULL, &value, bytes, 64, &at), -EINVAL);
	SAYS(banyan_block_append(&good, NULL, bytes, 64, &at), -EINVAL);
	SAYS(banyan_block_append(&good, &value, NULL, 64, &at), -EINVAL);
	SAYS(banyan_block_append(&good, &value, bytes, 64, NULL), -EINVAL);
	SAYS(banyan_block_next(NULL, bytes, 1, &at, &value), -EINVAL);
	SAYS(banyan_block_next(&good, NULL, 1, &at, &value), -EINVAL);
	SAYS(banyan_block_next(&good, bytes, 1, NULL, &value), -EINVAL);
	SAYS(banyan_block_next(&good, bytes, 1, &at, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		SAYS(banyan_check_schema(&bad[i]), -EINVAL);
		SAYS(banyan_record_key(&bad[i], &value, name), -EINVAL);
		SAYS(banyan_record_pack(&bad[i], &value, bytes, 64), -EINVAL);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(to_open),
		TEST(to_close),
		TEST(what_is_told_of_errors),
		TEST(what_a_handle_is),
		TEST(to_search),
		TEST(to_insert),
		TEST(to_insert_data),
		TEST(to_delete),
		TEST(to_move),
		TEST(to_put),
		TEST(of_attributes),
		TEST(of_contents),
		TEST(of_extended_attributes),
		TEST(of_scans),
		TEST(of_the_whole),
		cmocka_unit_test(of_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
