/* SPDX-License-Identifier: MIT */
/* banyan_undelete(): what was deleted comes back as it was */
#include "history_fixture.h"

static void count_made(void *arg, const char *path)
{
	(void)path;
	++*(unsigned *)arg;
}

static void a_key(void **state)
{
	banyan *db = open_memory();
	struct banyan_attr attr = { .mode = 0640,
				    .uid = 12,
				    .gid = 34,
				    .atime = { 1000, 1 },
				    .mtime = { 2000, 2 } };
	char bytes[16];
	(void)state;
	put(db, "k", "value");
	banyan_data *k = find(db, "k");
	OK(banyan_set_xattr(k, "user.x", "abc", 3, 0));
	OK(banyan_set_attr(k, &attr,
			   BANYAN_SET_MODE | BANYAN_SET_UID | BANYAN_SET_GID |
				   BANYAN_SET_ATIME | BANYAN_SET_MTIME,
			   NULL));
	struct banyan_attr was = attr_of(k);
	banyan_release(k, 1);
	OK(banyan_remove(db, "k"));
	undelete(db, "k");
	assert_key(db, "k", "value");
	k = find(db, "k");
	struct banyan_attr is = attr_of(k);
	assert_true(is.id > was.id);
	assert_int_equal(is.mode, was.mode);
	assert_int_equal(is.uid, 12);
	assert_int_equal(is.gid, 34);
	assert_int_equal(is.nlink, 1);
	assert_memory_equal(&is.atime, &was.atime, sizeof(is.atime));
	assert_memory_equal(&is.mtime, &was.mtime, sizeof(is.mtime));
	assert_memory_equal(&is.birth, &was.birth, sizeof(is.birth));
	assert_true(is.ctime.sec > was.ctime.sec ||
		    is.ctime.nsec > was.ctime.nsec);
	assert_int_equal(banyan_get_xattr(k, "user.x", bytes, 16), 3);
	assert_memory_equal(bytes, "abc", 3);
	banyan_release(k, 1);
	assert_deleted(db, "");
	assert_log(db, "k", "n5 d5 a5 a5 n5 ");
	OK(banyan_close(db));
}

static void its_newest_version(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "k", "1");
	OK(banyan_remove(db, "k"));
	put(db, "k", "2");
	put(db, "tmp", "3");
	OK(banyan_rename(db, "tmp", "k", 0));
	OK(banyan_freeze(db));
	OK(banyan_remove(db, "k"));
	OK(banyan_freeze(db));
	undelete(db, "k");
	assert_key(db, "k", "3");
	OK(banyan_close(db));
}

static void to_another_place(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/k", "old");
	OK(banyan_remove(db, "s/k"));
	put(db, "s/k", "new");
	assert_int_equal(banyan_undelete(db, "s/k", NULL, NULL, NULL), -EEXIST);
	OK(banyan_undelete(db, "s/k", "k", NULL, NULL));
	assert_key(db, "k", "old");
	assert_key(db, "s/k", "new");
	assert_int_equal(banyan_undelete(db, "s/k", "k", NULL, NULL), -EEXIST);
	remove_tree(db, "s");
	assert_int_equal(banyan_undelete(db, "s/k", NULL, NULL, NULL), -ENOENT);
	assert_int_equal(banyan_undelete(db, "s/k", "t/k", NULL, NULL),
			 -ENOENT);
	assert_int_equal(banyan_undelete(db, "s/k", "k/k", NULL, NULL),
			 -ENOTDIR);
	OK(banyan_undelete(db, "s/k", "l", NULL, NULL));
	assert_key(db, "l", "new");
	OK(banyan_undelete(db, "s", "t", NULL, NULL));
	assert_key(db, "t/k", "new");
	OK(banyan_close(db));
}

