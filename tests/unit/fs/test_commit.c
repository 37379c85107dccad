/* SPDX-License-Identifier: MIT */
/* When what was changed is made durable though nobody asks */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "api/handle.h"
#include "fs/commit.h"
#include "tests/support/fault_file.h"

#define MIB (1u << 20)

struct fixture {
	struct file *file;
	banyan *db;
	struct commit *commit;
	atomic_uint calls; /* at the beginning and at the end of a sync */
};

static void count(void *arg)
{
	struct fixture *x = arg;

	atomic_fetch_add(&x->calls, 1);
}

static void start(struct fixture *x, unsigned seconds)
{
	struct banyan_options o = { 0 };

	memset(x, 0, sizeof(*x));
	assert_int_equal(fault_file_new(NULL, 0, &x->file), 0);
	assert_int_equal(handle_open_file(x->file, &o, true, &x->db), 0);
	assert_int_equal(banyan_sync(x->db), 0);
	fault_file_at_sync(x->file, count, x);
	assert_int_equal(commit_start(x->db, seconds, &x->commit), 0);
}

static void end(struct fixture *x)
{
	commit_stop(x->commit);
	fault_file_at_sync(x->file, NULL, NULL);
	assert_int_equal(banyan_close(x->db), 0);
	fault_file_free(x->file);
}

static void write_some(struct fixture *x, unsigned mib)
{
	static uint8_t bytes[MIB];

	memset(bytes, 'x', sizeof(bytes));
	for (unsigned i = 0; i < mib; i++) {
		assert_int_equal(
			banyan_put(x->db, "key", bytes, sizeof(bytes), 0), 0);
		commit_note_bytes(x->commit, sizeof(bytes));
	}
}

/* Have there been so many calls, now or within some seconds? */
static bool soon(struct fixture *x, unsigned calls, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 100; i++) {
		if (atomic_load(&x->calls) >= calls)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return false;
}

static void many_bytes_are_committed_at_once(void **state)
{
	struct fixture x;

	(void)state;
	start(&x, 600);
	for (unsigned i = 0; i < 1000; i++)
		commit_note_bytes(x.commit, 65535);
	write_some(&x, 15);
	assert_false(soon(&x, 1, 1));
	write_some(&x, 1);
	assert_true(soon(&x, 2, 60));
	/* and the next ones, too */
	write_some(&x, 16);
	assert_true(soon(&x, 4, 60));
	end(&x);
}

static void few_when_their_time_has_come(void **state)
{
	struct fixture x;

	(void)state;
	start(&x, 1);
	write_some(&x, 1);
	assert_true(soon(&x, 2, 60));
	end(&x);
}

static void and_none_where_only_who_asks_is_served(void **state)
{
	struct fixture x;

	(void)state;
	start(&x, 0);
	write_some(&x, 40);
	assert_false(soon(&x, 1, 1));
	end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_bytes_are_committed_at_once),
		cmocka_unit_test(few_when_their_time_has_come),
		cmocka_unit_test(and_none_where_only_who_asks_is_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
