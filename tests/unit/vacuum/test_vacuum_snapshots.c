/* SPDX-License-Identifier: MIT */
/* What a vacuum keeps of the past: snapshots, and freezes of the last time */
#include "snapshot_fixture.h"

#include <time.h>

#include "api/handle.h"
#include "engine/freeze.h"
#include "engine/snapshot.h"
#include "engine/write.h"
#include "log/log_scan.h"

/* ---- changes of all kinds --------------------------------------------- */

static void clone_some(banyan *db, const char *from, const char *to,
		       uint64_t offset, uint64_t size)
{
	put(db, to, "");
	banyan_data *a = find(db, from), *b = find(db, to);
	assert_true(banyan_clone(a, offset, b, 0, size) >= 0);
	banyan_release(a, 1);
	banyan_release(b, 1);
}

/* A value with holes between many extents, of which each round changes some */
static void change_pieces(banyan *db, uint64_t *random)
{
	if (!has_key(db, "pieces"))
		put(db, "pieces", "");
	banyan_data *d = find(db, "pieces");
	for (unsigned i = 0; i < 12; i++)
		write_random(d, test_below(random, 60) * 9000, 700, *random);
	OK(banyan_punch(d, test_below(random, 60) * 9000, 20000, true));
	OK(banyan_truncate(d, 500000 + test_below(random, 50000)));
	banyan_release(d, 1);
}

static void change_attributes(banyan *db, uint64_t *random)
{
	char text[3000];
	struct banyan_attr attr = { .mode = (uint32_t)test_below(random, 01000),
				    .uid = 7 };
	banyan_data *d = find(db, "key3");
	memset(text, 'a' + (int)test_below(random, 26), sizeof(text));
	OK(banyan_set_attr(d, &attr, BANYAN_SET_MODE | BANYAN_SET_UID, NULL));
	OK(banyan_set_xattr(d, "user.short", text, 20, 0));
	OK(banyan_set_xattr(d, "user.long", text, sizeof(text), 0));
	banyan_release(d, 1);
}

static void change(banyan *db, unsigned round)
{
	static const size_t sizes[] = { 10, 200, 5000, 50000, 300000 };
	uint64_t random = round + 1;
	char path[32], alias[32];
	for (unsigned i = 0; i < 30; i++) {
		sprintf(path, "key%u", (unsigned)test_below(&random, 40));
		put_random(db, path, sizes[test_below(&random, 5)], random);
	}
	put_random(db, "key3", 4000, random);
	sprintf(alias, "space%u/alias", round % 3);
	(void)banyan_remove(db, alias);
	(void)banyan_make_space(db, "space0", 0);
	(void)banyan_make_space(db, "space1", 0);
	(void)banyan_make_space(db, "space2", 0);
	OK(banyan_alias(db, "key3", alias));
	change_attributes(db, &random);
	change_pieces(db, &random);
	put_random(db, "large", 5u << 20, round / 2);
	clone_some(db, "large", "clone", test_below(&random, 1000000), 3000000);
	clone_some(db, "pieces", "clone of pieces", 0, 400000);
	sprintf(path, "key%u", (unsigned)test_below(&random, 40));
	(void)banyan_rename(db, path, "moved", 0);
	sprintf(path, "key%u", (unsigned)test_below(&random, 40));
	(void)banyan_remove(db, path);
	(void)banyan_remove(db, "link");
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = alias,
				   .size = strlen(alias) };
	OK(banyan_insert(banyan_root(db), "link", 4, &link, NULL, NULL));
}

static void snapshots_stay_the_same_over_ten_vacuums(void **state)
{
	struct place *p = *state;
	struct known_snapshots k = { 0 };
	char name[32];
	open_at(p, 0);
	for (unsigned round = 0; round < 10; round++) {
		change(p->db, 2 * round);
		sprintf(name, "a%u", round);
		take_known(&k, p->db, name);
		change(p->db, 2 * round + 1);
		if (round % 3 == 1)
			drop_known(&k, p->db, round / 3);
		if (round % 4 == 1) {
			sprintf(name, "b%u", round);
			rename_known(&k, p->db, 0, name);
		}
		if (round % 2) {
			OK(banyan_close(p->db));
			open_at(p, round % 4 == 1 ? BANYAN_CACHE_MIN : 0);
		}
		uint64_t print = print_of(p->db);
		OK(banyan_vacuum(p->db, NULL, NULL));
		assert_true(print == print_of(p->db));
		expect_known(&k, p->db);
		expect_known_in_file(&k, p->path);
		expect_sound(p->path);
	}
}

