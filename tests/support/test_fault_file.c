/* SPDX-License-Identifier: MIT */
/*
 * The fault file is what the crash tests believe in. So: that it loses nothing
 * that was synced, that it does lose what was not, and that it fails when asked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "fault_file.h"
#include "random.h"

#define SIZE_MOST 100000u

struct state {
	struct file *f;
	uint64_t random;
	uint8_t bytes[SIZE_MOST]; /* all that was ever appended, at its place */
	uint64_t size;
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s || fault_file_new("base", 4, &s->f))
		return -1;
	memcpy(s->bytes, "base", 4);
	s->size = 4;
	s->random = test_seed();
	*out = s;
	return 0;
}

static int tear_down(void **in)
{
	struct state *s = *in;
	fault_file_free(s->f);
	free(s);
	return 0;
}

/* Append n bytes, none of which is a zero; what file_append() says */
static int append(struct state *s, size_t gap, size_t n, size_t *written)
{
	uint64_t at = s->size + gap;
	assert_true(at + n <= SIZE_MOST);
	for (size_t i = 0; i < n; i++)
		s->bytes[at + i] = (uint8_t)(1 + test_below(&s->random, 255));
	struct iovec iov[2] = { { s->bytes + at, n / 3 },
				{ s->bytes + at + n / 3, n - n / 3 } };
	int rc = file_append(s->f, iov, 2, at, written);
	memset(s->bytes + at + *written, 0, n - *written);
	if (*written)
		s->size = at + *written;
	return rc;
}

static void append_well(struct state *s, size_t gap, size_t n)
{
	size_t written = 0;
	assert_int_equal(append(s, gap, n, &written), 0);
	assert_int_equal(written, n);
}

/* All bytes of a file, whose size must not be more than room */
static uint64_t bytes_of(struct file *f, uint8_t *bytes, size_t room)
{
	uint64_t size = 0;
	assert_int_equal(file_size(f, &size), 0);
	assert_true(size <= room);
	assert_int_equal(file_read(f, bytes, (size_t)size, 0), 0);
	assert_int_equal(file_read(f, bytes, 1, size), -ENODATA);
	return size;
}

static void assert_file(struct file *f, const uint8_t *want, uint64_t size)
{
	uint8_t *bytes = calloc(1, SIZE_MOST);
	assert_non_null(bytes);
	assert_int_equal(bytes_of(f, bytes, SIZE_MOST), size);
	assert_memory_equal(bytes, want, size);
	free(bytes);
}

static struct file *cut(struct state *s, size_t events, enum fault_cut kind,
			uint64_t seed)
{
	struct file *after = NULL;
	assert_int_equal(fault_file_after_cut(s->f, events, kind, seed, &after),
			 0);
	return after;
}

/* ---- a file ----------------------------------------------------------- */

static void reads_what_was_appended(void **in)
{
	struct state *s = *in;
	for (unsigned i = 0; i < 50; i++) {
		append_well(s, i % 5 ? 0 : test_below(&s->random, 900),
			    1 + test_below(&s->random, 900));
		assert_file(s->f, s->bytes, s->size);
	}
	assert_int_equal(fault_file_events(s->f), 50);
	uint8_t byte;
	assert_int_equal(file_read(s->f, &byte, 1, UINT64_MAX), -ENODATA);
	assert_int_equal(file_read(s->f, &byte, 2, s->size - 1), -ENODATA);
	assert_int_equal(file_reserve(s->f, 1u << 30), 0);
	file_close(s->f);
}

static void fails_the_call_that_it_was_told(void **in)
{
	struct state *s = *in;
	uint64_t size = 0;
	size_t written = 1;
	uint8_t byte;
	fault_file_fail(s->f, FAULT_READ, 2, -EIO, false);
	assert_int_equal(file_read(s->f, &byte, 1, 0), 0);
	assert_int_equal(file_read(s->f, &byte, 1, 0), -EIO);
	assert_int_equal(file_read(s->f, &byte, 1, 0), 0);
	assert_int_equal(fault_file_calls(s->f, FAULT_READ), 3);
	fault_file_fail(s->f, FAULT_SYNC, 1, -EDQUOT, true);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(file_sync(s->f), -EDQUOT);
	fault_file_fail(s->f, FAULT_SYNC, 0, 0, false);
	assert_int_equal(file_sync(s->f), 0);
	fault_file_fail(s->f, FAULT_APPEND, 1, -EIO, false);
	assert_int_equal(append(s, 0, 10, &written), -EIO);
	assert_int_equal(written, 0);
	fault_file_fail(s->f, FAULT_SIZE, 1, -EIO, false);
	assert_int_equal(file_size(s->f, &size), -EIO);
	fault_file_fail(s->f, FAULT_RESERVE, 1, -ENOSPC, false);
	assert_int_equal(file_reserve(s->f, 1), -ENOSPC);
	fault_file_fail(s->f, FAULT_DROP_CACHE, 1, -EIO, false);
	assert_int_equal(file_drop_cache(s->f, 0), -EIO);
	fault_file_fail(s->f, FAULT_PUBLISH, 1, -EEXIST, false);
	assert_int_equal(file_publish(s->f, false), -EEXIST);
	assert_int_equal(file_publish(s->f, false), 0);
	assert_file(s->f, s->bytes, 4);
}

