/* SPDX-License-Identifier: MIT */
/*
 * How many bytes of the log an operation takes: docs/DESIGN.md, "What an operation
 * takes", has what is in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "banyan.h"

struct meter {
	banyan *db;
	banyan_data *space;
	uint64_t bytes; /* of the file */
};

static uint64_t file_bytes(banyan *db)
{
	struct banyan_stat st = { 0 };
	assert_int_equal(banyan_get_stat(db, &st), 0);
	return st.file_bytes;
}

static void meter_start(struct meter *m)
{
	*m = (struct meter){ 0 };
	assert_int_equal(banyan_open(":memory:", NULL, &m->db), 0);
	assert_int_equal(banyan_make_space(m->db, "s", 0), 0);
	assert_int_equal(banyan_find(m->db, "s", &m->space), 0);
	m->bytes = file_bytes(m->db);
}

static void meter_end(struct meter *m)
{
	banyan_release(m->space, 1);
	assert_int_equal(banyan_close(m->db), 0);
}

/* Since the last time. Records are of a multiple of 4 bytes; times take more or
 * less, as they follow each other. */
static void took(struct meter *m, const char *what, uint64_t most)
{
	uint64_t now = file_bytes(m->db);
	uint64_t bytes = now - m->bytes;
	m->bytes = now;
	print_message("%s: %u\n", what, (unsigned)bytes);
	assert_true(bytes <= most);
}

static banyan_data *insert(struct meter *m, const char *name)
{
	const struct banyan_new make = { .struct_size = sizeof(make),
					 .mode = 0100644 };
	banyan_data *d = NULL;
	assert_int_equal(banyan_insert(m->space, name, strlen(name), &make, &d,
				       NULL),
			 0);
	return d;
}

static void a_file_of_100_bytes(void **state)
{
	static const uint8_t bytes[100] = { 1 };
	const struct banyan_attr mode = { .mode = 0600 };
	struct meter m;
	(void)state;
	meter_start(&m);
	banyan_data *d = insert(&m, "f00001");
	took(&m, "create", 56);
	assert_int_equal(banyan_write(d, bytes, sizeof(bytes), 0, 0, NULL), 0);
	took(&m, "write", 148);
	assert_int_equal(banyan_set_attr(d, &mode, BANYAN_SET_MODE, NULL), 0);
	took(&m, "chmod", 156);
	assert_int_equal(banyan_delete(m.space, "f00001", 6, 0, NULL), 0);
	took(&m, "unlink while it is held", 172);
	banyan_release(d, 1);
	took(&m, "its release", 40);
	meter_end(&m);
}

static void a_file_that_nobody_holds_goes_with_its_key(void **state)
{
	struct meter m;
	(void)state;
	meter_start(&m);
	banyan_release(insert(&m, "f00001"), 1);
	took(&m, "create", 56);
	assert_int_equal(banyan_delete(m.space, "f00001", 6, 0, NULL), 0);
	took(&m, "unlink", 60);
	meter_end(&m);
}

static uint64_t live_bytes(banyan *db)
{
	struct banyan_stat st = { 0 };
	assert_int_equal(banyan_get_stat(db, &st), 0);
	return st.live_bytes;
}

/* What many releases leave is swept by few operations, and counted until then */
static void releases_share_an_operation(void **state)
{
	enum { FILES = 64 };
	static const uint8_t bytes[100] = { 1 };
	banyan_data *d[FILES];
	struct meter m;
	(void)state;
	meter_start(&m);
	for (unsigned i = 0; i < FILES; i++) {
		char name[16];
		sprintf(name, "f%05u", i);
		d[i] = insert(&m, name);
		assert_int_equal(banyan_write(d[i], bytes, sizeof(bytes), 0, 0,
					      NULL),
				 0);
		assert_int_equal(banyan_delete(m.space, name, 6, 0, NULL), 0);
	}
	took(&m, "64 files", FILES * (56 + 148 + 172));
	assert_int_equal(live_bytes(m.db), FILES * sizeof(bytes));
	for (unsigned i = 0; i < FILES; i++)
		banyan_release(d[i], 1);
	took(&m, "their release", FILES * 6);
	assert_int_equal(live_bytes(m.db), 0);
	meter_end(&m);
}

static void they_are_counted_until_somebody_asks(void **state)
{
	struct meter m;
	(void)state;
	meter_start(&m);
	banyan_data *d = insert(&m, "a");
	assert_int_equal(banyan_write(d, "abc", 3, 0, 0, NULL), 0);
	assert_int_equal(banyan_delete(m.space, "a", 1, 0, NULL), 0);
	assert_int_equal(live_bytes(m.db), 3);
	banyan_release(d, 1);
	assert_int_equal(live_bytes(m.db), 0);
	meter_end(&m);
}

static void appends(void **state)
{
	static const uint8_t bytes[4096] = { 1 };
	struct meter m;
	(void)state;
	meter_start(&m);
	banyan_data *d = insert(&m, "f00001");
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(banyan_write(d, bytes, sizeof(bytes), 0,
					      BANYAN_APPEND, NULL),
				 0);
	took(&m, "create and ten appends", 56 + 10 * (4096 + 20 + 120));
	assert_int_equal(banyan_write(d, bytes, sizeof(bytes), 0, BANYAN_APPEND,
				      NULL),
			 0);
	took(&m, "append of 4096", 4096 + 20 + 84);
	banyan_release(d, 1);
	meter_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_100_bytes),
		cmocka_unit_test(a_file_that_nobody_holds_goes_with_its_key),
		cmocka_unit_test(releases_share_an_operation),
		cmocka_unit_test(they_are_counted_until_somebody_asks),
		cmocka_unit_test(appends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
