/* SPDX-License-Identifier: MIT */
/*
 * The table of held Data (store/model/held_data.h): which location a reader is
 * given while the writer moves, removes and fails.
 */
#include "held_fixture.h"

#include "tests/support/clock.h"

static size_t versions(const banyan_data *d)
{
	size_t n = 1; /* where it was found */
	const struct placement *p = atomic_load(&d->moves);
	for (; p; p = p->before)
		n++;
	return n;
}

/* ---- holding ---------------------------------------------------------- */

static void the_same_id_gives_the_same_pointer(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data *d = hold(t, 7, "a", 10);
	/* Whatever the second one believes: the table knows better */
	assert_ptr_equal(hold(t, 7, "elsewhere", 9), d);
	held_hold_again(t, d);
	assert_place(d, 10, "a");
	assert_true(held_is_held(t, 7));
	assert_false(held_is_held(t, 8));
	uint64_t id = 0;
	bool orphan = true;
	assert_false(held_release(t, d, 2, &id, &orphan));
	assert_true(release(t, d, false));
	assert_false(held_is_held(t, 7));
}

static void tens_of_thousands_may_be_held(void **state)
{
	enum { MANY = 50000 };
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data **d = calloc(MANY, sizeof(*d));
	size_t count = 0;
	char name[16];
	assert_non_null(d);
	for (uint64_t i = 0; i < MANY; i++) {
		sprintf(name, "%u", (unsigned)i);
		d[i] = hold(t, i * i + 1, name, 1);
	}
	for (uint64_t i = 0; i < MANY; i++) {
		sprintf(name, "%u", (unsigned)i);
		assert_ptr_equal(hold(t, i * i + 1, NULL, 1), d[i]);
		assert_place(d[i], 1, name);
	}
	for (unsigned i = 0; i < HELD_SHARDS; i++)
		count += t->shard[i].count;
	assert_int_equal(count, MANY);
	for (uint64_t i = 0; i < MANY; i++) {
		assert_false(release(t, d[i], false));
		assert_true(release(t, d[i], false));
	}
	free(d);
}

/* ---- moving what is held ---------------------------------------------- */

static void a_reader_is_given_the_place_of_its_snapshot(void **state)
{
	struct fixture *x = *state;
	struct held_table *t = &x->t;
	banyan_data *d = hold(t, 7, "a", 10);
	unsigned slot = epoch_enter(x->epoch); /* as readers do */
	move(t, 7, "a", "b", 20);
	/* Before the commit, and after it */
	assert_place(d, 19, "a");
	assert_place(d, 20, "b");
	assert_false(held_settle(t, 7, 20, false, true));
	assert_place(d, 10, "a");
	assert_place(d, 19, "a");
	assert_place(d, 20, "b");
	assert_place(d, UINT64_MAX, "b");
	/* To a DATA row, and back */
	move(t, 7, "b", NULL, 21);
	assert_false(held_settle(t, 7, 21, false, true));
	move(t, 7, NULL, "c", 22);
	assert_false(held_settle(t, 7, 22, false, true));
	assert_place(d, 20, "b");
	assert_place(d, 21, NULL);
	assert_place(d, 22, "c");
	epoch_leave(x->epoch, slot);
	assert_true(release(t, d, false));
}

static void an_operation_may_move_it_more_than_once(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data *d = hold(t, 7, "a", 10);
	move(t, 7, "a", "b", 20);
	move(t, 7, "b", NULL, 20);
	move(t, 7, NULL, "c", 20);
	for (unsigned i = 0; i < 3; i++) {
		assert_place(d, 19, "a");
		assert_place(d, 20, "c");
		assert_false(held_settle(t, 7, 20, false, true));
	}
	assert_place(d, 19, "a");
	assert_place(d, 20, "c");
	assert_true(release(t, d, false));
}

/* The next operation has the number of the one that failed */
static void a_move_that_fails_was_never_there(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data *d = hold(t, 7, "a", 10);
	move(t, 7, "a", "b", 20);
	move(t, 7, "b", "c", 20);
	assert_false(held_settle(t, 7, 20, true, false));
	assert_false(held_settle(t, 7, 20, true, false));
	assert_place(d, 20, "a");
	assert_place(d, 99, "a");
	move(t, 7, "a", "d", 20);
	assert_false(held_settle(t, 7, 20, false, true));
	assert_place(d, 19, "a");
	assert_place(d, 20, "d");
	move(t, 7, "d", "e", 21);
	assert_false(held_settle(t, 7, 21, false, false));
	assert_place(d, 21, "d");
	assert_true(release(t, d, false));
}

/* Released while its move is being committed: it stays until that is settled */
static void it_may_be_released_in_the_middle_of_a_move(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	for (unsigned committed = 0; committed < 2; committed++) {
		banyan_data *d = hold(t, 7, "a", 10);
		move(t, 7, "a", "b", 20);
		assert_false(release(t, d, false));
		assert_ptr_equal(hold(t, 7, "a", 19), d);
		assert_false(release(t, d, false));
		assert_false(held_settle(t, 7, 20, false, committed));
		assert_false(held_is_held(t, 7));
	}
	assert_hold_again(t, 7, "a", 19);
}