static void an_append_can_stop_in_the_middle(void **in)
{
	struct state *s = *in;
	size_t written = 0;
	fault_file_fail(s->f, FAULT_APPEND, 1, -EIO, false);
	fault_file_fail_after(s->f, 7);
	assert_int_equal(append(s, 0, 20, &written), -EIO);
	assert_int_equal(written, 7);
	assert_file(s->f, s->bytes, 11);
	append_well(s, 100, 20);
	assert_file(s->f, s->bytes, 131);
	assert_int_equal(fault_file_events(s->f), 2);
}

static void a_disk_can_be_full(void **in)
{
	struct state *s = *in;
	size_t written = 0;
	fault_file_limit(s->f, 100);
	append_well(s, 0, 90);
	assert_int_equal(file_reserve(s->f, 100), 0);
	assert_int_equal(file_reserve(s->f, 101), -ENOSPC);
	assert_int_equal(append(s, 0, 20, &written), -ENOSPC);
	assert_int_equal(written, 6);
	assert_int_equal(append(s, 0, 20, &written), -ENOSPC);
	assert_int_equal(written, 0);
	assert_int_equal(append(s, 20, 20, &written), -ENOSPC);
	assert_int_equal(written, 0);
	assert_file(s->f, s->bytes, 100);
	fault_file_limit(s->f, 0);
	append_well(s, 0, 20);
	assert_file(s->f, s->bytes, 120);
}

/* ---- power cuts ------------------------------------------------------- */

static void the_plain_cuts_lose_nothing_or_all(void **in)
{
	struct state *s = *in;
	append_well(s, 0, 3000);
	assert_int_equal(file_sync(s->f), 0);
	uint64_t synced = s->size;
	append_well(s, 50, 2000);
	append_well(s, 0, 10);
	assert_int_equal(fault_file_events(s->f), 4);

	struct file *after = cut(s, 4, FAULT_KEEP, 0);
	assert_file(after, s->bytes, s->size);
	fault_file_free(after);
	after = cut(s, 4, FAULT_DROP, 0);
	assert_file(after, s->bytes, synced);
	fault_file_free(after);
	after = cut(s, 1, FAULT_KEEP, 0);
	assert_file(after, s->bytes, synced);
	fault_file_free(after);
	after = cut(s, 1, FAULT_DROP, 0);
	assert_file(after, s->bytes, 4);
	fault_file_free(after);

	uint64_t size = s->size;
	memset(s->bytes + synced, 0, size - synced);
	after = cut(s, 4, FAULT_ZEROS, 0);
	assert_file(after, s->bytes, size);
	fault_file_free(after);
}

/* A history of appends and syncs, a few of which fail */
static void make_history(struct state *s)
{
	size_t written = 0;
	for (unsigned i = 0; i < 40; i++) {
		uint64_t dice = test_below(&s->random, 12);
		fault_file_fail(s->f, FAULT_APPEND, dice == 0, -EIO, false);
		fault_file_fail_after(s->f, test_below(&s->random, 700));
		fault_file_fail(s->f, FAULT_SYNC, dice == 1, -EIO, false);
		if (dice < 3)
			(void)file_sync(s->f);
		if (dice != 1 && dice != 2)
			(void)append(s, dice == 3 ? 700 : 0,
				     1 + test_below(&s->random, 1500),
				     &written);
	}
	fault_file_fail(s->f, FAULT_APPEND, 0, 0, false);
	fault_file_fail(s->f, FAULT_SYNC, 0, 0, false);
}

