/* SPDX-License-Identifier: MIT */
/*
 * Damage far in front of the mark that tells it from a torn tail: a mark in a
 * later segment than the damage is found, also where the file goes on behind it
 * with a segment that a crash has kept from getting its header. And there is one
 * for whatever a sync has returned for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/fault_file.h"

#define KEYS 15000u /* in rows of more than a segment */
#define TORN (64u << 10) /* bytes behind the last segment that is whole */

struct fixture {
	uint8_t *bytes; /* of a database of two segments, and zeros behind */
	uint64_t size; /* without the zeros */
	bool told; /* that something is damaged */
};

static void hear(void *arg, const char *line)
{
	struct fixture *x = arg;
	x->told = x->told || strstr(line, "damage");
}

/* Two segments; the first sync is in the second one */
static int set_up(void **state)
{
	struct banyan_options o = { 0 };
	struct fixture *x = calloc(1, sizeof(*x));
	struct file *f = NULL;
	banyan *db = NULL;
	char path[16];
	char value[250];
	*state = x;
	if (!x || fault_file_new(NULL, 0, &f) ||
	    handle_open_file(f, &o, true, &db))
		return -1;
	memset(value, 'v', sizeof(value));
	for (unsigned i = 0; i < KEYS; i++) {
		sprintf(path, "key%u", i);
		if (banyan_put(db, path, value, sizeof(value), 0))
			return -1;
	}
	if (banyan_sync(db))
		return -1;
	/* It dies: what closing it would write is not looked at */
	x->size = fault_file_size(f);
	x->bytes = calloc(1, 3 * (size_t)SEGMENT_SIZE);
	if (!x->bytes || x->size / SEGMENT_SIZE != 1 ||
	    file_read(f, x->bytes, x->size, 0))
		return -1;
	log_poison(db->store->volume->log);
	(void)banyan_close(db);
	fault_file_free(f);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	free(x->bytes);
	free(x);
	return 0;
}

/* Open so many of the bytes; how many keys there are, or an error */
static int64_t look(struct fixture *x, uint64_t size, bool read_only)
{
	struct banyan_options o = {
		.flags = read_only ? BANYAN_READ_ONLY : 0,
		.report = hear,
		.report_arg = x,
	};
	struct banyan_stat stat = { 0 };
	struct file *f = NULL;
	banyan *db = NULL;
	assert_int_equal(fault_file_new(x->bytes, size, &f), 0);
	int rc = handle_open_file(f, &o, false, &db);
	if (!rc) {
		assert_int_equal(banyan_get_stat(db, &stat), 0);
		assert_int_equal(banyan_close(db), 0);
	}
	fault_file_free(f);
	return rc ? rc : (int64_t)stat.keys;
}

static void try_to_open(struct fixture *x, uint64_t size)
{
	for (unsigned read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(look(x, size, read_only), KEYS);
		assert_false(x->told);
		x->bytes[1 << 20] ^= 1;
		assert_int_equal(look(x, size, read_only), -EBADMSG);
		assert_true(x->told);
		x->bytes[1 << 20] ^= 1;
		x->told = false;
	}
}

static void a_mark_in_the_last_segment_tells_damage(void **state)
{
	struct fixture *x = *state;
	try_to_open(x, x->size);
}

static void so_it_does_before_a_segment_without_a_header(void **state)
{
	struct fixture *x = *state;
	try_to_open(x, 2 * (uint64_t)SEGMENT_SIZE + TORN);
}

/* Puts and dies; what there is then replaces the fixture's bytes */
static void put_and_die(struct fixture *x, unsigned keys, bool sync)
{
	struct banyan_options o = { 0 };
	struct file *f = NULL;
	banyan *db = NULL;
	char path[16];
	assert_int_equal(fault_file_new(x->bytes, x->size, &f), 0);
	assert_int_equal(handle_open_file(f, &o, x->size == 0, &db), 0);
	for (unsigned i = 0; i < keys; i++) {
		sprintf(path, "key%u", i);
		assert_int_equal(banyan_put(db, path, "value", 5, 0), 0);
	}
	if (sync)
		assert_int_equal(banyan_sync(db), 0);
	x->size = fault_file_size(f);
	assert_int_equal(file_read(f, x->bytes, x->size, 0), 0);
	log_poison(db->store->volume->log);
	(void)banyan_close(db);
	fault_file_free(f);
}

static void a_sync_tells_of_what_was_there_before(void **state)
{
	struct fixture *x = *state;
	x->size = 0;
	put_and_die(x, 10, false);
	uint64_t end = x->size;
	assert_int_equal(look(x, x->size, true), 10);
	put_and_die(x, 0, true);
	assert_int_equal(look(x, x->size, true), 10);
	x->bytes[end - 20] ^= 1;
	assert_int_equal(look(x, x->size, true), -EBADMSG);
	assert_true(x->told);
}

/* Opened, synced if that is wanted, and closed: how much longer it is */
static uint64_t growth(struct file **f, bool sync)
{
	struct banyan_options o = { 0 };
	struct file *after = NULL;
	banyan *db = NULL;
	uint64_t size = fault_file_size(*f);
	assert_int_equal(handle_open_file(*f, &o, false, &db), 0);
	if (sync)
		assert_int_equal(banyan_sync(db), 0);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(
		fault_file_after_kill(*f, fault_file_events(*f), &after), 0);
	fault_file_free(*f);
	*f = after;
	return fault_file_size(after) - size;
}

static void but_it_is_told_once_and_never_of_a_close(void **state)
{
	struct fixture *x = *state;
	struct file *f = NULL;
	x->size = 0;
	put_and_die(x, 10, false);
	put_and_die(x, 0, true);
	uint64_t size = x->size;
	put_and_die(x, 0, true);
	assert_int_equal(x->size, size);
	assert_int_equal(fault_file_new(x->bytes, x->size, &f), 0);
	assert_true(growth(&f, false) > 0); /* ten operations are frozen */
	assert_int_equal(growth(&f, false), 0);
	assert_int_equal(growth(&f, true), 0);
	fault_file_free(f);
}

/* A freeze that was asked for is told of, one that a close makes need not be */
static void so_does_a_freeze(void **state)
{
	struct fixture *x = *state;
	struct banyan_options o = { .report = hear, .report_arg = x };
	struct file *f = NULL;
	struct file *after = NULL;
	banyan *db = NULL;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
	assert_int_equal(banyan_put(db, "key0", "value", 5, 0), 0);
	assert_int_equal(banyan_freeze(db), 0);
	uint64_t size = fault_file_size(f);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(banyan_sync(db), 0);
	assert_int_equal(fault_file_size(f), size);
	x->size = size;
	assert_int_equal(file_read(f, x->bytes, size, 0), 0);
	x->bytes[db->store->view->last_freeze + RECORD_HEADER_SIZE] ^= 1;
	assert_int_equal(look(x, size, true), -EBADMSG);
	assert_true(x->told);
	assert_int_equal(banyan_put(db, "key1", "value", 5, 0), 0);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &after),
			 0);
	fault_file_free(f);
	assert_int_equal(handle_open_file(after, &o, false, &db), 0);
	assert_int_equal(fault_file_size(after),
			 db->store->view->last_freeze +
				 record_size(FREEZE_BODY_SIZE, 0));
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(after);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_mark_in_the_last_segment_tells_damage),
		TEST(so_it_does_before_a_segment_without_a_header),
		TEST(a_sync_tells_of_what_was_there_before),
		TEST(but_it_is_told_once_and_never_of_a_close),
		TEST(so_does_a_freeze),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