/* ---- moving what nobody holds ----------------------------------------- */

static void who_comes_during_the_commit_gets_both_places(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	move(t, 7, "a", "b", 20);
	assert_false(held_is_held(t, 7));
	banyan_data *d = hold(t, 7, "a", 19);
	assert_place(d, 19, "a");
	assert_place(d, 20, "b");
	assert_false(held_settle(t, 7, 20, false, true));
	assert_place(d, 19, "a");
	assert_place(d, 20, "b");
	assert_true(release(t, d, false));
	/* Of a Data in a DATA row, too */
	move(t, 9, NULL, "c", 21);
	d = hold(t, 9, NULL, 20);
	assert_place(d, 20, NULL);
	assert_place(d, 21, "c");
	assert_false(held_settle(t, 9, 21, false, false));
	assert_place(d, 21, NULL);
	assert_true(release(t, d, false));
}

static void
who_comes_too_late_with_an_old_snapshot_must_look_again(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	move(t, 7, "a", "b", 20);
	assert_false(held_settle(t, 7, 20, false, true));
	assert_hold_again(t, 7, "a", 19);
	banyan_data *d = hold(t, 7, "b", 20);
	assert_place(d, 20, "b");
	/* Held by somebody it is in the table, with what is needed */
	assert_ptr_equal(hold(t, 7, "a", 19), d);
	assert_false(release(t, d, false));
	assert_true(release(t, d, false));
}

/* Also if it was held then, and has been released since */
static void nor_does_a_release_hide_a_move(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data *d = hold(t, 7, "a", 10);
	move(t, 7, "a", "b", 20);
	assert_false(held_settle(t, 7, 20, false, true));
	assert_true(release(t, d, false));
	assert_hold_again(t, 7, "a", 19);
	d = hold(t, 7, "b", 20);
	assert_true(release(t, d, false));
}

static void a_failed_move_sends_nobody_away(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	move(t, 7, "a", "b", 20);
	assert_false(held_settle(t, 7, 20, false, false));
	banyan_data *d = hold(t, 7, "a", 19);
	assert_place(d, 20, "a");
	assert_true(release(t, d, false));
}

/* ---- orphans ---------------------------------------------------------- */

static void an_orphan_is_swept_by_who_releases_it_last(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data *d = hold(t, 7, "a", 10);
	held_hold_again(t, d);
	move(t, 7, "a", NULL, 20);
	assert_false(held_settle(t, 7, 20, true, true));
	assert_false(release(t, d, true));
	assert_true(release(t, d, true));
	/* It has got a key again in time */
	d = hold(t, 8, "a", 10);
	move(t, 8, "a", NULL, 21);
	assert_false(held_settle(t, 8, 21, true, true));
	move(t, 8, NULL, NULL, 22);
	assert_false(held_settle(t, 8, 22, false, true));
	assert_true(release(t, d, false));
	/* An operation that fails has made none */
	d = hold(t, 9, "a", 10);
	move(t, 9, "a", NULL, 23);
	assert_false(held_settle(t, 9, 23, true, false));
	assert_true(release(t, d, false));
}

static void an_orphan_that_nobody_holds_is_told(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	move(t, 7, "a", NULL, 20);
	assert_true(held_settle(t, 7, 20, true, true));
	/* Released in the middle of the commit */
	banyan_data *d = hold(t, 8, "a", 20);
	move(t, 8, "a", NULL, 21);
	assert_false(release(t, d, false));
	assert_true(held_settle(t, 8, 21, true, true));
	assert_hold_again(t, 8, "a", 20);
}

/* ---- closing ---------------------------------------------------------- */

static void what_is_held_is_not_closed(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data *d = hold(t, 7, "a", 10);
	assert_int_equal(held_close(t, 7), 0);
	assert_true(release(t, d, false));
	assert_int_equal(held_close(t, 7), 1);
	held_reopen(t, 7, 20, true);
	assert_hold_again(t, 7, "a", 19);
	/* Its id is never used again, but another of the shard may be held */
	assert_int_equal(held_close(t, 7), 1);
	held_reopen(t, 7, 21, false);
	d = hold(t, 7, "a", 20);
	assert_true(release(t, d, false));
}

struct comer {
	struct held_table *t;
	_Atomic bool came;
	int rc;
};

static void *come(void *arg)
{
	struct comer *c = arg;
	const struct location l = at("a");
	banyan_data *d = NULL;
	c->rc = held_hold(c->t, 7, &l, 19, &d);
	held_wait(c->t, 7);
	c->came = true;
	return d;
}