/* Every byte is what was written there or lost, and whole below `sure` */
static void assert_could_be(struct state *s, struct file *after,
			    enum fault_cut kind, uint64_t sure)
{
	uint8_t *bytes = calloc(1, SIZE_MOST);
	assert_non_null(bytes);
	uint64_t size = bytes_of(after, bytes, SIZE_MOST);
	assert_true(size >= sure);
	assert_true(size <= s->size);
	assert_memory_equal(bytes, s->bytes, sure);
	for (uint64_t i = sure; i < size; i++)
		assert_true(bytes[i] == s->bytes[i] || bytes[i] == 0 ||
			    kind == FAULT_GARBAGE);
	free(bytes);
}

static void no_cut_loses_what_was_synced(void **in)
{
	struct state *s = *in;
	for (unsigned round = 0; round < 60; round++) {
		size_t before = fault_file_events(s->f);
		append_well(s, 0, 1 + test_below(&s->random, 1200));
		if (test_below(&s->random, 3))
			append_well(s, 0, 1 + test_below(&s->random, 40));
		assert_int_equal(file_sync(s->f), 0);
		uint64_t sure = s->size;
		size_t from = fault_file_events(s->f);
		append_well(s, test_below(&s->random, 30), 600);
		append_well(s, 0, 10);
		assert_true(from > before);
		for (size_t events = from; events < from + 3; events++)
			for (unsigned i = 0; i < 5u * FAULT_CUTS; i++) {
				struct file *after =
					cut(s, events, i % FAULT_CUTS,
					    test_random(&s->random));
				assert_could_be(s, after, i % FAULT_CUTS, sure);
				fault_file_free(after);
			}
	}
}

static void a_cut_without_any_sync_is_still_made_of_what_was_written(void **in)
{
	struct state *s = *in;
	make_history(s);
	size_t events = fault_file_events(s->f);
	for (unsigned i = 0; i < 2000; i++) {
		struct file *after = cut(s, test_below(&s->random, events + 1),
					 i % FAULT_CUTS,
					 test_random(&s->random));
		assert_could_be(s, after, i % FAULT_CUTS, 4);
		fault_file_free(after);
	}
}

static void a_sector_is_never_torn(void **in)
{
	struct state *s = *in;
	uint8_t *bytes = calloc(1, SIZE_MOST);
	unsigned mixed = 0;
	assert_non_null(bytes);
	append_well(s, 508, 20 * 512);
	for (unsigned i = 0; i < 500; i++) {
		struct file *after = cut(s, 1, FAULT_RANDOM, i);
		uint64_t size = bytes_of(after, bytes, SIZE_MOST);
		unsigned kept = 0;
		for (size_t at = 512; at + 512 <= size; at += 512) {
			size_t zeros = 0;
			for (size_t k = 0; k < 512; k++)
				zeros += bytes[at + k] == 0;
			assert_true(zeros == 0 || zeros == 512);
			kept += zeros == 0;
		}
		mixed += kept > 0 && kept < 20;
		fault_file_free(after);
	}
	assert_true(mixed > 50);
	free(bytes);
}

/* Small records in one sector: a later one is not there without an earlier */
static void a_sector_has_all_that_was_written_before(void **in)
{
	struct state *s = *in;
	uint8_t bytes[512];
	unsigned partly = 0;
	for (unsigned i = 0; i < 20; i++)
		append_well(s, 0, 25);
	for (unsigned i = 0; i < 1000; i++) {
		struct file *after = cut(s, 20, FAULT_RANDOM, i);
		uint64_t size = bytes_of(after, bytes, sizeof(bytes));
		while (size > 4 && bytes[size - 1] == 0)
			size--;
		assert_memory_equal(bytes, s->bytes, size);
		partly += size > 4 && size < s->size;
		fault_file_free(after);
	}
	assert_true(partly > 100);
}

static void a_prefix_ends_at_a_sector(void **in)
{
	struct state *s = *in;
	uint8_t *bytes = calloc(1, SIZE_MOST);
	unsigned seen = 0; /* a bit for each length that came */
	assert_non_null(bytes);
	append_well(s, 0, 1020);
	append_well(s, 0, 2048);
	for (unsigned i = 0; i < 500; i++) {
		struct file *after = cut(s, 2, FAULT_PREFIX, i);
		uint64_t size = bytes_of(after, bytes, SIZE_MOST);
		while (size > 4 && bytes[size - 1] == 0)
			size--;
		assert_memory_equal(bytes, s->bytes, size);
		assert_true(size == 4 || size % 512 == 0);
		seen |= 1u << size / 512;
		fault_file_free(after);
	}
	assert_int_equal(seen, 0x7f);
	free(bytes);
}

