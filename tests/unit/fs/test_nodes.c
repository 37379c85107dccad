/* SPDX-License-Identifier: MIT */
/*
 * The set of nodes against a plain array of counts. The library is played by
 * banyan_release() below: a Data is a place in an array.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "fs/nodes.h"

#define DATA 5000

struct banyan_data {
	uint64_t holds;
	uint64_t bytes[6]; /* about as far apart as real ones */
};

static struct banyan_data world[DATA];

void banyan_release(banyan_data *data, uint64_t times)
{
	assert_true(data->holds >= times);
	data->holds -= times;
}

static int reset(void **state)
{
	(void)state;
	for (size_t i = 0; i < DATA; i++)
		world[i].holds = 0;
	return 0;
}

static void add(struct nodes *nodes, struct banyan_data *data)
{
	data->holds++;
	assert_int_equal(nodes_add(nodes, data), 0);
}

static void releases_as_often_as_was_held(void **state)
{
	struct nodes *nodes = nodes_new();

	(void)state;
	add(nodes, &world[1]);
	add(nodes, &world[1]);
	add(nodes, &world[2]);
	assert_int_equal(nodes_count(nodes), 2);
	nodes_drop(nodes, &world[1], 1);
	assert_int_equal(world[1].holds, 1);
	nodes_drop(nodes, &world[1], 1);
	assert_int_equal(world[1].holds, 0);
	assert_int_equal(nodes_count(nodes), 1);
	nodes_free(nodes);
}

static void never_releases_more_than_was_held(void **state)
{
	struct nodes *nodes = nodes_new();

	(void)state;
	add(nodes, &world[1]);
	nodes_drop(nodes, &world[1], 1000);
	nodes_drop(nodes, &world[1], 1);
	nodes_drop(nodes, &world[3], 1);
	assert_int_equal(world[1].holds, 0);
	nodes_free(nodes);
}

static void releases_all_that_is_left_at_the_end(void **state)
{
	struct nodes *nodes = nodes_new();

	(void)state;
	for (size_t i = 0; i < DATA; i++)
		for (size_t n = 0; n <= i % 3; n++)
			add(nodes, &world[i]);
	nodes_free(nodes);
	for (size_t i = 0; i < DATA; i++)
		assert_int_equal(world[i].holds, 0);
	nodes_free(NULL);
}

static void remembers_what_is_plain_until_it_is_forgotten(void **state)
{
	struct nodes *nodes = nodes_new();

	(void)state;
	nodes_set_plain(nodes, &world[1], true); /* unknown: no effect */
	add(nodes, &world[1]);
	assert_false(nodes_plain(nodes, &world[1]));
	nodes_set_plain(nodes, &world[1], true);
	add(nodes, &world[1]);
	nodes_drop(nodes, &world[1], 1);
	assert_true(nodes_plain(nodes, &world[1]));
	nodes_set_plain(nodes, &world[1], false);
	assert_false(nodes_plain(nodes, &world[1]));
	nodes_set_plain(nodes, &world[1], true);
	nodes_drop(nodes, &world[1], 1);
	assert_int_equal(world[1].holds, 0);
	add(nodes, &world[1]);
	assert_false(nodes_plain(nodes, &world[1]));
	nodes_free(nodes);
}

static void random_traffic_matches_a_model(void **state)
{
	const char *given = getenv("BANYAN_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) :
				(unsigned)time(NULL);
	struct nodes *nodes = nodes_new();
	static bool plain[DATA];

	(void)state;
	print_message("BANYAN_SEED=%u\n", seed);
	srandom(seed);
	for (size_t step = 0; step < 300000; step++) {
		/* Grow over the first half, shrink over the second */
		bool grow = (random() % 3 == 0) == (step >= 150000);
		size_t i = (size_t)random() % DATA;
		struct banyan_data *data = &world[i];
		uint64_t before = data->holds;

		assert_int_equal(nodes_plain(nodes, data), before && plain[i]);
		if (grow) {
			add(nodes, data);
			if (!before)
				plain[i] = false;
		} else if (before) {
			uint64_t n = 1 + (uint64_t)random() % before;

			nodes_drop(nodes, data, n);
			assert_int_equal(data->holds, before - n);
		}
		if (step % 7 == 0 && data->holds) {
			plain[i] = !plain[i];
			nodes_set_plain(nodes, data, plain[i]);
		}
	}
	nodes_free(nodes);
	for (size_t i = 0; i < DATA; i++)
		assert_int_equal(world[i].holds, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(releases_as_often_as_was_held, reset),
		cmocka_unit_test_setup(never_releases_more_than_was_held,
				       reset),
		cmocka_unit_test_setup(releases_all_that_is_left_at_the_end,
				       reset),
		cmocka_unit_test_setup(
			remembers_what_is_plain_until_it_is_forgotten, reset),
		cmocka_unit_test_setup(random_traffic_matches_a_model, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