static void what_cannot_come_back(void **state)
{
	banyan *db = open_memory();
	banyan *batch = NULL, *view = NULL;
	(void)state;
	put(db, "k", "1");
	put(db, "moved", "1");
	OK(banyan_rename(db, "moved", "to", 0));
	OK(banyan_remove(db, "k"));
	assert_int_equal(banyan_undelete(db, "never", NULL, NULL, NULL),
			 -ENODATA);
	assert_int_equal(banyan_undelete(db, "no/such", NULL, NULL, NULL),
			 -ENODATA);
	assert_int_equal(banyan_undelete(db, "moved", NULL, NULL, NULL),
			 -ENODATA);
	assert_int_equal(banyan_undelete(db, "", "x", NULL, NULL), -EINVAL);
	assert_int_equal(banyan_undelete(db, "k", "..", NULL, NULL), -EINVAL);
	assert_int_equal(banyan_undelete(db, "k", ".banyan", NULL, NULL),
			 -EINVAL);
	assert_int_equal(banyan_undelete(db, "k", "", NULL, NULL), -EEXIST);
	OK(banyan_view(db, &view));
	assert_int_equal(banyan_undelete(view, "k", NULL, NULL, NULL), -EROFS);
	OK(banyan_close(view));
	OK(banyan_begin(db, &batch));
	assert_int_equal(banyan_undelete(batch, "k", NULL, NULL, NULL),
			 -EINVAL);
	banyan_abort(batch);
	OK(banyan_vacuum(db, NULL, NULL));
	assert_int_equal(banyan_undelete(db, "k", NULL, NULL, NULL), -ENODATA);
	assert_names(banyan_root(db), "to ");
	OK(banyan_close(db));
}

static void note_path(void *arg, const char *path)
{
	strcat(arg, path);
	strcat(arg, " ");
}

static void with_its_aliases(void **state)
{
	banyan *db = open_memory();
	char made[256] = "";
	(void)state;
	put(db, "a", "1");
	put(db, "s/x", "1");
	put(db, "t/x", "1");
	OK(banyan_alias(db, "a", "b"));
	OK(banyan_alias(db, "a", "s/c"));
	OK(banyan_alias(db, "a", "t/d"));
	OK(banyan_alias(db, "a", "e"));
	put(db, "b", "22");
	/* As one operation: what is there then are all of them */
	banyan *batch = NULL;
	OK(banyan_begin(db, &batch));
	OK(banyan_remove(batch, "a"));
	OK(banyan_remove(batch, "b"));
	OK(banyan_remove(batch, "s/c"));
	OK(banyan_remove(batch, "e"));
	remove_tree(batch, "t");
	OK(banyan_commit(batch));
	put(db, "e", "in the way");
	OK(banyan_undelete(db, "b", NULL, note_path, made));
	assert_string_equal(made, "b a s/c ");
	banyan_data *b = find(db, "b"), *c = find(db, "s/c");
	assert_ptr_equal(b, c);
	assert_int_equal(attr_of(b).nlink, 3);
	assert_data(b, "22");
	banyan_release(b, 1);
	banyan_release(c, 1);
	assert_key(db, "e", "in the way");
	assert_false(has_key(db, "t"));
	OK(banyan_close(db));
}

static void as_an_alias_of_what_lives_on(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	OK(banyan_alias(db, "a", "b"));
	OK(banyan_remove(db, "a"));
	put(db, "b", "22");
	banyan_data *b = find(db, "b");
	undelete(db, "a");
	banyan_data *a = find(db, "a");
	assert_ptr_equal(a, b);
	assert_int_equal(attr_of(a).nlink, 2);
	banyan_release(a, 1);
	banyan_release(b, 1);
	assert_key(db, "a", "22");
	OK(banyan_close(db));
}

static void a_held_one_gets_a_new_id(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "k", "old");
	banyan_data *held = find(db, "k");
	OK(banyan_remove(db, "k"));
	OK(banyan_write(held, "xxx", 3, 0, 0, NULL));
	undelete(db, "k");
	assert_key(db, "k", "old");
	assert_data(held, "xxx");
	banyan_release(held, 1);
	assert_key(db, "k", "old");
	OK(banyan_close(db));
}

