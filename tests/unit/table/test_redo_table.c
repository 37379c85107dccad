/* SPDX-License-Identifier: MIT */
/*
 * The redo table against a plain model: a sorted array of all keys that there
 * can be, each with the list of what happened to it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "table/redo_table.h"
#include "tests/support/random.h"

#define KEYS_MOST 1500u
#define KEY_MOST 40u
#define OLD_MOST 12u /* versions of a row */

struct version {
	uint64_t seq;
	bool deleted;
	uint16_t len;
	uint8_t fill;
};

struct model_row {
	uint8_t key[KEY_MOST];
	size_t len;
	struct version versions[OLD_MOST]; /* oldest first */
	unsigned count;
};

struct state {
	struct redo_table *table;
	uint64_t random;
	uint64_t seq;
	struct model_row rows[KEYS_MOST];
	size_t keys;
};

static int by_key(const void *a, const void *b)
{
	const struct model_row *x = a;
	const struct model_row *y = b;
	return compare_bytes(x->key, x->len, y->key, y->len);
}

/*
 * Keys as they are in a database, and keys to be mean: few different bytes,
 * every length, long common beginnings, NULs at the end.
 */
static void make_key(struct state *s, struct model_row *row)
{
	static const uint8_t few[] = { 0, 0, 1, 'a', 0xff };
	uint8_t *k = row->key;
	if (test_below(&s->random, 2)) {
		k[0] = (uint8_t)(1 + test_below(&s->random, 3));
		put_be64(k + 1, test_below(&s->random, 3));
		row->len = 9 + test_below(&s->random, 8);
		for (size_t i = 9; i < row->len; i++)
			k[i] = (uint8_t)('a' + test_below(&s->random, 3));
		return;
	}
	row->len = test_below(&s->random, KEY_MOST + 1);
	if (test_below(&s->random, 3))
		row->len %= 20;
	for (size_t i = 0; i < row->len; i++) {
		bool plain = i + 3 < row->len && test_below(&s->random, 8);
		k[i] = plain ? 1 : few[test_below(&s->random, sizeof(few))];
	}
}

static void make_keys(struct state *s)
{
	size_t kept = 0;
	for (size_t i = 0; i < KEYS_MOST; i++)
		make_key(s, &s->rows[i]);
	s->rows[0].len = 0;
	qsort(s->rows, KEYS_MOST, sizeof(*s->rows), by_key);
	for (size_t i = 0; i < KEYS_MOST; i++)
		if (!kept || by_key(&s->rows[kept - 1], &s->rows[i]))
			s->rows[kept++] = s->rows[i];
	s->keys = kept;
}

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	s->random = test_seed();
	s->table = redo_table_new();
	make_keys(s);
	*out = s;
	return s->table ? 0 : -1;
}

static int tear_down(void **in)
{
	struct state *s = *in;
	redo_table_unref(s->table);
	free(s);
	return 0;
}

/* ---- the model -------------------------------------------------------- */

static const struct version *model_at(const struct model_row *row, uint64_t seq)
{
	for (unsigned i = row->count; i-- > 0;)
		if (row->versions[i].seq <= seq)
			return &row->versions[i];
	return NULL;
}

/* The first row at or after i that has a version; keys if there is none */
static size_t model_next(const struct state *s, size_t i, uint64_t seq)
{
	while (i < s->keys && !model_at(&s->rows[i], seq))
		i++;
	return i;
}

/* The last row before i that has a version; keys if there is none */
static size_t model_before(const struct state *s, size_t i, uint64_t seq)
{
	while (i-- > 0)
		if (model_at(&s->rows[i], seq))
			return i;
	return s->keys;
}

static void put(struct state *s, size_t i, struct version v)
{
	uint8_t value[300];
	struct model_row *row = &s->rows[i];
	memset(value, v.fill, sizeof(value));
	v.seq = s->seq;
	if (row->count && row->versions[row->count - 1].seq == s->seq)
		row->count--;
	if (row->count == OLD_MOST)
		return;
	row->versions[row->count++] = v;
	assert_int_equal(redo_table_put(s->table, row->key, row->len,
					v.deleted ? NULL : value, v.len, s->seq,
					NULL),
			 0);
}

