/* SPDX-License-Identifier: MIT */
/*
 * Readers beside a batch: through the database they see nothing of it and wait
 * for it in no call, also in the thread that has it open; when it is committed
 * they see all of it, and when it is aborted nothing.
 */
#include "batch_fixture.h"
#include "observe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/support/clock.h"
#include "tests/support/random.h"
#include "tests/support/slow_file.h"

/* ---- what batches do -------------------------------------------------- */

static void make_moment(banyan *db)
{
	static char bytes[3000];
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = "a",
				   .size = 1 };
	banyan_data *d = NULL;
	put(db, "a", "value of a");
	put(db, "b", "value of b");
	put(db, "c", "value of c");
	put(db, "two", "has two keys");
	OK(banyan_alias(db, "two", "too"));
	memset(bytes, 'l', sizeof(bytes));
	OK(banyan_put(db, "long", bytes, sizeof(bytes), 0));
	put(db, "s/in", "in the space");
	put(db, "s/t/deep", "deep");
	OK(banyan_make_space(db, "empty", 0));
	OK(banyan_insert(banyan_root(db), "link", 4, &link, NULL, NULL));
	d = find(db, "b");
	OK(banyan_set_xattr(d, "user.b", "of b", 4, 0));
	banyan_release(d, 1);
}

static const char *const keys[] = { "a",   "b",	   "c",	    "two",
				    "too", "long", "s/in",  "s/t",
				    "s",   "link", "empty", "s/t/deep" };
#define KEYS (sizeof(keys) / sizeof(*keys))

static void rename_it(banyan *b)
{
	OK(banyan_rename(b, "a", "z", 0));
	OK(banyan_rename(b, "z", "s/a", 0));
}

static void alias_it(banyan *b)
{
	OK(banyan_alias(b, "a", "a2"));
	OK(banyan_alias(b, "s/in", "in"));
}

static void rename_and_alias(banyan *b)
{
	OK(banyan_rename(b, "a", "z", 0));
	OK(banyan_alias(b, "z", "a"));
	OK(banyan_remove(b, "z"));
}

static void delete_it(banyan *b)
{
	OK(banyan_remove(b, "a"));
	OK(banyan_remove(b, "two"));
	OK(banyan_remove(b, "too"));
	OK(banyan_remove(b, "link"));
	OK(banyan_remove(b, "empty"));
}

static void delete_and_make_anew(banyan *b)
{
	OK(banyan_remove(b, "a"));
	put(b, "a", "another a");
	OK(banyan_remove(b, "b"));
	OK(banyan_make_space(b, "b", 0));
	put(b, "b/c", "below b");
	OK(banyan_remove(b, "empty"));
	put(b, "empty", "a value now");
}

static void replace_it(banyan *b)
{
	OK(banyan_rename(b, "a", "b", 0));
	OK(banyan_rename(b, "c", "too", 0));
	OK(banyan_make_space(b, "other", 0));
	OK(banyan_rename(b, "other", "empty", 0));
}

static void exchange_it(banyan *b)
{
	OK(banyan_rename(b, "a", "b", BANYAN_EXCHANGE));
	OK(banyan_rename(b, "s/t", "c", BANYAN_EXCHANGE));
	OK(banyan_rename(b, "two", "s/in", BANYAN_EXCHANGE));
}

static void move_a_space(banyan *b)
{
	OK(banyan_rename(b, "s/t", "t", 0));
	OK(banyan_rename(b, "s", "t/s", 0));
	put(b, "t/new", "made in it");
}

static void change_values(banyan *b)
{
	banyan_data *d = find(b, "a");
	OK(banyan_write(d, "VALUE", 5, 0, 0, NULL));
	OK(banyan_set_xattr(d, "user.new", "set", 3, 0));
	banyan_release(d, 1);
	put(b, "b", "put through");
	d = find(b, "b");
	OK(banyan_remove_xattr(d, "user.b"));
	banyan_release(d, 1);
	d = find(b, "long");
	OK(banyan_truncate(d, 100));
	OK(banyan_write(d, "x", 1, 5000, 0, NULL));
	OK(banyan_punch(d, 10, 20, true));
	banyan_release(d, 1);
	d = find(b, "s");
	struct banyan_attr attr = { .mode = 0700 };
	OK(banyan_set_attr(d, &attr, BANYAN_SET_MODE, NULL));
	banyan_release(d, 1);
}

