/* SPDX-License-Identifier: MIT */
/* How values lie in the file that a vacuum leaves */
#include "snapshot_fixture.h"

#include "api/handle.h"
#include "engine/read_txn.h"
#include "engine/write.h"
#include "model/extents.h"
#include "model/row_extents.h"

#define MIB (1u << 20)

/* ---- what is in the file ---------------------------------------------- */

struct counted {
	unsigned extents;
	uint64_t bytes;
};

static int count_extent(void *arg, const struct extent *e)
{
	struct counted *c = arg;
	c->extents++;
	c->bytes += e->length;
	return 0;
}

static void visit_extents(banyan *db,
			  int (*visit)(void *arg, const struct extent *e),
			  void *arg)
{
	struct read_txn rtxn;
	struct merged_cursor *cursor = NULL;
	read_txn_begin_pinned(db->store, &rtxn);
	OK(merged_cursor_new(&rtxn.state.merged, &cursor));
	int rc = merged_cursor_seek(cursor, "", 1);
	for (; rc == 0; rc = merged_cursor_next(cursor)) {
		size_t key_len = 0, len = 0;
		const uint8_t *key = merged_cursor_key(cursor, &key_len);
		const uint8_t *value = merged_cursor_value(cursor, &len);
		OK(row_extents(key, key_len, value, len, visit, arg));
	}
	assert_int_equal(rc, 1);
	merged_cursor_free(cursor);
	read_txn_end(&rtxn);
}

static struct counted count_extents(banyan *db)
{
	struct counted c = { 0 };
	visit_extents(db, count_extent, &c);
	return c;
}

/* All but 2 percent of the file, and what an empty one has, is live */
static void expect_no_holes(const struct place *p)
{
	uint64_t bytes = count_extents(p->db).bytes;
	assert_true((uint64_t)size_at(p->path) <= bytes / 50 * 51 + 30000);
}

static void vacuum_same(const struct place *p)
{
	uint64_t print = print_of(p->db);
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_true(print == print_of(p->db));
	expect_sound(p->path);
}

/* ---- holes ------------------------------------------------------------ */

static void write_pieces(banyan *db, const char *name, uint64_t from,
			 size_t piece, unsigned count)
{
	if (!has_key(db, name))
		put(db, name, "");
	banyan_data *d = find(db, name);
	for (unsigned i = 0; i < count; i++)
		write_random(d, from + (uint64_t)i * piece, piece, i + piece);
	banyan_release(d, 1);
}

static void ends_of_segments_are_no_holes(void **state)
{
	static const size_t sizes[] = { MIB, MIB + 4096, 700000, 3 * MIB,
					200000 };
	struct place *p = *state;
	char name[32];
	for (unsigned s = 0; s < 5; s++) {
		open_at(p, 0);
		for (unsigned i = 0; i < 30 * MIB / sizes[s]; i++) {
			sprintf(name, "key%u", i);
			put_random(p->db, name, sizes[s], i);
		}
		for (unsigned vacuums = 0; vacuums < 2; vacuums++) {
			vacuum_same(p);
			expect_no_holes(p);
		}
		OK(banyan_close(p->db));
		OK(unlink(p->path));
	}
	open_at(p, 0);
	write_pieces(p->db, "rows", 5000, MIB, 30);
	vacuum_same(p);
	expect_no_holes(p);
}

