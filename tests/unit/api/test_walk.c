/* SPDX-License-Identifier: MIT */
/* banyan_walk() where a tree is deep, or not a tree */
#include "api_fixture.h"

#include <sys/stat.h>

#include "api/handle.h"
#include "engine/write.h"
#include "model/rows.h"

/* ---- not a tree ------------------------------------------------------- */

static int count_visits(void *arg, const char *path,
			const struct banyan_entry *entry)
{
	unsigned *visits = arg;
	(void)path;
	(void)entry;
	return ++*visits > 10000 ? 1 : 0;
}

/* A second key, with its way back, that leads to the space `id` */
static void add_second_key(banyan *db, uint64_t space, uint64_t id)
{
	struct row_key key;
	struct buf value = BUF_INIT;
	struct txn *c = NULL;
	assert_int_equal(
		store_write_begin(db->store, OPERATION_BATCH, true, &c), 0);
	row_key_name(&key, space, "zz", 2);
	assert_int_equal(reference_encode(id, S_IFDIR, &value), 0);
	assert_int_equal(txn_put(c, &key, &value), 0);
	row_key_link(&key, id, space, "zz", 2);
	assert_int_equal(txn_put_empty(c, &key), 0);
	assert_int_equal(store_write_end(db->store, 0), 0);
	buf_free(&value);
}

/* Forty levels with two ways down each would be 2^40 visits */
static void a_walk_ends_where_a_space_has_two_keys(void **state)
{
	banyan *db = NULL;
	char path[200] = "";
	uint64_t space = BANYAN_ROOT_ID;
	unsigned visits = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	for (unsigned i = 0; i < 40; i++) {
		strcat(path, "/aa");
		assert_int_equal(banyan_make_space(db, path, 0), 0);
		banyan_data *d = find(db, path);
		add_second_key(db, space, banyan_id(d));
		space = banyan_id(d);
		banyan_release(d, 1);
	}
	assert_int_equal(banyan_walk(db, "", NULL, true, count_visits, &visits),
			 -EUCLEAN);
	assert_int_equal(banyan_close(db), 0);
}

/* A hostile file: the key space with which a walk begins lies below itself, and
 * each key space on the way has one key */
static void a_walk_ends_where_it_comes_back_to_its_beginning(void **state)
{
	struct row_key link;
	struct txn *txn = NULL;
	banyan *db = NULL;
	unsigned visits = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_make_space(db, "a/b/c", BANYAN_PARENTS), 0);
	banyan_data *a = find(db, "a");
	banyan_data *c = find(db, "a/b/c");
	add_second_key(db, banyan_id(c), banyan_id(a));
	assert_int_equal(
		store_write_begin(db->store, OPERATION_BATCH, true, &txn), 0);
	row_key_link(&link, banyan_id(a), BANYAN_ROOT_ID, "a", 1);
	assert_int_equal(txn_delete(txn, &link), 0);
	assert_int_equal(store_write_end(db->store, 0), 0);
	assert_int_equal(banyan_walk(db, "a", NULL, true, count_visits,
				     &visits),
			 -ELOOP);
	assert_int_equal(visits, 3);
	banyan_release(a, 1);
	banyan_release(c, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* ---- deep trees ------------------------------------------------------- */

#define LEVELS 10000u

/* In each key space "a", "m" and "z", where m is the next key space */
static void make_deep(banyan *db)
{
	struct banyan_new file = { .mode = S_IFREG | 0644 };
	struct banyan_new space = { .mode = S_IFDIR | 0755 };
	banyan_data *at = banyan_root(db);
	banyan_data *below = NULL;
	for (unsigned i = 0; i < LEVELS; i++) {
		assert_int_equal(banyan_insert(at, "a", 1, &file, NULL, NULL),
				 0);
		assert_int_equal(banyan_insert(at, "z", 1, &file, NULL, NULL),
				 0);
		assert_int_equal(
			banyan_insert(at, "m", 1, &space, &below, NULL), 0);
		banyan_release(at, 1);
		at = below;
	}
	banyan_release(at, 1);
}

/* The keys in the order in which a walk comes to them */
struct deep_walk {
	bool reverse;
	bool up; /* it is on its way up again */
	unsigned level;
	uint64_t visits;
};

static int visit_deep(void *arg, const char *path,
		      const struct banyan_entry *entry)
{
	struct deep_walk *w = arg;
	char name = w->reverse == w->up ? 'a' : 'z';
	bool space = entry->name[0] == 'm';
	if (space) {
		assert_true(w->visits % 2 && !w->up);
		w->level++;
		w->up = w->level == LEVELS;
	} else {
		assert_int_equal(entry->name[0], name);
		w->level -= w->up;
	}
	w->visits++;
	assert_int_equal(strlen(path), 2 * (w->level - space) + 1);
	return 0;
}

static void a_walk_goes_as_deep_as_the_tree(void **state)
{
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	make_deep(db);
	for (unsigned i = 0; i < 2; i++) {
		struct deep_walk w = { .reverse = i };
		struct banyan_range r = { .reverse = i, .names_only = true };
		assert_int_equal(banyan_walk(db, "", &r, true, visit_deep, &w),
				 0);
		assert_int_equal(w.visits, 3 * LEVELS);
		assert_int_equal(w.level, 0);
	}
	/* What of the first level is wanted holds when it is come back to */
	struct deep_walk w = { 0 };
	struct banyan_range r = {
		.from = "m", .from_len = 1, .to = "n", .to_len = 1
	};
	w.visits = 1;
	assert_int_equal(banyan_walk(db, "", &r, true, visit_deep, &w), 0);
	assert_int_equal(w.visits, 1 + 3 * LEVELS - 2);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_ends_where_a_space_has_two_keys),
		cmocka_unit_test(a_walk_goes_as_deep_as_the_tree),
		cmocka_unit_test(
			a_walk_ends_where_it_comes_back_to_its_beginning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
