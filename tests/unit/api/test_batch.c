/* SPDX-License-Identifier: MIT */
/* Batches: what random operations (test_model.c) do not come across. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "banyan.h"

/* A Data that was made in a batch never was if the batch is aborted; the next one
 * must not be taken for it */
static void what_an_aborted_batch_made_is_gone(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	banyan_data *ghost = NULL;
	banyan_data *data = NULL;
	struct banyan_attr attr;
	struct banyan_attr after;
	struct banyan_new make = { .mode = 0600, .value = "x", .size = 1 };
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	assert_int_equal(banyan_insert(banyan_root(batch), "a", 1, &make,
				       &ghost, NULL),
			 0);
	assert_int_equal(banyan_get_attr(ghost, &attr), 0);
	banyan_release(ghost, 1);
	banyan_abort(batch);
	assert_int_equal(banyan_search(banyan_root(db), "a", 1, &data, NULL),
			 -ENOENT);
	assert_int_equal(banyan_insert(banyan_root(db), "b", 1, &make, &data,
				       &after),
			 0);
	assert_true(after.id > attr.id);
	assert_int_equal(banyan_get_attr(data, &attr), 0);
	assert_int_equal(attr.id, after.id);
	banyan_release(data, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* Puts until it is full; how many there were */
static unsigned fill_batch(banyan *batch, size_t size)
{
	static char bytes[256];
	unsigned n = 0;
	for (;; n++) {
		char path[32];
		sprintf(path, "key%u", n);
		memset(bytes, (int)(n * 37), sizeof(bytes));
		for (size_t i = 0; i < size; i += 4)
			memcpy(bytes + i, &n, sizeof(n));
		int rc = banyan_put(batch, path, bytes, size, 0);
		if (rc) {
			assert_int_equal(rc, -E2BIG);
			return n;
		}
		assert_true(n < 100000);
	}
}

static void a_batch_that_is_full_may_be_committed(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	struct banyan_stat st = { 0 };
	void *value = NULL;
	size_t size = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	unsigned n = fill_batch(batch, 256);
	assert_true(n > 5000);
	assert_int_equal(banyan_get(batch, "key17", &value, &size), 0);
	assert_int_equal(size, 256);
	free(value);
	assert_int_equal(banyan_commit(batch), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.keys, n);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_aborted_batch_made_is_gone),
		cmocka_unit_test(a_batch_that_is_full_may_be_committed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
