/* SPDX-License-Identifier: MIT */
/* What becomes of values that grow by small appends (store/model/coalesce.h). */
#include <errno.h>

#include "growing.h"

static uint64_t file_bytes(banyan *db)
{
	struct banyan_stat st = { 0 };
	assert_int_equal(banyan_get_stat(db, &st), 0);
	return st.file_bytes;
}

static struct data times(banyan_data *d)
{
	struct banyan_attr attr;
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	return (struct data){ .birth = timestamp_of(attr.birth),
			      .atime = timestamp_of(attr.atime),
			      .mtime = timestamp_of(attr.mtime),
			      .ctime = timestamp_of(attr.ctime) };
}

/* ---- how many extents, how many bytes --------------------------------- */

/* Appends of one size up to some: rewrites is how often a byte may be written
 * again, most how many extents may be left */
static void grow(size_t step, size_t size, unsigned rewrites, unsigned most)
{
	struct growing g;
	growing_start(&g);
	growing_to(&g, 512, step); /* what lies in the row is another matter */
	uint64_t before = file_bytes(g.db);
	size_t first = g.size;
	growing_to(&g, size, step);
	uint64_t bytes = g.size - first;
	uint64_t appends = bytes / step;
	uint64_t written = file_bytes(g.db) - before;
	struct shape shape = shape_of(g.d);
	if (shape.extents > most ||
	    written > bytes * (1 + rewrites) + appends * 250)
		fail_msg("appends of %zu: %u extents, %g bytes a byte", step,
			 shape.extents, (double)written / (double)bytes);
	assert_int_equal(live_bytes(g.db), g.size);
	growing_check(&g);
	growing_reopen(&g);
	assert_int_equal(shape_of(g.d).extents, shape.extents);
	growing_check(&g);
	growing_end(&g);
}

static void appends_of_any_size_leave_few_extents_behind(void **state)
{
	(void)state;
	grow(1, 18000, 2, 4 + 2 + 32 + 255);
	grow(10, 300000, 3, 1 + 36 + 32 + 26);
	grow(100, 1500000, 2, 2 + 59 + 82);
	grow(500, 1500000, 2, 2 + 59 + 17);
}

/* So that what is written at once need not be written twice */
static void appends_of_512_bytes_and_more_are_left_alone(void **state)
{
	static const size_t steps[] = { 512, 1000, 4096, 16384 };
	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct growing g;
		growing_start(&g);
		growing_to(&g, 3u << 20, steps[i]);
		assert_true(shape_of(g.d).extents >= (3u << 20) / steps[i]);
		growing_check(&g);
		growing_reopen(&g);
		growing_check(&g);
		growing_end(&g);
	}
}

/* Bytes of the log for each byte of a value that is written in pieces */
static void assert_log_bytes(size_t step, double most)
{
	struct growing g;
	growing_start(&g);
	uint64_t before = file_bytes(g.db);
	growing_to(&g, GROWING_MAX, step);
	double log = (double)(file_bytes(g.db) - before) / GROWING_MAX;
	print_message("pieces of %zu: %.3f\n", step, log);
	assert_true(log <= most);
	growing_end(&g);
}

static void small_pieces_take_little_more_log_than_their_size(void **state)
{
	(void)state;
	assert_log_bytes(1024, 1.2);
	assert_log_bytes(4096, 1.05);
	assert_log_bytes(8192, 1.03);
	assert_log_bytes(16384, 1.02);
	assert_log_bytes(65536, 1.01);
}

/* 8 KiB, joined: the one extent lies in the Data again */
static void few_extents_have_no_rows(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, 3000, 100);
	assert_true(shape_of(g.d).rows);
	growing_to(&g, 8193, 100);
	assert_false(shape_of(g.d).rows);
	assert_int_equal(shape_of(g.d).extents, 1);
	growing_check(&g);
	growing_to(&g, 70000, 100);
	assert_true(shape_of(g.d).extents < 60);
	growing_check(&g);
	growing_end(&g);
}

