/* SPDX-License-Identifier: MIT */
/* Rows that are fetched before they are wanted: rows_ahead.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "log/format.h"
#include "model/data.h"
#include "model/rows.h"
#include "vacuum/rows_ahead.h"

#define ROWS 1000u
#define MIB (1u << 20)

/* EXTENT rows, of which the kernel is told */
struct source {
	unsigned given;
	unsigned fails_at; /* with -EIO */
	uint32_t length; /* of each extent */
	struct buf key, value;
	_Atomic uint64_t told_to; /* the kernel, so far */
	_Atomic unsigned told;
};

static struct source source;

static void note(struct file *f, uint64_t from, uint64_t to)
{
	(void)f;
	assert_true(from < to);
	assert_int_equal(from % FILE_BLOCK, 0);
	assert_int_equal(to % FILE_BLOCK, 0);
	source.told_to = to;
	source.told++;
}

static const struct file_ops told_ops = { .will_need = note };
static struct file told = { .ops = &told_ops };
static struct file_aside *ahead;

/* The kernel is told by another thread */
static bool is_told(uint64_t to, unsigned times)
{
	for (int i = 0; i < 10000; i++) {
		if (source.told_to >= to && source.told >= times)
			return true;
		usleep(1000);
	}
	return false;
}

static uint64_t place(unsigned i)
{
	return SEGMENT_SIZE + (uint64_t)i * 2 * source.length;
}

/* Of five, one is a deletion and one is empty: a LINK row */
static int give(void *arg, struct row_change *row)
{
	struct source *s = arg;
	unsigned i = s->given;
	struct row_key key;
	if (i == s->fails_at)
		return -EIO;
	if (i == ROWS)
		return 1;
	s->given++;
	row_key_id(&key, i % 5 == 2 ? ROW_LINK : ROW_EXTENT, i);
	assert_int_equal(buf_set(&s->key, key.bytes, key.len), 0);
	buf_reset(&s->value);
	const struct extent e = { .payload = place(i),
				  .payload_len = s->length,
				  .length = s->length };
	if (i % 5 != 2)
		extent_encode(&e, &s->value);
	*row = (struct row_change){ s->key.data, s->key.len,
				    i % 5 == 1 ? NULL : s->value.data,
				    s->value.len };
	return 0;
}

static void begin(struct rows_ahead *a, uint32_t length)
{
	source.given = 0;
	source.fails_at = ROWS + 1;
	source.length = length;
	source.told = 0;
	source.told_to = 0;
	ahead = file_aside_start(&told, file_will_need);
	assert_non_null(ahead);
	rows_ahead_init(a, ahead, give, &source);
}

static void end(struct rows_ahead *a)
{
	rows_ahead_free(a);
	file_aside_stop(ahead);
	buf_free(&source.key);
	buf_free(&source.value);
}

static void assert_row(const struct row_change *row, unsigned i)
{
	struct row_key key;
	struct extent e;
	row_key_id(&key, i % 5 == 2 ? ROW_LINK : ROW_EXTENT, i);
	assert_int_equal(row->key_len, key.len);
	assert_memory_equal(row->key, key.bytes, key.len);
	if (i % 5 == 1) {
		assert_null(row->value);
		return;
	}
	assert_non_null(row->value);
	if (i % 5 == 2) {
		assert_int_equal(row->value_len, 0);
		return;
	}
	assert_int_equal(extent_row_decode(&e, row->value, row->value_len), 0);
	assert_int_equal(e.payload, place(i));
}

static void rows_come_as_they_are(void **in)
{
	struct rows_ahead a;
	struct row_change row;
	(void)in;
	begin(&a, 300);
	for (unsigned i = 0; i < ROWS; i++) {
		assert_int_equal(rows_ahead_next(&a, &row), 0);
		assert_row(&row, i);
	}
	assert_int_equal(rows_ahead_next(&a, &row), 1);
	assert_int_equal(rows_ahead_next(&a, &row), 1);
	end(&a);
}

/* Of each value before it is wanted, and not of all of them at once */
static void the_kernel_is_told_before(void **in)
{
	struct rows_ahead a;
	struct row_change row;
	(void)in;
	begin(&a, MIB);
	for (unsigned i = 0; i < ROWS; i++) {
		assert_int_equal(rows_ahead_next(&a, &row), 0);
		if (row.value && row.value_len)
			assert_true(is_told(place(i) + MIB, 0));
		assert_true(source.given <= i + 2 + AHEAD_BYTES / MIB * 5 / 3);
	}
	assert_true(is_told(0, ROWS * 3 / 5));
	assert_int_equal(source.told, ROWS * 3 / 5);
	end(&a);
}

/* Small ones that lie in the same block are one thing to read */
static void the_kernel_is_not_told_twice(void **in)
{
	struct rows_ahead a;
	struct row_change row;
	(void)in;
	begin(&a, 16);
	while (rows_ahead_next(&a, &row) == 0)
		;
	assert_true(is_told(place(ROWS - 2), 1));
	assert_true(source.told <= ROWS * 32 / FILE_BLOCK + 1);
	end(&a);
}

static void an_error_ends_it(void **in)
{
	struct rows_ahead a;
	struct row_change row;
	unsigned n = 0;
	int rc;
	(void)in;
	begin(&a, 300);
	source.fails_at = 400;
	while ((rc = rows_ahead_next(&a, &row)) == 0)
		n++;
	assert_int_equal(rc, -EIO);
	assert_true(n <= 400);
	assert_int_equal(rows_ahead_next(&a, &row), -EIO);
	end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_as_they_are),
		cmocka_unit_test(the_kernel_is_told_before),
		cmocka_unit_test(the_kernel_is_not_told_twice),
		cmocka_unit_test(an_error_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
