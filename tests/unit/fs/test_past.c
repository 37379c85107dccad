/* SPDX-License-Identifier: MIT */
/*
 * Trees of the past as the kernel sees them. tests/mount/past.sh has the rest.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/options.h"
#include "fs/past.h"

static struct {
	struct options options;
	struct fs fs;
	struct hidden_node at, other; /* the directories */
} w;

static int open_all(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.fs.options = &w.options;
	w.at.ino = hidden_fixed_ino(HIDDEN_AT);
	w.other.ino = hidden_fixed_ino(HIDDEN_SNAPSHOTS);
	return banyan_open(":memory:", NULL, &w.fs.db) ||
	       views_new(&w.fs, &w.fs.views) || past_new(&w.fs, &w.fs.past);
}

static int close_all(void **state)
{
	(void)state;
	past_free(w.fs.past);
	views_free(w.fs.views);
	return banyan_close(w.fs.db);
}

/* Freeze number n is the first that has value n; there are so many */
static void make_freezes(unsigned count)
{
	char text[8];

	for (unsigned i = 1; i <= count; i++) {
		snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(banyan_put(w.fs.db, "d/f", text, strlen(text),
					    BANYAN_PARENTS),
				 0);
		assert_int_equal(banyan_freeze(w.fs.db), 0);
	}
}

static int take_number(void *arg, const struct banyan_freeze_info *f)
{
	*(uint64_t *)arg = f->number;
	return 1;
}

static uint64_t newest(void)
{
	uint64_t n = 0;

	assert_int_equal(banyan_freezes(w.fs.db, take_number, &n), 1);
	return n;
}

/* A name is the number of a freeze, and what follows makes it another name */
static int resolve(struct fs *fs, const char *name, struct moment *m)
{
	(void)fs;
	*m = (struct moment){ .freeze = strtoull(name, NULL, 10) };
	return m->freeze ? 0 : -ENOENT;
}

static int enter_name(const struct hidden_node *dir, const char *name,
		      struct fuse_entry_param *e)
{
	return past_enter(w.fs.past, dir, name, resolve, e);
}

static struct past_node *enter(const char *name)
{
	struct fuse_entry_param e;

	assert_int_equal(enter_name(&w.at, name, &e), 0);
	assert_true(hidden_is(e.ino));
	assert_true(e.entry_timeout < 1);
	return past_node(e.ino);
}

static struct past_node *find(struct past_node *parent, const char *name)
{
	struct fuse_entry_param e;
	struct banyan_attr attr;
	banyan_data *space, *data;

	assert_int_equal(past_get(parent, &space), 0);
	assert_int_equal(banyan_search(space, name, strlen(name), &data, &attr),
			 0);
	assert_int_equal(past_add(parent, name, data, &attr, &e), 0);
	past_put(parent);
	assert_int_equal(e.attr.st_ino, hidden_ino(&attr));
	return past_node(e.ino);
}

static void reads(struct past_node *node, const char *text)
{
	char buffer[16] = { 0 };
	banyan_data *data;

	assert_int_equal(past_get(node, &data), 0);
	assert_int_equal(banyan_read(data, buffer, sizeof(buffer), 0),
			 strlen(text));
	past_put(node);
	assert_string_equal(buffer, text);
}

static void drop(struct past_node *node, uint64_t times)
{
	struct hidden_node *head = (struct hidden_node *)node;

	head->forget(head, times);
}

/* ---- the tests ------------------------------------------------------------ */

static void a_name_is_one_tree_and_a_moment_one_view(void **state)
{
	struct past_node *a, *b, *f, *g;
	char name[32], other[32];

	(void)state;
	make_freezes(2);
	snprintf(name, sizeof(name), "%ju", (uintmax_t)newest());
	snprintf(other, sizeof(other), "0%ju", (uintmax_t)newest());
	a = enter(name);
	assert_ptr_equal(enter(name), a);
	b = enter(other);
	assert_ptr_not_equal(a, b);
	assert_int_equal(views_awake(w.fs.views), 1);
	f = find(find(a, "d"), "f");
	g = find(find(b, "d"), "f");
	assert_ptr_not_equal(f, g);
	assert_int_equal(((struct hidden_node *)f)->ino,
			 ((struct hidden_node *)g)->ino);
	reads(f, "2");
	reads(g, "2");
}

static void it_goes_when_the_kernel_forgets_it(void **state)
{
	struct past_node *a, *d, *f;
	char name[32];

	(void)state;
	make_freezes(1);
	snprintf(name, sizeof(name), "%ju", (uintmax_t)newest());
	a = enter(name);
	enter(name);
	d = find(a, "d");
	f = find(d, "f");
	assert_ptr_equal(find(d, "f"), f);
	drop(a, 2);
	drop(d, 1);
	drop(f, 1);
	reads(f, "1");
	assert_int_equal(views_awake(w.fs.views), 1);
	drop(f, 1);
	assert_int_equal(views_awake(w.fs.views), 0);
}

static void nodes_outlive_the_sleep_of_their_view(void **state)
{
	struct past_node *a, *d, *f;
	char name[32];

	(void)state;
	make_freezes(2);
	snprintf(name, sizeof(name), "%ju", (uintmax_t)newest() - 1);
	a = enter(name);
	d = find(a, "d");
	f = find(d, "f");
	for (int i = 0; i < 3; i++) {
		views_sleep(w.fs.views);
		assert_int_equal(views_awake(w.fs.views), 0);
		reads(f, "1");
		assert_ptr_equal(find(d, "f"), f);
		assert_ptr_equal(enter(name), a);
		assert_int_equal(views_awake(w.fs.views), 1);
	}
	views_sleep(w.fs.views);
	drop(f, 4); /* while it sleeps */
	assert_ptr_not_equal(find(d, "f"), NULL);
}