static void use_what_it_holds(banyan *b)
{
	struct banyan_new make = { .mode = 0600, .value = "un", .size = 2 };
	banyan_data *d = NULL;
	OK(banyan_insert_unnamed(b, &make, &d, NULL));
	OK(banyan_write(d, "named", 5, 0, BANYAN_APPEND, NULL));
	OK(banyan_insert_data(banyan_root(b), "named", 5, d));
	banyan_release(d, 1);
	OK(banyan_delete(banyan_root(b), "a", 1, 0, &d));
	OK(banyan_write(d, "still", 5, 0, 0, NULL));
	OK(banyan_insert_data(banyan_root(b), "a again", 7, d));
	banyan_release(d, 1);
	OK(banyan_delete(banyan_root(b), "c", 1, 0, &d));
	assert_data(d, "value of c");
	banyan_release(d, 1);
	OK(banyan_insert_unnamed(b, &make, &d, NULL));
	banyan_release(d, 1);
}

static void do_it_all(banyan *b)
{
	alias_it(b);
	exchange_it(b);
	OK(banyan_rename(b, "b", "moved", 0));
	OK(banyan_alias(b, "moved", "b"));
	OK(banyan_remove(b, "moved"));
	OK(banyan_remove(b, "a"));
	put(b, "a", "made anew");
	OK(banyan_rename(b, "a", "b", 0));
	OK(banyan_remove(b, "a2"));
	OK(banyan_rename(b, "s", "moved space", 0));
	put(b, "s/in", "another space");
	OK(banyan_remove(b, "link"));
}

static const struct {
	const char *name;
	void (*run)(banyan *batch);
} changes[] = {
	{ "rename", rename_it },
	{ "alias", alias_it },
	{ "rename and alias", rename_and_alias },
	{ "delete", delete_it },
	{ "delete and make anew", delete_and_make_anew },
	{ "replace", replace_it },
	{ "exchange", exchange_it },
	{ "move a space", move_a_space },
	{ "change values", change_values },
	{ "use what it holds", use_what_it_holds },
	{ "all", do_it_all },
};
#define CHANGES (sizeof(changes) / sizeof(*changes))

/* ---- what others see -------------------------------------------------- */

struct eye {
	banyan *db;
	banyan_data *held[KEYS]; /* of before the batch */
	banyan_data *found[KEYS]; /* while it is open; NULL: not yet */
	struct observed before;
	struct observed now;
	struct observed in_batch;
};

static void observe_held(struct eye *y, struct observed *o)
{
	o->len = 0;
	for (size_t i = 0; i < KEYS; i++) {
		observed_add(o, "held %s: ", keys[i]);
		observe_data(o, y->held[i]);
	}
	observe(o, y->db);
}

static void open_eye(struct eye *y, bool frozen)
{
	*y = (struct eye){ .db = open_memory() };
	make_moment(y->db);
	if (frozen)
		OK(banyan_freeze(y->db));
	for (size_t i = 0; i < KEYS; i++)
		y->held[i] = find(y->db, keys[i]);
	observe_held(y, &y->before);
}

static void close_eye(struct eye *y)
{
	for (size_t i = 0; i < KEYS; i++) {
		banyan_release(y->held[i], 1);
		banyan_release(y->found[i], 1);
	}
	OK(banyan_freeze(y->db));
	assert_sound(y->db);
	OK(banyan_close(y->db));
}

/* As before, also to who comes now */
static void assert_unchanged(struct eye *y)
{
	observe_held(y, &y->now);
	assert_string_equal(y->now.text, y->before.text);
	for (size_t i = 0; i < KEYS; i++) {
		banyan_release(y->found[i], 1);
		y->found[i] = find(y->db, keys[i]);
		assert_ptr_equal(y->found[i], y->held[i]);
	}
}

static void *look(void *arg)
{
	assert_unchanged(arg);
	return arg;
}

/* In this thread, which has the batch, and in another; neither waits */
static void assert_all_unchanged(struct eye *y)
{
	pthread_t thread;
	void *done = NULL;
	OK(pthread_create(&thread, NULL, look, y));
	OK(test_join(thread, &done, 20));
	assert_ptr_equal(done, y);
	assert_unchanged(y);
}

static void in_batch(struct eye *y, size_t which, banyan **batch)
{
	OK(banyan_begin(y->db, batch));
	assert_all_unchanged(y);
	changes[which].run(*batch);
	y->in_batch.len = 0;
	observe(&y->in_batch, *batch);
	assert_string_not_equal(y->in_batch.text, y->before.text);
	assert_all_unchanged(y);
}

static void no_call_sees_or_waits_for_an_open_batch(void **state)
{
	struct eye *y = calloc(1, sizeof(*y));
	(void)state;
	assert_non_null(y);
	for (size_t i = 0; i < 2 * CHANGES; i++) {
		banyan *batch = NULL;
		open_eye(y, i % 2);
		in_batch(y, i / 2, &batch);
		banyan_abort(batch);
		/* All is as if it had never been begun */
		assert_all_unchanged(y);
		assert_sound(y->db);
		in_batch(y, i / 2, &batch);
		OK(banyan_commit(batch));
		y->now.len = 0;
		observe(&y->now, y->db);
		if (strcmp(y->now.text, y->in_batch.text))
			print_error("%s\n", changes[i / 2].name);
		assert_string_equal(y->now.text, y->in_batch.text);
		/* What is held lives on, wherever it is now */
		observe_held(y, &y->now);
		assert_sound(y->db);
		close_eye(y);
	}
	free(y);
}

