/* SPDX-License-Identifier: MIT */
/* banyan_diff() beside a model: what two walks over both states find */
#include "api_fixture.h"

#include <sys/stat.h>

#include "tests/support/random.h"

/* ---- what a diff says ------------------------------------------------- */

static int note(void *arg, const struct banyan_change *c)
{
	char *said = arg;
	const char *sign = !c->before ? "+" : !c->after ? "-" : "~";
	sprintf(said + strlen(said), "%s%s ", sign, c->path);
	return 0;
}

static void assert_diff(banyan *before, banyan *after, const char *wanted)
{
	char said[4096] = "";
	OK(banyan_diff(before, after, note, said));
	assert_string_equal(said, wanted);
}

static banyan *view_of(banyan *db)
{
	banyan *view = NULL;
	OK(banyan_view(db, &view));
	return view;
}

static void keys_that_come_and_go(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	put(db, "b", "2");
	put(db, "s/t/k", "3");
	banyan *before = view_of(db);
	assert_diff(before, db, "");
	put(db, "c", "4");
	put(db, "b", "other");
	put(db, "s/t/k2", "5");
	OK(banyan_remove(db, "a"));
	assert_diff(before, db, "-a ~b +c +s/t/k2 ");
	assert_diff(db, before, "+a ~b -c -s/t/k2 ");
	OK(banyan_freeze(db));
	assert_diff(before, db, "-a ~b +c +s/t/k2 ");
	OK(banyan_rename(db, "s/t", "u", 0));
	/* With a key space all that is in it has moved */
	assert_diff(before, db, "-a ~b +c +u -s/t +u/k2 ");
	OK(banyan_close(before));
	OK(banyan_close(db));
}

/* All keys of a Data that was changed, whatever it lives in */
static void aliases(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	put(db, "s/k", "2");
	OK(banyan_alias(db, "a", "s/a"));
	banyan *before = view_of(db);
	put(db, "a", "more");
	assert_diff(before, db, "~a ~s/a ");
	OK(banyan_alias(db, "a", "z"));
	assert_diff(before, db, "+z ~a ~s/a ");
	OK(banyan_close(before));
	/* To get an alias is a change: the ctime and the count of links are */
	before = view_of(db);
	OK(banyan_alias(db, "s/k", "y"));
	assert_diff(before, db, "+y ~s/k ");
	OK(banyan_remove(db, "y"));
	OK(banyan_close(before));
	before = view_of(db);
	OK(banyan_remove(db, "z"));
	assert_diff(before, db, "-z ~a ~s/a ");
	OK(banyan_close(before));
	OK(banyan_close(db));
}

static void attributes(void **state)
{
	banyan *db = open_memory();
	struct banyan_attr attr = { .mode = 0700 };
	(void)state;
	put(db, "a", "1");
	put(db, "s/k", "2");
	banyan_data *a = find(db, "a"), *s = find(db, "s");
	banyan *before = view_of(db);
	OK(banyan_set_xattr(a, "user.x", "1", 1, 0));
	assert_diff(before, db, "~a ");
	OK(banyan_set_attr(s, &attr, BANYAN_SET_MODE, NULL));
	assert_diff(before, db, "~a ~s ");
	OK(banyan_close(before));
	before = view_of(db);
	OK(banyan_set_xattr(s, "user.x", "1", 1, 0));
	assert_diff(before, db, "~s ");
	OK(banyan_close(before));
	banyan_release(a, 1);
	banyan_release(s, 1);
	OK(banyan_close(db));
}

/* Another Data with the same key is another value */
static void replaced_keys(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	put(db, "b", "1");
	banyan *before = view_of(db);
	OK(banyan_rename(db, "b", "a", 0));
	assert_diff(before, db, "~a -b ");
	OK(banyan_close(before));
	OK(banyan_close(db));
}

static void states_of_two_databases_are_not_compared(void **state)
{
	banyan *db = open_memory(), *other = open_memory();
	(void)state;
	assert_int_equal(banyan_diff(db, other, note, NULL), -EXDEV);
	OK(banyan_close(db));
	OK(banyan_close(other));
}

static int stop(void *arg, const struct banyan_change *change)
{
	(void)change;
	return ++*(int *)arg == 2 ? 77 : 0;
}

static void a_visit_can_end_it(void **state)
{
	banyan *db = open_memory();
	int seen = 0;
	(void)state;
	banyan *before = view_of(db);
	for (char key[2] = "a"; *key < 'f'; ++*key)
		put(db, key, "value");
	assert_int_equal(banyan_diff(before, db, stop, &seen), 77);
	assert_int_equal(seen, 2);
	OK(banyan_close(before));
	OK(banyan_close(db));
}

