/* SPDX-License-Identifier: MIT */
/*
 * Processes that are killed in mid-vacuum: what had returned is there, and no file
 * is left beside the database once it was opened again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "banyan.h"
#include "tests/support/random.h"
#include "tests/support/temp.h"

#define SLOTS 50u

/* Shared with the child: how far it came */
struct progress {
	_Atomic uint64_t begun; /* the number of the last put that was begun */
	_Atomic uint64_t done; /* and that has returned */
	_Atomic uint64_t vacuums;
};

struct scene {
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	struct progress *shared;
	uint64_t random;
	unsigned amid; /* kills that left a file beside the database */
};

/* ---- the child -------------------------------------------------------- */

static size_t size_of(uint64_t n)
{
	return n % 5 ? 100 + n % 300 : 20000;
}

/* Put n goes to slot n % SLOTS */
static int put_next(banyan *db, struct progress *s)
{
	static uint8_t bytes[20000];
	char path[32];
	uint64_t n = s->begun + 1;
	sprintf(path, "s%u", (unsigned)(n % SLOTS));
	memset(bytes, (int)n, sizeof(bytes));
	memcpy(bytes, &n, sizeof(n));
	s->begun = n;
	int rc = banyan_put(db, path, bytes, size_of(n), 0);
	if (!rc)
		s->done = n;
	return rc;
}

struct child {
	banyan *db;
	struct progress *shared;
};

static int put_some(void *arg, uint64_t done, uint64_t total)
{
	struct child *c = arg;
	(void)done;
	(void)total;
	for (unsigned i = 0; i < 5; i++) {
		int rc = put_next(c->db, c->shared);
		if (rc)
			return rc;
	}
	return 0;
}

static int vacuum_for_ever(const struct scene *s)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	struct child c = { .shared = s->shared };
	struct banyan_vacuum_options v = { .progress = put_some, .arg = &c };
	int rc = banyan_open(s->path, &o, &c.db);
	alarm(60); /* whatever becomes of the parent */
	while (!rc) {
		rc = banyan_vacuum(c.db, &v, NULL);
		s->shared->vacuums++;
		for (unsigned i = 0; !rc && i < 20; i++)
			rc = put_next(c.db, s->shared);
	}
	return 1;
}

/* ---- what it leaves --------------------------------------------------- */

static unsigned files_in(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned count = 0;
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return count;
}

/* The last put into a slot, of those up to n; 0: none */
static uint64_t last_of(uint64_t n, uint64_t slot)
{
	uint64_t behind = (n % SLOTS + SLOTS - slot) % SLOTS;
	return n > behind ? n - behind : 0;
}

static void expect_slot(banyan *db, const struct scene *s, uint64_t slot)
{
	char path[32];
	void *value = NULL;
	size_t size = 0;
	uint64_t n = 0;
	uint64_t done = last_of(s->shared->done, slot);
	uint64_t begun = last_of(s->shared->begun, slot);
	sprintf(path, "s%u", (unsigned)slot);
	int rc = banyan_get(db, path, &value, &size);
	if (rc == -ENOENT && !done)
		return;
	assert_int_equal(rc, 0);
	memcpy(&n, value, sizeof(n));
	assert_true(n == done || n == begun);
	assert_int_equal(size, size_of(n));
	for (size_t i = sizeof(n); i < size; i++)
		assert_int_equal(((uint8_t *)value)[i], (uint8_t)n);
	banyan_free(value);
}

static void look(struct scene *s)
{
	banyan *db = NULL;
	s->amid += files_in(s->dir) > 1;
	if (files_in(s->dir) == 0)
		return; /* killed before it had made the database */
	assert_int_equal(banyan_check(s->path, NULL), 0);
	int rc = banyan_open(s->path, NULL, &db);
	if (rc == -ENOENT)
		return;
	assert_int_equal(rc, 0);
	assert_int_equal(files_in(s->dir), 1);
	for (uint64_t slot = 0; slot < SLOTS; slot++)
		expect_slot(db, s, slot);
	/* What had begun and is there must not be taken for what had not */
	s->shared->begun = s->shared->done;
	while (s->shared->begun % SLOTS)
		assert_int_equal(put_next(db, s->shared), 0);
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(put_next(db, s->shared), 0);
	assert_int_equal(banyan_close(db), 0);
}

static void kill_one(struct scene *s)
{
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(vacuum_for_ever(s));
	struct timespec pause = {
		.tv_nsec = 2000000 + (long)test_below(&s->random, 25000000)
	};
	nanosleep(&pause, NULL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	assert_true(WIFSIGNALED(status));
	look(s);
}

static void a_kill_in_mid_vacuum_loses_nothing(void **state)
{
	struct scene s = { .random = test_seed() };
	unsigned kills = getenv("BANYAN_LONG") ? 1500 : 60;
	(void)state;
	assert_int_equal(temp_directory(s.dir, TEMP_IN_MEMORY), 0);
	temp_path(s.path, s.dir, "db");
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(s.shared, MAP_FAILED);
	for (unsigned i = 0; i < kills; i++)
		kill_one(&s);
	print_message("%u kills, %u in mid-vacuum, %llu vacuums, %llu puts\n",
		      kills, s.amid, (unsigned long long)s.shared->vacuums,
		      (unsigned long long)s.shared->done);
	assert_true(s.amid > kills / 4);
	munmap(s.shared, sizeof(*s.shared));
	unlink(s.path);
	assert_int_equal(rmdir(s.dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_in_mid_vacuum_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