/* What does not change between two states is there once */
static void what_states_share_is_copied_once(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result alone = { 0 }, ten = { 0 }, again = { 0 };
	char name[32];
	open_at(p, 0);
	put_random(p->db, "large", 3u << 20, 1);
	for (unsigned i = 0; i < 3000; i++) {
		sprintf(name, "keys/%u", i);
		put_random(p->db, name, 100, i);
	}
	OK(banyan_vacuum(p->db, NULL, &alone));
	for (unsigned i = 0; i < 10; i++) {
		sprintf(name, "s%u", i);
		OK(banyan_snapshot(p->db, name, strlen(name)));
		/* A clone of it takes nothing either, nor its attributes */
		clone_some(p->db, "large", name, 100000 * i, 1000000);
		banyan_data *d = find(p->db, "large");
		OK(banyan_set_xattr(d, "user.x", name, 2, 0));
		banyan_release(d, 1);
		put_random(p->db, "keys/1500", 100, i);
	}
	OK(banyan_vacuum(p->db, NULL, &ten));
	OK(banyan_vacuum(p->db, NULL, &again));
	assert_true(ten.bytes_after < alone.bytes_after + (200u << 10));
	assert_true(again.bytes_after < ten.bytes_after + 4096);
}

/* Clones of which each covers another part of the same bytes, all of them made
 * between two snapshots: they are not copied one by one */
static void clones_between_two_states_are_copied_once(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result r = { 0 };
	char name[32];
	open_at(p, 0);
	put(p->db, "key", "value");
	OK(banyan_snapshot(p->db, "before", 6));
	put_random(p->db, "large", 2u << 20, 1);
	for (unsigned i = 0; i < 40; i++) {
		sprintf(name, "part%u", i);
		clone_some(p->db, "large", name, 20000 * i, 1000000);
	}
	OK(banyan_snapshot(p->db, "after", 5));
	OK(banyan_remove(p->db, "large"));
	OK(banyan_vacuum(p->db, NULL, &r));
	assert_true(r.bytes_after < (2u << 20) + (300u << 10));
}

/* ---- promise 6 -------------------------------------------------------- */

static void put_marker(banyan *db, const char *key, const char *marker)
{
	char value[20000];
	banyan_data *d;
	memset(value, '.', sizeof(value));
	memcpy(value + 16380, marker, strlen(marker));
	OK(banyan_put(db, key, value, sizeof(value), 0));
	d = find(db, key);
	OK(banyan_set_xattr(d, "user.marker", marker, strlen(marker), 0));
	banyan_release(d, 1);
}

/* In a value across the border of a chunk, in an attribute, in a name */
static void only_what_a_snapshot_has_is_in_the_file(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put_marker(p->db, "MARKER-KEPT-NAME", "MARKER-KEPT-");
	OK(banyan_snapshot(p->db, "kept", 4));
	OK(banyan_remove(p->db, "MARKER-KEPT-NAME"));
	put_marker(p->db, "MARKER-BETWEEN-NAME", "MARKER-BETWEEN-");
	OK(banyan_freeze(p->db));
	OK(banyan_remove(p->db, "MARKER-BETWEEN-NAME"));
	put_marker(p->db, "MARKER-DROPPED-NAME", "MARKER-DROPPED-");
	OK(banyan_snapshot(p->db, "MARKER-NAME", 11));
	OK(banyan_remove(p->db, "MARKER-DROPPED-NAME"));
	put_marker(p->db, "last", "MARKER-LIVE-");
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_true(times_in_file(p->path, "MARKER-KEPT-") >= 3);
	assert_true(times_in_file(p->path, "MARKER-DROPPED-") >= 3);
	assert_true(times_in_file(p->path, "MARKER-LIVE-") >= 2);
	assert_int_equal(times_in_file(p->path, "MARKER-BETWEEN-"), 0);
	OK(banyan_snapshot_drop(p->db, "MARKER-NAME", 11));
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_int_equal(times_in_file(p->path, "MARKER-DROPPED-"), 0);
	assert_int_equal(times_in_file(p->path, "MARKER-NAME"), 0);
	assert_true(times_in_file(p->path, "MARKER-KEPT-") >= 3);
	OK(banyan_snapshot_drop(p->db, "kept", 4));
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_int_equal(times_in_file(p->path, "MARKER-KEPT-"), 0);
	assert_true(times_in_file(p->path, "MARKER-LIVE-") >= 2);
}

/* ---- snapshots while a vacuum runs ------------------------------------ */

struct meanwhile {
	struct known_snapshots *k;
	unsigned calls;
};

