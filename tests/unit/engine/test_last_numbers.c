/* SPDX-License-Identifier: MIT */
/*
 * Files that somebody made up, in which the numbers of records or of freezes
 * begin where they end: a freeze with a number beyond is none. Such a file can be
 * read; nobody may write to it what he could not read again.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "api/handle.h"
#include "tests/support/fault_file.h"

#define HEADER_AT SUPERBLOCK_SIZE /* of segment 0 */
#define FIRST (HEADER_AT + SEGMENT_HEADER_SIZE)
#define RECORDS_MAX 8u
/* Written, with freezes in between, these reach into the third segment */
#define KEYS 20u
#define VALUE 600000u

static struct file *another(struct file *f)
{
	struct file *after = NULL;
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &after),
			 0);
	fault_file_free(f);
	return after;
}

static int open_db(struct file *f, unsigned flags, banyan **db)
{
	struct banyan_options o = { .flags = flags };
	return handle_open_file(f, &o, false, db);
}

/* The record with its checksum, once all else is in it */
static uint32_t seal(uint64_t salt, uint64_t at, struct record_header *h,
		     uint8_t *bytes)
{
	const uint8_t *body = bytes + RECORD_HEADER_SIZE;
	record_header_encode(h, bytes);
	h->crc = record_crc(salt, at, bytes, body, h->body_len,
			    body + h->body_len,
			    4 * (size_t)chunk_count(h->payload_len));
	record_header_encode(h, bytes);
	return h->crc;
}

/* Let the first record have the number seq, and the freeze this one */
static void renumber(uint8_t *bytes, uint64_t size, uint64_t seq,
		     uint64_t number)
{
	uint32_t crc[RECORDS_MAX + 1] = { 0 }; /* of record n */
	unsigned n = 0;
	struct superblock sb;
	struct segment_header segment;
	struct record_header h;
	struct freeze f;
	assert_int_equal(superblock_decode(&sb, bytes, true), 0);
	assert_true(
		segment_header_decode(&segment, sb.salt, 0, bytes + HEADER_AT));
	segment.prev.seq = seq;
	segment_header_encode(&segment, sb.salt, bytes + HEADER_AT);
	for (uint64_t at = FIRST; at < size; n++) {
		uint8_t *body = bytes + at + RECORD_HEADER_SIZE;
		assert_true(n < RECORDS_MAX);
		assert_true(record_header_decode(&h, at, bytes + at));
		if (h.type == RECORD_FREEZE) {
			assert_true(freeze_decode(&f, at, body, h.body_len));
			f.replay.chain = crc[f.replay.seq - 1];
			f.replay.seq += seq - 1;
			f.number = number;
			freeze_encode(&f, body);
		}
		h.seq = seq + n;
		h.chain = crc[n];
		crc[n + 1] = seal(sb.salt, at, &h, bytes + at);
		at += record_size(h.body_len, h.payload_len);
	}
}

static struct file *made_up(uint64_t seq, uint64_t number)
{
	struct banyan_options o = { 0 };
	struct file *f = NULL;
	banyan *db = NULL;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
	assert_int_equal(banyan_close(db), 0);
	f = another(f);
	uint64_t size = fault_file_size(f);
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	assert_int_equal(file_read(f, bytes, size, 0), 0);
	fault_file_free(f);
	renumber(bytes, size, seq, number);
	assert_int_equal(fault_file_new(bytes, size, &f), 0);
	free(bytes);
	return f;
}

/* All that can be put, with freezes in between: so many keys */
static unsigned put_keys(banyan *db)
{
	char name[16];
	unsigned n = 0;
	void *value = calloc(1, VALUE);
	assert_non_null(value);
	for (; n < KEYS; n++) {
		sprintf(name, "key%u", n);
		if (banyan_put(db, name, value, VALUE, 0) ||
		    (n % 5 == 4 && banyan_freeze(db)))
			break;
	}
	free(value);
	return n;
}

/* Whatever could be written can be read. Could anything? */
static bool written_and_read(uint64_t seq, uint64_t number)
{
	struct file *f = made_up(seq, number);
	struct banyan_stat st = { 0 };
	banyan *db = NULL;
	unsigned keys = 0;
	int rc = open_db(f, 0, &db);
	if (!rc)
		keys = put_keys(db);
	else
		assert_int_equal(rc, -EUCLEAN);
	(void)banyan_close(db);
	f = another(f);
	assert_int_equal(open_db(f, BANYAN_READ_ONLY, &db), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_true(st.keys >= keys);
	(void)banyan_close(db);
	fault_file_free(f);
	return keys > 0;
}

static void freezes_with_the_last_number_lose_nothing(void **state)
{
	(void)state;
	assert_true(written_and_read(1, 1));
	assert_true(written_and_read(1, UINT64_C(1) << 62));
	for (uint64_t n = 1; n <= 4; n++)
		assert_false(written_and_read(1, INT64_MAX - n));
}

static void records_with_the_last_number_lose_nothing(void **state)
{
	(void)state;
	assert_true(written_and_read(UINT64_C(1) << 61, 1));
	for (uint64_t n = 4; n <= 100; n *= 3)
		assert_false(written_and_read(INT64_MAX - n, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freezes_with_the_last_number_lose_nothing),
		cmocka_unit_test(records_with_the_last_number_lose_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
