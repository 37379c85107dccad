/* SPDX-License-Identifier: MIT */
/* The table of held Data, with readers beside a writer */
#include "held_fixture.h"

#include "tests/support/random.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(readers_are_right_beside_a_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
