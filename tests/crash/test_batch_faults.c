/* SPDX-License-Identifier: MIT */
/*
 * Batches in which something fails: an operation that says so has changed
 * nothing and the batch goes on, or the batch is lost and says that, each time
 * and at its commit. What a batch has accepted it can commit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/fault_calls.h"
#include "tests/support/plant.h"
#include "tests/support/random.h"

#define EXTENTS 60000u

static uint8_t bytes[9000];

struct fixture {
	struct file *below;
	struct file *file;
	banyan *db;
};

static int set_up(void **state)
{
	struct banyan_options o = { 0 };
	struct fixture *x = calloc(1, sizeof(*x));
	*state = x;
	if (!x || fault_file_new(NULL, 0, &x->below))
		return -1;
	x->file = calls_new(x->below);
	return x->file ? handle_open_file(x->file, &o, true, &x->db) : -1;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	int rc = banyan_close(x->db);
	calls_free(x->file);
	fault_file_free(x->below);
	free(x);
	return rc;
}

static bool there(banyan *db, const char *path)
{
	banyan_data *data = NULL;
	int rc = banyan_find(db, path, &data);
	assert_true(rc == 0 || rc == -ENOENT);
	banyan_release(data, 1);
	return rc == 0;
}

/* From the next call on there is no space, or there is again */
static void disk_is_full(struct fixture *x, bool full)
{
	struct calls_plan p = { .call = FAULT_RESERVE,
				.nth = full,
				.error = -ENOSPC,
				.lasting = true };
	calls_fail(x->file, &p);
}

static void goes_on_without_what_had_no_space(void **state)
{
	struct fixture *x = *state;
	banyan *batch = NULL;
	assert_int_equal(banyan_begin(x->db, &batch), 0);
	assert_int_equal(banyan_put(batch, "a", "1", 1, 0), 0);
	disk_is_full(x, true);
	assert_int_equal(banyan_put(batch, "b", bytes, sizeof(bytes), 0),
			 -ENOSPC);
	disk_is_full(x, false);
	assert_true(there(batch, "a"));
	assert_false(there(batch, "b"));
	assert_int_equal(banyan_put(batch, "c", bytes, sizeof(bytes), 0), 0);
	assert_int_equal(banyan_commit(batch), 0);
	assert_true(there(x->db, "a"));
	assert_false(there(x->db, "b"));
	assert_true(there(x->db, "c"));
}

/* Whatever has failed, its bytes are the caller's again: they must not be written
 * with what comes later. A log with bad ones in it would end there. */
static void what_had_no_space_is_not_in_the_log(void **state)
{
	struct fixture *x = *state;
	struct banyan_options o = { 0 };
	struct file *after = NULL;
	banyan *batch = NULL;
	banyan *db = NULL;
	assert_int_equal(banyan_begin(x->db, &batch), 0);
	assert_int_equal(banyan_put(batch, "a", "1", 1, 0), 0);
	memset(bytes, 1, sizeof(bytes));
	disk_is_full(x, true);
	assert_int_equal(banyan_put(batch, "b", bytes, sizeof(bytes), 0),
			 -ENOSPC);
	disk_is_full(x, false);
	memset(bytes, 2, sizeof(bytes));
	assert_int_equal(banyan_put(batch, "c", "3", 1, 0), 0);
	assert_int_equal(banyan_commit(batch), 0);
	/* The process dies */
	assert_int_equal(fault_file_after_cut(x->below,
					      fault_file_events(x->below),
					      FAULT_KEEP, 0, &after),
			 0);
	assert_int_equal(handle_open_file(after, &o, false, &db), 0);
	assert_true(there(db, "a"));
	assert_false(there(db, "b"));
	assert_true(there(db, "c"));
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(after);
}

/* The spaces were made before it was found that there is no space */
static void is_lost_whole_where_it_cannot_go_back(void **state)
{
	struct fixture *x = *state;
	banyan *batch = NULL;
	assert_int_equal(banyan_begin(x->db, &batch), 0);
	assert_int_equal(banyan_put(batch, "a", "1", 1, 0), 0);
	disk_is_full(x, true);
	assert_int_equal(banyan_put(batch, "s/t/b", bytes, sizeof(bytes),
				    BANYAN_PARENTS),
			 -ENOSPC);
	disk_is_full(x, false);
	int rc = banyan_put(batch, "c", "3", 1, 0);
	assert_true(rc == 0 || rc == -ENOSPC);
	assert_int_equal(banyan_commit(batch), rc);
	assert_int_equal(there(x->db, "a"), rc == 0);
	assert_int_equal(there(x->db, "c"), rc == 0);
	assert_false(there(x->db, "s"));
	assert_int_equal(banyan_put(x->db, "d", "4", 1, 0), 0);
	assert_true(there(x->db, "d"));
}

/* Bytes that nothing else begins with: rows share little then */
static const uint8_t *some_bytes(unsigned n)
{
	uint64_t random = n;
	for (unsigned i = 0; i < 256; i++)
		bytes[i] = (uint8_t)(test_random(&random) >> 20);
	return bytes;
}

/* Put short values until the batch is full: how many */
static unsigned fill(banyan *batch)
{
	char path[16];
	unsigned n = 0;
	for (;; n++) {
		sprintf(path, "f%u", n);
		int rc = banyan_put(batch, path, some_bytes(n), 250, 0);
		if (rc) {
			assert_int_equal(rc, -E2BIG);
			return n;
		}
	}
}

static unsigned room_in_a_batch(banyan *db)
{
	banyan *batch = NULL;
	assert_int_equal(banyan_begin(db, &batch), 0);
	unsigned n = fill(batch);
	banyan_abort(batch);
	return n;
}