static struct version some_version(struct state *s)
{
	struct version v = { .fill = (uint8_t)test_random(&s->random) };
	v.deleted = test_below(&s->random, 4) == 0;
	if (!v.deleted && test_below(&s->random, 8))
		v.len = (uint16_t)test_below(&s->random, 300);
	return v;
}

/* Operations of one to four changes each */
static void change(struct state *s, unsigned operations)
{
	while (operations--) {
		s->seq += 1 + test_below(&s->random, 3);
		for (uint64_t n = 1 + test_below(&s->random, 4); n; n--)
			put(s, test_below(&s->random, s->keys),
			    some_version(s));
	}
}

static void assert_value(const struct version *want, const uint8_t *value,
			 size_t len)
{
	if (want->deleted) {
		assert_null(value);
		return;
	}
	assert_non_null(value);
	assert_int_equal(len, want->len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(value[i], want->fill);
}

static void assert_get(const struct state *s, size_t i, uint64_t seq)
{
	const struct model_row *row = &s->rows[i];
	const struct version *want = model_at(row, seq);
	const uint8_t *value = NULL;
	size_t len = 4711;
	enum redo_found found =
		redo_table_get(s->table, row->key, row->len, seq, &value, &len);
	if (!want) {
		assert_int_equal(found, REDO_ABSENT);
	} else if (want->deleted) {
		assert_int_equal(found, REDO_DELETED);
	} else {
		assert_int_equal(found, REDO_ROW);
		assert_value(want, value, len);
	}
	if (found != REDO_ROW)
		assert_int_equal(len, 4711);
}

/* The cursor stands on row i, or nowhere if that is `keys` */
static void assert_at(const struct state *s, const struct redo_cursor *c,
		      bool there, size_t i)
{
	size_t len = 0;
	assert_int_equal(there, i < s->keys);
	assert_int_equal(c->spot.row != NULL, there);
	if (!there)
		return;
	const uint8_t *key = redo_cursor_key(c, &len);
	assert_int_equal(len, s->rows[i].len);
	if (len)
		assert_memory_equal(key, s->rows[i].key, len);
	const uint8_t *value = redo_cursor_value(c, &len);
	assert_value(model_at(&s->rows[i], c->seq), value, len);
}

static uint64_t some_seq(struct state *s)
{
	return test_below(&s->random, 4) ? test_below(&s->random, s->seq + 2) :
					   UINT64_MAX;
}

static void assert_like_model(struct state *s, uint64_t seq)
{
	struct redo_cursor c;
	size_t at;
	for (size_t i = 0; i < s->keys; i++)
		assert_get(s, i, seq);
	redo_cursor_init(&c, s->table, seq);
	bool there = redo_cursor_seek(&c, "", 0);
	for (at = model_next(s, 0, seq); at < s->keys;
	     at = model_next(s, at + 1, seq)) {
		assert_at(s, &c, there, at);
		there = redo_cursor_next(&c);
	}
	assert_at(s, &c, there, s->keys);
	there = redo_cursor_seek_before(&c, NULL, 0);
	for (at = model_before(s, s->keys, seq); at < s->keys;
	     at = model_before(s, at, seq)) {
		assert_at(s, &c, there, at);
		there = redo_cursor_prev(&c);
	}
	assert_at(s, &c, there, s->keys);
}

/* ---- tests ------------------------------------------------------------ */

static void finds_every_version_of_every_row(void **in)
{
	struct state *s = *in;
	for (unsigned round = 0; round < 40; round++) {
		change(s, round < 10 ? 5 : 100);
		assert_like_model(s, some_seq(s));
	}
	assert_like_model(s, UINT64_MAX);
	assert_like_model(s, 0);
	size_t rows = 0;
	for (size_t i = 0; i < s->keys; i++)
		rows += s->rows[i].count > 0;
	assert_int_equal(redo_table_rows(s->table), rows);
}

static void seeks_and_turns_anywhere(void **in)
{
	struct state *s = *in;
	struct redo_cursor c;
	change(s, 300);
	for (unsigned round = 0; round < 2000; round++) {
		uint64_t seq = some_seq(s);
		size_t i = test_below(&s->random, s->keys);
		const struct model_row *row = &s->rows[i];
		bool back = test_below(&s->random, 2);
		redo_cursor_init(&c, s->table, seq);
		bool there =
			back ? redo_cursor_seek_before(&c, row->key, row->len) :
			       redo_cursor_seek(&c, row->key, row->len);
		size_t at = back ? model_before(s, i, seq) :
				   model_next(s, i, seq);
		assert_at(s, &c, there, at);
		for (unsigned step = 0; there && step < 10; step++) {
			back = test_below(&s->random, 2);
			there = back ? redo_cursor_prev(&c) :
				       redo_cursor_next(&c);
			at = back ? model_before(s, at, seq) :
				    model_next(s, at + 1, seq);
			assert_at(s, &c, there, at);
		}
	}
}

/* Where the last row went in is remembered: all ways to be wrong about it */
static void takes_rows_in_any_order(void **in)
{
	struct state *s = *in;
	struct version v = { .len = 3, .fill = 'x' };
	s->seq = 1;
	for (size_t i = 0; i < s->keys; i += 10)
		put(s, i, v);
	for (size_t i = s->keys; i-- > 0;)
		if (i % 10 == 5)
			put(s, i, v);
	for (size_t i = 0; i < s->keys / 2; i++) {
		put(s, i, v);
		put(s, s->keys - 1 - i, v);
	}
	for (unsigned run = 0; run < 100; run++) {
		size_t i = test_below(&s->random, s->keys);
		s->seq++;
		for (unsigned n = 0; n < 20 && i < s->keys; n++)
			put(s, i++, some_version(s));
	}
	assert_like_model(s, UINT64_MAX);
	assert_like_model(s, 1);
}

static void the_second_change_of_an_operation_replaces_the_first(void **in)
{
	struct state *s = *in;
	const uint8_t *value = NULL;
	size_t len = 0;
	struct redo_table *t = s->table;
	assert_int_equal(redo_table_put(t, "k", 1, "old", 3, 5, NULL), 0);
	assert_int_equal(redo_table_put(t, "k", 1, "a", 1, 7, NULL), 0);
	assert_int_equal(redo_table_put(t, "k", 1, NULL, 0, 7, NULL), 0);
	assert_int_equal(redo_table_get(t, "k", 1, 7, &value, &len),
			 REDO_DELETED);
	assert_int_equal(redo_table_put(t, "k", 1, "", 0, 7, NULL), 0);
	assert_int_equal(redo_table_get(t, "k", 1, 7, &value, &len), REDO_ROW);
	assert_int_equal(len, 0);
	assert_non_null(value);
	assert_int_equal(redo_table_get(t, "k", 1, 6, &value, &len), REDO_ROW);
	assert_int_equal(len, 3);
	assert_memory_equal(value, "old", 3);
	assert_int_equal(redo_table_get(t, "k", 1, 4, &value, &len),
			 REDO_ABSENT);
	assert_int_equal(redo_table_rows(t), 1);
}

static void an_empty_table_has_nothing(void **in)
{
	struct state *s = *in;
	struct redo_cursor c;
	const uint8_t *value = NULL;
	size_t len = 0;
	redo_cursor_init(&c, s->table, UINT64_MAX);
	assert_null(c.spot.row);
	assert_false(redo_cursor_seek(&c, "", 0));
	assert_false(redo_cursor_seek_before(&c, NULL, 0));
	assert_false(redo_cursor_seek_before(&c, "x", 1));
	assert_int_equal(redo_table_get(s->table, "", 0, UINT64_MAX, &value,
					&len),
			 REDO_ABSENT);
	assert_int_equal(redo_table_rows(s->table), 0);
}

static void values_stay_where_they_are(void **in)
{
	struct state *s = *in;
	const uint8_t *before = NULL;
	const uint8_t *after = NULL;
	size_t len = 0;
	redo_table_put(s->table, "first", 5, "value", 5, 1, NULL);
	redo_table_get(s->table, "first", 5, 1, &before, &len);
	s->seq = 2;
	change(s, 500);
	redo_table_put(s->table, "first", 5, "other", 5, s->seq, NULL);
	redo_table_get(s->table, "first", 5, 1, &after, &len);
	assert_ptr_equal(before, after);
	assert_memory_equal(after, "value", 5);
}

static void lives_for_as_long_as_somebody_has_it(void **in)
{
	const uint8_t *value = NULL;
	size_t len = 0;
	(void)in;
	struct redo_table *t = redo_table_new();
	redo_table_put(t, "k", 1, "v", 1, 1, NULL);
	assert_ptr_equal(redo_table_ref(t), t);
	redo_table_unref(t);
	assert_int_equal(redo_table_get(t, "k", 1, 1, &value, &len), REDO_ROW);
	redo_table_unref(t);
	redo_table_unref(NULL);
}

static void says_how_much_memory_it_takes(void **in)
{
	struct state *s = *in;
	uint8_t value[1000] = { 0 };
	size_t put_in = 0;
	size_t empty = redo_table_bytes(s->table);
	assert_in_range(empty, 1, 8192);
	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t key[8];
		size_t len = test_below(&s->random, sizeof(value));
		put_be64(key, test_random(&s->random));
		redo_table_put(s->table, key, 8, value, len, 1, NULL);
		put_in += 8 + len;
		size_t bytes = redo_table_bytes(s->table);
		assert_true(bytes >= put_in);
		assert_true(bytes < 2 * put_in + 200 * i + (3u << 20));
	}
}