/* Whether it was removed or not: who has waited must look again */
static void who_comes_while_it_is_closed_waits(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	for (unsigned committed = 0; committed < 2; committed++) {
		struct comer c[3] = { { .t = t }, { .t = t }, { .t = t } };
		pthread_t thread[3];
		assert_int_equal(held_close(t, 7), 1);
		assert_int_equal(held_close(t, 7), 1); /* a damaged file */
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, come,
							&c[i]),
					 0);
		usleep(30000);
		held_reopen(t, 7, 20, committed);
		usleep(10000);
		/* Others go on */
		banyan_data *other = hold(t, 8, "b", 19);
		assert_true(release(t, other, false));
		for (unsigned i = 0; i < 3; i++)
			assert_false(c[i].came);
		held_reopen(t, 7, 20, committed);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(test_join(thread[i], NULL, 10), 0);
			assert_int_equal(c[i].rc, -EAGAIN);
		}
		assert_false(held_is_held(t, 7));
	}
}

/* ---- memory ----------------------------------------------------------- */

/* What no reader can come to any more goes with the next move */
static void old_places_go_when_readers_have_left(void **state)
{
	struct fixture *x = *state;
	struct held_table *t = &x->t;
	banyan_data *d = hold(t, 7, "a", 10);
	unsigned slot = epoch_enter(x->epoch);
	const struct home *seen = held_home(d, 10);
	for (uint64_t seq = 20; seq < 120; seq++) {
		move(t, 7, "a", "b", seq);
		assert_false(held_settle(t, 7, seq, false, true));
	}
	assert_int_equal(versions(d), 101);
	assert_ptr_equal(held_home(d, 19), seen);
	assert_place(d, 19, "a");
	epoch_leave(x->epoch, slot);
	for (uint64_t seq = 120; seq < 10000; seq++) {
		move(t, 7, "b", "c", seq);
		assert_true(versions(d) <= 3);
		assert_false(held_settle(t, 7, seq, false, true));
	}
	assert_place(d, 9999, "c");
	assert_true(release(t, d, false));
}

/* Many are held and released: their table follows */
static void the_table_is_as_large_as_what_is_held(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	enum { MANY = 100000 };
	static banyan_data *d[MANY];
	for (unsigned round = 0; round < 2; round++) {
		size_t buckets = 0;
		for (unsigned i = 0; i < MANY; i++)
			d[i] = hold(t, i + 1, "a", 10);
		for (unsigned i = 0; i < MANY; i++) {
			assert_ptr_equal(held_find(t, i + 1, 0), d[i]);
			assert_place(d[i], 10, "a");
		}
		for (unsigned i = 0; i < HELD_SHARDS; i++)
			buckets += t->shard[i].mask + 1;
		assert_in_range(buckets, MANY / 2, 4 * MANY);
		/* Each second one; then the others, but for a few */
		for (unsigned i = 0; i < MANY; i += 2)
			assert_true(release(t, d[i], false));
		for (unsigned i = 1; i < MANY - 100; i += 2)
			assert_true(release(t, d[i], false));
		for (unsigned i = 0; i < MANY; i++)
			assert_ptr_equal(held_find(t, i + 1, 0),
					 i % 2 && i >= MANY - 100 ? d[i] :
								    NULL);
		buckets = 0;
		for (unsigned i = 0; i < HELD_SHARDS; i++)
			buckets += t->shard[i].mask + 1;
		assert_true(buckets < 4000);
		assert_false(held_release_all(t));
		assert_null(held_find(t, MANY, 0));
	}
}

static void all_are_released_but_the_root(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	banyan_data *root = hold(t, BANYAN_ROOT_ID, NULL, 10);
	for (unsigned i = 2; i < 200; i++)
		assert_ptr_equal(hold(t, i, "a", 10), hold(t, i, "a", 10));
	assert_false(held_release_all(t));
	for (unsigned i = 2; i < 200; i++)
		assert_null(held_find(t, i, 0));
	hold(t, 7, "a", 10);
	move(t, 7, "a", NULL, 20);
	assert_false(held_settle(t, 7, 20, true, true));
	assert_true(held_release_all(t));
	assert_ptr_equal(held_find(t, BANYAN_ROOT_ID, 1), root);
	assert_false(release(t, root, false));
	assert_true(release(t, root, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_id_gives_the_same_pointer),
		TEST(tens_of_thousands_may_be_held),
		TEST(a_reader_is_given_the_place_of_its_snapshot),
		TEST(an_operation_may_move_it_more_than_once),
		TEST(a_move_that_fails_was_never_there),
		TEST(it_may_be_released_in_the_middle_of_a_move),
		TEST(who_comes_during_the_commit_gets_both_places),
		TEST(who_comes_too_late_with_an_old_snapshot_must_look_again),
		TEST(nor_does_a_release_hide_a_move),
		TEST(a_failed_move_sends_nobody_away),
		TEST(an_orphan_is_swept_by_who_releases_it_last),
		TEST(an_orphan_that_nobody_holds_is_told),
		TEST(what_is_held_is_not_closed),
		TEST(who_comes_while_it_is_closed_waits),
		TEST(old_places_go_when_readers_have_left),
		TEST(the_table_is_as_large_as_what_is_held),
		TEST(all_are_released_but_the_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