/* Ten vacuums, each of which has segments that end somewhere else */
static void values_do_not_come_in_more_and_more_pieces(void **state)
{
	struct place *p = *state;
	struct known_snapshots k = { 0 };
	unsigned first = 0;
	char name[32];
	open_at(p, 0);
	for (unsigned i = 0; i < 6; i++) {
		sprintf(name, "key%u", i);
		put_random(p->db, name, MIB, i);
	}
	write_pieces(p->db, "few", 100, 2 * MIB, 2);
	write_pieces(p->db, "many", 0, 4096, 1500);
	write_pieces(p->db, "long", 5000, MIB - 3, 7);
	for (unsigned i = 0; i < 10; i++) {
		sprintf(name, "a%u", i);
		put_random(p->db, name, 350000, i);
		take_known(&k, p->db, name);
		if (i == 5)
			write_pieces(p->db, "later", 777, MIB - 3, 7);
		vacuum_same(p);
		if (i > 7)
			expect_known(&k, p->db);
		unsigned now = count_extents(p->db).extents;
		if (i == 0 || i == 5)
			first = now;
		/* For each of the new values two, and those of the others may
		 * be cut elsewhere */
		assert_true(now <= first + 2 * (i % 5) + 9);
		assert_true(now < 50);
	}
	while (k.count)
		drop_known(&k, p->db, 0);
	vacuum_same(p);
	expect_no_holes(p);
}

/* Reads of pages begin where a chunk begins, wherever a value was cut */
static void pieces_end_where_chunks_of_the_value_end(void **state)
{
	struct place *p = *state;
	struct extent_iter it;
	struct read_txn rtxn;
	struct run run;
	struct data d = { .contents = CONTENTS_ROWS, .size = 20 * MIB };
	unsigned pieces = 0;
	open_at(p, 0);
	put_random(p->db, "a", 1234567, 1);
	write_pieces(p->db, "b", 0, MIB / 2 + 77, 30);
	banyan_data *b = find(p->db, "b");
	d.id = banyan_id(b);
	banyan_release(b, 1);
	vacuum_same(p);
	read_txn_begin_pinned(p->db->store, &rtxn);
	OK(extent_iter_open(&it, &rtxn.state, &d, 0, UINT64_MAX));
	for (; extent_iter_next(&it, &run) == 0; pieces++)
		assert_true(run.at % CHUNK_SIZE == 0);
	extent_iter_close(&it);
	read_txn_end(&rtxn);
	assert_in_range(pieces, 4, 6);
}

/* ---- rows that come again --------------------------------------------- */

static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
#define NAMES (sizeof(names) / sizeof(names[0]))

/* Each of them in 1 to 6 extents, and one in hundreds */
static void make_values(banyan *db)
{
	for (unsigned i = 0; i < NAMES; i++)
		write_pieces(db, names[i], 1000 * i, 300000 + 70000 * i, i + 1);
	write_pieces(db, "many", 0, 20000, 150);
}

static void chmod_all(struct amid *a)
{
	struct banyan_attr attr = { .mode = 0600 + a->asked };
	for (unsigned i = 0; i < NAMES; i++) {
		banyan_data *d = find(a->p->db, names[i]);
		OK(banyan_set_attr(d, &attr, BANYAN_SET_MODE, NULL));
		banyan_release(d, 1);
	}
	OK(banyan_rename(a->p->db, "a", "A", 0));
	OK(banyan_rename(a->p->db, "A", "a", 0));
}

static void clone_all(banyan *db, const char *prefix)
{
	char name[32];
	for (unsigned i = 0; i <= NAMES; i++) {
		const char *from = i < NAMES ? names[i] : "many";
		sprintf(name, "%s%s", prefix, from);
		put(db, name, "");
		banyan_data *a = find(db, from), *b = find(db, name);
		uint64_t size = attr_of(a).size;
		assert_int_equal(banyan_clone(a, 0, b, 0, size), size);
		banyan_release(a, 1);
		banyan_release(b, 1);
	}
}

static void clone_amid(struct amid *a)
{
	clone_all(a->p->db, "amid ");
}

/* Attributes change, names, and rows that get the shared bit: no byte of a value
 * is copied twice */
