/* SPDX-License-Identifier: MIT */
/*
 * banyan_find_id(), banyan_held() and the tag of a held Data: wherever a Data lives,
 * its id leads to it, also beside a writer that moves it all the time.
 */
#include "api_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp.h"

static uint64_t id_of(banyan *db, const char *path)
{
	banyan_data *d = find(db, path);
	uint64_t id = banyan_id(d);
	banyan_release(d, 1);
	return id;
}

/* It is there, and nobody holds it before or after */
static void assert_found(banyan *db, uint64_t id, const char *value)
{
	banyan_data *d = NULL;
	assert_null(banyan_held(db, id));
	OK(banyan_find_id(db, id, &d));
	assert_int_equal(banyan_id(d), id);
	assert_ptr_equal(banyan_held(db, id), d);
	if (value)
		assert_data(d, value);
	banyan_release(d, 1);
	assert_null(banyan_held(db, id));
}

static void assert_gone(banyan *db, uint64_t id)
{
	banyan_data *d = NULL;
	assert_int_equal(banyan_find_id(db, id, &d), -ESTALE);
	assert_null(d);
}

static void make(banyan *db)
{
	char path[32];
	for (unsigned i = 0; i < 500; i++) {
		sprintf(path, "a/b%u/%u", i % 7, i);
		put(db, path, path);
	}
}

static void finds_each_Data_wherever_it_lives(void **state)
{
	banyan *db = open_memory();
	char path[32];
	(void)state;
	make(db);
	OK(banyan_alias(db, "a/b1/1", "alias"));
	OK(banyan_alias(db, "a/b2/2", "was an alias"));
	OK(banyan_remove(db, "a/b2/2"));
	OK(banyan_rename(db, "a/b3/3", "a/b4/moved", 0));
	uint64_t moved = id_of(db, "a/b4/moved");
	for (unsigned frozen = 0; frozen < 2; frozen++) {
		assert_found(db, moved, "a/b3/3");
		assert_found(db, id_of(db, "alias"), "a/b1/1");
		assert_found(db, id_of(db, "was an alias"), "a/b2/2");
		assert_found(db, id_of(db, "a/b5"), NULL);
		for (unsigned i = 5; i < 500; i++) {
			sprintf(path, "a/b%u/%u", i % 7, i);
			assert_found(db, id_of(db, path), path);
		}
		OK(banyan_freeze(db));
	}
	OK(banyan_close(db));
}

static void says_what_is_gone(void **state)
{
	banyan *db = open_memory();
	struct banyan_new new = { .mode = S_IFREG | 0600 };
	banyan_data *d = NULL;
	(void)state;
	make(db);
	uint64_t file = id_of(db, "a/b1/1"), aliased = id_of(db, "a/b2/2");
	put(db, "space/file", "x");
	uint64_t space = id_of(db, "space");
	OK(banyan_alias(db, "a/b2/2", "alias"));
	OK(banyan_remove(db, "a/b2/2"));
	OK(banyan_remove(db, "alias"));
	OK(banyan_remove(db, "a/b1/1"));
	OK(banyan_remove(db, "space/file"));
	OK(banyan_remove(db, "space"));
	for (unsigned frozen = 0; frozen < 2; frozen++) {
		assert_gone(db, file);
		assert_gone(db, aliased);
		assert_gone(db, space);
		assert_gone(db, 0);
		assert_gone(db, stat_of(db).next_id);
		assert_gone(db, UINT64_MAX);
		OK(banyan_freeze(db));
	}
	/* Without a key: until it gets one, also if somebody holds it */
	OK(banyan_insert_unnamed(db, &new, &d, NULL));
	assert_gone(db, banyan_id(d));
	OK(banyan_insert_data(banyan_root(db), "now", 3, d));
	uint64_t id = banyan_id(d);
	banyan_release(d, 1);
	assert_found(db, id, "");
	d = find(db, "now");
	OK(banyan_remove(db, "now"));
	assert_ptr_equal(banyan_held(db, id), d);
	assert_gone(db, id);
	banyan_release(d, 1);
	assert_gone(db, id);
	OK(banyan_close(db));
}