/* In how many cuts of so many what is there ends inside a sector */
static unsigned count_odd(struct state *s, enum fault_cut kind, unsigned rounds)
{
	uint8_t *bytes = calloc(1, SIZE_MOST);
	unsigned odd = 0;
	assert_non_null(bytes);
	for (unsigned i = 0; i < rounds; i++) {
		struct file *after = cut(s, 2, kind, i);
		uint64_t size = bytes_of(after, bytes, SIZE_MOST);
		uint64_t good = 0;
		while (good < size && bytes[good] == s->bytes[good])
			good++;
		odd += good > 4 && good % 512 != 0 && good != s->size;
		fault_file_free(after);
	}
	free(bytes);
	return odd;
}

static void an_append_can_be_torn_at_any_byte(void **in)
{
	struct state *s = *in;
	append_well(s, 0, 1020);
	append_well(s, 0, 2048);
	assert_int_equal(count_odd(s, FAULT_PREFIX, 300), 0);
	assert_true(count_odd(s, FAULT_BYTES, 300) > 100);
	assert_true(count_odd(s, FAULT_GARBAGE, 300) > 100);
}

/* A hole that the writer left was never written: there is nothing to be lost */
static void garbage_is_only_where_something_was_lost(void **in)
{
	struct state *s = *in;
	uint8_t bytes[8192];
	unsigned garbage = 0;
	append_well(s, 1000, 3000);
	for (unsigned i = 0; i < 200; i++) {
		struct file *after = cut(s, 1, FAULT_GARBAGE, i);
		uint64_t size = bytes_of(after, bytes, sizeof(bytes));
		for (uint64_t k = 4; k < 1004 && k < size; k++)
			assert_int_equal(bytes[k], 0);
		garbage += size > 1004 && memcmp(bytes + 1004, s->bytes + 1004,
						 size - 1004) != 0;
		fault_file_free(after);
	}
	assert_true(garbage > 20);
}

static void append_at_sync(void *arg)
{
	append_well(arg, 0, 100);
}

/* What comes while a sync is under way is covered only if it came first */
static void a_sync_can_be_joined_and_missed(void **in)
{
	struct state *s = *in;
	fault_file_at_sync(s->f, append_at_sync, s);
	assert_int_equal(file_sync(s->f), 0);
	fault_file_at_sync(s->f, NULL, NULL);
	assert_int_equal(fault_file_events(s->f), 3);
	struct file *after = cut(s, 3, FAULT_DROP, 0);
	assert_file(after, s->bytes, 104);
	fault_file_free(after);
	assert_file(s->f, s->bytes, 204);
}

static void the_same_seed_gives_the_same_file(void **in)
{
	struct state *s = *in;
	uint8_t *bytes = calloc(2, SIZE_MOST);
	assert_non_null(bytes);
	make_history(s);
	/* Whatever was synced last, there is something to lose */
	append_well(s, 0, 2000);
	append_well(s, 0, 2000);
	unsigned different = 0;
	for (unsigned i = 0; i < 200; i++) {
		size_t events = fault_file_events(s->f);
		struct file *a = cut(s, events, FAULT_RANDOM, i);
		struct file *b = cut(s, events, FAULT_RANDOM, i);
		struct file *c = cut(s, events, FAULT_RANDOM, i + 1);
		uint64_t size = bytes_of(a, bytes, SIZE_MOST);
		assert_file(b, bytes, size);
		different += bytes_of(c, bytes + SIZE_MOST, SIZE_MOST) != size;
		fault_file_free(a);
		fault_file_free(b);
		fault_file_free(c);
	}
	assert_true(different > 0);
	free(bytes);
}

/* After a failed sync a good one says nothing about what came before */
static void a_good_sync_does_not_mend_a_failed_one(void **in)
{
	struct state *s = *in;
	append_well(s, 0, 1000);
	fault_file_fail(s->f, FAULT_SYNC, 1, -EIO, false);
	assert_int_equal(file_sync(s->f), -EIO);
	append_well(s, 20, 500); /* in a sector of its own */
	assert_int_equal(file_sync(s->f), 0);
	struct file *after = cut(s, 4, FAULT_DROP, 0);
	memset(s->bytes + 4, 0, 1000);
	assert_file(after, s->bytes, 1524);
	fault_file_free(after);
}

