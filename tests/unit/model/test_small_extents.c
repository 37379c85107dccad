/* SPDX-License-Identifier: MIT */
/*
 * Extents that lie close behind each other in the log are read with one call and
 * verified one by one (store/model/extent_io.h).
 */
#include <errno.h>

#include "growing.h"

#define SIZE 200000u

/* A read of so many bytes may come to an end anywhere in an extent */
static void assert_reads(struct growing *g, size_t size, size_t stride)
{
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	for (size_t at = 0; at < g->size; at += stride) {
		size_t n = size < g->size - at ? size : g->size - at;
		assert_int_equal(banyan_read(g->d, bytes, size, at), n);
		assert_memory_equal(bytes, g->want + at, n);
	}
	free(bytes);
}

static void assert_all_reads(struct growing *g)
{
	assert_reads(g, 1, 509);
	assert_reads(g, 600, 599);
	assert_reads(g, 4096, 1021);
	assert_reads(g, 9000, 3001);
	assert_reads(g, 65536, 9001);
	assert_reads(g, SIZE + 10, 30011);
}

static void pieces_are_read_at_any_offset(void **state)
{
	static const size_t steps[] = { 512, 600, 1024, 4096, 8192, 10000 };
	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct growing g;
		growing_start(&g);
		growing_to(&g, SIZE, steps[i]);
		assert_all_reads(&g);
		growing_reopen(&g);
		assert_all_reads(&g);
		growing_end(&g);
	}
}

/* Parts of payloads, holes, long extents and extents of before, in no order */
static void so_are_values_of_all_sorts_of_extents(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	for (unsigned i = 0; g.size < SIZE; i++)
		growing_append(&g, 512 + test_below(&g.random, 2000) +
					   (i % 13 == 0) * 20000);
	for (unsigned i = 0; i < 150; i++) {
		size_t n = 1 + test_below(&g.random, 3000);
		size_t at = test_below(&g.random, g.size - n);
		if (i % 3 == 0) {
			assert_int_equal(banyan_punch(g.d, at, n, true), 0);
			memset(g.want + at, 0, n);
		} else {
			memset(g.want + at, (int)i, n);
			assert_int_equal(banyan_write(g.d, g.want + at, n, at,
						      0, NULL),
					 0);
		}
	}
	assert_all_reads(&g);
	growing_reopen(&g);
	assert_all_reads(&g);
	growing_end(&g);
}

/* Extents of two values lie in turn, so that none is fetched for the other */
static void values_that_grow_in_turn_are_not_mixed_up(void **state)
{
	struct growing g;
	banyan_data *other = NULL;
	uint8_t *want = calloc(1, SIZE + 2000);
	(void)state;
	assert_non_null(want);
	growing_start(&g);
	assert_int_equal(banyan_put(g.db, "b", "", 0, 0), 0);
	assert_int_equal(banyan_find(g.db, "b", &other), 0);
	size_t size = 0;
	for (; size < SIZE; size += 900) {
		growing_append(&g, 700);
		memset(want + size, (int)(size / 900), 900);
		assert_int_equal(banyan_write(other, want + size, 900, 0,
					      BANYAN_APPEND, NULL),
				 0);
	}
	assert_all_reads(&g);
	assert_bytes(other, want, size);
	banyan_release(other, 1);
	free(want);
	growing_end(&g);
}

/* ---- trouble ---------------------------------------------------------- */

/* A read fails if, and only if, it wants a byte of the damaged piece */
static void assert_only_a_piece_is_damaged(struct growing *g, size_t from,
					   size_t to)
{
	static uint8_t bytes[20000];
	static const size_t sizes[] = { 1, 1000, 5000, 20000 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t at = 0; at + sizes[i] <= g->size; at += 250) {
			bool hit = at < to && at + sizes[i] > from;
			ssize_t n = banyan_read(g->d, bytes, sizes[i], at);
			assert_int_equal(n, hit ? -EBADMSG : (int)sizes[i]);
			if (!hit)
				assert_memory_equal(bytes, g->want + at,
						    sizes[i]);
		}
	}
}

static void damage_in_one_piece_is_an_error_of_that_piece(void **state)
{
	static const size_t places[] = { 0, 40500, 99999 };
	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct growing g;
		growing_start(&g);
		growing_to(&g, 100000, 1000);
		size_t piece = places[i] / 1000 * 1000;
		struct extent e = run_at(g.d, piece).e;
		assert_int_equal(e.payload_len, 1000);
		growing_damage(&g, e.payload + places[i] - piece);
		assert_only_a_piece_is_damaged(&g, piece, piece + 1000);
		growing_end(&g);
	}
}

/* Records of operations lie between the pieces: a read wants none of them. (To
 * open the file takes the records of its last segment.) */
static void damage_between_pieces_is_not_noticed(void **state)
{
	struct growing g;
	(void)state;
	growing_start(&g);
	growing_to(&g, 100000, 1000);
	uint8_t *large = calloc(1, SEGMENT_SIZE);
	assert_non_null(large);
	assert_int_equal(banyan_put(g.db, "b", large, SEGMENT_SIZE, 0), 0);
	assert_int_equal(banyan_freeze(g.db), 0);
	struct extent e = run_at(g.d, 50000).e;
	growing_damage(&g, e.payload + e.payload_len + 40);
	growing_check(&g);
	assert_all_reads(&g);
	free(large);
	growing_end(&g);
}

/* The disk does not read one of the records in between, say */
static void pieces_are_read_one_by_one_if_not_at_once(void **state)
{
	struct growing g;
	uint8_t *bytes = malloc(SIZE);
	(void)state;
	assert_non_null(bytes);
	growing_start(&g);
	growing_to(&g, 50000, 1000);
	growing_reopen(&g);
	growing_check(&g);
	uint64_t calls = fault_file_calls(g.f, FAULT_READ);
	assert_int_equal(banyan_read(g.d, bytes, 50000, 0), 50000);
	calls = fault_file_calls(g.f, FAULT_READ) - calls;
	assert_true(calls < 4);
	fault_file_fail(g.f, FAULT_READ, 1, -EIO, false);
	memset(bytes, 0, SIZE);
	assert_int_equal(banyan_read(g.d, bytes, 50000, 0), 50000);
	assert_memory_equal(bytes, g.want, 50000);
	/* All of them */
	fault_file_fail(g.f, FAULT_READ, 1, -EIO, true);
	assert_int_equal(banyan_read(g.d, bytes, 50000, 0), -EIO);
	fault_file_fail(g.f, FAULT_READ, 0, 0, false);
	growing_check(&g);
	free(bytes);
	growing_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_read_at_any_offset),
		cmocka_unit_test(so_are_values_of_all_sorts_of_extents),
		cmocka_unit_test(values_that_grow_in_turn_are_not_mixed_up),
		cmocka_unit_test(damage_in_one_piece_is_an_error_of_that_piece),
		cmocka_unit_test(damage_between_pieces_is_not_noticed),
		cmocka_unit_test(pieces_are_read_one_by_one_if_not_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