/* Found during the batch and not held before: it is where the batch leaves it */
static void what_is_found_beside_a_batch_is_good_afterwards(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * CHANGES; i++) {
		banyan *db = open_memory();
		banyan *batch = NULL;
		banyan_data *d[KEYS];
		uint64_t ids[KEYS];
		make_moment(db);
		for (size_t k = 0; k < KEYS; k++) {
			d[k] = find(db, keys[k]);
			ids[k] = banyan_id(d[k]);
			banyan_release(d[k], 1);
		}
		OK(banyan_begin(db, &batch));
		changes[i / 2].run(batch);
		for (size_t k = 0; k < KEYS; k++) {
			d[k] = find(db, keys[k]);
			assert_int_equal(banyan_id(d[k]), ids[k]);
			assert_true(attr_of(d[k]).nlink > 0);
		}
		if (i % 2)
			OK(banyan_commit(batch));
		else
			banyan_abort(batch);
		for (size_t k = 0; k < KEYS; k++) {
			struct banyan_attr attr = attr_of(d[k]);
			assert_int_equal(attr.id, ids[k]);
			if (S_ISREG(attr.mode)) {
				OK(banyan_write(d[k], "!", 1, 0, 0, NULL));
			}
			OK(banyan_set_xattr(d[k], "user.late", "x", 1, 0));
			assert_int_equal(banyan_get_xattr(d[k], "user.late",
							  NULL, 0),
					 1);
		}
		assert_sound(db);
		for (size_t k = 0; k < KEYS; k++)
			banyan_release(d[k], 1);
		OK(banyan_freeze(db));
		assert_sound(db);
		OK(banyan_close(db));
	}
}

/* ---- all the time ----------------------------------------------------- */

#define COUNT 8u

struct scene {
	banyan *db;
	banyan_data *held[COUNT];
	_Atomic bool stop;
	_Atomic unsigned wrong;
	_Atomic uint64_t reads;
};

static void wrong(struct scene *s, const char *what, long long rc)
{
	if (atomic_fetch_add(&s->wrong, 1) < 10)
		fprintf(stderr, "%s: %lld\n", what, rc);
}

/* The value of a Data says which one it is, wherever its key may be. Keys k0 to
 * k7 are always there. */
static void check_one(struct scene *s, banyan_data *d, int number)
{
	struct banyan_attr attr;
	char byte = 0;
	int rc = banyan_get_attr(d, &attr);
	if (rc || attr.nlink == 0)
		wrong(s, "get_attr", rc);
	ssize_t n = banyan_read(d, &byte, 1, 0);
	if (n != 1 || (number >= 0 && byte != '0' + number))
		wrong(s, "read", n);
	n = banyan_get_xattr(d, "user.n", &byte, 1);
	if (n != 1)
		wrong(s, "get_xattr", n);
}

static void *read_all(void *arg)
{
	struct scene *s = arg;
	uint64_t random = (uint64_t)(uintptr_t)&arg;
	while (!s->stop) {
		unsigned i = (unsigned)test_below(&random, COUNT);
		char name[3] = { 'k', (char)('0' + i), 0 };
		char byte = 0;
		banyan_data *d = NULL;
		check_one(s, s->held[i], (int)i);
		ssize_t n = banyan_fetch(banyan_root(s->db), name, 2, &byte, 1);
		if (n != 1)
			wrong(s, "fetch", n);
		int rc = banyan_search(banyan_root(s->db), name, 2, &d, NULL);
		if (rc)
			wrong(s, "search", rc);
		if (!rc)
			check_one(s, d, -1);
		banyan_release(d, 1);
		s->reads++;
	}
	return NULL;
}

/* Exchange two keys, go by an alias, by a third name; commit or not */
static int shuffle(banyan *db, uint64_t *random)
{
	char from[3] = "k0", to[3] = "k1";
	banyan *batch = NULL;
	int rc = banyan_begin(db, &batch);
	if (rc)
		return rc;
	for (unsigned n = 1 + (unsigned)test_below(random, 4); n && !rc; n--) {
		from[1] = (char)('0' + test_below(random, COUNT));
		to[1] = (char)('0' + test_below(random, COUNT));
		switch (test_below(random, 3)) {
		case 0:
			rc = banyan_rename(batch, from, to, BANYAN_EXCHANGE);
			break;
		case 1:
			rc = banyan_rename(batch, from, "third", 0);
			if (!rc)
				rc = banyan_alias(batch, "third", from);
			if (!rc)
				rc = banyan_remove(batch, "third");
			break;
		default:
			rc = banyan_rename(batch, from, "s/third", 0);
			if (!rc)
				rc = banyan_rename(batch, "s/third", from, 0);
		}
	}
	if (rc || test_below(random, 3) == 0)
		banyan_abort(batch);
	else
		rc = banyan_commit(batch);
	return rc;
}

