/* SPDX-License-Identifier: MIT */
/*
 * What a check says of the states that snapshots name. The file was punched: so
 * what only a snapshot has lies before the log, and only its tree leads there.
 */
#include "damage_fixture.h"

#include "engine/past.h"
#include "engine/read_txn.h"

#define NAME "monday"
#define OK(call) assert_int_equal((call), 0)

static void put_all(banyan *db, char with)
{
	static char big[100000];
	char key[16], value[100];
	memset(value, with, sizeof(value));
	memset(big, with, sizeof(big));
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "k%04u", i);
		OK(banyan_put(db, key, value, sizeof(value), 0));
	}
	OK(banyan_put(db, "big", big, sizeof(big), 0));
}

/* Where a leaf of the snapshot's tree lies, and the bytes of its large value */
static void find_places(struct store *store, uint64_t *leaf, uint64_t *value)
{
	struct view_state now, past;
	struct read_txn rtxn;
	struct located l;
	const struct node *root = NULL;
	struct node_ref child;
	store_state(store, &now);
	OK(past_at_snapshot(store, &now, NAME, strlen(NAME), &past));
	const struct tree *t = &past.view->tree;
	assert_true(t->height > 1);
	OK(cache_get(store->cache, t->file, &t->root, t->height - 1, &root));
	node_child(root, root->count / 2u, &child);
	*leaf = child.offset;
	cache_put(store->cache, root);
	read_txn_begin_at(store, past.view, past.seq, &rtxn);
	const struct name n = { BANYAN_ROOT_ID, "big", 3 };
	OK(names_lookup(&rtxn.state, &n, &l));
	*value = l.d.extent[0].e.payload;
	read_txn_end(&rtxn);
	view_unref(past.view);
	view_unref(now.view);
}

struct places {
	struct scene *s;
	uint64_t leaf, value;
	struct banyan_time time; /* after the last change */
};

static int set_up(void **state)
{
	struct places *p = calloc(1, sizeof(*p));
	banyan *db = NULL;
	void *scene = NULL;
	assert_non_null(p);
	OK(set_up_scene(&scene));
	p->s = scene;
	const struct banyan_options o = { .flags = BANYAN_CREATE };
	(void)unlink(SOURCE);
	OK(banyan_open(SOURCE, &o, &db));
	put_all(db, 'a');
	OK(banyan_snapshot(db, NAME, strlen(NAME)));
	put_all(db, 'b');
	OK(banyan_vacuum_punch(db, NULL, NULL));
	find_places(db->store, &p->leaf, &p->value);
	p->time = timestamp_split(db->store->stamped);
	OK(banyan_close(db));
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct places *p = *state;
	void *scene = p->s;
	free(p);
	return tear_down_scene(&scene);
}

/* Change a byte */
static void spoil(uint64_t offset)
{
	uint8_t byte;
	int fd = open(SOURCE, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

static int64_t check(struct scene *s, struct banyan_check how)
{
	buf_reset(&s->lines);
	how.found = hear_line;
	how.arg = s;
	return banyan_check(SOURCE, &how);
}

static void damage_that_only_a_snapshot_has_is_found(void **state)
{
	struct places *p = *state;
	const struct banyan_check how = { 0 };
	assert_int_equal(check(p->s, how), 0);
	spoil(p->leaf + 20);
	assert_int_equal(check(p->s, how), 1);
	assert_non_null(strstr(lines_of(&p->s->lines),
			       "snapshot '" NAME "': damaged node at offset "));
	spoil(p->leaf + 20);
	spoil(p->value + 5000);
	assert_int_equal(check(p->s, how), 1);
	assert_string_equal(lines_of(&p->s->lines),
			    "snapshot '" NAME "': damaged: key big\n");
}

static void one_state_can_be_checked(void **state)
{
	struct places *p = *state;
	const struct banyan_check snapshot = { .snapshot = NAME };
	const struct banyan_check other = { .snapshot = "tuesday" };
	const struct banyan_check last = { .time = &p->time };
	const struct banyan_time early = { 1000000, 0 };
	const struct banyan_check before = { .time = &early };
	assert_int_equal(check(p->s, snapshot), 0);
	assert_int_equal(check(p->s, other), -ENOENT);
	assert_int_equal(check(p->s, before), -ENOENT);
	spoil(p->value + 5000);
	assert_int_equal(check(p->s, snapshot), 1);
	assert_int_equal(check(p->s, last), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			damage_that_only_a_snapshot_has_is_found, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(one_state_can_be_checked,
						set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
