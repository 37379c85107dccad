/* SPDX-License-Identifier: MIT */
/* Bugs that were found by reading the code: one case each, so that they stay
 * away. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "repair/check.h"
#include "api/handle.h"
#include "engine/write.h"
#include "model/extents.h"
#include "tests/support/clock.h"
#include "tests/support/encode_table.h"
#include "tests/support/fault_file.h"
#include "tests/support/plant.h"
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

static banyan_data *find(banyan *db, const char *path)
{
	banyan_data *d = NULL;
	assert_int_equal(banyan_find(db, path, &d), 0);
	return d;
}

static void assert_value(banyan *db, const char *path, const void *bytes,
			 size_t size)
{
	void *value = NULL;
	size_t n = 0;
	assert_int_equal(banyan_get(db, path, &value, &n), 0);
	assert_int_equal(n, size);
	assert_memory_equal(value, bytes, size);
	free(value);
}

static void tell(void *arg, const char *line)
{
	(void)arg;
	printf("%s\n", line);
}

/* What banyan_check() would find among the rows */
static int64_t damages(banyan *db)
{
	struct banyan_check options = { .found = tell };
	struct checker k;
	checker_init(&k, &options);
	assert_int_equal(check_now(&k, db->store), 0);
	return k.tell.count;
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
	for (unsigned i = 0; i < 3; i++)
		buf_add_varint(&body, i ? 0 : 2);
	buf_add_varint(&body, 200 * 255);
	for (unsigned i = 0; i < 200 * 255; i++) {
		bool first = i == 0;
		buf_add_varint(&body, i / 255);
		buf_add_varint(&body, 2 + 1);
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

/* ---- deleting --------------------------------------------------------- */

/* A long one is swept in several operations; check took one that was swept in
 * part for damaged */
static void a_half_swept_orphan_is_no_damage(void **state)
{
	banyan *db = NULL;
	char bytes[INLINE_MAX + 1] = { 1 };
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "", 0, 0), 0);
	banyan_data *d = find(db, "a");
	for (uint64_t i = 0; i < 12000; i++)
		assert_int_equal(banyan_write(d, bytes, sizeof(bytes), i * 4096,
					      0, NULL),
				 0);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_remove(db, "a"), 0);
	assert_int_equal(damages(db), 0);
	banyan_release(d, 1);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(damages(db), 0);
	struct banyan_stat st = { 0 };
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.live_bytes, 0);
	assert_int_equal(banyan_close(db), 0);
}

/* All at once they did not fit a record: it could not be deleted at all */
static void a_data_with_very_many_attributes_can_be_deleted(void **state)
{
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	banyan_data *d = find(db, "a");
	plant_attributes(db, banyan_id(d), 14000);
	banyan_release(d, 1);
	assert_int_equal(banyan_remove(db, "a"), 0);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_close(db), 0);
}

/* Names of more than 64 KiB in all: the kernel lists none of them */
static void attributes_that_could_not_be_listed_are_refused(void **state)
{
	static char names[BANYAN_XATTR_LIST_MAX];
	char name[BANYAN_NAME_MAX + 1];
	banyan *db = NULL;
	banyan *batch = NULL;
	unsigned n = 0;
	int rc = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	banyan_data *d = find(db, "a");
	for (; !rc && n < 300; n++) {
		plant_name(name, n);
		rc = banyan_set_xattr(d, name, "v", 1, 0);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(n, sizeof(names) / (BANYAN_NAME_MAX + 1) + 1);
	assert_int_equal(banyan_list_xattr(d, NULL, 0), sizeof(names));
	assert_int_equal(banyan_list_xattr(d, names, sizeof(names)),
			 sizeof(names));
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	/* What is there can be changed, and makes room when it goes */
	assert_int_equal(banyan_set_xattr(d, names, "longer", 6, 0), 0);
	assert_int_equal(banyan_remove_xattr(d, names), 0);
	assert_int_equal(banyan_set_xattr(d, name, "v", 1, 0), 0);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	banyan_release(d, 1);
	/* In a batch what it has changed counts */
	assert_int_equal(banyan_begin(db, &batch), 0);
	d = find(batch, "a");
	assert_int_equal(banyan_remove_xattr(d, name), 0);
	assert_int_equal(banyan_set_xattr(d, name, "v", 1, 0), 0);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	banyan_release(d, 1);
	assert_int_equal(banyan_commit(batch), 0);
	assert_int_equal(banyan_close(db), 0);
}

static void as_many_as_fit_are_listed(void **state)
{
	static char names[BANYAN_XATTR_LIST_MAX];
	unsigned removed = 0;
	ssize_t n = 0;
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	banyan_data *d = find(db, "a");
	plant_attributes(db, banyan_id(d), 1000);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	while ((n = banyan_list_xattr(d, names, sizeof(names))) > 0)
		for (ssize_t at = 0; at < n; at += BANYAN_NAME_MAX + 1) {
			assert_int_equal(banyan_remove_xattr(d, names + at), 0);
			removed++;
		}
	assert_int_equal(n, 0);
	assert_int_equal(removed, 1000);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), 0);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* A value of so many extents, with a hole behind each */
