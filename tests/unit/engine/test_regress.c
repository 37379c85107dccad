/* SPDX-License-Identifier: MIT */
/* Bugs that were found by reading the code: one case each, so that they stay
 * away. */
#include "tests/unit/api/api_fixture.h"

#include <assert.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "api/handle.h"
#include "engine/write.h"
#include "tests/support/clock.h"
#include "tests/support/encode_table.h"
#include "tests/support/fault_file.h"
#include "tests/support/temp.h"
#include "model/rows.h"

static banyan *open_fault_file(struct file *f, bool fresh)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	banyan *db = NULL;
	assert_int_equal(handle_open_file(f, &o, fresh, &db), 0);
	return db;
}

/* The process goes on as if it were killed: nothing more is written */
static void drop(struct file *f, banyan *db)
{
	fault_file_fail(f, FAULT_APPEND, 1, -EIO, true);
	(void)banyan_close(db);
}

/* ---- opening ---------------------------------------------------------- */

struct opening {
	const char *path;
	pthread_barrier_t *barrier;
	int result;
};

static void *open_and_close(void *arg)
{
	struct opening *o = arg;
	struct banyan_options options = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	pthread_barrier_wait(o->barrier);
	o->result = banyan_open(o->path, &options, &db);
	pthread_barrier_wait(o->barrier);
	(void)banyan_close(db);
	return NULL;
}

/* Who came second while a database was created heard that it exists, though he
 * had only asked for it to exist */
static void two_may_create_a_database_at_once(void **state)
{
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	(void)state;
	assert_int_equal(temp_directory(dir, TEMP_ON_DISK), 0);
	temp_path(path, dir, "db");
	for (unsigned i = 0; i < 20; i++) {
		pthread_t thread[2];
		pthread_barrier_t barrier;
		struct opening o[2];
		pthread_barrier_init(&barrier, NULL, 2);
		for (unsigned k = 0; k < 2; k++) {
			o[k] = (struct opening){ path, &barrier, 0 };
			assert_int_equal(pthread_create(&thread[k], NULL,
							open_and_close, &o[k]),
					 0);
		}
		for (unsigned k = 0; k < 2; k++)
			pthread_join(thread[k], NULL);
		pthread_barrier_destroy(&barrier);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(o[0].result + o[1].result, -EBUSY);
	}
	assert_int_equal(rmdir(dir), 0);
}

/* ---- batches ---------------------------------------------------------- */

/* Pieces of the failed write stayed staged: the commit then wrote them from
 * memory that the caller had freed, over what was in the file already */
static void a_batch_goes_on_after_a_write_that_did_not_fit(void **state)
{
	const size_t size = 100000;
	struct file *f = NULL;
	struct file *after = NULL;
	banyan *batch = NULL;
	uint64_t end = 0;
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	banyan *db = open_fault_file(f, true);
	assert_int_equal(banyan_put(db, "old", "old", 3, 0), 0);
	assert_int_equal(file_size(f, &end), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	assert_int_equal(banyan_put(batch, "a", "a", 1, 0), 0);
	char *bytes = malloc(size);
	assert_non_null(bytes);
	memset(bytes, 'x', size);
	fault_file_fail(f, FAULT_APPEND, 1, -ENOSPC, false);
	fault_file_fail_after(f, 50000);
	assert_int_equal(banyan_put(batch, "big", bytes, size, 0), -ENOSPC);
	free(bytes);
	assert_int_equal(banyan_put(batch, "b", "b", 1, 0), 0);
	assert_int_equal(banyan_commit(batch), 0);
	assert_value(db, "b", "b", 1);
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &after),
			 0);
	drop(f, db);
	db = open_fault_file(after, false);
	assert_value(db, "old", "old", 3);
	assert_value(db, "a", "a", 1);
	assert_value(db, "b", "b", 1);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(after);
	fault_file_free(f);
}

/* A Data that the batch had moved before it was held kept the batch's key as
 * its home when that came to nothing */