/* Take one, drop or rename an old one or the new one, and change what they have */
static void snapshots_amid(struct amid *a)
{
	struct meanwhile *m = a->arg;
	struct known_snapshots *k = m->k;
	banyan *db = a->p->db;
	unsigned n = m->calls++;
	char name[32];
	change(db, 100 + n);
	sprintf(name, "amid%u-%u", a->at, n);
	take_known(k, db, name);
	put_random(db, "after it", 500, n);
	if (n % 3 == 0)
		drop_known(k, db, k->count / 2);
	if (n % 3 == 1) {
		sprintf(name, "new%u-%u", a->at, n);
		rename_known(k, db, k->count - 1, name);
		OK(banyan_freeze(db));
	}
	if (n % 3 == 2 && k->count > 8)
		drop_known(k, db, k->count - 1);
}

static void snapshots_are_taken_while_it_runs(void **state)
{
	struct place *p = *state;
	struct known_snapshots k = { 0 };
	open_at(p, BANYAN_CACHE_MIN);
	change(p->db, 0);
	take_known(&k, p->db, "first");
	change(p->db, 1);
	take_known(&k, p->db, "second");
	change(p->db, 2);
	for (unsigned at = 0; at < 24; at += 3) {
		struct meanwhile m = { .k = &k };
		struct amid a = { .p = p,
				  .at = at,
				  .times = at % 2 ? 1 : 4,
				  .call = snapshots_amid,
				  .arg = &m };
		OK(vacuum_amid(&a));
		assert_true(m.calls > 0);
		expect_known(&k, p->db);
		expect_known_in_file(&k, p->path);
		while (k.count > 12)
			drop_known(&k, p->db, at % k.count);
		OK(banyan_close(p->db));
		expect_sound(p->path);
		open_at(p, BANYAN_CACHE_MIN);
		expect_known(&k, p->db);
	}
}

/* ---- freezes ---------------------------------------------------------- */

struct seen {
	unsigned count;
	uint64_t number[64]; /* newest first */
	struct banyan_time time[64];
	bool gap[64];
};

static int see(void *arg, const struct banyan_freeze_info *info)
{
	struct seen *s = arg;
	assert_true(s->count < 64);
	s->number[s->count] = info->number;
	s->time[s->count] = info->time;
	s->gap[s->count++] = info->gap;
	return 0;
}

static struct seen freezes_of(banyan *db)
{
	struct seen s = { 0 };
	OK(banyan_freezes(db, see, &s));
	return s;
}

static struct banyan_time ns_later(struct banyan_time t, int64_t ns)
{
	t.sec += ns / 1000000000 - (ns < 0);
	t.nsec += (uint64_t)(ns % 1000000000 + (ns < 0 ? 1000000000 : 0));
	t.sec += (int64_t)(t.nsec / 1000000000);
	t.nsec %= 1000000000;
	return t;
}

static void expect_at(banyan *db, struct banyan_time time, const char *value)
{
	banyan *view = NULL;
	int rc = banyan_view_at_time(db, time, &view);
	assert_int_equal(rc, value ? 0 : -ENOENT);
	if (rc)
		return;
	assert_key(view, "key", value);
	OK(banyan_close(view));
}

/* The state between two snapshots is not known any more */
static void a_time_between_two_snapshots_is_none(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put(p->db, "key", "one");
	OK(banyan_snapshot(p->db, "a", 1));
	struct banyan_time one = freezes_of(p->db).time[0];
	put(p->db, "key", "lost");
	OK(banyan_freeze(p->db));
	struct banyan_time frozen = freezes_of(p->db).time[0];
	put(p->db, "key", "two");
	OK(banyan_snapshot(p->db, "b", 1));
	struct banyan_time two = freezes_of(p->db).time[0];
	put(p->db, "key", "three");
	expect_at(p->db, ns_later(two, -1), "two");
	expect_at(p->db, frozen, "lost");
	OK(banyan_vacuum(p->db, NULL, NULL));
	struct seen s = freezes_of(p->db);
	/* The last one may be there once more, with another number */
	unsigned last = s.count - 3;
	assert_in_range(s.count, 3, 4);
	assert_true(s.gap[last] && s.gap[last + 1] && !s.gap[last + 2]);
	put(p->db, "key", "four");
	for (int reopened = 0; reopened < 2; reopened++) {
		expect_at(p->db, ns_later(one, -1), NULL);
		expect_at(p->db, one, "one");
		expect_at(p->db, ns_later(one, 1), NULL);
		expect_at(p->db, frozen, NULL);
		expect_at(p->db, ns_later(two, -1), NULL);
		expect_at(p->db, two, "two");
		expect_at(p->db, ns_later(two, 1), NULL);
		expect_at(p->db, ns_later(s.time[last], -1), NULL);
		expect_at(p->db, s.time[last], "three");
		expect_at(p->db, ns_later(s.time[0], INT64_C(3000000000)),
			  "four");
		OK(banyan_close(p->db));
		open_at(p, 0);
	}
}