static banyan_data *put_extents(banyan *db, uint64_t count)
{
	char bytes[INLINE_MAX + 1] = { 1 };
	assert_int_equal(banyan_put(db, "a", "", 0, 0), 0);
	banyan_data *d = find(db, "a");
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(banyan_write(d, bytes, sizeof(bytes), i * 512,
					      0, NULL),
				 0);
	return d;
}

/* More extents than one operation may change: "too large", for a log file to
 * which somebody had appended often enough */
static void a_value_of_very_many_extents_can_be_cut(void **state)
{
	const uint64_t count = 2 * EXTENTS_PER_OPERATION + 1000;
	struct banyan_stat st = { 0 };
	struct banyan_attr attr;
	char bytes[INLINE_MAX + 1] = { 1 };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	banyan_data *d = put_extents(db, count);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	struct banyan_time mtime = attr.mtime;
	/* What the caller says about times holds for each operation that it
	 * takes */
	attr.size = 100;
	assert_int_equal(
		banyan_set_attr(d, &attr,
				BANYAN_SET_SIZE | BANYAN_SET_KEEP_MTIME, NULL),
		0);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	assert_int_equal(attr.size, 100);
	assert_int_equal(attr.mtime.sec, mtime.sec);
	assert_int_equal(attr.mtime.nsec, mtime.nsec);
	assert_int_equal(attr.stored, 100);
	assert_value(db, "a", bytes, 100);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.live_bytes, 100);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* The same for a hole in it */
static void a_hole_may_take_very_many_extents(void **state)
{
	const uint64_t count = 2 * EXTENTS_PER_OPERATION + 1000;
	struct banyan_attr attr;
	struct banyan_stat st = { 0 };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	banyan_data *d = put_extents(db, count);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	uint64_t size = attr.size;
	assert_int_equal(banyan_punch(d, 512, size - 1024, true), 0);
	assert_int_equal(banyan_seek_data(d, 257), (int64_t)size - 257);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.live_bytes, 2 * (INLINE_MAX + 1));
	assert_int_equal(banyan_punch(d, 0, size + 1000, false), 0);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	assert_int_equal(attr.size, size + 1000);
	assert_int_equal(attr.stored, 0);
	assert_int_equal(damages(db), 0);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
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

static int count_visits(void *arg, const char *path,
			const struct banyan_entry *entry)
{
	unsigned *visits = arg;
	(void)path;
	(void)entry;
	return ++*visits > 10000 ? 1 : 0;
}

/* A second key, with its way back, that leads to the space `id` */
static void add_second_key(banyan *db, uint64_t space, uint64_t id)
{
	struct row_key key;
	struct buf value = BUF_INIT;
	struct txn *c = NULL;
	assert_int_equal(
		store_write_begin(db->store, OPERATION_BATCH, true, &c), 0);
	row_key_name(&key, space, "zz", 2);
	assert_int_equal(reference_encode(id, S_IFDIR, &value), 0);
	assert_int_equal(txn_put(c, &key, &value), 0);
	row_key_link(&key, id, space, "zz", 2);
	assert_int_equal(txn_put_empty(c, &key), 0);
	assert_int_equal(store_write_end(db->store, 0), 0);
	buf_free(&value);
}

/* Forty levels with two ways down each would be 2^40 visits */
static void a_walk_ends_where_a_space_has_two_keys(void **state)
{
	banyan *db = NULL;
	char path[200] = "";
	uint64_t space = BANYAN_ROOT_ID;
	unsigned visits = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	for (unsigned i = 0; i < 40; i++) {
		strcat(path, "/aa");
		assert_int_equal(banyan_make_space(db, path, 0), 0);
		banyan_data *d = find(db, path);
		add_second_key(db, space, banyan_id(d));
		space = banyan_id(d);
		banyan_release(d, 1);
	}
	assert_int_equal(banyan_walk(db, "", NULL, true, count_visits, &visits),
			 -EUCLEAN);
	assert_int_equal(banyan_close(db), 0);
}

/* ---- deep trees ------------------------------------------------------- */

#define LEVELS 10000u

