/* SPDX-License-Identifier: MIT */
/*
 * Parts of payloads, read back: they are what was written, and a damaged byte is
 * noticed by who reads of its chunk, and by nobody else. BANYAN_SEED says which.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "log/payload.h"
#include "tests/support/fault_file.h"
#include "tests/support/random.h"

#define FRONT 4096u /* no payload lies at the beginning of a file */

static const uint32_t lengths[] = { 1,	   4096,   5000,   16384,  16385,
				    20480, 300000, 524288, 3000001 };

struct written {
	uint8_t *file;
	size_t size;
	uint8_t *payload; /* in the file; the array is in front of it */
	uint32_t array, length, sum;
};

static void write_payload(struct written *w, uint32_t length, uint64_t *random)
{
	uint32_t chunks = chunk_count(length);
	uint8_t *at;
	w->array = 4 * chunks;
	w->length = length;
	w->size = FRONT + w->array + length;
	w->file = calloc(1, w->size);
	assert_non_null(w->file);
	at = w->payload = w->file + FRONT + w->array;
	for (uint32_t i = 0; i < length; i++)
		at[i] = (uint8_t)test_random(random);
	for (uint32_t i = 0; i < chunks; i++) {
		put_le32(w->file + FRONT + 4 * (size_t)i,
			 crc32c(0, at, chunk_length(length, i)));
		at += chunk_length(length, i);
	}
	w->sum = chunks == 1 ? get_le32(w->file + FRONT) :
			       crc32c(0, w->file + FRONT, w->array);
}

/* Half of them where chunks begin and end */
static uint32_t somewhere(uint64_t *random, uint32_t length)
{
	uint32_t at = (uint32_t)test_below(random, length + 1);
	return test_below(random, 2) ? at : at - at % CHUNK_SIZE;
}

static void some_range(const struct written *w, uint64_t *random,
		       uint32_t *start, uint32_t *end)
{
	uint32_t a = somewhere(random, w->length);
	uint32_t b = test_below(random, 4) ? somewhere(random, w->length) :
					     w->length;
	*start = a < b ? a : b;
	*end = a < b ? b : a;
}

/* Does a chunk that [start, end) needs bytes of have the byte at? */
static bool concerns(const struct written *w, uint32_t at, uint32_t start,
		     uint32_t end)
{
	uint32_t size = chunk_size(w->length);
	return start < end && at / size >= start / size &&
	       at / size <= (end - 1) / size;
}

static int read_range(const struct written *w, uint32_t start, uint32_t end)
{
	uint8_t *to = malloc(end - start + 1);
	struct file *f = NULL;
	assert_non_null(to);
	assert_int_equal(fault_file_new(w->file, w->size, &f), 0);
	int rc = payload_read(f, FRONT + w->array, w->length, w->sum, start,
			      end - start, to);
	if (!rc)
		assert_memory_equal(to, w->payload + start, end - start);
	fault_file_free(f);
	free(to);
	return rc;
}

static void ranges_are_what_was_written(void **state)
{
	uint64_t random = test_seed();
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct written w;
		write_payload(&w, lengths[i], &random);
		assert_int_equal(read_range(&w, 0, w.length), 0);
		for (unsigned n = 0; n < 30; n++) {
			uint32_t start, end;
			some_range(&w, &random, &start, &end);
			assert_int_equal(read_range(&w, start, end), 0);
		}
		free(w.file);
	}
}

static void a_damaged_byte_is_noticed_in_its_chunk(void **state)
{
	uint64_t random = test_seed();
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct written w;
		write_payload(&w, lengths[i], &random);
		for (unsigned n = 0; n < 60; n++) {
			uint32_t at = (uint32_t)test_below(&random, w.length);
			uint32_t start = at, end = at + 1;
			if (n % 3)
				some_range(&w, &random, &start, &end);
			w.payload[at] ^= 1;
			assert_int_equal(
				read_range(&w, start, end),
				concerns(&w, at, start, end) ? -EBADMSG : 0);
			w.payload[at] ^= 1;
		}
		free(w.file);
	}
}

static void damaged_checksums_are_noticed_by_all(void **state)
{
	uint64_t random = test_seed();
	struct written w;
	(void)state;
	write_payload(&w, 300000, &random);
	for (uint32_t i = 0; i < w.array; i += 7) {
		w.file[FRONT + i] ^= 1;
		assert_int_equal(read_range(&w, 100000, 100001), -EBADMSG);
		w.file[FRONT + i] ^= 1;
	}
	free(w.file);
}

static void what_is_not_in_it_is_refused(void **state)
{
	uint64_t random = test_seed();
	struct written w;
	(void)state;
	write_payload(&w, 20000, &random);
	assert_int_equal(read_range(&w, 20000, 20001), -EUCLEAN);
	assert_int_equal(read_range(&w, 0, 20001), -EUCLEAN);
	w.size = FRONT + w.array + 19000;
	assert_int_equal(read_range(&w, 0, 16384), 0);
	assert_int_equal(read_range(&w, 0, 20000), -EUCLEAN);
	free(w.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_what_was_written),
		cmocka_unit_test(a_damaged_byte_is_noticed_in_its_chunk),
		cmocka_unit_test(damaged_checksums_are_noticed_by_all),
		cmocka_unit_test(what_is_not_in_it_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
