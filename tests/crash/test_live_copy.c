/* SPDX-License-Identifier: MIT */
/*
 * Copies of a database that is being written, taken by cp and by other programs
 * that read from the front to the back: each opens, is sound, and is the state
 * after some operation, not an earlier one than the last that had returned when
 * the copying began. Once as fast as it goes, and once with sleeps between the
 * steps of a write, a sync and a freeze. BANYAN_SEED says what is written and
 * where it sleeps; with BANYAN_LONG there are 100 copies of each.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/random.h"
#include "tests/support/slow_file.h"
#include "tests/support/temp.h"

#define SLOTS 40u
/* Operations from the beginning of one copy to that of the next, at the least */
#define STRIDE 120u

struct scene {
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	char copy[TEMP_FILE_MAX];
	uint64_t seed;
	banyan *db;
	_Atomic uint64_t done; /* operations that have returned */
	_Atomic uint64_t limit; /* for the writer to stop at for a while */
	_Atomic bool stop;
	_Atomic int failed;
	uint64_t behind; /* operations that came while copies were taken */
};

static void nap(unsigned us)
{
	struct timespec t = { .tv_nsec = (long)us * 1000 };
	nanosleep(&t, NULL);
}

/* ---- what is written -------------------------------------------------- */

/* Sizes of all kinds: in the row, in extents, now and then across segments */
static size_t size_of(const struct scene *s, uint64_t n)
{
	uint64_t dice = s->seed + n * 7919;
	if (test_below(&dice, 100) == 0)
		return 1000000 + (size_t)test_below(&dice, 400000);
	if (test_below(&dice, 4) == 0)
		return (size_t)test_below(&dice, 20000);
	return (size_t)test_below(&dice, 300);
}

static void fill(uint8_t *bytes, size_t size, uint64_t n)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(n * 31 + i / 3);
}

/*
 * Operation n: its number goes to "count", its value to one of the slots; every
 * third slot is removed and made anew under another name first, and comes back
 * by a rename.
 */
static int do_operation(struct scene *s, uint64_t n, uint8_t *bytes)
{
	char slot[32];
	size_t size = size_of(s, n);
	sprintf(slot, "slot%u", (unsigned)(n % SLOTS));
	fill(bytes, size, n);
	banyan *batch = NULL;
	int rc = banyan_begin(s->db, &batch);
	if (rc)
		return rc;
	rc = banyan_put(batch, "count", &n, sizeof(n), 0);
	if (!rc && n % 3 == 0) {
		rc = banyan_remove(batch, slot);
		if (rc == -ENOENT)
			rc = 0;
		if (!rc)
			rc = banyan_put(batch, "new", bytes, size, 0);
		if (!rc)
			rc = banyan_rename(batch, "new", slot, 0);
	} else if (!rc) {
		rc = banyan_put(batch, slot, bytes, size, 0);
	}
	if (rc) {
		banyan_abort(batch);
		return rc;
	}
	return banyan_commit(batch);
}

static void *write_on(void *arg)
{
	struct scene *s = arg;
	uint8_t *bytes = malloc(1500000);
	for (uint64_t n = 1; bytes && !s->stop && !s->failed; n++) {
		while (n > s->limit && !s->stop)
			nap(100);
		int rc = do_operation(s, n, bytes);
		s->done = n;
		if (!rc && n % 10 == 0)
			rc = banyan_sync(s->db);
		if (!rc && n % 70 == 0)
			rc = banyan_freeze(s->db);
		if (rc)
			s->failed = rc;
	}
	free(bytes);
	return NULL;
}

/* ---- what a copy must be ---------------------------------------------- */

