/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes that do a part of what they were asked to, and calls that a
 * signal interrupts: nothing of it is to be noticed. The same chores are done
 * once with and once without; what is read and said, and the file that they
 * leave, must be the same to the last byte.
 *
 * A sync is never interrupted here: it has no second try (see file.h).
 * BANYAN_SEED says which chores, and where they are disturbed. The program is
 * linked with --wrap for the functions below: see the Makefile.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "engine/freeze.h"
#include "chores.h"
#include "crash.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"
#include "tests/support/temp.h"

/* ---- disturbed calls -------------------------------------------------- */

static bool disturbing;
static uint64_t dice;
enum call { READ, WRITE, ALLOCATE, TRUNCATE, LOCK, CALLS };
static unsigned interrupted[CALLS];
static unsigned cut_short[CALLS];

static bool interrupt(enum call call)
{
	if (!disturbing || test_below(&dice, 5) < 3)
		return false;
	interrupted[call]++;
	errno = EINTR;
	return true;
}

/* How much of it is done: at least a byte */
static size_t part_of(enum call call, size_t size)
{
	if (!disturbing || size < 2 || test_below(&dice, 2))
		return size;
	cut_short[call]++;
	size_t most = test_below(&dice, 3) ? size - 1 : 1 + size / 50;
	return 1 + (size_t)test_below(&dice, most);
}

ssize_t __real_pread64(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at)
{
	return interrupt(READ) ?
		       -1 :
		       __real_pread64(fd, to, part_of(READ, size), at);
}

ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t at);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t at);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t at)
{
	struct iovec some[1024];
	size_t size = 0;
	int count = 0;
	assert_true(n <= 1024);
	for (int i = 0; i < n; i++)
		size += iov[i].iov_len;
	if (interrupt(WRITE))
		return -1;
	for (size = part_of(WRITE, size); size && count < n; count++) {
		some[count] = iov[count];
		if (some[count].iov_len > size)
			some[count].iov_len = size;
		size -= some[count].iov_len;
	}
	return __real_pwritev64(fd, some, count, at);
}

int __real_fallocate64(int fd, int mode, off_t at, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t size)
{
	return interrupt(ALLOCATE) ? -1 :
				     __real_fallocate64(fd, mode, at, size);
}

int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size)
{
	return interrupt(TRUNCATE) ? -1 : __real_ftruncate64(fd, size);
}

int __real_fcntl64(int fd, int command, void *arg);
int __wrap_fcntl64(int fd, int command, void *arg);
int __wrap_fcntl64(int fd, int command, void *arg)
{
	return interrupt(LOCK) ? -1 : __real_fcntl64(fd, command, arg);
}

/* ---- chores ----------------------------------------------------------- */

#define REOPEN 15u /* after so many chores */

/* What there is to be compared */
struct result {
	uint64_t seen;
	uint64_t file;
	uint64_t size;
};

static void add(struct result *r, uint64_t n)
{
	r->seen = (r->seen ^ n) * 0x9e3779b97f4a7c15u;
	r->seen ^= r->seen >> 29;
}

static void hear(void *arg, const char *line)
{
	(void)arg;
	fail_msg("%s", line);
}

static void open_db(struct chores *c, const char *path)
{
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = hear };
	assert_int_equal(banyan_open(path, &o, &c->db), 0);
	freezer_stop(c->db->store);
	c->db->store->table_limit = UINT64_MAX / 4;
}

/* What was reserved beyond the end was given back */
static void expect_no_reserve(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 <
		    (uint64_t)st.st_size + (1u << 20));
}

static void do_chores(struct chores *c, const char *path, unsigned count,
		      struct result *r)
{
	struct banyan_check check = { .found = hear };
	open_db(c, path);
	for (unsigned n = 0; n < count; n++) {
		uint64_t reached = 0;
		uint64_t held = 0;
		add(r, (uint64_t)chore_do(c, n));
		add(r, c->seen);
		assert_false(c->blurred);
		assert_int_equal(chores_print(c, &reached, &held), 0);
		add(r, reached);
		add(r, held);
		if (n % REOPEN < REOPEN - 1)
			continue;
		chores_release(c);
		assert_int_equal(banyan_close(c->db), 0);
		expect_no_reserve(path);
		assert_int_equal(banyan_check(path, &check), 0);
		open_db(c, path);
	}
	chores_release(c);
	assert_int_equal(banyan_close(c->db), 0);
}

static void read_file(const char *path, struct result *r)
{
	static uint8_t bytes[65536];
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	for (size_t n; (n = fread(bytes, 1, sizeof(bytes), f)) > 0;)
		for (size_t i = 0; i < n; i++, r->size++)
			r->file = r->file * 31 + bytes[i];
	fclose(f);
}

static struct result run(uint64_t seed, bool disturb)
{
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	struct chores c = { .seed = seed };
	struct result r = { 0 };
	assert_int_equal(temp_directory(dir, TEMP_IN_MEMORY), 0);
	temp_path(path, dir, "db");
	steady_begin(seed);
	dice = seed;
	disturbing = disturb;
	do_chores(&c, path, 350, &r);
	disturbing = false;
	read_file(path, &r);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return r;
}

static void what_is_cut_short_or_interrupted_goes_on(void **state)
{
	uint64_t seed = test_seed();
	(void)state;
	for (unsigned i = 0; i < (crash_long() ? 50 : 1); i++, seed++) {
		struct result with = run(seed, true);
		struct result without = run(seed, false);
		assert_int_equal(with.seen, without.seen);
		assert_int_equal(with.size, without.size);
		assert_int_equal(with.file, without.file);
	}
	for (enum call i = READ; i < CALLS; i++) {
		print_message("%s%u interrupted, %u cut short\n",
			      i ? "" : "of each call: ", interrupted[i],
			      cut_short[i]);
		assert_true(interrupted[i] > 2);
	}
	assert_true(cut_short[READ] > 300 && cut_short[WRITE] > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_cut_short_or_interrupted_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