/* ---- one writer, two readers ------------------------------------------ */

#define SHARED_KEYS 512u
#define SHARED_OPERATIONS 20000u

/*
 * Operation i (from 1 on) changes two rows, those of the numbers below, and
 * writes its own number into both. So at any seq it is known what is there.
 */
struct shared {
	struct redo_table *table;
	_Atomic uint64_t done;
	uint32_t changed[SHARED_OPERATIONS + 1][2];
	_Atomic unsigned failures;
};

static void shared_key(uint8_t key[25], uint32_t number)
{
	memset(key, 7, 25);
	put_be32(key + 15, number * 2654435761u);
}

static void *write_shared(void *arg)
{
	struct shared *x = arg;
	uint8_t key[25];
	uint8_t value[100] = { 0 };
	for (uint64_t i = 1; i <= SHARED_OPERATIONS; i++) {
		put_le64(value, i);
		for (unsigned k = 0; k < 2; k++) {
			shared_key(key, x->changed[i][k]);
			if (redo_table_put(x->table, key, sizeof(key), value,
					   8 + i % 90, i, NULL))
				atomic_fetch_add(&x->failures, 1);
		}
		atomic_store_explicit(&x->done, i, memory_order_release);
	}
	return NULL;
}

/* How many rows there are at seq, and the sum of what is in them */
static void shared_totals(const struct shared *x, uint64_t seq, uint64_t *rows,
			  uint64_t *sum)
{
	uint64_t newest[SHARED_KEYS] = { 0 };
	*rows = 0;
	*sum = 0;
	for (uint64_t i = 1; i <= seq; i++)
		for (unsigned k = 0; k < 2; k++)
			newest[x->changed[i][k]] = i;
	for (unsigned i = 0; i < SHARED_KEYS; i++) {
		*rows += newest[i] != 0;
		*sum += newest[i];
	}
}

