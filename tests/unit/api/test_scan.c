/* SPDX-License-Identifier: MIT */
/* Values, as scans hand them out and as keys are fetched */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "banyan.h"

#define LONG 100000u

static int set_up(void **out)
{
	banyan *db = NULL;
	int rc = banyan_open(":memory:", NULL, &db);
	*out = db;
	return rc;
}

static int tear_down(void **in)
{
	return banyan_close(*in);
}

static void put(banyan *db, const char *path, const void *value, size_t size)
{
	assert_int_equal(banyan_put(db, path, value, size, 0), 0);
}

/* Values of all kinds, the name of each saying its size */
static void fill(banyan *db, uint8_t *bytes)
{
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = "target",
				   .size = 6 };
	struct banyan_attr attr = { .size = 5000 };
	banyan_data *data = NULL;
	for (size_t i = 0; i < 2 * BANYAN_SCAN_VALUE_MAX; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	put(db, "0 empty", "", 0);
	put(db, "100 inline", bytes, 100);
	put(db, "100000 long", bytes, LONG);
	put(db, "1048576 longest", bytes, BANYAN_SCAN_VALUE_MAX);
	put(db, "1048577 too long", bytes, BANYAN_SCAN_VALUE_MAX + 1);
	assert_int_equal(banyan_make_space(db, "a space", 0), 0);
	assert_int_equal(banyan_insert(banyan_root(db), "6 link", 6, &link,
				       NULL, NULL),
			 0);
	assert_int_equal(banyan_alias(db, "100 inline", "100 alias"), 0);
	/* 100 bytes, and a hole behind them */
	put(db, "5000 hole", bytes, 100);
	assert_int_equal(banyan_find(db, "5000 hole", &data), 0);
	assert_int_equal(banyan_set_attr(data, &attr, BANYAN_SET_SIZE, NULL),
			 0);
	banyan_release(data, 1);
}

static void check_value(const struct banyan_entry *e, const uint8_t *bytes)
{
	size_t size = strtoul(e->name, NULL, 10);
	const uint8_t *value = e->value;
	if (e->name[0] == 'a' || size > BANYAN_SCAN_VALUE_MAX) {
		assert_null(value);
		return;
	}
	assert_non_null(value);
	assert_int_equal(e->attr.size, size);
	if (S_ISLNK(e->attr.mode)) {
		assert_memory_equal(value, "target", 6);
	} else if (size == 5000) {
		assert_memory_equal(value, bytes, 100);
		for (size_t i = 100; i < size; i++)
			assert_int_equal(value[i], 0);
	} else {
		assert_memory_equal(value, bytes, size);
	}
}

static void scan_all(banyan *db, const uint8_t *bytes, bool reverse)
{
	struct banyan_range range = { .values = true, .reverse = reverse };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	unsigned count = 0;
	assert_int_equal(banyan_scan(banyan_root(db), &range, &c), 0);
	for (; banyan_next(c, &e) == 0; count++)
		check_value(&e, bytes);
	banyan_scan_end(c);
	assert_int_equal(count, 9);
}

static void a_scan_hands_out_values(void **in)
{
	uint8_t *bytes = malloc(2 * BANYAN_SCAN_VALUE_MAX);
	assert_non_null(bytes);
	fill(*in, bytes);
	scan_all(*in, bytes, false);
	scan_all(*in, bytes, true);
	/* From the tree, too */
	assert_int_equal(banyan_freeze(*in), 0);
	scan_all(*in, bytes, false);
	scan_all(*in, bytes, true);
	free(bytes);
}

static void a_key_is_fetched_whole_or_in_part(void **in)
{
	banyan_data *root = banyan_root(*in);
	banyan_data *file = NULL;
	banyan *batch = NULL;
	char bytes[8] = "........";
	put(*in, "k", "value", 5);
	assert_int_equal(banyan_make_space(*in, "s", 0), 0);
	for (unsigned frozen = 0; frozen < 2; frozen++) {
		assert_int_equal(banyan_fetch(root, "k", 1, bytes, 8), 5);
		assert_memory_equal(bytes, "value...", 8);
		memset(bytes, '.', 8);
		assert_int_equal(banyan_fetch(root, "k", 1, bytes, 2), 5);
		assert_memory_equal(bytes, "va......", 8);
		memset(bytes, '.', 8);
		assert_int_equal(banyan_fetch(root, "k", 1, NULL, 0), 5);
		assert_int_equal(banyan_fetch(root, "l", 1, bytes, 8), -ENOENT);
		assert_int_equal(banyan_fetch(root, "s", 1, bytes, 8), -EISDIR);
		assert_int_equal(banyan_freeze(*in), 0);
	}
	assert_int_equal(banyan_search(root, "k", 1, &file, NULL), 0);
	assert_int_equal(banyan_fetch(file, "k", 1, bytes, 8), -ENOTDIR);
	banyan_release(file, 1);
	assert_int_equal(banyan_begin(*in, &batch), 0);
	put(batch, "k", "newer", 5);
	assert_int_equal(banyan_fetch(banyan_root(batch), "k", 1, bytes, 8), 5);
	assert_memory_equal(bytes, "newer...", 8);
	assert_int_equal(banyan_fetch(root, "k", 1, bytes, 8), 5);
	assert_memory_equal(bytes, "value...", 8);
	assert_int_equal(banyan_commit(batch), 0);
	assert_int_equal(banyan_fetch(root, "k", 1, bytes, 8), 5);
	assert_memory_equal(bytes, "newer...", 8);
}

static void values_come_only_when_asked_for(void **in)
{
	struct banyan_range names = { .values = true, .names_only = true };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	put(*in, "k", "v", 1);
	assert_int_equal(banyan_scan(banyan_root(*in), NULL, &c), 0);
	assert_int_equal(banyan_next(c, &e), 0);
	assert_null(e.value);
	banyan_scan_end(c);
	assert_int_equal(banyan_scan(banyan_root(*in), &names, &c), 0);
	assert_int_equal(banyan_next(c, &e), 0);
	assert_null(e.value);
	banyan_scan_end(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_scan_hands_out_values),
		TEST(a_key_is_fetched_whole_or_in_part),
		TEST(values_come_only_when_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
