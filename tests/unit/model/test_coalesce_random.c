/* SPDX-License-Identifier: MIT */
/*
 * Values that grow by small appends and are cut, punched and cloned meanwhile,
 * against a plain model of their bytes and holes; and power cuts while one
 * grows.
 *
 * BANYAN_SEED says which operations, BANYAN_STEPS how many.
 */
#include <errno.h>

#include "growing.h"

/* ---- against a model -------------------------------------------------- */

#define VALUES 3u
#define VALUE_MAX 300000u
/* Bytes that are always there, so that no value becomes short: what a short one
 * has for a hole is another matter */
#define BEGINNING 300u

struct plain {
	banyan_data *d;
	size_t size;
	uint8_t bytes[VALUE_MAX];
	bool there[VALUE_MAX]; /* not a hole */
};

struct walk {
	struct growing g; /* of which the database counts */
	struct plain *v;
	unsigned joined; /* appends after which there were fewer extents */
};

static size_t below(struct walk *w, size_t n)
{
	return (size_t)test_below(&w->g.random, n);
}

static void set(struct plain *p, size_t at, size_t size, int byte)
{
	memset(p->bytes + at, byte, size);
	memset(p->there + at, 1, size);
	if (at + size > p->size)
		p->size = at + size;
}

static void unset(struct plain *p, size_t at, size_t size)
{
	memset(p->bytes + at, 0, size);
	memset(p->there + at, 0, size);
}

static void write_at(struct plain *p, size_t at, size_t size, int byte)
{
	set(p, at, size, byte);
	assert_int_equal(banyan_write(p->d, p->bytes + at, size, at, 0, NULL),
			 0);
}

static void truncate_to(struct plain *p, size_t size)
{
	if (size < p->size)
		unset(p, size, p->size - size);
	p->size = size;
	assert_int_equal(banyan_truncate(p->d, size), 0);
}

static void append_some(struct walk *w, struct plain *p)
{
	static const size_t sizes[] = { 3, 20, 100, 700, 5000 };
	size_t most = sizes[below(w, 5)];
	bool same = below(w, 2);
	for (size_t n = 1 + below(w, 90); n; n--) {
		size_t size = same ? most : 1 + below(w, most);
		if (p->size + size > VALUE_MAX)
			truncate_to(p, BEGINNING + below(w, 3000));
		unsigned before = shape_of(p->d).extents;
		write_at(p, p->size, size, (int)below(w, 256));
		w->joined += shape_of(p->d).extents < before;
	}
}

static void clone_some(struct walk *w, struct plain *p)
{
	struct plain *from = &w->v[below(w, VALUES)];
	size_t at = below(w, from->size);
	size_t size = 1 + below(w, below(w, 2) ? 2000 : 60000);
	size_t to = below(w, 2) ? p->size :
				  BEGINNING + below(w, p->size - BEGINNING + 1);
	if (size > from->size - at)
		size = from->size - at;
	if (from == p || to + size > VALUE_MAX)
		return;
	assert_int_equal(banyan_clone(from->d, at, p->d, to, size), size);
	memcpy(p->bytes + to, from->bytes + at, size);
	memcpy(p->there + to, from->there + at, size);
	if (to + size > p->size)
		p->size = to + size;
}

static void change_some(struct walk *w, struct plain *p)
{
	size_t at = BEGINNING + below(w, p->size - BEGINNING + 1);
	size_t size = 1 + below(w, below(w, 2) ? 50 : 5000);
	switch (below(w, 4)) {
	case 0:
		truncate_to(p, at);
		break;
	case 1:
		if (p->size + size <= VALUE_MAX)
			truncate_to(p, p->size + size);
		break;
	case 2:
		if (size > p->size - at)
			size = p->size - at;
		assert_int_equal(banyan_punch(p->d, at, size, true), 0);
		unset(p, at, size);
		break;
	default:
		if (at + size <= VALUE_MAX)
			write_at(p, at, size, (int)below(w, 256));
	}
}

