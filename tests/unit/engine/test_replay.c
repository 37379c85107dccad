/* SPDX-License-Identifier: MIT */
/*
 * Opening with more operations behind the last freeze than the limit of RAM
 * allows: what they stand for goes into the tree on the way.
 *
 * BANYAN_SEED says which cuts.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "model/row_lookup.h"
#include "tests/support/encode_table.h"
#include "tests/support/fault_file.h"
#include "tests/support/random.h"
#include "tests/support/temp.h"

/* Rows of one record that have little more than the 16 MiB that they may */
#define ROWS 4000u
#define RECORDS 16u
/* More than four times the limit, and some */
#define MANY 20u
#define LIMIT (32u << 20)
/* One record, tables of tiny rows, what malloc keeps */
#define MORE (64u << 20)

static char said[512];

static void hear(void *arg, const char *line)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s", line);
}

/* ---- a file of few bytes and many rows -------------------------------- */

static void dense_key(struct row_key *key, unsigned record, unsigned i)
{
	uint8_t name[2] = { (uint8_t)(1 + i / 250), (uint8_t)(1 + i % 250) };
	row_key_xattr(key, 1000 + record, (const char *)name, sizeof(name));
}

static void add_dense(banyan *db, unsigned record)
{
	const struct operation op = { .kind = OPERATION_BATCH,
				      .next_id = 2 + record,
				      .keys = 1,
				      .live = 10 };
	uint8_t value[ROW_VALUE_MAX];
	struct redo_table *table = redo_table_new();
	struct row_key key;
	struct buf body = BUF_INIT;
	uint64_t offset = 0;
	assert_non_null(table);
	memset(value, (int)record + 1, sizeof(value));
	for (unsigned i = 0; i < ROWS; i++) {
		dense_key(&key, record, i);
		assert_int_equal(redo_table_put(table, key.bytes, key.len,
						value, sizeof(value), 1, NULL),
				 0);
	}
	assert_int_equal(encode_table(&op, table, &body), 0);
	log_begin(db->store->volume->log, true);
	assert_int_equal(log_stage_body(db->store->volume->log,
					RECORD_OPERATION, body.data, body.len,
					&offset),
			 0);
	assert_int_equal(log_commit(db->store->volume->log), 0);
	redo_table_unref(table);
	buf_free(&body);
}

/* What is left when whoever has it open dies */
static struct file *killed(struct file *f, banyan *db)
{
	struct file *after = NULL;
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &after),
			 0);
	log_poison(db->store->volume->log);
	(void)banyan_close(db);
	fault_file_free(f);
	return after;
}

static struct file *dense_file(unsigned records)
{
	struct file *f = NULL;
	banyan *db = NULL;
	struct banyan_options o = { 0 };
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
	for (unsigned n = 0; n < records; n++)
		add_dense(db, n);
	assert_int_equal(log_sync(db->store->volume->log, NULL), 0);
	return killed(f, db);
}

static int open_db(struct file *f, unsigned flags, uint64_t limit, banyan **db)
{
	struct banyan_options o = { .flags = flags,
				    .cache_bytes = limit,
				    .report = hear };
	*said = '\0';
	return handle_open_file(f, &o, false, db);
}

/* Another copy of the file, so that it may be opened more than once */
static struct file *copy_of(struct file *f)
{
	struct file *after = NULL;
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &after),
			 0);
	return after;
}

static void assert_dense(banyan *db, unsigned records)
{
	struct read_txn s;
	struct banyan_stat st = { 0 };
	struct row_key key;
	uint8_t value[ROW_VALUE_MAX];
	struct buf row = BUF_INIT;
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.keys, records);
	assert_int_equal(st.live_bytes, records * 10);
	assert_int_equal(st.next_id, 1 + records);
	read_txn_begin_pinned(db->store, &s);
	for (unsigned n = 0; n < records; n++) {
		memset(value, (int)n + 1, sizeof(value));
		for (unsigned i = 0; i < ROWS; i += 57) {
			dense_key(&key, n, i);
			assert_int_equal(rows_get(&s.state, &key, &row), 0);
			assert_int_equal(row.len, sizeof(value));
			assert_memory_equal(row.data, value, row.len);
		}
	}
	dense_key(&key, records, 0);
	assert_int_equal(rows_get(&s.state, &key, &row), -ENOENT);
	read_txn_end(&s);
	buf_free(&row);
}