static void what_an_aborted_batch_has_moved_and_held_is_at_home(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	struct banyan_attr attr;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	assert_int_equal(banyan_put(db, "c", "value", 5, 0), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	assert_int_equal(banyan_rename(batch, "a", "b", 0), 0);
	assert_int_equal(banyan_alias(batch, "c", "d"), 0);
	banyan_data *moved = find(db, "a");
	banyan_data *aliased = find(db, "c");
	banyan_data *moving = find(batch, "b");
	assert_int_equal(banyan_rename(batch, "b", "e", 0), 0);
	assert_int_equal(banyan_write(moving, "lost", 4, 0, 0, NULL), 0);
	banyan_release(moving, 1);
	banyan_abort(batch);
	assert_int_equal(banyan_get_attr(moved, &attr), 0);
	assert_int_equal(banyan_get_attr(aliased, &attr), 0);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(banyan_write(moved, "V", 1, 0, 0, NULL), 0);
	assert_value(db, "a", "Value", 5);
	banyan_release(moved, 1);
	banyan_release(aliased, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* Released in a batch that was aborted, an orphan waited for the next open */
static void an_orphan_released_in_an_aborted_batch_is_swept(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	struct banyan_stat st = { 0 };
	banyan_data *d = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	assert_int_equal(banyan_delete(banyan_root(db), "a", 1, 0, &d), 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	banyan_release(d, 1);
	banyan_abort(batch);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.live_bytes, 0);
	assert_int_equal(banyan_close(db), 0);
}

static void *freeze_thread(void *arg)
{
	assert(banyan_freeze(arg) == 0);
	return NULL;
}

static int count_freeze(void *arg, const struct banyan_freeze_info *info)
{
	(void)info;
	++*(unsigned *)arg;
	return 0;
}

static void *stat_in_a_batch(void *arg)
{
	banyan *db = arg;
	banyan *batch = NULL;
	struct banyan_stat st = { 0 };
	unsigned freezes = 0;
	pthread_t other;
	assert(banyan_begin(db, &batch) == 0);
	assert(banyan_put(batch, "a", "value", 5, 0) == 0);
	assert(!pthread_create(&other, NULL, freeze_thread, db));
	usleep(100000);
	assert(banyan_get_stat(db, &st) == 0);
	assert(banyan_get_stat(batch, &st) == 0);
	assert(banyan_freezes(db, count_freeze, &freezes) == 0);
	assert(banyan_freezes(batch, count_freeze, &freezes) == 0);
	assert(banyan_commit(batch) == 0);
	pthread_join(other, NULL);
	return NULL;
}

/* They waited for the freeze, which waited for the batch */
static void figures_can_be_asked_for_in_a_batch_beside_a_freeze(void **state)
{
	banyan *db = NULL;
	pthread_t thread;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(pthread_create(&thread, NULL, stat_in_a_batch, db), 0);
	assert_int_equal(test_join(thread, NULL, 10), 0);
	assert_int_equal(banyan_close(db), 0);
}

/* ---- recovery --------------------------------------------------------- */

/*
 * The sync of the last freeze record failed. The next process took a log that
 * ends in a freeze for one that was closed well, and built on a record that
 * the disk did not have.
 */
static void build_on_a_lost_freeze(size_t size)
{
	static const char bytes[2000];
	struct file *f = NULL;
	struct file *killed = NULL;
	struct file *cut = NULL;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	banyan *db = open_fault_file(f, true);
	assert_int_equal(banyan_put(db, "a", bytes, size, 0), 0);
	fault_file_fail(f, FAULT_SYNC, 2, -EIO, false);
	assert_int_equal(banyan_close(db), -EIO);
	assert_int_equal(
		fault_file_after_kill(f, fault_file_events(f), &killed), 0);
	db = open_fault_file(killed, false);
	assert_value(db, "a", bytes, size);
	assert_int_equal(banyan_put(db, "b", "b", 1, 0), 0);
	assert_int_equal(banyan_sync(db), 0);
	assert_int_equal(fault_file_after_cut(killed, fault_file_events(killed),
					      FAULT_DROP, 1, &cut),
			 0);
	drop(killed, db);
	db = open_fault_file(cut, false);
	assert_value(db, "a", bytes, size);
	assert_value(db, "b", "b", 1);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(cut);
	fault_file_free(killed);
	fault_file_free(f);
}

static void a_freeze_whose_sync_failed_is_not_built_upon(void **state)
{
	(void)state;
	/* The record must cross from one sector to the next at some time: what
	 * lies in a sector that is written to again is not lost */
	for (size_t size = 1000; size < 1512; size += 64)
		build_on_a_lost_freeze(size);
}

/*
 * Each place behind a break that could be the header of a mark was looked at
 * through a window of 256 KiB: minutes, for a file made for it.
 */
static void a_tail_full_of_headers_does_not_take_for_ever(void **state)
{
	const size_t size = 3u << 20;
	struct file *f = NULL;
	struct file *killed = NULL;
	uint64_t end = 0;
	size_t written = 0;
	struct log_state st;
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	banyan *db = open_fault_file(f, true);
	assert_int_equal(
		fault_file_after_kill(f, fault_file_events(f), &killed), 0);
	drop(f, db);
	fault_file_free(f);
	f = killed;
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i += 8)
		put_le64(bytes + i, RECORD_MARK | 8 << 8);
	assert_int_equal(file_size(f, &end), 0);
	struct iovec iov = { bytes, size };
	assert_int_equal(file_append(f, &iov, 1, end, &written), 0);
	free(bytes);
	uint64_t began = test_now();
	assert_int_equal(log_recover(f, false, &st, NULL, NULL), 0);
	assert_true(test_now() - began < 5 * TEST_SECOND);
	file_close(f);
	fault_file_free(f);
}

/* What rows share took next to nothing in the record, and 4 KiB each in memory:
 * two GiB for a record of three MiB */
static void rows_of_one_operation_have_a_limit(void **state)
{
	const struct operation op = { .kind = OPERATION_BATCH, .next_id = 2 };
	uint8_t value[ROW_VALUE_MAX] = { 0 };
	struct redo_table *table = redo_table_new();
	struct redo_reader r;
	struct operation found;
	struct row_change row;
	struct buf body = BUF_INIT;
	uint64_t bytes = 0;
	int rc = 0;
	(void)state;
	assert_non_null(table);
	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t key[4];
		put_be32(key, i);
		assert_int_equal(redo_table_put(table, key, sizeof(key), value,
						sizeof(value), 1, NULL),
				 0);
	}
	assert_int_equal(encode_table(&op, table, &body), -E2BIG);
	redo_table_unref(table);
	/* The same by hand: one key after the other, all with one value */
	buf_reset(&body);
	buf_add_u8(&body, OPERATION_BATCH);
	buf_add_le64(&body, 0);
	buf_add_varint(&body, 0);
	buf_add_varint(&body, 2);
	for (unsigned i = 0; i < 200 * 255; i++) {
		bool first = i == 0;
		buf_add_u8(&body, 1 + (2 << 3));
		buf_add_varint(&body, i / 255);
		buf_add_varint(&body, 1);
		buf_add_u8(&body, (uint8_t)(i % 255));
		buf_add_varint(&body, first ? 0 : sizeof(value));
		buf_add_varint(&body, first ? sizeof(value) : 0);
		if (first)
			buf_add(&body, value, sizeof(value));
	}
	assert_false(body.failed);
	assert_int_equal(redo_open(&r, body.data, body.len, &found), 0);
	while ((rc = redo_next(&r, &row)) == 0)
		bytes += row.key_len + row.value_len;
	assert_int_equal(rc, -EUCLEAN);
	assert_in_range(bytes, 3u << 20, 17u << 20);
	buf_free(&body);
}

/* Where the last sweep or freeze failed nothing was synced any more */
static void close_syncs_even_if_it_cannot_freeze(void **state)
{
	struct file *f = NULL;
	struct file *cut = NULL;
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	banyan *db = open_fault_file(f, true);
	assert_int_equal(banyan_put(db, "a", "a", 1, 0), 0);
	fault_file_fail(f, FAULT_APPEND, 1, -ENOSPC, true);
	assert_int_equal(banyan_close(db), -ENOSPC);
	assert_int_equal(fault_file_after_cut(f, fault_file_events(f),
					      FAULT_DROP, 1, &cut),
			 0);
	db = open_fault_file(cut, false);
	assert_value(db, "a", "a", 1);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(cut);
	fault_file_free(f);
}

/* ---- attributes ------------------------------------------------------- */

/* Bits beyond the type made a row that could not be read back */
static void bits_that_no_mode_has_are_not_kept(void **state)
{
	struct banyan_new make = { .mode = 0xfff00000u | S_IFREG | 0640 };
	struct banyan_attr attr;
	banyan *db = NULL;
	banyan_data *d = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(
		banyan_insert(banyan_root(db), "a", 1, &make, &d, NULL), 0);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* Only to nothing could a value be cut on a full disk */
static void a_value_can_be_cut_shorter_on_a_full_disk(void **state)
{
	struct file *f = NULL;
	uint64_t end = 0;
	char *bytes = calloc(1, 50000);
	(void)state;
	assert_non_null(bytes);
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	banyan *db = open_fault_file(f, true);
	assert_int_equal(banyan_put(db, "a", bytes, 50000, 0), 0);
	assert_int_equal(file_size(f, &end), 0);
	fault_file_limit(f, end + LOG_RESERVE / 2);
	assert_int_equal(banyan_put(db, "b", bytes, 50000, 0), -ENOSPC);
	banyan_data *d = find(db, "a");
	assert_int_equal(banyan_truncate(d, 60000), -ENOSPC);
	assert_int_equal(banyan_truncate(d, 20000), 0);
	assert_value(db, "a", bytes, 20000);
	banyan_release(d, 1);
	free(bytes);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_may_create_a_database_at_once),
		cmocka_unit_test(
			a_batch_goes_on_after_a_write_that_did_not_fit),
		cmocka_unit_test(
			what_an_aborted_batch_has_moved_and_held_is_at_home),
		cmocka_unit_test(
			an_orphan_released_in_an_aborted_batch_is_swept),
		cmocka_unit_test(a_freeze_whose_sync_failed_is_not_built_upon),
		cmocka_unit_test(a_tail_full_of_headers_does_not_take_for_ever),
		cmocka_unit_test(rows_of_one_operation_have_a_limit),
		cmocka_unit_test(close_syncs_even_if_it_cannot_freeze),
		cmocka_unit_test(bits_that_no_mode_has_are_not_kept),
		cmocka_unit_test(a_value_can_be_cut_shorter_on_a_full_disk),
		cmocka_unit_test(
			figures_can_be_asked_for_in_a_batch_beside_a_freeze),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