static void freezes_that_are_young_enough_are_kept(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_options o = { .keep = 3600 };
	struct banyan_vacuum_options for_ever = { .keep = UINT64_MAX };
	banyan *view = NULL;
	uint64_t number[3];
	open_at(p, 0);
	for (unsigned i = 0; i < 3; i++) {
		put(p->db, "key", i ? i == 1 ? "two" : "three" : "one");
		OK(banyan_freeze(p->db));
		number[i] = freezes_of(p->db).number[0];
	}
	put(p->db, "key", "four");
	for (unsigned i = 0; i < 3; i++) {
		OK(banyan_vacuum(p->db, i == 1 ? &for_ever : &o, NULL));
		struct seen s = freezes_of(p->db);
		/* That of the creation, these, and those of each vacuum */
		assert_true(s.count >= 5 + i);
		for (unsigned n = 0; n < 3; n++) {
			OK(banyan_view_at_freeze(p->db, number[n], &view));
			assert_key(view, "key",
				   n ? n == 1 ? "two" : "three" : "one");
			OK(banyan_close(view));
		}
		expect_sound(p->path);
	}
	struct timespec pause = { .tv_sec = 2 };
	nanosleep(&pause, NULL);
	put(p->db, "key", "five");
	OK(banyan_freeze(p->db));
	o.keep = 1;
	OK(banyan_vacuum(p->db, &o, NULL));
	assert_in_range(freezes_of(p->db).count, 2, 3);
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_in_range(freezes_of(p->db).count, 1, 2);
	assert_key(p->db, "key", "five");
}

/* Numbers grow along the file, whatever was frozen by whom while it ran */
static void numbers_go_up_along_the_file(void **state)
{
	struct place *p = *state;
	struct known_snapshots k = { 0 };
	struct meanwhile m = { .k = &k };
	struct amid a = {
		.p = p, .at = 1, .times = 5, .call = snapshots_amid, .arg = &m
	};
	open_at(p, BANYAN_CACHE_MIN);
	change(p->db, 0);
	take_known(&k, p->db, "first");
	OK(vacuum_amid(&a));
	struct seen s = freezes_of(p->db);
	for (unsigned i = 1; i < s.count; i++)
		assert_true(s.number[i] < s.number[i - 1]);
	take_known(&k, p->db, "last");
	assert_true(freezes_of(p->db).number[0] > s.number[0]);
	expect_known(&k, p->db);
}

/* ---- what a vacuum would give back ------------------------------------ */

static uint64_t reclaimable(banyan *db)
{
	return stat_of(db).reclaimable_bytes;
}

/* What snapshots hold is not promised: or else who vacuums when there is enough
 * to reclaim does it for ever */
static void what_snapshots_hold_is_not_reclaimable(void **state)
{
	struct place *p = *state;
	char name[32];
	open_at(p, 0);
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 100; i++) {
			sprintf(name, "key%u", i);
			put_random(p->db, name, 30000, round * 100 + i);
		}
		sprintf(name, "s%u", round);
		OK(banyan_snapshot(p->db, name, strlen(name)));
	}
	for (unsigned i = 0; i < 100; i++) {
		sprintf(name, "key%u", i);
		OK(banyan_remove(p->db, name));
	}
	for (unsigned vacuums = 0; vacuums < 3; vacuums++) {
		uint64_t size = stat_of(p->db).file_bytes;
		assert_true(size > 17u << 20);
		assert_true(reclaimable(p->db) < size / 50);
		OK(banyan_vacuum(p->db, NULL, NULL));
		OK(banyan_close(p->db));
		open_at(p, 0);
	}
	/* One that others do not need gives back its own */
	OK(banyan_snapshot_drop(p->db, "s5", 2));
	uint64_t size = stat_of(p->db).file_bytes, said = reclaimable(p->db);
	OK(banyan_vacuum(p->db, NULL, NULL));
	uint64_t gave = size - stat_of(p->db).file_bytes;
	assert_true(said <= gave + size / 50);
	for (unsigned round = 0; round < 5; round++) {
		sprintf(name, "s%u", round);
		OK(banyan_snapshot_drop(p->db, name, strlen(name)));
	}
	size = stat_of(p->db).file_bytes;
	assert_true(reclaimable(p->db) > size / 100 * 98);
}

