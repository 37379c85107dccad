/* SPDX-License-Identifier: MIT */
/*
 * The table of held Data (store/model/held_data.h): which location a reader is
 * given while the writer moves, removes and fails.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/held_data.h"
#include "model/moves.h"
#include "tests/support/clock.h"
#include "tests/support/random.h"

struct fixture {
	struct held_table t;
	struct epoch *epoch;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	*state = x;
	if (!x || held_init(&x->t, NULL))
		return -1;
	x->epoch = epoch_new();
	x->t.epoch = x->epoch;
	return x->epoch ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	for (unsigned i = 0; i < HELD_SHARDS; i++)
		if (x->t.shard[i].count)
			return -1; /* somebody has not released */
	held_destroy(&x->t);
	epoch_free(x->epoch);
	free(x);
	return 0;
}

/* The NAME row of a key in space 5; NULL: a DATA row */
static struct location at(const char *name)
{
	struct location l = { 0 };
	if (name)
		location_set(&l, 5, name, strlen(name));
	return l;
}

static banyan_data *hold(struct held_table *t, uint64_t id, const char *name,
			 uint64_t seq)
{
	const struct location l = at(name);
	banyan_data *d = NULL;
	assert_int_equal(held_hold(t, id, &l, seq, &d), 0);
	assert_int_equal(d->id, id);
	return d;
}

static void assert_hold_again(struct held_table *t, uint64_t id,
			      const char *name, uint64_t seq)
{
	const struct location l = at(name);
	banyan_data *d = NULL;
	assert_int_equal(held_hold(t, id, &l, seq, &d), -EAGAIN);
	assert_null(d);
}

/* Release once. Was it the last time, and is it an orphan then? */
static bool release(struct held_table *t, banyan_data *d, bool orphan)
{
	uint64_t id = d->id, said = 0;
	bool is_orphan = !orphan;
	if (!held_release(t, d, 1, &said, &is_orphan))
		return false;
	assert_int_equal(said, id);
	assert_int_equal(is_orphan, orphan);
	return true;
}

static void assert_place(const banyan_data *d, uint64_t seq, const char *name)
{
	const struct home *p = held_home(d, seq);
	assert_int_equal(p->space, name ? 5 : 0);
	assert_int_equal(p->len, name ? strlen(name) : 0);
	if (name)
		assert_memory_equal(p->name, name, p->len);
}

static void move(struct held_table *t, uint64_t id, const char *from,
		 const char *to, uint64_t seq)
{
	const struct location a = at(from);
	const struct location b = at(to);
	struct placement *was = from ? placement_new(&a) : NULL;
	struct placement *now = placement_new(&b);
	assert_int_equal(held_move(t, id, &was, &now, seq), 0);
	assert_null(was);
	assert_null(now);
}

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

/* ---- moves.h ---------------------------------------------------------- */

static void moves_are_known_from_publish_to_settle(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	const struct location a = at("a"), b = at("b"), c = at("c");
	banyan_data *held = hold(t, 7, "a", 10);
	for (unsigned committed = 0; committed < 2; committed++) {
		struct moves m = { 0 };
		assert_int_equal(moves_add(&m, 7, &a, &b, false), 0);
		assert_int_equal(moves_add(&m, 8, &b, &c, false), 0);
		assert_int_equal(moves_add(&m, 7, &b, NULL, true), 0);
		assert_int_equal(moves_remove(&m, t, 7), 0);
		assert_int_equal(moves_remove(&m, t, 9), 1);
		assert_place(held, 20, "a");
		assert_int_equal(moves_publish(&m, t, 20), 0);
		assert_place(held, 19, "a");
		assert_place(held, 20, NULL);
		assert_false(moves_settle(&m, t, 20, committed));
		assert_int_equal(m.count, 0);
		assert_place(held, 20, committed ? NULL : "a");
		moves_free(&m);
	}
	assert_hold_again(t, 8, "b", 19);
	assert_hold_again(t, 9, "x", 19);
	assert_true(release(t, held, true));
}

/* A batch that is dropped has told nobody */
static void moves_that_were_not_published_leave_nothing(void **state)
{
	struct held_table *t = &((struct fixture *)*state)->t;
	const struct location a = at("a"), b = at("b");
	struct moves m = { 0 };
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(moves_add(&m, i, &a, i % 2 ? &b : NULL, true),
				 0);
	assert_false(moves_settle(&m, t, 20, false));
	banyan_data *d = hold(t, 7, "a", 19);
	assert_place(d, 20, "a");
	assert_true(release(t, d, false));
	moves_free(&m);
}

/* ---- beside each other ------------------------------------------------ */

#define IDS 20u
#define MOVES_MAX 200000u

/*
 * Of each id the operations that have moved it, as the rows would tell a reader;
 * its place is named after the operation. An operation may remove it: there is
 * no such id until another one makes it anew (which only a test does).
 */
struct rows {
	uint64_t *moved; /* MOVES_MAX */
	_Atomic size_t count;
};

struct scene {
	struct fixture *x;
	struct rows row[IDS];
	_Atomic uint64_t visible;
	_Atomic bool stop;
	_Atomic unsigned wrong;
	_Atomic uint64_t reads, again;
};