/* Where extents lie does not matter */
static void a_vacuum_changes_nothing(void **state)
{
	static char bytes[100000];
	banyan *db = open_memory();
	(void)state;
	put(db, "s/k", "value");
	memset(bytes, 7, sizeof(bytes));
	OK(banyan_put(db, "long", bytes, sizeof(bytes), 0));
	OK(banyan_put(db, "other", bytes, 50000, 0));
	OK(banyan_alias(db, "long", "s/long"));
	OK(banyan_remove(db, "other"));
	banyan *before = view_of(db);
	OK(banyan_vacuum(db, NULL, NULL));
	assert_diff(before, db, "");
	put(db, "s/k", "new");
	assert_diff(before, db, "~s/k ");
	OK(banyan_close(before));
	OK(banyan_close(db));
}

/* ---- beside a model --------------------------------------------------- */

#define SPACES 4u
#define NAMES 40u
#define KEYS (SPACES * NAMES)

struct keys {
	uint64_t version[KEYS]; /* of the value; 0: there is no such key */
};

static void path_of(unsigned i, char *path)
{
	unsigned space = i / NAMES;
	if (space)
		sprintf(path, "s%u/k%u", space, i % NAMES);
	else
		sprintf(path, "k%u", i);
}

static void change_some(banyan *db, struct keys *now, uint64_t *random,
			uint64_t *version, unsigned count)
{
	char path[32], value[32];
	while (count--) {
		unsigned i = (unsigned)test_below(random, KEYS);
		path_of(i, path);
		if (now->version[i] && test_below(random, 3) == 0) {
			OK(banyan_remove(db, path));
			now->version[i] = 0;
		} else {
			sprintf(value, "%llu", (unsigned long long)++*version);
			put(db, path, value);
			now->version[i] = *version;
		}
		if (test_below(random, 200) == 0)
			OK(banyan_freeze(db));
	}
}

struct comparison {
	const struct keys *before, *after;
	bool seen[KEYS];
};

static int check_change(void *arg, const struct banyan_change *change)
{
	struct comparison *c = arg;
	char path[32];
	unsigned i = 0;
	for (; i < KEYS; i++) {
		path_of(i, path);
		if (strcmp(path, change->path) == 0)
			break;
	}
	assert_true(i < KEYS);
	assert_false(c->seen[i]);
	c->seen[i] = true;
	assert_int_equal(change->before != NULL, c->before->version[i] != 0);
	assert_int_equal(change->after != NULL, c->after->version[i] != 0);
	assert_true(c->before->version[i] != c->after->version[i]);
	return 0;
}

static void compare(banyan *x, const struct keys *before, banyan *y,
		    const struct keys *after)
{
	struct comparison c = { .before = before, .after = after };
	OK(banyan_diff(x, y, check_change, &c));
	for (unsigned i = 0; i < KEYS; i++)
		if (before->version[i] != after->version[i])
			assert_true(c.seen[i]);
}

#define STATES 12u

static void any_two_states(void **state)
{
	uint64_t random = test_seed(), version = 0;
	struct keys keys[STATES] = { 0 };
	banyan *views[STATES];
	banyan *db = open_memory();
	(void)state;
	for (unsigned i = 1; i < SPACES; i++) {
		char path[8];
		sprintf(path, "s%u", i);
		OK(banyan_make_space(db, path, 0));
	}
	for (unsigned i = 0; i < STATES; i++) {
		if (i)
			keys[i] = keys[i - 1];
		change_some(db, &keys[i], &random, &version,
			    (unsigned)test_below(&random, 300));
		views[i] = view_of(db);
	}
	for (unsigned i = 0; i < STATES; i++)
		for (unsigned k = 0; k < STATES; k++)
			compare(views[i], &keys[i], views[k], &keys[k]);
	for (unsigned i = 0; i < STATES; i++)
		OK(banyan_close(views[i]));
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_that_come_and_go),
		cmocka_unit_test(aliases),
		cmocka_unit_test(attributes),
		cmocka_unit_test(replaced_keys),
		cmocka_unit_test(states_of_two_databases_are_not_compared),
		cmocka_unit_test(a_visit_can_end_it),
		cmocka_unit_test(a_vacuum_changes_nothing),
		cmocka_unit_test(any_two_states),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