static void what_was_cut_is_not_copied_twice(void **state)
{
	void (*const calls[])(struct amid * a) = { chmod_all, clone_amid };
	struct place *p = *state;
	char name[16];
	for (unsigned c = 0; c < 4; c++) {
		open_at(p, 0);
		make_values(p->db);
		uint64_t bytes = count_extents(p->db).bytes;
		struct amid amid = { .p = p,
				     .at = 1,
				     .times = 1 + c / 2,
				     .call = calls[c % 2] };
		OK(vacuum_amid(&amid));
		assert_true(amid.asked > 1);
		assert_true((uint64_t)size_at(p->path) <
			    bytes + bytes / 50 + 100000);
		for (unsigned i = 0; i < 3; i++) {
			sprintf(name, "s%u ", i);
			OK(banyan_snapshot(p->db, name, 2));
			chmod_all(&amid);
			clone_all(p->db, name);
			vacuum_same(p);
		}
		assert_true((uint64_t)size_at(p->path) <
			    bytes + bytes / 25 + 300000);
		OK(banyan_close(p->db));
		OK(unlink(p->path));
	}
	open_at(p, 0);
}

/* ---- four in a row ---------------------------------------------------- */

#define APART 4u

static void punch_apart(banyan *db, uint64_t size)
{
	char name[16];
	for (unsigned i = 0; i < APART; i++) {
		sprintf(name, "apart%u", i);
		banyan_data *d = find(db, name);
		for (unsigned n = 1; n < 4; n++)
			OK(banyan_punch(d, n * size / 4, 5000, true));
		banyan_release(d, 1);
	}
}

static void punch_amid(struct amid *a)
{
	punch_apart(a->p->db, 3900000);
	chmod_all(a);
}

static void put_apart(banyan *db, size_t size)
{
	char name[16];
	for (unsigned i = 0; i < APART; i++) {
		sprintf(name, "apart%u", i);
		put_random(db, name, size, i);
	}
}

/* A row has no room for a fifth: what would have to be cut is not */
static void a_row_of_four_extents_has_no_more(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put_apart(p->db, 3900000);
	punch_apart(p->db, 3900000);
	/* Some have five, in rows of their own */
	unsigned before = count_extents(p->db).extents;
	assert_in_range(before, 4 * APART, 5 * APART);
	for (unsigned i = 0; i < 3; i++) {
		vacuum_same(p);
		assert_in_range(count_extents(p->db).extents, 4 * APART,
				before);
	}
}

static void clear(struct place *p)
{
	OK(banyan_close(p->db));
	OK(unlink(p->path));
	open_at(p, 0);
}

/* What was cut, and is in four extents then: one of them is copied once more,
 * but not with each state, or each operation */
static void what_was_cut_may_become_four_extents(void **state)
{
	struct place *p = *state;
	struct amid amid = { .p = p, .at = 1, .times = 3, .call = punch_amid };
	const uint64_t bytes = APART * 3900000;
	char name[16];
	open_at(p, 0);
	make_values(p->db);
	uint64_t others = count_extents(p->db).bytes;
	put_apart(p->db, 3900000);
	OK(vacuum_amid(&amid));
	assert_true(amid.asked > 4);
	assert_true((uint64_t)size_at(p->path) <
		    (bytes + bytes / 4 + others) / 50 * 51 + 100000);
	expect_sound(p->path);
	vacuum_same(p);
	clear(p);
	put_apart(p->db, 3900000);
	for (unsigned i = 0; i < 6; i++) {
		banyan_data *d;
		sprintf(name, "s%u", i);
		OK(banyan_snapshot(p->db, name, 2));
		if (i == 0)
			punch_apart(p->db, 3900000);
		for (unsigned k = 0; k < APART; k++) {
			sprintf(name, "apart%u", k);
			d = find(p->db, name);
			OK(banyan_set_xattr(d, "user.x", &i, 4, 0));
			OK(banyan_set_attr(d, &(struct banyan_attr){ 0 },
					   BANYAN_SET_MTIME, NULL));
			banyan_release(d, 1);
		}
	}
	vacuum_same(p);
	assert_true((uint64_t)size_at(p->path) <
		    (bytes + bytes / 4) / 50 * 51 + 100000);
}

