/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out in what looks into the past: the first call for memory
 * fails, then the second, until there is all that is wanted. Each time the answer
 * is -ENOMEM and all as it was, or the right one.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "crash.h"
#include "tests/support/no_memory_main.h"
#include "tests/support/steady_main.h"
#include "tests/support/temp.h"

#define OK(call) assert_int_equal(call, 0)

#define TRIES_MAX 400u

struct shortage {
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	banyan *db;
	unsigned visits;
};

static void put(banyan *db, const char *path, unsigned size)
{
	static uint8_t bytes[90000];
	OK(banyan_put(db, path, bytes, size, BANYAN_PARENTS));
}

static void remove_all(banyan *db)
{
	static const char *const keys[] = { "s/a", "s/b",	"s/t/c",
					    "s/t", "outside/a", "s" };
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		OK(banyan_remove(db, keys[i]));
}

/* A tree with what there can be in one, and its removal */
static void fill(banyan *db)
{
	banyan_data *d = NULL;
	put(db, "s/a", 10);
	put(db, "s/b", 90000);
	put(db, "s/t/c", 300);
	put(db, "kept", 10);
	OK(banyan_make_space(db, "outside", 0));
	OK(banyan_alias(db, "s/a", "outside/a"));
	OK(banyan_find(db, "s/b", &d));
	for (unsigned i = 0; i < 6; i++)
		OK(banyan_write(d, "x", 1, 100000 * (i + 1), 0, NULL));
	OK(banyan_set_xattr(d, "user.x", "1", 1, 0));
	banyan_release(d, 1);
	OK(banyan_freeze(db));
	put(db, "s/t/c", 20);
	remove_all(db);
}

static int set_up(void **state)
{
	static struct shortage s;
	struct banyan_options o = { .flags = BANYAN_CREATE };
	memset(&s, 0, sizeof(s));
	*state = &s;
	if (temp_directory(s.dir, TEMP_ON_DISK))
		return -1;
	temp_path(s.path, s.dir, "db");
	OK(banyan_open(s.path, &o, &s.db));
	fill(s.db);
	return 0;
}

static int tear_down(void **state)
{
	struct shortage *s = *state;
	OK(banyan_close(s->db));
	assert_int_equal(banyan_check(s->path, NULL), 0);
	OK(unlink(s->path));
	OK(rmdir(s->dir)); /* nothing else is in it */
	return 0;
}

static int see_version(void *arg, const struct banyan_version *v)
{
	struct shortage *s = arg;
	(void)v;
	s->visits++;
	return 0;
}

static int see_deleted(void *arg, const struct banyan_deleted_key *key)
{
	struct shortage *s = arg;
	(void)key;
	s->visits++;
	return 0;
}

static int do_log(struct shortage *s)
{
	return banyan_log(s->db, "s/t/c", see_version, s);
}

static int do_deleted(struct shortage *s)
{
	return banyan_deleted(s->db, NULL, see_deleted, s);
}

static void see_made(void *arg, const char *path)
{
	struct shortage *s = arg;
	(void)path;
	s->visits++;
}

static int do_undelete(struct shortage *s)
{
	return banyan_undelete(s->db, "s", NULL, see_made, s);
}

/* Up to the try that has all the memory that it wants */
static void try_all(struct shortage *s, int (*call)(struct shortage *),
		    unsigned wanted, bool lasting)
{
	uint64_t before = 0, now = 0, met = 1;
	unsigned failures = 0;
	/* An undelete that goes well makes the log longer, for the next one */
	for (uint64_t nth = 1; met && nth < TRIES_MAX; nth++) {
		OK(fingerprint(s->db, &before));
		s->visits = 0;
		no_memory_on(nth, lasting);
		int rc = call(s);
		met = no_memory_off();
		if (!rc) {
			assert_int_equal(s->visits, wanted);
			if (call == do_undelete)
				remove_all(s->db);
			continue;
		}
		failures++;
		if (!met || (rc != -ENOMEM && rc != -EAGAIN))
			fail_msg("call %llu: %d", (unsigned long long)nth, rc);
		OK(fingerprint(s->db, &now));
		assert_int_equal(now, before);
	}
	print_message("%u failures\n", failures);
	assert_true(failures > 20);
}

static void of_log(void **state)
{
	try_all(*state, do_log, 3, false);
	try_all(*state, do_log, 3, true);
}

static void of_deleted(void **state)
{
	try_all(*state, do_deleted, 6, false);
	try_all(*state, do_deleted, 6, true);
}

static void of_undelete(void **state)
{
	try_all(*state, do_undelete, 2, false);
	try_all(*state, do_undelete, 2, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_deleted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_undelete, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