static size_t stretch(const struct plain *p, size_t at)
{
	size_t end = at;
	while (end < p->size && p->there[end] == p->there[at])
		end++;
	return end;
}

/* Where data and holes are: as the model has them */
static uint64_t compare_holes(const struct plain *p)
{
	uint64_t stored = 0;
	for (size_t at = 0; at < p->size;) {
		size_t end = stretch(p, at);
		bool there = p->there[at];
		int64_t other = end < p->size || there ? (int64_t)end : -ENXIO;
		assert_int_equal(banyan_seek_data(p->d, at),
				 there ? (int64_t)at : other);
		assert_int_equal(banyan_seek_hole(p->d, at),
				 there ? other : (int64_t)at);
		stored += there ? end - at : 0;
		at = end;
	}
	return stored;
}

static void compare_reads(struct walk *w, const struct plain *p)
{
	uint8_t bytes[5000];
	for (unsigned i = 0; i < 20; i++) {
		size_t at = below(w, p->size);
		size_t size = 1 + below(w, sizeof(bytes));
		if (size > p->size - at)
			size = p->size - at;
		assert_int_equal(banyan_read(p->d, bytes, size, at), size);
		assert_memory_equal(bytes, p->bytes + at, size);
	}
}

static void compare(struct walk *w)
{
	uint64_t live = 0;
	for (unsigned i = 0; i < VALUES; i++) {
		struct plain *p = &w->v[i];
		struct banyan_attr attr;
		assert_bytes(p->d, p->bytes, p->size);
		compare_reads(w, p);
		uint64_t stored = compare_holes(p);
		assert_int_equal(banyan_get_attr(p->d, &attr), 0);
		assert_int_equal(attr.size, p->size);
		assert_int_equal(attr.stored, stored);
		live += stored;
	}
	assert_int_equal(live_bytes(w->g.db), live);
	assert_sound(w->g.db);
}

/* Of the database, or of a batch */
static void find_values(struct walk *w, banyan *db)
{
	for (unsigned i = 0; i < VALUES; i++) {
		char key[8];
		sprintf(key, "v%u", i);
		assert_int_equal(banyan_find(db, key, &w->v[i].d), 0);
	}
}

static void release_values(struct walk *w)
{
	for (unsigned i = 0; i < VALUES; i++)
		banyan_release(w->v[i].d, 1);
}

static void start_walk(struct walk *w)
{
	*w = (struct walk){ .v = calloc(VALUES, sizeof(*w->v)) };
	assert_non_null(w->v);
	growing_start(&w->g);
	w->g.random = test_seed();
	for (unsigned i = 0; i < VALUES; i++) {
		char key[8];
		sprintf(key, "v%u", i);
		assert_int_equal(banyan_put(w->g.db, key, "", 0, 0), 0);
	}
	find_values(w, w->g.db);
	for (unsigned i = 0; i < VALUES; i++)
		write_at(&w->v[i], 0, BEGINNING, (int)i + 1);
}

static void step(struct walk *w)
{
	struct plain *p = &w->v[below(w, VALUES)];
	size_t kind = below(w, 100);
	banyan *batch = NULL;
	if (below(w, 5) == 0) {
		assert_int_equal(banyan_begin(w->g.db, &batch), 0);
		release_values(w);
		find_values(w, batch);
	}
	if (kind < 50)
		append_some(w, p);
	else if (kind < 70)
		change_some(w, p);
	else if (kind < 85)
		clone_some(w, p);
	if (batch) {
		release_values(w);
		assert_int_equal(banyan_commit(batch), 0);
		find_values(w, w->g.db);
	}
	if (kind >= 97)
		assert_int_equal(banyan_freeze(w->g.db), 0);
	if (kind == 96) {
		release_values(w);
		growing_reopen(&w->g);
		find_values(w, w->g.db);
	}
}