static void dropping_the_cache_shows_what_a_failed_sync_lost(void **in)
{
	struct state *s = *in;
	struct file *after = NULL;
	append_well(s, 0, 1000);
	assert_int_equal(file_sync(s->f), 0);
	append_well(s, 0, 2000);
	fault_file_fail(s->f, FAULT_SYNC, 1, -EIO, false);
	assert_int_equal(file_sync(s->f), -EIO);
	append_well(s, 0, 300);

	assert_int_equal(fault_file_after_kill(s->f, 3, &after), 0);
	assert_int_equal(file_drop_cache(after, 0), 0);
	assert_file(after, s->bytes, 3004); /* the sync had not failed yet */
	fault_file_free(after);

	assert_int_equal(fault_file_after_kill(s->f, 5, &after), 0);
	assert_int_equal(fault_file_events(after), 5);
	assert_file(after, s->bytes, 3304);
	assert_int_equal(file_drop_cache(after, 1005), 0);
	assert_file(after, s->bytes, 3304);
	assert_int_equal(file_drop_cache(after, 1004), 0);
	memset(s->bytes + 1004, 0, 2000);
	assert_file(after, s->bytes, 3304);
	assert_int_equal(file_sync(after), 0);
	struct file *later = NULL;
	assert_int_equal(fault_file_after_cut(after, 6, FAULT_DROP, 0, &later),
			 0);
	assert_file(later, s->bytes, 3304);
	fault_file_free(later);
	fault_file_free(after);
}

/* A kill loses nothing, and what was not synced can still be lost later */
static void a_kill_keeps_what_was_written(void **in)
{
	struct state *s = *in;
	struct file *after = NULL;
	append_well(s, 0, 1000);
	assert_int_equal(file_sync(s->f), 0);
	append_well(s, 0, 700);
	append_well(s, 0, 600);
	file_close(s->f);
	assert_int_equal(fault_file_after_kill(s->f, 3, &after), 0);
	assert_file(after, s->bytes, 1704);
	struct file *later = NULL;
	assert_int_equal(fault_file_after_cut(after, 3, FAULT_DROP, 0, &later),
			 0);
	assert_file(later, s->bytes, 1004);
	fault_file_free(later);
	assert_int_equal(file_sync(after), 0);
	assert_int_equal(fault_file_after_cut(after, 4, FAULT_DROP, 0, &later),
			 0);
	assert_file(later, s->bytes, 1704);
	fault_file_free(later);
	fault_file_free(after);
}