/* The kernel forgets in any order, and may ask again meanwhile */
static void a_root_that_was_forgotten_comes_back(void **state)
{
	struct past_node *a, *d, *f;
	uint64_t ino;
	char name[32];

	(void)state;
	make_freezes(1);
	snprintf(name, sizeof(name), "%ju", (uintmax_t)newest());
	a = enter(name);
	ino = ((struct hidden_node *)a)->ino;
	d = find(a, "d");
	f = find(d, "f");
	drop(a, 1);
	drop(d, 1);
	a = enter(name);
	assert_int_equal(((struct hidden_node *)a)->ino, ino);
	d = find(a, "d");
	assert_ptr_equal(find(d, "f"), f);
	assert_int_equal(past_parent_ino(d), ino);
	assert_int_equal(past_parent_ino(a), hidden_fixed_ino(HIDDEN_AT));
}

static void what_is_not_there_leaves_nothing(void **state)
{
	struct fuse_entry_param e;

	(void)state;
	make_freezes(1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(enter_name(&w.at, "0", &e), -ENOENT);
		assert_int_equal(enter_name(&w.at, "99", &e), -ENOENT);
	}
	assert_int_equal(views_awake(w.fs.views), 0);
}

static void few_views_are_open_at_a_time(void **state)
{
	struct past_node *f[100];
	uint64_t last;
	char name[32];

	(void)state;
	make_freezes(100);
	last = newest();
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%ju", (uintmax_t)(last - 99 + i));
		f[i] = find(find(enter(name), "d"), "f");
		assert_true(views_awake(w.fs.views) <= 32);
	}
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%u", i + 1);
		reads(f[i], name);
	}
	assert_true(views_awake(w.fs.views) <= 32);
}

static void names_lead_elsewhere_and_nodes_do_not(void **state)
{
	struct past_node *a, *b;
	char one[32], two[32];

	(void)state;
	make_freezes(2);
	snprintf(one, sizeof(one), "%ju", (uintmax_t)newest() - 1);
	snprintf(two, sizeof(two), "%ju", (uintmax_t)newest());
	a = enter(one);
	b = enter(two);
	past_rename(w.fs.past, &w.at, one, two);
	assert_ptr_equal(enter(two), a);
	assert_ptr_not_equal(enter(one), a);
	reads(find(find(a, "d"), "f"), "1");
	reads(find(find(b, "d"), "f"), "2");
	past_leave(w.fs.past, &w.at, two);
	assert_ptr_not_equal(enter(two), a);
	reads(find(find(a, "d"), "f"), "1");
	past_leave(w.fs.past, &w.at, "nothing");
	past_rename(w.fs.past, &w.at, "nothing", "x");
}

static struct past_node *shared;
static int rounds = 2000;

static void *read_much(void *arg)
{
	(void)arg;
	for (int i = 0; i < rounds; i++)
		reads(shared, "1");
	return NULL;
}

static void readers_go_on_while_views_sleep(void **state)
{
	pthread_t threads[3];
	char name[32];

	(void)state;
	make_freezes(1);
	snprintf(name, sizeof(name), "%ju", (uintmax_t)newest());
	shared = find(find(enter(name), "d"), "f");
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, read_much, NULL);
	for (int i = 0; i < 200; i++)
		views_sleep(w.fs.views);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* ---- inode numbers --------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void inode_numbers_differ(void **state)
{
	enum { IDS = 1000, TIMES = 300 };
	uint64_t *all = malloc(sizeof(*all) * IDS * TIMES);
	struct banyan_attr attr = { .ctime = { 1780228800, 999999900 } };
	uint64_t flipped = 0;
	size_t n = 0;

	(void)state;
	assert_non_null(all);
	for (attr.id = 1; attr.id <= IDS; attr.id++) {
		attr.ctime = (struct banyan_time){ 1780228800, 999999900 };
		for (int i = 0; i < TIMES; i++) {
			all[n] = hidden_ino(&attr);
			assert_true(all[n] >> 63);
			assert_true(all[n] >= hidden_fixed_ino(HIDDEN_FIXED));
			if (i)
				flipped += (uint64_t)__builtin_popcountll(
					all[n] ^ all[n - 1]);
			n++;
			if (++attr.ctime.nsec == 1000000000)
				attr.ctime = (struct banyan_time){
					attr.ctime.sec + 1, 0
				};
		}
	}
	/* the next nanosecond changes half of the bits */
	assert_in_range(flipped / (IDS * (TIMES - 1)), 30, 32);
	qsort(all, n, sizeof(*all), compare);
	for (size_t i = 1; i < n; i++)
		assert_int_not_equal(all[i - 1], all[i]);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
		T(a_name_is_one_tree_and_a_moment_one_view),
		T(it_goes_when_the_kernel_forgets_it),
		T(nodes_outlive_the_sleep_of_their_view),
		T(a_root_that_was_forgotten_comes_back),
		T(what_is_not_there_leaves_nothing),
		T(few_views_are_open_at_a_time),
		T(names_lead_elsewhere_and_nodes_do_not),
		T(readers_go_on_while_views_sleep),
		cmocka_unit_test(inode_numbers_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