static uint64_t tables_of(const banyan *db)
{
	uint64_t bytes = redo_table_bytes(db->store->view->active);
	if (db->store->view->frozen)
		bytes += redo_table_bytes(db->store->view->frozen);
	return bytes;
}

/* ---- memory ----------------------------------------------------------- */

/* In kB; 0: not known. What follows "VmRSS:" or the like in our status. */
static unsigned long status(const char *what)
{
	char line[256];
	unsigned long kb = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kb = strtoul(line + strlen(what), NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

/* From now on VmHWM is the most that there has been since */
static bool watch_memory(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#else
	int fd = open("/proc/self/clear_refs", O_WRONLY);
	bool done = fd >= 0 && write(fd, "5", 1) == 1;
	if (fd >= 0)
		close(fd);
	return done && test_one_in(2) == 1;
#endif
}

/* On a disk, at this path: what is in a fault file is in memory */
static struct file *on_disk(struct file *f, char path[TEMP_MAX])
{
	size_t size = fault_file_size(f);
	uint8_t *bytes = malloc(size);
	struct file *out = NULL;
	assert_non_null(bytes);
	assert_int_equal(file_read(f, bytes, size, 0), 0);
	int fd = temp_file(path, TEMP_ON_DISK);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	close(fd);
	free(bytes);
	assert_int_equal(file_open(path, true, NULL, &out), 0);
	return out;
}

/* Tests of the memory that it takes, and of what it shows then */
static void open_watched(struct file *f, unsigned flags)
{
	banyan *db = NULL;
	bool watched = watch_memory();
	unsigned long before = status("VmRSS:");
	assert_int_equal(open_db(f, flags, LIMIT, &db), 0);
	unsigned long most = status("VmHWM:") - before;
	print_message("it took %lu MiB\n", watched ? most >> 10 : 0);
	if (watched)
		assert_true(most < (LIMIT + MORE) >> 10);
	assert_true(tables_of(db) < LIMIT + (20u << 20));
	assert_dense(db, RECORDS);
	assert_int_equal(banyan_close(db), 0);
}

/* ---- tests ------------------------------------------------------------ */

static void a_few_bytes_do_not_take_gigabytes(void **state)
{
	struct file *f = dense_file(RECORDS);
	struct file *again = NULL;
	banyan *db = NULL;
	char path[TEMP_MAX];
	(void)state;
	assert_true(fault_file_size(f) < 1u << 20);
	open_watched(on_disk(f, path), 0);
	unlink(path);
	assert_int_equal(open_db(f, 0, LIMIT, &db), 0);
	assert_int_equal(banyan_close(db), 0);
	again = copy_of(f);
	/* It is in the tree for good */
	assert_int_equal(open_db(again, 0, LIMIT, &db), 0);
	assert_true(tables_of(db) < 1u << 20);
	assert_dense(db, RECORDS);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(again);
	fault_file_free(f);
}

/* A torn tail behind it all: the log goes on in the next segment */
static void a_torn_tail_is_no_hindrance(void **state)
{
	static uint8_t garbage[100];
	struct iovec iov = { garbage, sizeof(garbage) };
	unsigned flags[] = { BANYAN_READ_ONLY, 0 };
	size_t written = 0;
	struct file *f = dense_file(4);
	(void)state;
	memset(garbage, 0xa5, sizeof(garbage));
	assert_int_equal(file_append(f, &iov, 1, fault_file_size(f), &written),
			 0);
	for (unsigned i = 0; i < 2; i++) {
		struct file *again = copy_of(f);
		banyan *db = NULL;
		assert_int_equal(open_db(again, flags[i], LIMIT, &db), 0);
		assert_dense(db, 4);
		assert_int_equal(banyan_close(db), 0);
		fault_file_free(again);
	}
	fault_file_free(f);
}

/* The power may go wherever: what was there is there */
static void a_cut_while_it_goes_into_the_tree_loses_nothing(void **state)
{
	uint64_t random = test_seed();
	struct file *f = dense_file(6);
	size_t first = fault_file_events(f);
	banyan *db = NULL;
	unsigned cuts = 0;
	(void)state;
	assert_int_equal(open_db(f, 0, LIMIT, &db), 0);
	size_t last = fault_file_events(f);
	assert_true(db->store->freezes >= 3);
	size_t step = 1 + (last - first) * test_one_in(4) / 24;
	for (size_t n = first; n <= last; n += step) {
		struct file *after = NULL;
		banyan *again = NULL;
		enum fault_cut how =
			(enum fault_cut)test_below(&random, FAULT_CUTS);
		assert_int_equal(fault_file_after_cut(f, n, how,
						      test_random(&random),
						      &after),
				 0);
		assert_int_equal(open_db(after, n % 2 ? 0 : BANYAN_READ_ONLY,
					 LIMIT, &again),
				 0);
		assert_dense(again, 6);
		assert_int_equal(banyan_close(again), 0);
		fault_file_free(after);
		cuts++;
	}
	print_message("%u cuts\n", cuts);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(f);
}

/* A sync that fails on the way is one that failed: nobody goes on behind it */
static void a_failed_sync_while_it_goes_into_the_tree_is_told(void **state)
{
	struct file *f = dense_file(6);
	unsigned told = 0;
	bool met = true;
	(void)state;
	for (unsigned n = 1; met; n++) {
		struct file *again = copy_of(f);
		banyan *db = NULL;
		uint64_t before = fault_file_calls(again, FAULT_SYNC);
		fault_file_fail(again, FAULT_SYNC, n, -EIO, false);
		int rc = open_db(again, 0, LIMIT, &db);
		met = fault_file_calls(again, FAULT_SYNC) >= before + n;
		assert_int_equal(rc, met ? -EIO : 0);
		told += met;
		(void)banyan_close(db);
		fault_file_free(again);
	}
	print_message("%u syncs\n", told);
	assert_true(told > 3);
	fault_file_free(f);
}

/* A full disk keeps nobody from reading, nor from making room */
static void without_room_for_a_tree_it_stays_in_memory(void **state)
{
	struct file *f = dense_file(6);
	banyan *db = NULL;
	(void)state;
	fault_file_limit(f, fault_file_size(f));
	assert_int_equal(open_db(f, 0, LIMIT, &db), 0);
	assert_non_null(strstr(said, "freeze failed"));
	assert_dense(db, 6);
	assert_int_equal(banyan_put(db, "a", "x", 1, 0), -ENOSPC);
	fault_file_limit(f, 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_dense(db, 6);
	assert_int_equal(banyan_close(db), 0);
	struct file *again = copy_of(f);
	assert_int_equal(open_db(again, BANYAN_READ_ONLY, 0, &db), 0);
	assert_dense(db, 6);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(again);
	fault_file_free(f);
}

/* But not without end, and then there is something that helps */
static void but_that_has_a_limit_which_can_be_raised(void **state)
{
	struct file *f = dense_file(MANY);
	struct file *again = copy_of(f);
	size_t events;
	banyan *db = NULL;
	(void)state;
	fault_file_limit(again, fault_file_size(again));
	assert_int_equal(open_db(again, 0, LIMIT, &db), -ENOMEM);
	assert_non_null(strstr(said, "larger cache"));
	fault_file_free(again);
	again = copy_of(f);
	events = fault_file_events(again);
	assert_int_equal(open_db(again, BANYAN_READ_ONLY, LIMIT, &db), -ENOMEM);
	assert_non_null(strstr(said, "larger cache"));
	fault_file_free(again);
	again = copy_of(f);
	assert_int_equal(open_db(again, BANYAN_READ_ONLY, LIMIT * 2, &db), 0);
	assert_dense(db, MANY);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(fault_file_events(again), events);
	fault_file_free(again);
	fault_file_free(f);
}

/* ---- operations that nobody would write ------------------------------- */

static uint64_t strange_number(uint64_t *random)
{
	const uint64_t numbers[] = {
		0,   1,		2,	    127,	128,
		300, INT64_MAX, UINT32_MAX, UINT64_MAX, INT64_MAX + UINT64_C(1)
	};
	uint64_t n = numbers[test_below(random, 10)];
	return test_below(random, 3) ? n : n - 1;
}

/* Rarely something else than it should be */
static uint64_t mostly(uint64_t *random, uint64_t number)
{
	return test_below(random, 40) ? number : strange_number(random);
}

static void strange_value(uint64_t *random, unsigned form, struct buf *body)
{
	uint64_t n = test_below(random, 30);
	if (form == 3) /* packed: its word, and whatever follows */
		buf_add_varint(body,
			       mostly(random, test_below(random, 1 << 14)));
	if (form == 2) {
		buf_add_varint(body, mostly(random, 0));
		buf_add_varint(body, n);
	}
	for (uint64_t k = 0; form >= 2 && k < n; k++)
		buf_add_u8(body, (uint8_t)test_below(random, 256));
}

/* Sound but for what is strange in it; of any number of rows, of any type */
static void strange_body(uint64_t *random, struct buf *body)
{
	unsigned count = (unsigned)test_below(random, 4);
	buf_reset(body);
	buf_add_u8(body, (uint8_t)(1 + test_below(random, 9) + 16 * 7));
	buf_add_le64(body, strange_number(random));
	buf_add_varint(body, strange_number(random));
	buf_add_varint(body, test_below(random, 4) ? 2 + test_below(random, 3) :
						     strange_number(random));
	buf_add_varint(body, strange_number(random));
	buf_add_varint(body, strange_number(random));
	for (unsigned i = 0; i < count; i++) {
		uint64_t n = test_below(random, 12);
		unsigned form = (unsigned)test_below(random, 9) * 3 / 8;
		buf_add_u8(body, (uint8_t)(form << 3));
		buf_add_u8(body, (uint8_t)(i * 3 + test_below(random, 3)));
		buf_add_varint(body, mostly(random, 0));
		buf_add_varint(body, mostly(random, n));
		for (uint64_t k = 0; k < n; k++)
			buf_add_u8(body, (uint8_t)(test_below(random, 3) % 2));
		strange_value(random, form, body);
	}
}

/* Whoever opens it can go on with it: what he writes is not lost by that */
static void go_on_with(struct file *f, unsigned *went_on)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	banyan *db = NULL;
	char value = 0;
	if (handle_open_file(f, &o, false, &db))
		return;
	int rc = banyan_put(db, "mine", "x", 1, 0);
	assert_int_equal(rc, -EROFS);
	(void)banyan_close(db);
	struct file *again = copy_of(f);
	o.flags = 0;
	assert_int_equal(handle_open_file(again, &o, false, &db), 0);
	rc = banyan_put(db, "mine", "x", 1, 0);
	if (rc == 0)
		*went_on += 1;
	again = killed(again, db);
	assert_int_equal(handle_open_file(again, &o, false, &db), 0);
	(void)banyan_freeze(db);
	if (rc == 0)
		assert_int_equal(
			banyan_fetch(banyan_root(db), "mine", 4, &value, 1), 1);
	(void)banyan_close(db);
	struct file *last = copy_of(again);
	fault_file_free(again);
	assert_int_equal(handle_open_file(last, &o, false, &db), 0);
	(void)banyan_close(db);
	fault_file_free(last);
}

static void strange_operations_do_no_harm(void **state)
{
	uint64_t random = test_seed();
	struct buf body = BUF_INIT;
	unsigned went_on = 0;
	(void)state;
	for (unsigned n = 0; n < 2000; n += test_one_in(20)) {
		struct banyan_options o = { 0 };
		struct file *f = NULL;
		banyan *db = NULL;
		uint64_t offset = 0;
		assert_int_equal(fault_file_new(NULL, 0, &f), 0);
		assert_int_equal(handle_open_file(f, &o, true, &db), 0);
		for (uint64_t k = 1 + test_below(&random, 3); k; k--) {
			strange_body(&random, &body);
			log_begin(db->store->volume->log, true);
			assert_int_equal(log_stage_body(db->store->volume->log,
							RECORD_OPERATION,
							body.data, body.len,
							&offset),
					 0);
			assert_int_equal(log_commit(db->store->volume->log), 0);
		}
		f = killed(f, db);
		go_on_with(f, &went_on);
		fault_file_free(f);
	}
	print_message("%u of them could be gone on with\n", went_on);
	assert_true(went_on > 2000 / 10 / test_one_in(20));
	buf_free(&body);
}

/* ---- what nobody meant ill by ----------------------------------------- */

/* More than a reader with the least cache keeps if the log says little */
static unsigned all_keys(void)
{
	return 280000 / test_one_in(4);
}

/* In no order, with keys and values that are much alike */
static void put_keys(banyan *db)
{
	char path[300];
	char value[256];
	banyan *batch = NULL;
	memset(value, 'v', sizeof(value));
	memset(path, 'p', sizeof(path));
	for (unsigned i = 0; i < all_keys(); i++) {
		if (i % 1000 == 0)
			assert_int_equal(banyan_begin(db, &batch), 0);
		sprintf(path + 230, "%08x", i * 2654435761u);
		assert_int_equal(
			banyan_put(batch, path, value, sizeof(value), 0), 0);
		if (i % 7 == 0)
			assert_int_equal(banyan_remove(batch, path), 0);
		if (i % 1000 == 999)
			assert_int_equal(banyan_commit(batch), 0);
	}
}

static void assert_keys(banyan *db)
{
	char path[300];
	struct banyan_stat st = { 0 };
	uint64_t keys = 0;
	memset(path, 'p', sizeof(path));
	for (unsigned i = 0; i < all_keys(); i++) {
		keys += i % 7 != 0;
		if (i % 11)
			continue;
		void *value = NULL;
		size_t size = 0;
		sprintf(path + 230, "%08x", i * 2654435761u);
		assert_int_equal(banyan_get(db, path, &value, &size),
				 i % 7 ? 0 : -ENOENT);
		if (i % 7)
			assert_int_equal(size, 256);
		free(value);
	}
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_true(st.keys >= keys);
}

/* Who opens it may have less memory than who has written it */
static void the_writer_may_have_had_a_larger_cache(void **state)
{
	struct file *f = NULL;
	struct banyan_options o = { .cache_bytes = 1u << 30 };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
	put_keys(db);
	if (test_one_in(2) == 1)
		assert_true(tables_of(db) >
			    4 * BANYAN_CACHE_MIN + (128u << 20));
	f = killed(f, db);
	struct file *again = copy_of(f);
	assert_int_equal(
		open_db(again, BANYAN_READ_ONLY, BANYAN_CACHE_MIN, &db), 0);
	assert_keys(db);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(again);
	assert_int_equal(open_db(f, 0, BANYAN_CACHE_MIN, &db), 0);
	assert_true(tables_of(db) < 33u << 20);
	assert_true(db->store->freezes > 1);
	assert_keys(db);
	assert_int_equal(banyan_put(db, "one more", "x", 1, 0), 0);
	f = killed(f, db);
	assert_int_equal(open_db(f, 0, BANYAN_CACHE_MIN, &db), 0);
	assert_keys(db);
	assert_int_equal(banyan_remove(db, "one more"), 0);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_bytes_do_not_take_gigabytes),
		cmocka_unit_test(a_torn_tail_is_no_hindrance),
		cmocka_unit_test(
			a_cut_while_it_goes_into_the_tree_loses_nothing),
		cmocka_unit_test(
			a_failed_sync_while_it_goes_into_the_tree_is_told),
		cmocka_unit_test(without_room_for_a_tree_it_stays_in_memory),
		cmocka_unit_test(but_that_has_a_limit_which_can_be_raised),
		cmocka_unit_test(strange_operations_do_no_harm),
		cmocka_unit_test(the_writer_may_have_had_a_larger_cache),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