/* The last operation up to seq that has moved the id */
static uint64_t row_at(const struct rows *r, uint64_t seq)
{
	size_t i = atomic_load(&r->count);
	while (i && r->moved[i - 1] > seq)
		i--;
	assert_true(i > 0);
	return r->moved[i - 1];
}

static struct location place_named(uint64_t seq)
{
	struct location l;
	char name[24];
	int len = sprintf(name, "%llu", (unsigned long long)seq);
	location_set(&l, 5, name, (size_t)len);
	return l;
}

static bool is_named(const struct home *p, uint64_t seq)
{
	struct location l = place_named(seq);
	return p->len == l.len && memcmp(p->name, l.name, l.len) == 0;
}

/* Read what is held some times, in snapshots that get newer */
static void use(struct scene *s, unsigned id, const banyan_data *d)
{
	for (unsigned i = 0; i < 5; i++) {
		unsigned slot = epoch_enter(s->x->epoch);
		uint64_t seq = atomic_load(&s->visible);
		uint64_t moved = row_at(&s->row[id], seq);
		if (i % 2)
			sched_yield();
		if (!is_named(held_home(d, seq), moved))
			atomic_fetch_add(&s->wrong, 1);
		epoch_leave(s->x->epoch, slot);
	}
}

static void *read_on(void *arg)
{
	struct scene *s = arg;
	uint64_t random = (uint64_t)(uintptr_t)&arg;
	while (!s->stop) {
		unsigned id = (unsigned)test_below(&random, IDS);
		unsigned slot = epoch_enter(s->x->epoch);
		uint64_t seq = atomic_load(&s->visible);
		struct location l = place_named(row_at(&s->row[id], seq));
		banyan_data *d = NULL;
		if (test_below(&random, 3) == 0)
			sched_yield();
		int rc = held_hold(&s->x->t, id + 1, &l, seq, &d);
		epoch_leave(s->x->epoch, slot);
		if (rc == -EAGAIN) {
			s->again++;
			continue;
		}
		use(s, id, d);
		release(&s->x->t, d, false);
		s->reads++;
	}
	return NULL;
}

/* What an operation does with an id: to be settled */
struct change {
	unsigned id;
	bool closed;
};

static unsigned begin_changes(struct scene *s, uint64_t *random, uint64_t seq,
			      struct change *change)
{
	struct held_table *t = &s->x->t;
	unsigned n = 0;
	for (unsigned id = 0; id < IDS; id++) {
		if (test_below(random, 4))
			continue;
		change[n] = (struct change){ .id = id };
		if (test_below(random, 4) == 0)
			change[n].closed = held_close(t, id + 1) == 1;
		if (!change[n].closed) {
			struct location from =
				place_named(row_at(&s->row[id], UINT64_MAX));
			struct location to = place_named(seq);
			struct placement *was = placement_new(&from);
			struct placement *now = placement_new(&to);
			assert_int_equal(held_move(t, id + 1, &was, &now, seq),
					 0);
		}
		n++;
	}
	return n;
}

static void end_changes(struct scene *s, uint64_t seq,
			const struct change *change, unsigned n, bool committed)
{
	for (unsigned i = 0; committed && i < n; i++) {
		struct rows *r = &s->row[change[i].id];
		r->moved[r->count] = seq;
		atomic_fetch_add(&r->count, 1);
	}
	if (committed)
		atomic_store(&s->visible, seq);
	for (unsigned i = 0; i < n; i++) {
		if (change[i].closed)
			held_reopen(&s->x->t, change[i].id + 1, seq, committed);
		else
			held_settle(&s->x->t, change[i].id + 1, seq, false,
				    committed);
	}
}

static void *write_on(void *arg)
{
	struct scene *s = arg;
	struct change change[IDS];
	uint64_t random = 1;
	while (!s->stop && s->visible < MOVES_MAX - 2) {
		uint64_t seq = s->visible + 1;
		unsigned n = begin_changes(s, &random, seq, change);
		if (test_below(&random, 8) == 0)
			sched_yield();
		end_changes(s, seq, change, n, test_below(&random, 3));
	}
	return NULL;
}

static void readers_are_right_beside_a_writer(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	pthread_t thread[4];
	assert_non_null(s);
	s->x = *state;
	s->visible = 1;
	for (unsigned i = 0; i < IDS; i++) {
		s->row[i].moved = calloc(MOVES_MAX, sizeof(uint64_t));
		assert_non_null(s->row[i].moved);
		s->row[i].moved[0] = 1;
		s->row[i].count = 1;
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL,
						i ? read_on : write_on, s),
				 0);
	usleep(getenv("BANYAN_LONG") ? 10000000 : 1000000);
	s->stop = true;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	print_message("%llu operations, %llu times held, %llu times again\n",
		      (unsigned long long)s->visible,
		      (unsigned long long)s->reads,
		      (unsigned long long)s->again);
	assert_int_equal(s->wrong, 0);
	assert_true(s->visible > 100 && s->reads > 100);
	for (unsigned i = 0; i < IDS; i++)
		free(s->row[i].moved);
	free(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(moves_are_known_from_publish_to_settle),
		TEST(moves_that_were_not_published_leave_nothing),
		TEST(readers_are_right_beside_a_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