/* Rows that are deleted begin where the new one is cut */
static void cover_all(struct amid *a)
{
	banyan_data *d = find(a->p->db, "apart");
	/* Behind it some rows stay, so that the value has rows */
	write_random(d, 0, 6 * MIB, 77);
	banyan_release(d, 1);
}

static void expect_same_bytes(banyan *db, const char *a, const char *b,
			      size_t size)
{
	void *x = NULL, *y = NULL;
	size_t x_size = 0, y_size = 0;
	OK(banyan_get(db, a, &x, &x_size));
	OK(banyan_get(db, b, &y, &y_size));
	assert_true(x_size >= size && y_size >= size);
	assert_memory_equal(x, y, size);
	banyan_free(x);
	banyan_free(y);
}

static void cut_where_rows_were(struct place *p, size_t before)
{
	struct amid amid = { .p = p, .call = cover_all };
	/* So the new file has less room in its segment than the old one */
	put_random(p->db, "gone", before, 1);
	OK(banyan_remove(p->db, "gone"));
	put_random(p->db, "apart", 0, 0);
	banyan_data *d = find(p->db, "apart");
	for (uint64_t at = 0; at < 7 * MIB; at += 16384)
		write_random(d, at, 4096, at);
	banyan_release(d, 1);
	OK(vacuum_amid(&amid));
	put_random(p->db, "whole", 6 * MIB, 77);
	expect_same_bytes(p->db, "apart", "whole", 6 * MIB);
	expect_sound(p->path);
}

/* Once the operation cuts its bytes where a row begins, which it puts again; the
 * vacuum cuts them elsewhere */
static void what_is_cut_where_rows_were_is_whole(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	for (size_t i = 0; i < 4; i++) {
		if (i)
			clear(p);
		cut_where_rows_were(p, 3 * MIB + i * 4096);
	}
}

/* ---- changes of all kinds, at any time -------------------------------- */

struct change {
	banyan *db[2]; /* the second one is never vacuumed */
	uint64_t random;
	const char *name, *other;
};

static uint64_t some_size(uint64_t *random)
{
	static const uint64_t sizes[] = { 300,	  5000,	   20000,  70000,
					  400000, 1048576, 3 * MIB };
	uint64_t size = sizes[test_below(random, 7)];
	return test_below(random, 2) ? size : size - test_below(random, 290);
}

/* Half of them where a vacuum might cut */
static uint64_t some_offset(uint64_t *random, uint64_t limit)
{
	uint64_t offset = test_below(random, limit + 1);
	return test_below(random, 2) ? offset : offset - offset % CHUNK_SIZE;
}

static void write_some(banyan *db, banyan_data *d, uint64_t *r)
{
	uint64_t size = attr_of(d).size;
	(void)db;
	switch (test_below(r, 4)) {
	case 0: /* appends, of which those that are small are joined */
		for (unsigned i = 0; i < 40; i++) {
			uint64_t n = 1 + test_below(r, 3000);
			write_random(d, size, n, *r);
			size += n;
		}
		break;
	case 1:
		if (size < 4 * MIB)
			write_random(d, size, some_size(r), *r);
		break;
	default: /* over what there is */
		for (unsigned i = 0; i < 3; i++)
			write_random(d, some_offset(r, size), some_size(r), *r);
	}
}

static void cut_some(banyan_data *d, uint64_t *r)
{
	uint64_t size = attr_of(d).size;
	if (test_below(r, 3)) {
		OK(banyan_punch(d, some_offset(r, size), some_size(r), true));
		return;
	}
	OK(banyan_truncate(d, test_below(r, size + size / 4 + 1)));
}

static void clone_some(banyan_data *d, banyan_data *other, uint64_t *r)
{
	uint64_t size = attr_of(d).size;
	uint64_t from = test_below(r, size + 1), n = some_size(r);
	uint64_t to = some_offset(r, 3 * MIB);
	if (from + n > size)
		n = size - from;
	if (n && d != other)
		assert_true(banyan_clone(d, from, other, to, n) >= 0);
}