static void holes_cost_no_memory(void **in)
{
	struct state *s = *in;
	struct file *after = NULL;
	uint8_t bytes[3];
	size_t written = 0;
	struct iovec iov = { s->bytes, 4 };
	uint64_t far = (uint64_t)1 << 33;
	assert_int_equal(file_append(s->f, &iov, 1, far, &written), 0);
	for (unsigned i = 0; i < 100; i++) {
		after = cut(s, 1, FAULT_KEEP, 0);
		assert_int_equal(file_read(after, bytes, 3, far + 1), 0);
		assert_memory_equal(bytes, "ase", 3);
		assert_int_equal(file_read(after, bytes, 1, far - 1), 0);
		assert_int_equal(bytes[0], 0);
		fault_file_free(after);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- a file beside it ------------------------------------------------- */

static void add(struct file *f, const char *bytes, uint64_t at)
{
	char copy[8];
	size_t written = 0;
	strcpy(copy, bytes);
	struct iovec iov = { copy, strlen(bytes) };
	assert_int_equal(file_append(f, &iov, 1, at, &written), 0);
}

/* Does the file begin so, after a cut of each kind, or in some of many? */
static unsigned begins(struct state *s, size_t events, const char *bytes)
{
	unsigned count = 0;
	for (unsigned i = 0; i < 40; i++) {
		struct file *after = NULL;
		char found[16] = "";
		enum fault_cut kind = (enum fault_cut)(i % FAULT_CUTS);
		assert_int_equal(
			fault_file_after_cut(s->f, events, kind, i, &after), 0);
		(void)file_read(after, found, strlen(bytes), 0);
		count += strncmp(found, bytes, strlen(bytes)) == 0;
		fault_file_free(after);
	}
	return count;
}

static void expect_killed(struct state *s, size_t events, const char *bytes)
{
	struct file *after = NULL, *again = NULL;
	char found[16] = "";
	assert_int_equal(fault_file_after_kill(s->f, events, &after), 0);
	assert_int_equal(fault_file_events(after), events);
	assert_int_equal(fault_file_after_kill(after, events, &again), 0);
	assert_int_equal(file_read(again, found, strlen(bytes), 0), 0);
	assert_string_equal(found, bytes);
	fault_file_free(after);
	fault_file_free(again);
}

static void one_that_takes_its_place_does_so_at_the_rename(void **in)
{
	struct state *s = *in;
	struct file *next = NULL;
	assert_int_equal(file_beside(s->f, &next), 0);
	add(next, "next", 0); /* event 0 */
	assert_int_equal(fault_file_temporaries(s->f), 1);
	add(s->f, "more", 4);
	assert_int_equal(file_sync(s->f), 0);
	/* 3: it is synced, 4: it has the name, 5: durably */
	assert_int_equal(file_publish(next, true), 0);
	assert_true(next->published);
	assert_int_equal(fault_file_events(s->f), 6);
	assert_int_equal(fault_file_events(next), 6);
	assert_int_equal(fault_file_size(s->f), 4);
	assert_int_equal(fault_file_temporaries(s->f), 0);
	for (size_t events = 0; events < 5; events++)
		assert_int_equal(begins(s, events, "base"), 40);
	assert_in_range(begins(s, 5, "base"), 5, 35);
	assert_int_equal(begins(s, 5, "base") + begins(s, 5, "next"), 40);
	assert_int_equal(begins(s, 6, "next"), 40);
	for (size_t events = 0; events < 5; events++)
		expect_killed(s, events, "base");
	expect_killed(s, 5, "next");
	expect_killed(s, 6, "next");
	assert_int_equal(begins(s, 3, "basemore"), 40);
	file_close(s->f);
	add(next, "last", 4);
	expect_killed(s, 7, "nextlast");
}

static void if_its_directory_cannot_be_synced_it_is_one_or_the_other(void **in)
{
	struct state *s = *in;
	struct file *next = NULL;
	assert_int_equal(file_beside(s->f, &next), 0);
	add(next, "next", 0);
	fault_file_fail(s->f, FAULT_PUBLISH, 1, -EACCES, false);
	assert_int_equal(file_publish(next, true), -EACCES);
	assert_false(next->published);
	fault_file_fail(s->f, FAULT_DIRECTORY, 1, -EIO, false);
	assert_int_equal(file_publish(next, true), -EIO);
	assert_true(next->published);
	add(next, "last", 4);
	assert_in_range(begins(s, fault_file_events(s->f), "base"), 5, 35);
	expect_killed(s, fault_file_events(s->f), "nextlast");
}

static void both_have_room_for_as_much_as_is_left(void **in)
{
	struct state *s = *in;
	struct file *next = NULL;
	char bytes[] = "12345678";
	size_t written = 0;
	struct iovec iov = { bytes, 8 };
	assert_int_equal(file_beside(s->f, &next), 0);
	fault_file_limit(s->f, 10);
	assert_int_equal(file_reserve(next, 7), -ENOSPC);
	assert_int_equal(file_append(next, &iov, 1, 0, &written), -ENOSPC);
	assert_int_equal(written, 6);
	file_close(next);
	assert_int_equal(fault_file_temporaries(s->f), 0);
	assert_int_equal(file_reserve(s->f, 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_what_was_appended),
		TEST(fails_the_call_that_it_was_told),
		TEST(an_append_can_stop_in_the_middle),
		TEST(a_disk_can_be_full),
		TEST(the_plain_cuts_lose_nothing_or_all),
		TEST(no_cut_loses_what_was_synced),
		TEST(a_cut_without_any_sync_is_still_made_of_what_was_written),
		TEST(a_sector_is_never_torn),
		TEST(a_sector_has_all_that_was_written_before),
		TEST(a_prefix_ends_at_a_sector),
		TEST(an_append_can_be_torn_at_any_byte),
		TEST(garbage_is_only_where_something_was_lost),
		TEST(a_sync_can_be_joined_and_missed),
		TEST(the_same_seed_gives_the_same_file),
		TEST(a_good_sync_does_not_mend_a_failed_one),
		TEST(dropping_the_cache_shows_what_a_failed_sync_lost),
		TEST(a_kill_keeps_what_was_written),
		TEST(holes_cost_no_memory),
		TEST(one_that_takes_its_place_does_so_at_the_rename),
		TEST(if_its_directory_cannot_be_synced_it_is_one_or_the_other),
		TEST(both_have_room_for_as_much_as_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