/* Each value for itself, as its offsets tell */
static void appends_to_many_values_in_turn_do_as_well(void **state)
{
	enum { VALUES = 40, APPENDS = 900 };
	struct growing g;
	banyan_data *d[VALUES];
	uint8_t want[APPENDS * 100];
	(void)state;
	growing_start(&g);
	for (unsigned i = 0; i < VALUES; i++) {
		char key[8];
		sprintf(key, "v%u", i);
		assert_int_equal(banyan_put(g.db, key, "", 0, 0), 0);
		assert_int_equal(banyan_find(g.db, key, &d[i]), 0);
	}
	for (size_t at = 0; at < sizeof(want); at += 100) {
		memset(want + at, (int)(at / 100), 100);
		for (unsigned i = 0; i < VALUES; i++)
			assert_int_equal(banyan_write(d[i], want + at, 100, 0,
						      BANYAN_APPEND, NULL),
					 0);
	}
	for (unsigned i = 0; i < VALUES; i++) {
		assert_true(shape_of(d[i]).extents <= 1 + 11 + 82);
		assert_bytes(d[i], want, sizeof(want));
		banyan_release(d[i], 1);
	}
	assert_int_equal(live_bytes(g.db), sizeof(want) * VALUES);
	assert_sound(g.db);
	growing_end(&g);
}

/* From before there was coalescing, say: overwriting does not join */
static void
a_value_of_very_many_small_extents_is_joined_bit_by_bit(void **state)
{
	enum { COUNT = 9000, STEP = 7 };
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_append(&g, 500);
	growing_truncate(&g, 500 + COUNT * STEP);
	for (size_t at = 500; at < g.size; at += STEP) {
		memset(g.want + at, (int)at, STEP);
		assert_int_equal(
			banyan_write(g.d, g.want + at, STEP, at, 0, NULL), 0);
	}
	assert_int_equal(shape_of(g.d).extents, 1 + COUNT);
	growing_to(&g, 65536, 100);
	struct shape shape = shape_of(g.d);
	assert_true(shape.extents < COUNT);
	assert_true(shape.extents > COUNT / 3);
	growing_check(&g);
	growing_end(&g);
}

/* ---- what stays as it is ---------------------------------------------- */

static void times_are_those_of_the_append(void **state)
{
	struct growing g;
	struct data was;
	struct data is;
	(void)state;
	growing_start(&g);
	growing_to(&g, 8100, 100);
	assert_int_equal(banyan_set_attr(g.d, &(struct banyan_attr){ 0 },
					 BANYAN_SET_MTIME, NULL),
			 0);
	was = times(g.d);
	unsigned extents = shape_of(g.d).extents;
	assert_int_equal(growing_try(&g, 100, BANYAN_KEEP_MTIME), 0);
	assert_true(shape_of(g.d).extents < extents);
	is = times(g.d);
	assert_true(is.mtime == was.mtime);
	assert_true(is.atime == was.atime);
	assert_true(is.birth == was.birth);
	assert_true(is.ctime > was.ctime);
	growing_to(&g, 16300, 100);
	assert_true(times(g.d).mtime > was.mtime);
	growing_end(&g);
}

static void what_a_clone_refers_to_is_not_written_again(void **state)
{
	struct growing g;
	banyan_data *clone = NULL;
	(void)state;
	growing_start(&g);
	growing_to(&g, 3000, 100);
	unsigned shared = shape_of(g.d).extents;
	uint8_t *then = malloc(g.size);
	size_t size = g.size;
	assert_non_null(then);
	memcpy(then, g.want, size);
	assert_int_equal(banyan_put_data(g.db, "b", g.d, 0), 0);
	assert_int_equal(banyan_find(g.db, "b", &clone), 0);
	growing_to(&g, 70000, 100);
	assert_int_equal(shape_of(g.d).shared, shared);
	assert_true(shape_of(g.d).extents < shared + 70);
	assert_int_equal(shape_of(clone).shared, shared);
	assert_bytes(clone, then, size);
	growing_check(&g);
	/* And the other one, which grows its own way */
	for (unsigned i = 0; i < 700; i++)
		assert_int_equal(banyan_write(clone, g.want + size + 7 * i, 7,
					      0, BANYAN_APPEND, NULL),
				 0);
	assert_int_equal(shape_of(clone).shared, shared);
	assert_true(shape_of(clone).extents < shared + 150);
	growing_truncate(&g, 0);
	uint8_t *both = malloc(size + 4900);
	assert_non_null(both);
	assert_int_equal(banyan_read(clone, both, size + 4900, 0), size + 4900);
	assert_memory_equal(both, then, size);
	assert_int_equal(live_bytes(g.db), size + 4900);
	assert_sound(g.db);
	free(both);
	free(then);
	banyan_release(clone, 1);
	growing_end(&g);
}