static void change_value(struct change *c, banyan *db, uint64_t *r)
{
	struct banyan_attr attr = { .mode = (uint32_t)test_below(r, 01000) };
	banyan_data *d = find(db, c->name), *other = find(db, c->other);
	switch (test_below(r, 8)) {
	case 0:
		OK(banyan_set_attr(d, &attr, BANYAN_SET_MODE, NULL));
		break;
	case 1:
	case 2:
	case 3:
		write_some(db, d, r);
		break;
	case 4:
	case 5:
		cut_some(d, r);
		break;
	case 6:
		clone_some(d, other, r);
		break;
	default:
		OK(banyan_remove(db, c->name));
		put_random(db, c->name, some_size(r), *r);
		if (test_below(r, 2))
			write_pieces(db, c->name, test_below(r, 100000),
				     some_size(r) / 3 + 1, 7);
	}
	banyan_release(d, 1);
	banyan_release(other, 1);
}

/* The same in both */
static void change_some(struct change *c, unsigned times)
{
	for (; times; times--) {
		uint64_t r = 0;
		c->name = names[test_below(&c->random, NAMES)];
		c->other = names[test_below(&c->random, NAMES)];
		for (unsigned i = 0; i < 2; i++) {
			r = c->random;
			change_value(c, c->db[i], &r);
		}
		c->random = r;
	}
}

static void change_amid(struct amid *a)
{
	struct change *c = a->arg;
	change_some(c, 1 + (unsigned)test_below(&c->random, 4));
}

static void make_both(struct change *c)
{
	for (unsigned i = 0; i < 2; i++)
		make_values(c->db[i]);
}

static void vacuum_round(struct place *p, struct change *c,
			 struct known_snapshots *k, unsigned round)
{
	struct amid amid = { .p = p,
			     .at = (unsigned)test_below(&c->random, 4),
			     .times = (unsigned)test_below(&c->random, 5),
			     .call = change_amid,
			     .arg = c };
	char name[16];
	change_some(c, (unsigned)test_below(&c->random, 5));
	if (test_below(&c->random, 3)) {
		sprintf(name, "s%u", round);
		take_known(k, p->db, name);
		OK(banyan_snapshot(c->db[1], name, strlen(name)));
	}
	change_some(c, (unsigned)test_below(&c->random, 5));
	assert_true(print_of(p->db) == print_of(c->db[1]));
	OK(vacuum_amid(&amid));
	assert_true(print_of(p->db) == print_of(c->db[1]));
	expect_known(k, p->db);
	OK(banyan_close(p->db));
	p->db = NULL;
	expect_sound(p->path);
	open_at(p, round % 2 ? BANYAN_CACHE_MIN : 0);
	c->db[0] = p->db;
	assert_true(print_of(p->db) == print_of(c->db[1]));
	if (k->count > 3) {
		const struct known *one =
			&k->list[test_below(&c->random, k->count)];
		OK(banyan_snapshot_drop(c->db[1], one->name,
					strlen(one->name)));
		drop_known(k, p->db, (unsigned)(one - k->list));
	}
}

static void values_are_the_same_whatever_is_changed(void **state)
{
	struct place *p = *state;
	const char *rounds = getenv("BANYAN_ROUNDS");
	struct change c = { .random = test_seed() };
	for (unsigned n = rounds ? (unsigned)atoi(rounds) : 2; n; n--) {
		struct known_snapshots k = { 0 };
		open_at(p, 0);
		OK(banyan_open(":memory:", NULL, &c.db[1]));
		c.db[0] = p->db;
		make_both(&c);
		for (unsigned round = 0; round < 6; round++)
			vacuum_round(p, &c, &k, round);
		OK(banyan_close(c.db[1]));
		if (n > 1) {
			OK(banyan_close(p->db));
			OK(unlink(p->path));
		}
	}
}

/* ---- hostile files ---------------------------------------------------- */