static void ids_lead_to_the_same_after_another_open(void **state)
{
	char dir[TEMP_MAX], path[TEMP_FILE_MAX];
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	banyan_data *root = NULL;
	(void)state;
	OK(temp_directory(dir, TEMP_IN_MEMORY));
	temp_path(path, dir, "db");
	OK(banyan_open(path, &o, &db));
	make(db);
	uint64_t file = id_of(db, "a/b1/400"), space = id_of(db, "a/b1");
	OK(banyan_close(db));
	OK(banyan_open(path, NULL, &db));
	assert_found(db, file, "a/b1/400");
	assert_found(db, space, NULL);
	OK(banyan_find_id(db, BANYAN_ROOT_ID, &root));
	assert_ptr_equal(root, banyan_root(db));
	assert_ptr_equal(banyan_held(db, BANYAN_ROOT_ID), root);
	OK(banyan_close(db));
	OK(unlink(path));
	OK(rmdir(dir));
}

static void each_kind_of_handle_finds_what_it_shows(void **state)
{
	banyan *db = open_memory(), *view = NULL, *batch = NULL;
	(void)state;
	make(db);
	uint64_t file = id_of(db, "a/b1/1"), other = id_of(db, "a/b2/2");
	OK(banyan_view(db, &view));
	OK(banyan_remove(db, "a/b1/1"));
	put(db, "later", "x");
	uint64_t later = id_of(db, "later");
	assert_found(view, file, "a/b1/1");
	assert_gone(view, later);
	assert_gone(db, file);
	assert_found(db, later, "x");
	OK(banyan_begin(db, &batch));
	put(batch, "new", "of the batch");
	OK(banyan_rename(batch, "a/b2/2", "renamed", 0));
	OK(banyan_remove(batch, "later"));
	uint64_t new = id_of(batch, "new");
	assert_found(batch, new, "of the batch");
	assert_found(batch, other, "a/b2/2");
	assert_gone(batch, later);
	assert_gone(db, new);
	assert_found(db, other, "a/b2/2");
	assert_found(db, later, "x");
	OK(banyan_commit(batch));
	assert_found(db, new, "of the batch");
	assert_found(db, other, "a/b2/2");
	assert_gone(db, later);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

static void the_home_is_the_space_of_the_only_key(void **state)
{
	banyan *db = open_memory();
	banyan *view = NULL;
	(void)state;
	put(db, "s/a", "x");
	put(db, "t/b", "y");
	banyan_data *a = find(db, "s/a");
	banyan_data *space = find(db, "s");
	assert_int_equal(banyan_home(a), banyan_id(space));
	assert_int_equal(banyan_home(space), 0);
	OK(banyan_rename(db, "s/a", "t/a", 0));
	assert_int_equal(banyan_home(a), id_of(db, "t"));
	OK(banyan_view(db, &view));
	banyan_data *seen = find(view, "t/a");
	assert_int_equal(banyan_home(seen), 0);
	banyan_release(seen, 1);
	OK(banyan_close(view));
	OK(banyan_rename(db, "t/a", "a", 0));
	assert_int_equal(banyan_home(a), BANYAN_ROOT_ID);
	OK(banyan_insert_data(space, "c", 1, a));
	assert_int_equal(banyan_home(a), 0);
	banyan_release(a, 1);
	banyan_release(space, 1);
	OK(banyan_close(db));
}

static void the_tag_is_kept_as_long_as_the_Data_is_held(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "x");
	banyan_data *a = find(db, "a");
	assert_int_equal(banyan_tag(a), 0);
	banyan_set_tag(a, 5, true);
	banyan_set_tag(a, 2, true);
	banyan_set_tag(a, 4, false);
	OK(banyan_rename(db, "a", "b", 0));
	assert_ptr_equal(find(db, "b"), a);
	assert_int_equal(banyan_tag(a), 3);
	banyan_release(a, 2);
	a = find(db, "b");
	assert_int_equal(banyan_tag(a), 0);
	banyan_release(a, 1);
	OK(banyan_close(db));
}