static void assert_seek(banyan_data *d, uint64_t from, int64_t data,
			int64_t hole)
{
	assert_int_equal(banyan_seek_data(d, from), data);
	assert_int_equal(banyan_seek_hole(d, from), hole);
}

static void a_hole_stays_a_hole(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, 1500, 100);
	growing_truncate(&g, 1700);
	growing_to(&g, 3900, 100);
	assert_int_equal(banyan_punch(g.d, 1900, 7, true), 0);
	memset(g.want + 1900, 0, 7);
	growing_to(&g, 70000, 100);
	assert_true(shape_of(g.d).extents < 80);
	assert_seek(g.d, 0, 0, 1500);
	assert_seek(g.d, 1500, 1700, 1500);
	assert_seek(g.d, 1700, 1700, 1900);
	assert_seek(g.d, 1900, 1907, 1900);
	assert_seek(g.d, 1907, 1907, (int64_t)g.size);
	assert_int_equal(live_bytes(g.db), g.size - 207);
	growing_check(&g);
	growing_end(&g);
}

/* It lies between the small extents and the append that leaves the block */
static void nor_is_a_hole_at_the_end_filled(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, 8100, 100);
	assert_int_equal(g.size, 8100);
	growing_truncate(&g, 8150);
	growing_append(&g, 100);
	assert_seek(g.d, 0, 0, 8100);
	assert_seek(g.d, 8100, 8150, 8100);
	assert_int_equal(live_bytes(g.db), g.size - 50);
	growing_check(&g);
	growing_end(&g);
}

/* Just below the end of a block, cut and appended to over and over */
static void a_large_extent_is_not_written_again_for_a_few_bytes(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, (1u << 20) + 1, 100);
	assert_true(shape_of(g.d).longest >= 1u << 19);
	uint64_t before = file_bytes(g.db);
	for (unsigned i = 0; i < 50; i++) {
		growing_truncate(&g, (1u << 20) - 100);
		growing_to(&g, (1u << 20) + 1, 5);
	}
	/* 20 appends and a truncate each: an operation record is some 200 */
	assert_true(file_bytes(g.db) - before < 50 * (21 * 250 + 4 * 100));
	assert_true(shape_of(g.d).parts > 0);
	growing_check(&g);
	growing_end(&g);
}

static void an_append_that_overwrites_the_tail_joins_what_is_left(void **state)
{
	struct growing g;
	uint8_t bytes[150];
	(void)state;
	growing_start(&g);
	growing_to(&g, 8100, 100);
	assert_int_equal(g.size, 8100);
	memset(bytes, 77, sizeof(bytes));
	memcpy(g.want + 8050, bytes, sizeof(bytes));
	assert_int_equal(banyan_write(g.d, bytes, sizeof(bytes), 8050, 0, NULL),
			 0);
	g.size = 8200;
	assert_int_equal(live_bytes(g.db), g.size);
	growing_check(&g);
	for (size_t at = 8150; at < 17000; at += 50) {
		memset(bytes, (int)at, 100);
		memcpy(g.want + at, bytes, 100);
		assert_int_equal(banyan_write(g.d, bytes, 100, at, 0, NULL), 0);
	}
	g.size = 17050;
	assert_true(shape_of(g.d).extents < 40);
	assert_int_equal(live_bytes(g.db), g.size);
	growing_check(&g);
	growing_end(&g);
}