static void print_found(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static uint64_t count_in(banyan *db)
{
	uint64_t n = 0;
	void *value = NULL;
	size_t size = 0;
	int rc = banyan_get(db, "count", &value, &size);
	if (rc == -ENOENT)
		return 0;
	assert_int_equal(rc, 0);
	assert_int_equal(size, sizeof(n));
	memcpy(&n, value, sizeof(n));
	free(value);
	return n;
}

/* The operation before or at `count` that has put slot i; 0: none */
static uint64_t last_of(uint64_t count, unsigned i)
{
	uint64_t behind = (count + SLOTS - i) % SLOTS;
	return count >= behind + 1 ? count - behind : 0;
}

static void verify_copy(struct scene *s, uint64_t least)
{
	struct banyan_check check = { .found = print_found };
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	uint8_t *bytes = malloc(1500000);
	banyan *db = NULL;
	assert_non_null(bytes);
	assert_int_equal(banyan_check(s->copy, &check), 0);
	assert_int_equal(banyan_open(s->copy, &o, &db), 0);
	uint64_t count = count_in(db);
	assert_true(count >= least);
	for (unsigned i = 0; i < SLOTS; i++) {
		char slot[32];
		void *value = NULL;
		size_t size = 0;
		uint64_t n = last_of(count, i);
		sprintf(slot, "slot%u", i);
		int rc = banyan_get(db, slot, &value, &size);
		assert_int_equal(rc, n ? 0 : -ENOENT);
		if (rc)
			continue;
		assert_int_equal(size, size_of(s, n));
		fill(bytes, size, n);
		assert_true(!size || memcmp(value, bytes, size) == 0);
		free(value);
	}
	assert_int_equal(banyan_close(db), 0);
	free(bytes);
}

/* ---- copying ---------------------------------------------------------- */

/*
 * As a program does that has time: pieces of any size, and pauses between those
 * at the end, where the file grows under its eyes.
 */
static int copy_slowly(const struct scene *s, uint64_t dice)
{
	char buffer[65536];
	int from = open(s->path, O_RDONLY);
	int to = open(s->copy, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n = from < 0 || to < 0 ? -1 : 1;
	for (unsigned pauses = 0; n > 0; pauses++) {
		off_t left = lseek(from, 0, SEEK_END);
		off_t at = lseek(to, 0, SEEK_CUR);
		bool at_end = left - at < 100000 && pauses < 1000;
		size_t most = at_end ? 2000 : sizeof(buffer);
		n = pread(from, buffer, 1 + (size_t)test_below(&dice, most),
			  at);
		if (n > 0 && write(to, buffer, (size_t)n) != n)
			n = -1;
		if (at_end && test_below(&dice, 4) == 0)
			nap((unsigned)test_below(&dice, 1500));
		else if (!at_end)
			pauses = 0;
	}
	close(from);
	close(to);
	return n < 0 ? -1 : 0;
}

static int copy(const struct scene *s, unsigned round)
{
	static const char *const commands[] = {
		"cp",
		"cp --sparse=never --reflink=never",
		"rsync --whole-file",
		"cp --sparse=always",
	};
	char line[2 * TEMP_FILE_MAX + 100];
	unsigned way = round % 5;
	if (way == 4)
		return copy_slowly(s, s->seed + round);
	unlink(s->copy);
	snprintf(line, sizeof(line), "%s '%s' '%s'", commands[way], s->path,
		 s->copy);
	return system(line);
}

static void copy_many(struct scene *s, unsigned copies)
{
	for (unsigned i = 0; i < copies; i++) {
		uint64_t least = s->done;
		s->limit += STRIDE;
		assert_int_equal(copy(s, i), 0);
		s->behind += s->done - least;
		verify_copy(s, least);
		assert_int_equal(s->failed, 0);
	}
}

static void run(const struct slow *slow, unsigned copies)
{
	struct scene s = { .seed = slow->seed };
	struct banyan_options o = { 0 };
	struct file *below = NULL;
	struct file *f = NULL;
	pthread_t writer;
	assert_int_equal(temp_directory(s.dir, TEMP_ON_DISK), 0);
	temp_path(s.path, s.dir, "db");
	temp_path(s.copy, s.dir, "copy");
	assert_int_equal(file_create(s.path, 0600, NULL, &below), 0);
	assert_int_equal(slow_file_new(below, true, slow, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &s.db), 0);
	s.db->store->table_limit = 200000; /* freezes by the freezer, too */
	assert_int_equal(pthread_create(&writer, NULL, write_on, &s), 0);
	copy_many(&s, copies);
	s.stop = true;
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_int_equal(banyan_close(s.db), 0);
	unlink(s.copy);
	unlink(s.path);
	rmdir(s.dir);
	print_message("%u of %u copies are sound, %llu operations came in "
		      "while they were taken\n",
		      copies, copies, (unsigned long long)s.behind);
	assert_true(s.behind > copies);
}

static unsigned copies(void)
{
	return getenv("BANYAN_LONG") ? 100 : 12;
}

static void a_copy_of_a_busy_database_is_sound(void **in)
{
	struct slow slow = { .seed = test_seed() };
	(void)in;
	run(&slow, copies());
}

static void so_it_is_when_every_step_takes_its_time(void **in)
{
	struct slow slow = { .seed = test_seed(), .append = 400, .sync = 3000 };
	(void)in;
	run(&slow, copies());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_of_a_busy_database_is_sound),
		cmocka_unit_test(so_it_is_when_every_step_takes_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
