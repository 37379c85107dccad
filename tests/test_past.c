/* SPDX-License-Identifier: MIT */
/* Read-only handles beside a writer: of the present, and of past freezes */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../store/banyan.h"

#define FREEZES 12u
#define KEYS 40u

struct state {
	char dir[64];
	char path[96];
	banyan *db;
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	struct banyan_options o = { .flags = BANYAN_CREATE };
	if (!s)
		return -1;
	strcpy(s->dir, "/tmp/banyan-past-XXXXXX");
	if (!mkdtemp(s->dir))
		return -1;
	snprintf(s->path, sizeof(s->path), "%s/db", s->dir);
	*out = s;
	return banyan_open(s->path, &o, &s->db);
}

static int tear_down(void **in)
{
	struct state *s = *in;
	int rc = banyan_close(s->db);
	unlink(s->path);
	rmdir(s->dir);
	free(s);
	return rc;
}

/* Key i holds the number of the freeze before which it was put last */
static void put(banyan *db, unsigned i, unsigned number)
{
	char path[32];
	char value[600];
	memset(value, (int)number, sizeof(value));
	sprintf(path, "key%u", i);
	assert_int_equal(banyan_put(db, path, value, i % 2 ? 600 : 60, 0), 0);
}

/* Which keys the round before a freeze puts and removes */
static void do_round(banyan *db, unsigned number)
{
	char path[32];
	for (unsigned i = number % 3; i < KEYS; i += 3)
		put(db, i, number);
	sprintf(path, "key%u", number * 5 % KEYS);
	int rc = banyan_remove(db, path);
	assert_true(rc == 0 || rc == -ENOENT);
}

/* What round `number` leaves, by the same rules: 0 means no key */
static void model(unsigned number, unsigned *newest)
{
	memset(newest, 0, KEYS * sizeof(*newest));
	for (unsigned n = 1; n <= number; n++) {
		for (unsigned i = n % 3; i < KEYS; i += 3)
			newest[i] = n;
		newest[n * 5 % KEYS] = 0;
	}
}

static void assert_state(banyan *db, unsigned number)
{
	unsigned newest[KEYS];
	struct banyan_stat st;
	uint64_t keys = 0;
	model(number, newest);
	for (unsigned i = 0; i < KEYS; i++) {
		char path[32];
		void *value = NULL;
		size_t size = 0;
		sprintf(path, "key%u", i);
		int rc = banyan_get(db, path, &value, &size);
		assert_int_equal(rc, newest[i] ? 0 : -ENOENT);
		if (rc)
			continue;
		keys++;
		assert_int_equal(size, i % 2 ? 600 : 60);
		assert_int_equal(((char *)value)[size - 1], newest[i]);
		free(value);
	}
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.keys, keys);
}

static int open_at(const struct state *s, uint64_t freeze, banyan **db)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .freeze = freeze };
	return banyan_open(s->path, &o, db);
}

struct found {
	uint64_t numbers[FREEZES + 2];
	unsigned count;
};

static int note_freeze(void *arg, const struct banyan_freeze_info *info)
{
	struct found *f = arg;
	if (!info->automatic)
		f->numbers[f->count++] = info->number;
	return 0;
}

static void every_freeze_can_be_opened_beside_the_writer(void **in)
{
	struct state *s = *in;
	struct found f = { { 0 }, 0 };
	banyan *past[FREEZES];
	for (unsigned n = 1; n <= FREEZES; n++) {
		do_round(s->db, n);
		assert_int_equal(banyan_freeze(s->db), 0);
	}
	/* Newest first */
	assert_int_equal(banyan_freezes(s->db, note_freeze, &f), 0);
	assert_int_equal(f.count, FREEZES);
	for (unsigned n = 1; n <= FREEZES; n++)
		assert_int_equal(
			open_at(s, f.numbers[FREEZES - n], &past[n - 1]), 0);
	/* They stay as they are while the writer goes on */
	for (unsigned n = FREEZES + 1; n < FREEZES + 4; n++) {
		do_round(s->db, n);
		assert_int_equal(banyan_freeze(s->db), 0);
	}
	for (unsigned n = 1; n <= FREEZES; n++) {
		assert_state(past[n - 1], n);
		assert_int_equal(banyan_put(past[n - 1], "k", "v", 1, 0),
				 -EROFS);
		assert_int_equal(banyan_close(past[n - 1]), 0);
	}
	assert_state(s->db, FREEZES + 3);
}

static void a_freeze_that_is_not_there_is_not_found(void **in)
{
	struct state *s = *in;
	struct banyan_options o = { .freeze = 1 };
	struct banyan_stat st;
	banyan *db = NULL;
	do_round(s->db, 1);
	assert_int_equal(banyan_freeze(s->db), 0);
	assert_int_equal(banyan_get_stat(s->db, &st), 0);
	assert_int_equal(open_at(s, st.freezes + 1, &db), -ENOENT);
	assert_int_equal(open_at(s, UINT64_MAX, &db), -ENOENT);
	/* The past cannot be written to */
	assert_int_equal(banyan_open(s->path, &o, &db), -EINVAL);
	assert_null(db);
}

/* ---- many at once ----------------------------------------------------- */

struct crowd {
	const struct state *s;
	_Atomic unsigned round; /* done by the writer */
	_Atomic bool stop;
	_Atomic unsigned opened;
	_Atomic unsigned wrong;
};

/* A handle shows a state between those before and after it was opened */
static void *open_and_look(void *arg)
{
	struct crowd *c = arg;
	while (!c->stop) {
		void *value = NULL;
		size_t size = 0;
		banyan *db = NULL;
		unsigned before = c->round;
		if (open_at(c->s, 0, &db)) {
			c->wrong++;
			break;
		}
		unsigned after = c->round + 1;
		for (unsigned look = 0; look < 3; look++) {
			unsigned seen = 0;
			int rc = banyan_get(db, "round", &value, &size);
			if (rc == 0) {
				memcpy(&seen, value, sizeof(seen));
				free(value);
			}
			if (seen < before || seen > after)
				c->wrong++;
			before = after = seen; /* for ever */
		}
		banyan_close(db);
		c->opened++;
	}
	return NULL;
}

static void many_readers_open_beside_a_writer(void **in)
{
	struct crowd c = { .s = *in };
	pthread_t threads[4];
	char bytes[20000] = { 0 };
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						open_and_look, &c),
				 0);
	for (unsigned n = 1; n <= 1500 || c.opened < 100; n++) {
		assert_int_equal(banyan_begin(c.s->db), 0);
		assert_int_equal(banyan_put(c.s->db, "round", &n, sizeof(n), 0),
				 0);
		assert_int_equal(banyan_put(c.s->db, "bytes", bytes,
					    n % sizeof(bytes), 0),
				 0);
		assert_int_equal(banyan_commit(c.s->db), 0);
		c.round = n;
		if (n % 100 == 0)
			assert_int_equal(banyan_freeze(c.s->db), 0);
	}
	c.stop = true;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	print_message("%u read-only opens beside the writer\n", c.opened);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_freeze_can_be_opened_beside_the_writer),
		TEST(a_freeze_that_is_not_there_is_not_found),
		TEST(many_readers_open_beside_a_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