static void *shuffle_all(void *arg)
{
	struct scene *s = arg;
	uint64_t random = 3;
	while (!s->stop) {
		int rc = shuffle(s->db, &random);
		if (rc)
			wrong(s, "a batch", rc);
	}
	return NULL;
}

static void held_data_are_always_there(void **state)
{
	struct scene s = { .db = open_memory() };
	pthread_t thread[4];
	(void)state;
	OK(banyan_make_space(s.db, "s", 0));
	for (unsigned i = 0; i < COUNT; i++) {
		char name[3] = { 'k', (char)('0' + i), 0 };
		put(s.db, name, name + 1);
		s.held[i] = find(s.db, name);
		OK(banyan_set_xattr(s.held[i], "user.n", "n", 1, 0));
	}
	for (unsigned i = 0; i < 4; i++)
		OK(pthread_create(&thread[i], NULL, i ? read_all : shuffle_all,
				  &s));
	uint64_t end =
		test_now() + (getenv("BANYAN_LONG") ? 20000 : 1200) * TEST_MS;
	while (test_now() < end) {
		usleep(20000);
		OK(banyan_freeze(s.db));
	}
	s.stop = true;
	for (unsigned i = 0; i < 4; i++)
		OK(pthread_join(thread[i], NULL));
	print_message("%llu rounds of reads\n", (unsigned long long)s.reads);
	assert_int_equal(s.wrong, 0);
	assert_true(s.reads > 100);
	assert_sound(s.db);
	for (unsigned i = 0; i < COUNT; i++)
		banyan_release(s.held[i], 1);
	OK(banyan_close(s.db));
}

/* ---- the commit ------------------------------------------------------- */

struct look {
	banyan *db;
	banyan_data *held;
	_Atomic bool stop;
	_Atomic unsigned reads;
	_Atomic unsigned wrong;
};

static void *read_beside(void *arg)
{
	struct look *l = arg;
	struct banyan_attr attr;
	char bytes[100];
	while (!l->stop) {
		banyan_data *d = NULL;
		bool well = !banyan_get_attr(l->held, &attr) &&
			    banyan_read(l->held, bytes, 100, 0) == 10;
		(void)banyan_search(banyan_root(l->db), "a", 1, &d, NULL);
		banyan_release(d, 1);
		l->wrong += !well;
		l->reads++;
	}
	return NULL;
}

/* Does a commit that takes half a second let the reader read? */
static void commit_a_rename(struct look *l, bool back, unsigned *slow,
			    unsigned *waits)
{
	banyan *batch = NULL;
	OK(banyan_begin(l->db, &batch));
	OK(banyan_rename(batch, back ? "b" : "a", back ? "a" : "b", 0));
	unsigned reads = l->reads;
	uint64_t began = test_now();
	OK(banyan_commit(batch));
	if (test_now() - began < 200 * TEST_MS)
		return;
	++*slow;
	*waits += l->reads - reads < 10;
}

/* Its record takes its time; what it moves can be read meanwhile */
static void a_slow_commit_keeps_no_reader_waiting(void **state)
{
	const struct slow slow_appends = { .append = 1000000, .seed = 1 };
	struct banyan_options o = { 0 };
	struct look l = { 0 };
	struct file *below = NULL;
	struct file *f = NULL;
	pthread_t thread;
	unsigned slow = 0, waits = 0;
	(void)state;
	OK(file_memory(&below));
	OK(slow_file_new(below, true, &slow_appends, &f));
	OK(handle_open_file(f, &o, true, &l.db));
	put(l.db, "a", "value of a");
	l.held = find(l.db, "a");
	OK(pthread_create(&thread, NULL, read_beside, &l));
	for (unsigned i = 0; slow < 3 && i < 30; i++)
		commit_a_rename(&l, i % 2, &slow, &waits);
	l.stop = true;
	OK(pthread_join(thread, NULL));
	print_message("%u reads, %u slow commits, %u of them waited for\n",
		      l.reads, slow, waits);
	assert_true(slow >= 2);
	assert_int_equal(waits, 0);
	assert_int_equal(l.wrong, 0);
	banyan_release(l.held, 1);
	OK(banyan_close(l.db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_sees_or_waits_for_an_open_batch),
		cmocka_unit_test(
			what_is_found_beside_a_batch_is_good_afterwards),
		cmocka_unit_test(held_data_are_always_there),
		cmocka_unit_test(a_slow_commit_keeps_no_reader_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