/* ... and one without a key is gone then */
static void a_close_releases_what_is_held(void **state)
{
	char dir[TEMP_MAX], path[TEMP_FILE_MAX];
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	(void)state;
	OK(temp_directory(dir, TEMP_IN_MEMORY));
	temp_path(path, dir, "db");
	OK(banyan_open(path, &o, &db));
	make(db);
	banyan_hold(find(db, "a/b1/1"));
	find(db, "a/b2");
	banyan_data *gone = find(db, "a/b2/2");
	OK(banyan_remove(db, "a/b2/2"));
	assert_data(gone, "a/b2/2");
	OK(banyan_close(db));
	struct banyan_check check = { 0 };
	assert_int_equal(banyan_check(path, &check), 0);
	OK(banyan_open(path, NULL, &db));
	uint64_t live = stat_of(db).live_bytes;
	assert_key(db, "a/b1/1", "a/b1/1");
	OK(banyan_close(db));
	OK(banyan_open(path, NULL, &db));
	assert_int_equal(stat_of(db).live_bytes, live);
	OK(banyan_close(db));
	OK(unlink(path));
	OK(rmdir(dir));
}

/* ---- beside a writer ---------------------------------------------------- */

struct scene {
	banyan *db;
	uint64_t id, doomed;
	_Atomic bool stop;
	_Atomic unsigned wrong, found;
};

/* The Data goes from key to key, gets an alias and loses it */
static void *move_on(void *arg)
{
	struct scene *s = arg;
	char from[32] = "moving", to[32];
	for (unsigned n = 0; !s->stop; n++) {
		sprintf(to, "a/b%u/to %u", n % 7, n);
		int rc = banyan_rename(s->db, from, to, 0);
		if (rc)
			s->wrong++;
		strcpy(from, to);
		if (n % 50 == 49)
			usleep(1000);
	}
	return NULL;
}

static void *look_on(void *arg)
{
	struct scene *s = arg;
	while (!s->stop) {
		banyan_data *d = NULL;
		char byte = 0;
		if (banyan_find_id(s->db, s->id, &d) || banyan_id(d) != s->id ||
		    banyan_read(d, &byte, 1, 0) != 1)
			s->wrong++;
		else
			s->found++;
		banyan_release(d, 1);
	}
	return NULL;
}

static void finds_what_is_being_moved(void **state)
{
	struct scene s = { .db = open_memory() };
	pthread_t mover, looker[2];
	(void)state;
	make(s.db);
	put(s.db, "moving", "x");
	s.id = id_of(s.db, "moving");
	assert_int_equal(pthread_create(&mover, NULL, move_on, &s), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&looker[i], NULL, look_on, &s),
				 0);
	for (unsigned i = 0; i < 10; i++) {
		usleep(50000);
		OK(banyan_freeze(s.db));
	}
	s.stop = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(looker[i], NULL);
	pthread_join(mover, NULL);
	assert_int_equal(s.wrong, 0);
	assert_true(s.found > 10);
	assert_null(banyan_held(s.db, s.id));
	OK(banyan_close(s.db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_Data_wherever_it_lives),
		cmocka_unit_test(says_what_is_gone),
		cmocka_unit_test(ids_lead_to_the_same_after_another_open),
		cmocka_unit_test(each_kind_of_handle_finds_what_it_shows),
		cmocka_unit_test(the_home_is_the_space_of_the_only_key),
		cmocka_unit_test(the_tag_is_kept_as_long_as_the_Data_is_held),
		cmocka_unit_test(a_close_releases_what_is_held),
		cmocka_unit_test(finds_what_is_being_moved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