/* What was written and overwritten between two snapshots of a small database is
 * no part of either */
static void what_was_between_snapshots_is_reclaimable(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put_random(p->db, "key", 100000, 1);
	OK(banyan_snapshot(p->db, "a", 1));
	for (unsigned i = 0; i < 100; i++)
		put_random(p->db, "key", 100000, i);
	OK(banyan_snapshot(p->db, "b", 1));
	uint64_t size = stat_of(p->db).file_bytes, said = reclaimable(p->db);
	OK(banyan_vacuum(p->db, NULL, NULL));
	uint64_t gave = size - stat_of(p->db).file_bytes;
	assert_true(said > 9u << 20 && said <= gave + size / 50);
	assert_true(said > gave - size / 50);
}

static void freezes_that_are_kept_are_not_reclaimable(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_options o = { .keep = 3600 };
	open_at(p, 0);
	for (unsigned i = 0; i < 5; i++) {
		put_random(p->db, "key", 2u << 20, i);
		OK(banyan_freeze(p->db));
	}
	assert_true(reclaimable(p->db) > 7u << 20);
	OK(banyan_vacuum(p->db, &o, NULL));
	assert_true(reclaimable(p->db) < 1u << 20);
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_true(reclaimable(p->db) < 1u << 20);
	assert_true(stat_of(p->db).file_bytes < 3u << 20);
}

/* ---- damage ----------------------------------------------------------- */

/* A snapshot whose freeze is not there stops a vacuum, until it is dropped */
static void a_damaged_snapshot_is_not_lost_silently(void **state)
{
	struct place *p = *state;
	struct snapshot s = { .name = "bad", .len = 3, .number = 1 };
	struct txn *txn = NULL;
	open_at(p, 0);
	put(p->db, "key", "value");
	OK(banyan_snapshot(p->db, "good", 4));
	s.offset = stat_of(p->db).file_bytes / 8 * 8;
	OK(store_write_begin(p->db->store, OPERATION_BATCH, false, &txn));
	OK(store_write_end(p->db->store, snapshots_put(txn, &s)));
	OK(banyan_close(p->db));
	open_at(p, 0);
	uint64_t generation = stat_of(p->db).generation;
	assert_int_equal(reclaimable(p->db), 0);
	int rc = banyan_vacuum(p->db, NULL, NULL);
	assert_true(rc == -EUCLEAN || rc == -EBADMSG);
	assert_int_equal(stat_of(p->db).generation, generation);
	struct banyan_check check = { .found = say };
	assert_int_equal(banyan_check(p->path, &check), 1);
	OK(banyan_snapshot_drop(p->db, "bad", 3));
	OK(banyan_vacuum(p->db, NULL, NULL));
	print_of_snapshot(p->db, "good");
}

static void note_line(void *arg, const char *line)
{
	unsigned *times = arg;
	*times += strcmp(line, "snapshot of monday is left out") == 0;
}

static void a_salvage_tells_which_are_not_in_the_new_file(void **state)
{
	struct place *p = *state;
	char out[TEMP_FILE_MAX];
	unsigned times = 0;
	struct banyan_salvage s = { .note = note_line, .arg = &times };
	open_at(p, 0);
	put(p->db, "key", "value");
	OK(banyan_snapshot(p->db, "of monday", 9));
	OK(banyan_close(p->db));
	temp_path(out, p->dir, "out");
	assert_int_equal(banyan_salvage(p->path, out, &s), 0);
	assert_int_equal(times, 1);
	expect_sound(out);
	OK(unlink(out));
	open_at(p, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(snapshots_stay_the_same_over_ten_vacuums),
		TEST(what_states_share_is_copied_once),
		TEST(clones_between_two_states_are_copied_once),
		TEST(only_what_a_snapshot_has_is_in_the_file),
		TEST(snapshots_are_taken_while_it_runs),
		TEST(a_time_between_two_snapshots_is_none),
		TEST(freezes_that_are_young_enough_are_kept),
		TEST(numbers_go_up_along_the_file),
		TEST(what_snapshots_hold_is_not_reclaimable),
		TEST(what_was_between_snapshots_is_reclaimable),
		TEST(freezes_that_are_kept_are_not_reclaimable),
		TEST(a_damaged_snapshot_is_not_lost_silently),
		TEST(a_salvage_tells_which_are_not_in_the_new_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