/* ---- key spaces ------------------------------------------------------- */

static void set_flags(banyan *db, const char *path, uint32_t flags)
{
	const struct banyan_attr attr = { .flags = flags };
	banyan_data *data = find(db, path);
	OK(banyan_set_attr(data, &attr, BANYAN_SET_FLAGS, NULL));
	banyan_release(data, 1);
}

/* Of many the others come back, and aliases elsewhere do not hinder */
static void not_what_is_immutable(void **state)
{
	const char *const keys[] = { "i/a", "a", "b", "alias" };
	unsigned made = 0;
	banyan *db = open_memory();
	(void)state;
	put(db, "i/a", "1");
	put(db, "a", "2");
	put(db, "b", "3");
	put(db, "c", "4");
	OK(banyan_alias(db, "b", "i/b"));
	OK(banyan_alias(db, "c", "alias"));
	OK(banyan_remove(db, "alias"));
	OK(banyan_remove(db, "i/a"));
	OK(banyan_remove(db, "a"));
	OK(banyan_remove(db, "b"));
	OK(banyan_remove(db, "i/b"));
	set_flags(db, "i", BANYAN_IMMUTABLE);
	set_flags(db, "c", BANYAN_IMMUTABLE);
	for (unsigned i = 0; i < 4; i += 3)
		assert_int_equal(banyan_undelete(db, keys[i], NULL, NULL, NULL),
				 -EPERM);
	assert_int_equal(banyan_undelete_keys(db, keys, 4, count_made, &made),
			 -EPERM);
	assert_int_equal(made, 2);
	assert_key(db, "a", "2");
	assert_key(db, "b", "3");
	assert_key(db, "i/a", NULL);
	assert_key(db, "i/b", NULL);
	assert_key(db, "alias", NULL);
	OK(banyan_close(db));
}

static void a_tree(void **state)
{
	banyan *db = open_memory();
	struct banyan_attr attr = { .mode = 0700, .mtime = { 1000, 5 } };
	(void)state;
	put(db, "s/early", "1");
	OK(banyan_remove(db, "s/early"));
	put(db, "s/a", "1");
	put(db, "s/t/b", "22");
	put(db, "s/t/u/c", "333");
	OK(banyan_alias(db, "s/a", "s/t/u/a"));
	OK(banyan_alias(db, "s/t/b", "outside"));
	put(db, "s/t/u/a", "4444");
	OK(banyan_freeze(db));
	banyan_data *t = find(db, "s/t");
	OK(banyan_set_xattr(t, "user.x", "1", 1, 0));
	OK(banyan_set_attr(t, &attr, BANYAN_SET_MODE | BANYAN_SET_MTIME, NULL));
	banyan_release(t, 1);
	OK(banyan_remove(db, "s/t/u/c"));
	remove_tree(db, "s");
	/* Elsewhere nothing matters */
	put(db, "other", "1");
	undelete(db, "s");
	assert_deleted(db, "s/early:1 ");
	assert_key(db, "s/a", "4444");
	assert_key(db, "s/t/b", "22");
	assert_key(db, "s/t/u/c", "333");
	banyan_data *a = find(db, "s/a"), *b = find(db, "s/t/u/a");
	assert_ptr_equal(a, b);
	assert_int_equal(attr_of(a).nlink, 2);
	banyan_release(a, 1);
	banyan_release(b, 1);
	a = find(db, "outside"), b = find(db, "s/t/b");
	assert_ptr_equal(a, b);
	banyan_release(a, 1);
	banyan_release(b, 1);
	t = find(db, "s/t");
	assert_int_equal(attr_of(t).mode, S_IFDIR | 0700);
	assert_int_equal(attr_of(t).mtime.sec, 1000);
	assert_int_equal(attr_of(t).mtime.nsec, 5);
	assert_int_equal(attr_of(t).nlink, 3);
	assert_int_equal(banyan_get_xattr(t, "user.x", NULL, 0), 1);
	banyan_release(t, 1);
	undelete(db, "s/early");
	OK(banyan_close(db));
}

