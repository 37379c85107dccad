/* SPDX-License-Identifier: MIT */
/* held_fixture.h - a table of held Data, which come and move in one line each */
#ifndef TESTS_HELD_FIXTURE_H
#define TESTS_HELD_FIXTURE_H

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

struct fixture {
	struct held_table t;
	struct epoch *epoch;
};

static inline int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	*state = x;
	if (!x || held_init(&x->t, NULL))
		return -1;
	x->epoch = epoch_new();
	x->t.epoch = x->epoch;
	return x->epoch ? 0 : -1;
}

static inline int tear_down(void **state)
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
static inline struct location at(const char *name)
{
	struct location l = { 0 };
	if (name)
		location_set(&l, 5, name, strlen(name));
	return l;
}

static inline banyan_data *hold(struct held_table *t, uint64_t id,
				const char *name, uint64_t seq)
{
	const struct location l = at(name);
	banyan_data *d = NULL;
	assert_int_equal(held_hold(t, id, &l, seq, &d), 0);
	assert_int_equal(d->id, id);
	return d;
}

static inline void assert_hold_again(struct held_table *t, uint64_t id,
				     const char *name, uint64_t seq)
{
	const struct location l = at(name);
	banyan_data *d = NULL;
	assert_int_equal(held_hold(t, id, &l, seq, &d), -EAGAIN);
	assert_null(d);
}

/* Release once. Was it the last time, and is it an orphan then? */
static inline bool release(struct held_table *t, banyan_data *d, bool orphan)
{
	uint64_t id = d->id, said = 0;
	bool is_orphan = !orphan;
	if (!held_release(t, d, 1, &said, &is_orphan))
		return false;
	assert_int_equal(said, id);
	assert_int_equal(is_orphan, orphan);
	return true;
}

static inline void assert_place(const banyan_data *d, uint64_t seq,
				const char *name)
{
	const struct home *p = held_home(d, seq);
	assert_int_equal(p->space, name ? 5 : 0);
	assert_int_equal(p->len, name ? strlen(name) : 0);
	if (name)
		assert_memory_equal(p->name, name, p->len);
}

static inline void move(struct held_table *t, uint64_t id, const char *from,
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