/* ---- readers and batches ---------------------------------------------- */

static void a_cursor_sees_the_value_as_it_was(void **state)
{
	struct growing g;
	banyan_cursor *cursor = NULL;
	struct banyan_range range = { .values = true };
	struct banyan_entry e;
	(void)state;
	growing_start(&g);
	growing_to(&g, 60000, 90);
	size_t size = g.size;
	assert_int_equal(banyan_scan(banyan_root(g.db), &range, &cursor), 0);
	growing_to(&g, 140000, 90);
	assert_int_equal(banyan_next(cursor, &e), 0);
	assert_int_equal(e.attr.size, size);
	assert_memory_equal(e.value, g.want, size);
	banyan_scan_end(cursor);
	growing_check(&g);
	growing_end(&g);
}

static void a_batch_joins_and_can_be_undone(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, 3000, 100);
	size_t size = g.size;
	unsigned extents = shape_of(g.d).extents;
	growing_enter_batch(&g);
	growing_to(&g, 70000, 100);
	assert_true(shape_of(g.d).extents < 60);
	assert_bytes(g.d, g.want, g.size);
	assert_bytes(g.outside, g.want, size);
	growing_leave_batch(&g, false);
	memset(g.want + size, 0, g.size - size);
	g.size = size;
	assert_int_equal(shape_of(g.d).extents, extents);
	assert_int_equal(live_bytes(g.db), size);
	growing_check(&g);
	growing_enter_batch(&g);
	growing_to(&g, 70000, 100);
	growing_leave_batch(&g, true);
	assert_true(shape_of(g.d).extents < 60);
	assert_int_equal(live_bytes(g.db), g.size);
	growing_check(&g);
	growing_reopen(&g);
	growing_check(&g);
	growing_end(&g);
}

/* ---- trouble ---------------------------------------------------------- */

static void an_append_goes_on_if_old_bytes_cannot_be_read(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, 8100, 100);
	assert_int_equal(g.size, 8100);
	unsigned extents = shape_of(g.d).extents;
	fault_file_fail(g.f, FAULT_READ, 1, -EIO, true);
	growing_append(&g, 100);
	fault_file_fail(g.f, FAULT_READ, 0, 0, false);
	assert_int_equal(shape_of(g.d).extents, extents + 1);
	growing_check(&g);
	/* And is joined with the next larger block */
	growing_to(&g, (1u << 20) + 8192, 100);
	assert_true(shape_of(g.d).extents < 90);
	growing_check(&g);
	growing_end(&g);
}

/* The file, with a byte of the value changed where it lies */
static void damage(struct growing *g, uint64_t at)
{
	struct run run = run_at(g->d, at);
	growing_damage(g, run.e.payload + run.e.start + (at - run.at));
}

/* A new checksum would make damaged bytes look sound */
static void damage_is_not_copied(void **state)
{
	struct growing g;
	uint8_t bytes[200];
	(void)state;
	growing_start(&g);
	growing_to(&g, 8100, 100);
	damage(&g, 2050);
	growing_to(&g, 70000, 100);
	assert_int_equal(banyan_read(g.d, bytes, 100, 2000), -EBADMSG);
	assert_int_equal(banyan_read(g.d, bytes, 100, 2100), 100);
	assert_memory_equal(bytes, g.want + 2100, 100);
	assert_int_equal(banyan_read(g.d, bytes, 100, 69000), 100);
	assert_memory_equal(bytes, g.want + 69000, 100);
	growing_end(&g);
}