/* What was changed last decides what comes back, wherever its row is */
static void a_tree_as_after_its_last_change(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/a", "1");
	put(db, "s/b", "1");
	put(db, "s/t/x", "1");
	OK(banyan_alias(db, "s/t/x", "out"));
	OK(banyan_remove(db, "s/a"));
	put(db, "out", "22");
	OK(banyan_remove(db, "s/b"));
	remove_tree(db, "s");
	undelete(db, "s");
	assert_key(db, "s/a", NULL);
	assert_key(db, "s/b", "1");
	assert_key(db, "s/t/x", "22");
	/* What was moved away has not been removed */
	OK(banyan_remove(db, "s/b"));
	put(db, "s/c", "1");
	OK(banyan_rename(db, "s/c", "c", 0));
	remove_tree(db, "s");
	undelete(db, "s");
	assert_key(db, "s/b", NULL);
	assert_key(db, "s/c", NULL);
	assert_key(db, "s/t/x", "22");
	OK(banyan_close(db));
}

/* What becomes of a Data under another key after the removal, or after the key here
 * was removed, is no change of the tree */
static void a_tree_of_which_something_lives_on(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/a", "1");
	put(db, "s/b", "1");
	put(db, "s/t/x", "1");
	OK(banyan_alias(db, "s/t/x", "out"));
	remove_tree(db, "s");
	put(db, "out", "22");
	undelete(db, "s");
	assert_key(db, "s/a", "1");
	assert_key(db, "s/b", "1");
	assert_key(db, "s/t/x", "22");
	OK(banyan_remove(db, "s/t/x"));
	OK(banyan_remove(db, "s/a"));
	put(db, "out", "333");
	remove_tree(db, "s");
	put(db, "out", "4444");
	undelete(db, "s");
	assert_key(db, "s/a", "1");
	assert_key(db, "s/b", "1");
	assert_key(db, "s/t/x", "4444");
	OK(banyan_close(db));
}

static void a_tree_that_was_kept_by_a_vacuum(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "s/a", "1");
	put(db, "s/t/x", "1");
	OK(banyan_vacuum(db, NULL, NULL));
	remove_tree(db, "s");
	undelete(db, "s");
	assert_key(db, "s/a", "1");
	assert_key(db, "s/t/x", "1");
	OK(banyan_close(db));
}

static void an_empty_key_space(void **state)
{
	banyan *db = open_memory();
	(void)state;
	OK(banyan_make_space(db, "s", 0));
	OK(banyan_remove(db, "s"));
	undelete(db, "s");
	banyan_data *s = find(db, "s");
	assert_int_equal(attr_of(s).nlink, 2);
	assert_names(s, "");
	banyan_release(s, 1);
	OK(banyan_close(db));
}

/* More than one batch has room for */
static void a_large_tree(void **state)
{
	banyan *db = open_memory(), *batch = NULL;
	static char value[250];
	char path[64];
	(void)state;
	memset(value, 'v', sizeof(value));
	for (unsigned i = 0; i < 30000; i++) {
		if (i % 5000 == 0)
			OK(banyan_begin(db, &batch));
		sprintf(path, "s/%02u/%u", i % 50, i);
		memcpy(value, &i, sizeof(i));
		OK(banyan_put(batch, path, value, sizeof(value),
			      BANYAN_PARENTS));
		if (i % 5000 == 4999)
			OK(banyan_commit(batch));
	}
	for (unsigned i = 0; i < 30000; i++) {
		sprintf(path, "s/%02u/%u", i % 50, i);
		OK(banyan_remove(db, path));
	}
	remove_tree(db, "s");
	uint64_t keys = stat_of(db).keys;
	undelete(db, "s");
	assert_int_equal(stat_of(db).keys, keys + 30051);
	for (unsigned i = 0; i < 30000; i += 7) {
		void *got = NULL;
		size_t size = 0;
		sprintf(path, "s/%02u/%u", i % 50, i);
		OK(banyan_get(db, path, &got, &size));
		assert_int_equal(size, sizeof(value));
		assert_memory_equal(got, &i, sizeof(i));
		banyan_free(got);
	}
	OK(banyan_close(db));
}