static bool scan_is_right(const struct shared *x, uint64_t seq, bool back)
{
	struct redo_cursor c;
	uint64_t want_rows, want_sum, rows = 0, sum = 0;
	uint8_t last[25];
	redo_cursor_init(&c, x->table, seq);
	bool there = back ? redo_cursor_seek_before(&c, NULL, 0) :
			    redo_cursor_seek(&c, "", 0);
	while (there) {
		size_t len = 0;
		const uint8_t *key = redo_cursor_key(&c, &len);
		int order = rows ? memcmp(key, last, 25) : 0;
		if (len != 25 || (rows && (back ? order >= 0 : order <= 0)))
			return false;
		memcpy(last, key, 25);
		rows++;
		sum += get_le64(redo_cursor_value(&c, &len));
		there = back ? redo_cursor_prev(&c) : redo_cursor_next(&c);
	}
	shared_totals(x, seq, &want_rows, &want_sum);
	return rows == want_rows && sum == want_sum;
}

static bool get_is_right(const struct shared *x, uint64_t seq)
{
	const uint8_t *value = NULL;
	uint8_t key[25];
	size_t len = 0;
	for (unsigned k = 0; k < 2 && seq > 0; k++) {
		shared_key(key, x->changed[seq][k]);
		if (redo_table_get(x->table, key, sizeof(key), seq, &value,
				   &len) != REDO_ROW ||
		    len != 8 + seq % 90 || get_le64(value) != seq)
			return false;
	}
	return true;
}