/* Appends until the disk is full; none of it is lost, and it goes on after */
static void fill_the_disk(size_t room)
{
	struct growing g;
	int rc = 0;
	growing_start(&g);
	growing_to(&g, 3900, 100);
	uint64_t limit = fault_file_size(g.f) + LOG_RESERVE + room;
	fault_file_limit(g.f, limit);
	while (g.size < 300000 && !(rc = growing_try(&g, 100, 0)))
		;
	assert_int_equal(rc, -ENOSPC);
	/* Not one more would have fit: that takes some 250 bytes */
	assert_true(fault_file_size(g.f) + LOG_RESERVE + 400 > limit);
	growing_check(&g);
	assert_int_equal(growing_try(&g, 100, 0), -ENOSPC);
	fault_file_limit(g.f, 0);
	growing_to(&g, 80000, 100);
	assert_int_equal(live_bytes(g.db), g.size);
	growing_check(&g);
	growing_end(&g);
}

static void a_full_disk_keeps_what_was_appended(void **state)
{
	(void)state;
	for (size_t room = 0; room < 12000; room += 331)
		fill_the_disk(room);
}

/* There is room for an append, but not to write what is before it again; or
 * for that, but not for the operation */
static void append_with_room(size_t room)
{
	struct growing g;
	growing_start(&g);
	growing_to(&g, 8100, 100);
	unsigned extents = shape_of(g.d).extents;
	fault_file_limit(g.f, fault_file_size(g.f) + LOG_RESERVE + room);
	growing_append(&g, 100);
	assert_int_equal(shape_of(g.d).extents, extents + 1);
	growing_check(&g);
	fault_file_limit(g.f, 0);
	growing_to(&g, 24700, 100);
	assert_true(shape_of(g.d).extents < extents + 10);
	growing_check(&g);
	growing_end(&g);
}

static void an_append_goes_on_if_there_is_no_room_to_join(void **state)
{
	(void)state;
	for (size_t room = 500; room < 6000; room += 200)
		append_with_room(room);
}

/* The joined bytes are written, and the operation is not: nothing has happened */
static void a_write_that_fails_in_between_changes_nothing(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, 8100, 100);
	unsigned extents = shape_of(g.d).extents;
	fault_file_fail(g.f, FAULT_APPEND, 2, -ENOSPC, false);
	assert_int_equal(growing_try(&g, 100, 0), -ENOSPC);
	assert_int_equal(shape_of(g.d).extents, extents);
	growing_check(&g);
	/* The joined bytes are not: then it is done without */
	uint64_t before = file_bytes(g.db);
	fault_file_fail(g.f, FAULT_APPEND, 1, -ENOSPC, false);
	growing_append(&g, 100);
	assert_int_equal(shape_of(g.d).extents, extents + 1);
	assert_true(file_bytes(g.db) - before < 500);
	growing_check(&g);
	growing_reopen(&g);
	growing_check(&g);
	growing_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_of_any_size_leave_few_extents_behind),
		cmocka_unit_test(appends_of_512_bytes_and_more_are_left_alone),
		cmocka_unit_test(
			small_pieces_take_little_more_log_than_their_size),
		cmocka_unit_test(few_extents_have_no_rows),
		cmocka_unit_test(appends_to_many_values_in_turn_do_as_well),
		cmocka_unit_test(
			a_value_of_very_many_small_extents_is_joined_bit_by_bit),
		cmocka_unit_test(times_are_those_of_the_append),
		cmocka_unit_test(what_a_clone_refers_to_is_not_written_again),
		cmocka_unit_test(a_hole_stays_a_hole),
		cmocka_unit_test(nor_is_a_hole_at_the_end_filled),
		cmocka_unit_test(
			a_large_extent_is_not_written_again_for_a_few_bytes),
		cmocka_unit_test(
			an_append_that_overwrites_the_tail_joins_what_is_left),
		cmocka_unit_test(a_cursor_sees_the_value_as_it_was),
		cmocka_unit_test(a_batch_joins_and_can_be_undone),
		cmocka_unit_test(an_append_goes_on_if_old_bytes_cannot_be_read),
		cmocka_unit_test(damage_is_not_copied),
		cmocka_unit_test(a_full_disk_keeps_what_was_appended),
		cmocka_unit_test(an_append_goes_on_if_there_is_no_room_to_join),
		cmocka_unit_test(a_write_that_fails_in_between_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