struct extents {
	struct extent e[16];
	unsigned count;
};

static int keep_extent(void *arg, const struct extent *e)
{
	struct extents *x = arg;
	x->e[x->count++ % 16] = *e;
	return 0;
}

/* Rows in any order and on top of each other, which refer to bytes that there are.
 * Some are no rows at all. */
static void put_any_rows(banyan *db, uint64_t id, const struct extents *x,
			 uint64_t *r)
{
	struct txn *txn = NULL;
	struct buf value = BUF_INIT;
	int rc = 0;
	OK(store_write_begin(db->store, OPERATION_BATCH, false, &txn));
	for (unsigned i = 0; !rc && i < 12; i++) {
		struct extent e = x->e[test_below(r, 16)];
		struct row_key key;
		uint64_t at = test_below(r, 3) ? test_below(r, 60) * 5000 :
						 test_below(r, 6 * MIB);
		if (test_below(r, 60) == 0)
			at = UINT64_MAX - test_below(r, 5000000);
		e.length -= (uint32_t)test_below(r, e.length);
		e.shared = test_below(r, 4) == 0;
		row_key_extent(&key, id, at);
		if (test_below(r, 100) == 0)
			key.len--;
		buf_reset(&value);
		extent_encode(&e, &value);
		rc = test_below(r, 3) ? txn_put(txn, &key, &value) :
					txn_delete(txn, &key);
	}
	OK(store_write_end(db->store, rc));
	buf_free(&value);
}

struct hostile {
	uint64_t id;
	struct extents x;
	uint64_t random;
};

static void put_amid(struct amid *a)
{
	struct hostile *h = a->arg;
	put_any_rows(a->p->db, h->id, &h->x, &h->random);
}

static int vacuum_hostile(struct place *p, struct hostile *h)
{
	struct amid amid = {
		.p = p, .at = 1, .times = 3, .call = put_amid, .arg = h
	};
	write_pieces(p->db, "rows", 0, 40000, 120);
	write_pieces(p->db, "rows", 0, 3000, 120);
	banyan_data *d = find(p->db, "rows");
	h->id = banyan_id(d);
	banyan_release(d, 1);
	h->x.count = 0;
	visit_extents(p->db, keep_extent, &h->x);
	for (unsigned i = 0; i < test_below(&h->random, 4); i++) {
		char name = (char)('a' + i);
		if (i || test_below(&h->random, 2))
			put_any_rows(p->db, h->id, &h->x, &h->random);
		OK(banyan_snapshot(p->db, &name, 1));
	}
	return vacuum_amid(&amid);
}

/* It says so, or copies what there is */
static void rows_that_make_no_sense_do_no_harm(void **state)
{
	struct place *p = *state;
	struct hostile h = { .random = test_seed() };
	unsigned said = 0;
	open_at(p, 0);
	for (unsigned n = 60 / test_one_in(4); n; n--) {
		int rc = vacuum_hostile(p, &h);
		assert_true(rc == 0 || rc == -EUCLEAN);
		assert_int_equal(files_in(p), 1);
		said += rc != 0;
		clear(p);
	}
	assert_true(said > 10);
}

/* No test of what is durable */
static int set_up_in_memory(void **state)
{
	static struct place p;
	p.db = NULL;
	*state = &p;
	if (temp_directory(p.dir, TEMP_IN_MEMORY))
		return -1;
	temp_path(p.path, p.dir, "db");
	return 0;
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up_in_memory, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ends_of_segments_are_no_holes),
		TEST(values_do_not_come_in_more_and_more_pieces),
		TEST(pieces_end_where_chunks_of_the_value_end),
		TEST(what_was_cut_is_not_copied_twice),
		TEST(a_row_of_four_extents_has_no_more),
		TEST(what_was_cut_may_become_four_extents),
		TEST(rows_that_make_no_sense_do_no_harm),
		TEST(what_is_cut_where_rows_were_is_whole),
		TEST(values_are_the_same_whatever_is_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