static void *read_shared(void *arg)
{
	struct shared *x = arg;
	uint64_t seq = 0;
	for (unsigned i = 0; seq < SHARED_OPERATIONS; i++) {
		seq = atomic_load_explicit(&x->done, memory_order_acquire);
		if (!get_is_right(x, seq) || !get_is_right(x, seq / 2) ||
		    (i % 64 == 0 && !scan_is_right(x, seq, i % 128)))
			atomic_fetch_add(&x->failures, 1);
	}
	return NULL;
}

static void readers_see_whole_operations_beside_a_writer(void **in)
{
	struct state *s = *in;
	struct shared *x = calloc(1, sizeof(*x));
	pthread_t threads[3];
	assert_non_null(x);
	x->table = s->table;
	for (unsigned i = 1; i <= SHARED_OPERATIONS; i++)
		for (unsigned k = 0; k < 2; k++)
			x->changed[i][k] =
				(uint32_t)test_below(&s->random, SHARED_KEYS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						i ? read_shared : write_shared,
						x),
				 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(x->failures, 0);
	assert_true(scan_is_right(x, SHARED_OPERATIONS, false));
	assert_true(scan_is_right(x, SHARED_OPERATIONS / 3, true));
	free(x);
}

/* ---- rows that come in right before the one that is asked for --------- */

#define NEIGHBOURS 300000u

struct neighbours {
	struct redo_table *table;
	_Atomic bool started;
	_Atomic bool done;
	_Atomic unsigned failures;
};

static void *look_at_the_last(void *arg)
{
	struct neighbours *x = arg;
	struct redo_cursor c;
	const uint8_t *value = NULL;
	size_t len = 0;
	atomic_store(&x->started, true);
	while (!atomic_load(&x->done)) {
		if (redo_table_get(x->table, "last", 4, 1, &value, &len) !=
		    REDO_ROW)
			atomic_fetch_add(&x->failures, 1);
		redo_cursor_init(&c, x->table, 1);
		if (!redo_cursor_seek(&c, "last", 4) ||
		    redo_cursor_key(&c, &len)[0] != 'l')
			atomic_fetch_add(&x->failures, 1);
	}
	return NULL;
}

static void a_row_is_found_while_others_come_in_before_it(void **in)
{
	struct state *s = *in;
	struct neighbours x = { .table = s->table };
	pthread_t thread;
	redo_table_put(s->table, "last", 4, "x", 1, 1, NULL);
	assert_int_equal(pthread_create(&thread, NULL, look_at_the_last, &x),
			 0);
	while (!atomic_load(&x.started))
		;
	for (uint32_t i = 0; i < NEIGHBOURS; i++) {
		uint8_t key[5] = { 'k' };
		put_be32(key + 1, i);
		redo_table_put(s->table, key, sizeof(key), NULL, 0, 1, NULL);
	}
	atomic_store(&x.done, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(x.failures, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_every_version_of_every_row),
		TEST(seeks_and_turns_anywhere),
		TEST(takes_rows_in_any_order),
		TEST(the_second_change_of_an_operation_replaces_the_first),
		TEST(an_empty_table_has_nothing),
		TEST(values_stay_where_they_are),
		TEST(lives_for_as_long_as_somebody_has_it),
		TEST(says_how_much_memory_it_takes),
		TEST(readers_see_whole_operations_beside_a_writer),
		TEST(a_row_is_found_while_others_come_in_before_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