/* ---- contents --------------------------------------------------------- */

static void large_values_are_not_copied(void **state)
{
	static char bytes[70000], attribute[9000];
	banyan *db = open_memory();
	void *got = NULL;
	size_t size = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 >> 3);
	put(db, "k", "");
	banyan_data *k = find(db, "k");
	for (unsigned i = 0; i < 9; i++)
		OK(banyan_write(k, bytes, sizeof(bytes), i * 100000, 0, NULL));
	OK(banyan_set_xattr(k, "user.long", attribute, sizeof(attribute), 0));
	banyan_release(k, 1);
	OK(banyan_put(db, "l", bytes, sizeof(bytes), 0));
	uint64_t live = stat_of(db).live_bytes;
	OK(banyan_remove(db, "k"));
	OK(banyan_remove(db, "l"));
	assert_int_equal(stat_of(db).live_bytes, 0);
	uint64_t file = stat_of(db).file_bytes;
	undelete(db, "k");
	undelete(db, "l");
	assert_true(stat_of(db).file_bytes < file + 3000);
	assert_int_equal(stat_of(db).live_bytes, live);
	for (unsigned round = 0; round < 2; round++) {
		OK(banyan_get(db, "k", &got, &size));
		assert_int_equal(size, 870000);
		assert_memory_equal((char *)got + 300000, bytes, sizeof(bytes));
		assert_int_equal(((char *)got)[399999], 0);
		banyan_free(got);
		OK(banyan_get(db, "l", &got, &size));
		assert_memory_equal(got, bytes, sizeof(bytes));
		banyan_free(got);
		k = find(db, "k");
		assert_int_equal(banyan_get_xattr(k, "user.long", bytes,
						  sizeof(bytes) / 2),
				 sizeof(attribute));
		banyan_release(k, 1);
		for (size_t i = 0; i < sizeof(attribute); i++)
			bytes[i] = (char)(i * 7 >> 3);
		OK(banyan_vacuum(db, NULL, NULL));
	}
	OK(banyan_close(db));
}

/* One operation has no room for rows of so many extents */
static void very_many_extents(void **state)
{
	enum { EXTENTS = 130000, STEP = 8192 };
	banyan *db = open_memory();
	struct banyan_attr attr = { .mode = 0640, .mtime = { 2000, 2 } };
	uint32_t got = 0;
	(void)state;
	put(db, "s/a", "1");
	put(db, "s/k", "");
	put(db, "s/z", "1");
	OK(banyan_alias(db, "s/k", "s/l"));
	banyan_data *k = find(db, "s/k");
	for (uint32_t i = 0; i < EXTENTS; i++)
		OK(banyan_write(k, &i, sizeof(i), (uint64_t)i * STEP, 0, NULL));
	OK(banyan_set_attr(k, &attr, BANYAN_SET_MODE | BANYAN_SET_MTIME, NULL));
	OK(banyan_set_xattr(k, "user.x", "1", 1, 0));
	banyan_release(k, 1);
	struct banyan_stat was = stat_of(db);
	remove_tree(db, "s");
	OK(banyan_freeze(db)); /* which sweeps */
	assert_int_equal(stat_of(db).live_bytes, 0);
	undelete(db, "s");
	assert_int_equal(stat_of(db).keys, was.keys);
	assert_int_equal(stat_of(db).live_bytes, was.live_bytes);
	k = find(db, "s/l");
	for (uint32_t i = 0; i < EXTENTS; i += 77) {
		assert_int_equal(banyan_read(k, &got, sizeof(got),
					     (uint64_t)i * STEP),
				 sizeof(got));
		assert_int_equal(got, i);
	}
	attr = attr_of(k);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.mtime.sec, 2000);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(banyan_get_xattr(k, "user.x", NULL, 0), 1);
	banyan_release(k, 1);
	assert_key(db, "s/z", "1");
	assert_deleted(db, "");
	OK(banyan_close(db));
}