/* In each key space "a", "m" and "z", where m is the next key space */
static void make_deep(banyan *db)
{
	struct banyan_new file = { .mode = S_IFREG | 0644 };
	struct banyan_new space = { .mode = S_IFDIR | 0755 };
	banyan_data *at = banyan_root(db);
	banyan_data *below = NULL;
	for (unsigned i = 0; i < LEVELS; i++) {
		assert_int_equal(banyan_insert(at, "a", 1, &file, NULL, NULL),
				 0);
		assert_int_equal(banyan_insert(at, "z", 1, &file, NULL, NULL),
				 0);
		assert_int_equal(
			banyan_insert(at, "m", 1, &space, &below, NULL), 0);
		banyan_release(at, 1);
		at = below;
	}
	banyan_release(at, 1);
}

/* The keys in the order in which a walk comes to them */
struct deep_walk {
	bool reverse;
	bool up; /* it is on its way up again */
	unsigned level;
	uint64_t visits;
};

static int visit_deep(void *arg, const char *path,
		      const struct banyan_entry *entry)
{
	struct deep_walk *w = arg;
	char name = w->reverse == w->up ? 'a' : 'z';
	bool space = entry->name[0] == 'm';
	if (space) {
		assert_true(w->visits % 2 && !w->up);
		w->level++;
		w->up = w->level == LEVELS;
	} else {
		assert_int_equal(entry->name[0], name);
		w->level -= w->up;
	}
	w->visits++;
	assert_int_equal(strlen(path), 2 * (w->level - space) + 1);
	return 0;
}

static void a_walk_goes_as_deep_as_the_tree(void **state)
{
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	make_deep(db);
	for (unsigned i = 0; i < 2; i++) {
		struct deep_walk w = { .reverse = i };
		struct banyan_range r = { .reverse = i, .names_only = true };
		assert_int_equal(banyan_walk(db, "", &r, true, visit_deep, &w),
				 0);
		assert_int_equal(w.visits, 3 * LEVELS);
		assert_int_equal(w.level, 0);
	}
	/* What of the first level is wanted holds when it is come back to */
	struct deep_walk w = { 0 };
	struct banyan_range r = {
		.from = "m", .from_len = 1, .to = "n", .to_len = 1
	};
	w.visits = 1;
	assert_int_equal(banyan_walk(db, "", &r, true, visit_deep, &w), 0);
	assert_int_equal(w.visits, 1 + 3 * LEVELS - 2);
	assert_int_equal(banyan_close(db), 0);
}

/* A hostile file: the key space with which a walk begins lies below itself, and
 * each key space on the way has one key */
static void a_walk_ends_where_it_comes_back_to_its_beginning(void **state)
{
	struct row_key link;
	struct txn *txn = NULL;
	banyan *db = NULL;
	unsigned visits = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_make_space(db, "a/b/c", BANYAN_PARENTS), 0);
	banyan_data *a = find(db, "a");
	banyan_data *c = find(db, "a/b/c");
	add_second_key(db, banyan_id(c), banyan_id(a));
	assert_int_equal(
		store_write_begin(db->store, OPERATION_BATCH, true, &txn), 0);
	row_key_link(&link, banyan_id(a), BANYAN_ROOT_ID, "a", 1);
	assert_int_equal(txn_delete(txn, &link), 0);
	assert_int_equal(store_write_end(db->store, 0), 0);
	assert_int_equal(banyan_walk(db, "a", NULL, true, count_visits,
				     &visits),
			 -ELOOP);
	assert_int_equal(visits, 3);
	banyan_release(a, 1);
	banyan_release(c, 1);
	assert_int_equal(banyan_close(db), 0);
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
		cmocka_unit_test(a_half_swept_orphan_is_no_damage),
		cmocka_unit_test(
			a_data_with_very_many_attributes_can_be_deleted),
		cmocka_unit_test(
			attributes_that_could_not_be_listed_are_refused),
		cmocka_unit_test(as_many_as_fit_are_listed),
		cmocka_unit_test(a_value_of_very_many_extents_can_be_cut),
		cmocka_unit_test(a_hole_may_take_very_many_extents),
		cmocka_unit_test(bits_that_no_mode_has_are_not_kept),
		cmocka_unit_test(a_value_can_be_cut_shorter_on_a_full_disk),
		cmocka_unit_test(
			figures_can_be_asked_for_in_a_batch_beside_a_freeze),
		cmocka_unit_test(a_walk_ends_where_a_space_has_two_keys),
		cmocka_unit_test(a_walk_goes_as_deep_as_the_tree),
		cmocka_unit_test(
			a_walk_ends_where_it_comes_back_to_its_beginning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