static void values_that_grow_are_what_a_model_says(void **state)
{
	const char *text = getenv("BANYAN_STEPS");
	unsigned steps = text ? (unsigned)strtoul(text, NULL, 0) :
				600 / test_one_in(4);
	struct walk w;
	(void)state;
	start_walk(&w);
	for (unsigned i = 0; i < steps; i++) {
		step(&w);
		if (i % 8 == 0)
			compare(&w);
	}
	compare(&w);
	assert_true(w.joined > steps / 20);
	print_message("%u times extents were joined\n", w.joined);
	release_values(&w);
	growing_end(&w.g);
	free(w.v);
}

/* ---- power cuts ------------------------------------------------------- */

/* After so many events the value had so many bytes, of which so many were
 * promised to stay */
struct point {
	size_t events;
	size_t size;
	size_t durable;
};

struct growth {
	struct growing g;
	struct point *point;
	size_t count;
};

#define APPENDS 1500u

static void grow(struct growth *h)
{
	size_t durable = 0;
	growing_start(&h->g);
	h->g.random = test_seed();
	assert_int_equal(banyan_freeze(h->g.db), 0);
	h->point = calloc(APPENDS + 1, sizeof(*h->point));
	assert_non_null(h->point);
	h->point[h->count++] =
		(struct point){ fault_file_events(h->g.f), 0, 0 };
	for (unsigned i = 0; i < APPENDS; i++) {
		growing_append(&h->g, 1 + (size_t)test_below(&h->g.random, 99));
		if (i % 37 == 0) {
			assert_int_equal(banyan_sync(h->g.db), 0);
			durable = h->g.size;
		}
		if (i % 400 == 399)
			assert_int_equal(banyan_freeze(h->g.db), 0);
		h->point[h->count++] =
			(struct point){ fault_file_events(h->g.f), h->g.size,
					durable };
	}
}

/* The size is one that the value had, not less than what was promised and not
 * more than what was begun */
static void find_point(const struct growth *h, size_t events, size_t size)
{
	size_t low = 0;
	while (low + 1 < h->count && h->point[low + 1].events <= events)
		low++;
	assert_true(size >= h->point[low].durable);
	for (size_t i = 0; i <= low + 1 && i < h->count; i++)
		if (h->point[i].size == size)
			return;
	fail_msg("%zu bytes behind event %zu", size, events);
}

/* What is there after a cut is a beginning of the value, and can grow on */
static void cut(const struct growth *h, size_t events, uint64_t *random)
{
	struct growing after = { .want = h->g.want, .random = 1 };
	struct banyan_attr attr;
	enum fault_cut kind = (enum fault_cut)test_below(random, FAULT_CUTS);
	assert_int_equal(fault_file_after_cut(h->g.f, events, kind,
					      test_random(random), &after.f),
			 0);
	growing_open(&after, false);
	assert_int_equal(banyan_get_attr(after.d, &attr), 0);
	find_point(h, events, (size_t)attr.size);
	assert_bytes(after.d, h->g.want, (size_t)attr.size);
	assert_sound(after.db);
	for (size_t at = (size_t)attr.size; at < attr.size + 1000; at += 40)
		assert_int_equal(banyan_write(after.d, h->g.want + at, 40, at,
					      0, NULL),
				 0);
	assert_bytes(after.d, h->g.want, (size_t)attr.size + 1000);
	banyan_release(after.d, 1);
	assert_int_equal(banyan_close(after.db), 0);
	fault_file_free(after.f);
}

static void a_power_cut_leaves_a_beginning_of_the_value(void **state)
{
	struct growth h = { .count = 0 };
	(void)state;
	grow(&h);
	uint64_t random = h.g.random;
	size_t end = fault_file_events(h.g.f);
	size_t every = getenv("BANYAN_LONG") ? 1 : 3;
	/* Bytes behind the end that a value grows by after a cut */
	for (size_t i = 0; i < 1000; i++)
		h.g.want[h.g.size + i] = (uint8_t)test_random(&random);
	for (size_t events = h.point[0].events; events <= end; events += every)
		cut(&h, events, &random);
	free(h.point);
	growing_end(&h.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_that_grow_are_what_a_model_says),
		cmocka_unit_test(a_power_cut_leaves_a_beginning_of_the_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