/* Each as it was before its own deletion, whatever lies in between */
static void many_keys(void **state)
{
	banyan *db = open_memory();
	static const char *const path[] = { "s/c", "a",	   "never", "/s//b/",
					    "s/b", "kept", "t/u/x", "t" };
	char value[16];
	(void)state;
	put(db, "kept", "1");
	for (unsigned i = 0; i < 4; i++) {
		put(db, "a", "early");
		put(db, "s/b", "1");
		OK(banyan_remove(db, "s/b"));
		sprintf(value, "%u", i);
		put(db, "s/b", value);
		put(db, "s/c", value);
		put(db, "t/u/x", value);
		put(db, "t/y", value);
		OK(banyan_freeze(db));
		put(db, "a", "late");
		OK(banyan_remove(db, "s/c"));
		OK(banyan_remove(db, "a"));
		OK(banyan_remove(db, "t/u/x"));
		if (i % 2)
			OK(banyan_freeze(db));
		/* So x was deleted before the last change in t */
		put(db, "t/z", "1");
		remove_tree(db, "t");
		OK(banyan_remove(db, "s/b"));
		assert_int_equal(banyan_undelete_keys(db, path, 8, NULL, NULL),
				 -ENODATA);
		assert_key(db, "a", "late");
		assert_key(db, "s/b", value);
		assert_key(db, "s/c", value);
		assert_key(db, "t/u/x", value);
		assert_key(db, "t/y", value);
		assert_key(db, "t/z", "1");
		assert_deleted(db, "");
	}
	OK(banyan_undelete_keys(db, path, 0, NULL, NULL));
	remove_tree(db, "t");
	assert_int_equal(banyan_undelete_keys(db, path + 6, 1, NULL, NULL),
			 -ENOENT);
	OK(banyan_close(db));
}

/* What 'rm *' has removed */
static void many_keys_of_a_key_space(void **state)
{
	banyan *db = open_memory();
	static char name[3000][16];
	static const char *path[3000];
	unsigned made = 0;
	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		sprintf(name[i], "s/%04u", (i * 7) % 3000);
		path[i] = name[i];
		put(db, name[i], name[i]);
	}
	for (unsigned i = 0; i < 3000; i++)
		OK(banyan_remove(db, name[i]));
	OK(banyan_undelete_keys(db, path, 3000, count_made, &made));
	assert_int_equal(made, 3000);
	for (unsigned i = 0; i < 3000; i += 13)
		assert_key(db, name[i], name[i]);
	assert_deleted(db, "");
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key),
		cmocka_unit_test(its_newest_version),
		cmocka_unit_test(to_another_place),
		cmocka_unit_test(what_cannot_come_back),
		cmocka_unit_test(with_its_aliases),
		cmocka_unit_test(as_an_alias_of_what_lives_on),
		cmocka_unit_test(a_held_one_gets_a_new_id),
		cmocka_unit_test(not_what_is_immutable),
		cmocka_unit_test(a_tree),
		cmocka_unit_test(a_tree_as_after_its_last_change),
		cmocka_unit_test(a_tree_of_which_something_lives_on),
		cmocka_unit_test(a_tree_that_was_kept_by_a_vacuum),
		cmocka_unit_test(an_empty_key_space),
		cmocka_unit_test(a_large_tree),
		cmocka_unit_test(large_values_are_not_copied),
		cmocka_unit_test(very_many_extents),
		cmocka_unit_test(many_keys),
		cmocka_unit_test(many_keys_of_a_key_space),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