static unsigned count_keys(banyan *db)
{
	struct banyan_stat stat = { 0 };
	assert_int_equal(banyan_get_stat(db, &stat), 0);
	return (unsigned)stat.keys;
}

static void a_full_one_says_so_and_can_be_committed(void **state)
{
	struct fixture *x = *state;
	banyan *batch = NULL;
	assert_int_equal(banyan_begin(x->db, &batch), 0);
	unsigned n = fill(batch);
	assert_true(n > 8000);
	assert_int_equal(banyan_remove(batch, "f0"), -E2BIG);
	assert_int_equal(banyan_commit(batch), 0);
	assert_int_equal(count_keys(x->db), n);
	assert_int_equal(banyan_remove(x->db, "f0"), 0);
}

/* Make a value of very many extents, far apart: their keys share little */
static void scatter(banyan *db, unsigned round)
{
	char path[16];
	banyan *batch = NULL;
	banyan_data *data = NULL;
	sprintf(path, "many%u", round);
	assert_int_equal(banyan_put(db, path, "", 0, 0), 0);
	for (uint64_t i = 0; i < EXTENTS; i++) {
		if (i % 5000 == 0) {
			assert_int_equal(banyan_begin(db, &batch), 0);
			assert_int_equal(banyan_find(batch, path, &data), 0);
		}
		assert_int_equal(banyan_write(data, "x", 1, i * 0x10000000123u,
					      0, NULL),
				 0);
		if (i % 5000 == 4999) {
			banyan_release(data, 1);
			assert_int_equal(banyan_commit(batch), 0);
		}
	}
}

/* A batch, filled up to where it is just not full */
static banyan *nearly_fill(banyan *db, unsigned round, unsigned full)
{
	char path[16];
	banyan *batch = NULL;
	assert_int_equal(banyan_begin(db, &batch), 0);
	for (unsigned n = 0; n < full; n++) {
		sprintf(path, "%c%u", (int)('g' + round), n);
		assert_int_equal(banyan_put(batch, path, some_bytes(n), 250, 0),
				 0);
	}
	return batch;
}

enum big { COPY, CLONE, PUNCH, OVERWRITE, CUT, BIGS };

static int do_big(banyan *batch, enum big which, banyan_data *data,
		  banyan_data *other)
{
	int64_t n = 0;
	char path[16];
	switch (which) {
	case CUT:
		return banyan_truncate(data, 0);
	case COPY:
		return banyan_put_data(batch, "copy", data, 0);
	case OVERWRITE:
		sprintf(path, "many%u", (unsigned)which);
		return banyan_put(batch, path, "y", 1, 0);
	case CLONE:
		n = banyan_clone(data, 0, other, 0, INT64_MAX);
		return n < 0 ? (int)n : 0;
	case PUNCH:
	case BIGS:
	default:
		return banyan_punch(data, 0, INT64_MAX, true);
	}
}

/*
 * In a batch that has so many short values already. What is refused has changed
 * nothing, or all is lost; what is not refused is there.
 */
static void try_big(struct fixture *x, enum big which, unsigned filled)
{
	char path[16];
	banyan_data *data = NULL;
	banyan_data *other = NULL;
	scatter(x->db, which);
	banyan *batch = nearly_fill(x->db, which, filled);
	sprintf(path, "many%u", (unsigned)which);
	assert_int_equal(banyan_find(batch, path, &data), 0);
	assert_int_equal(banyan_find(batch, "other", &other), 0);
	int rc = do_big(batch, which, data, other);
	banyan_release(data, 1);
	banyan_release(other, 1);
	int committed = banyan_commit(batch);
	print_message("%u: said %d, commit %d\n", (unsigned)which, rc,
		      committed);
	assert_true(rc == 0 || rc == -E2BIG);
	assert_true(committed == 0 || committed == rc);
	sprintf(path, "%c0", (int)('g' + which));
	assert_int_equal(there(x->db, path), committed == 0);
}

/* Whatever it says about an operation, it keeps to it at the commit */
static void commits_what_it_has_accepted(void **state)
{
	struct fixture *x = *state;
	assert_int_equal(banyan_put(x->db, "other", "", 0, 0), 0);
	unsigned full = room_in_a_batch(x->db);
	for (enum big i = COPY; i < BIGS; i++)
		try_big(x, i, full - full / 100);
}

/* Names of attributes are long, and all of them are in the record */
static void nor_loses_it_to_many_attributes(void **state)
{
	struct fixture *x = *state;
	banyan_data *data = NULL;
	assert_int_equal(banyan_put(x->db, "tagged", "x", 1, 0), 0);
	assert_int_equal(banyan_find(x->db, "tagged", &data), 0);
	plant_attributes(x->db, banyan_id(data), 4000);
	banyan_release(data, 1);
	unsigned full = room_in_a_batch(x->db);
	banyan *batch = nearly_fill(x->db, 0, full - full / 100);
	int rc = banyan_remove(batch, "tagged");
	assert_true(rc == 0 || rc == -E2BIG);
	int committed = banyan_commit(batch);
	assert_true(committed == 0 || committed == rc);
	assert_int_equal(there(x->db, "g0"), committed == 0);
	if (rc)
		assert_int_equal(banyan_remove(x->db, "tagged"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(goes_on_without_what_had_no_space),
		TEST(what_had_no_space_is_not_in_the_log),
		TEST(is_lost_whole_where_it_cannot_go_back),
		TEST(a_full_one_says_so_and_can_be_committed),
		TEST(commits_what_it_has_accepted),
		TEST(nor_loses_it_to_many_attributes),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
