/* SPDX-License-Identifier: MIT */
/* What a vacuum keeps, for those who have the database open, too */
#include "vacuum_fixture.h"

#include "api/handle.h"
#include "engine/freeze.h"

/* More than is copied at once */
#define LARGE (5u << 20)

/* ---- all kinds of things ---------------------------------------------- */

static void make_names(banyan *db)
{
	put(db, "a", "value of a");
	put(db, "empty", "");
	put(db, "space/in/another/key", "deep");
	OK(banyan_alias(db, "a", "alias"));
	OK(banyan_alias(db, "a", "space/alias"));
	OK(banyan_make_space(db, "nothing in it", 0));
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = "to/somewhere",
				   .size = 12 };
	struct banyan_new node = { .mode = S_IFCHR | 0600, .rdev = 259 };
	OK(banyan_insert(banyan_root(db), "link", 4, &link, NULL, NULL));
	OK(banyan_insert(banyan_root(db), "node", 4, &node, NULL, NULL));
}

static void make_attributes(banyan *db)
{
	static char text[60000];
	struct banyan_attr attr = { .mode = 04751,
				    .uid = 1234,
				    .gid = 5678,
				    .atime = { 11, 12 },
				    .mtime = { -13, 14 } };
	banyan_data *a = find(db, "a");
	memset(text, 'x', sizeof(text));
	OK(banyan_set_attr(a, &attr,
			   BANYAN_SET_MODE | BANYAN_SET_UID | BANYAN_SET_GID |
				   BANYAN_SET_ATIME | BANYAN_SET_MTIME,
			   NULL));
	OK(banyan_set_xattr(a, "user.short", "s", 1, 0));
	OK(banyan_set_xattr(a, "user.empty", "", 0, 0));
	OK(banyan_set_xattr(a, "user.middle", text, 700, 0));
	OK(banyan_set_xattr(a, "user.long", text, sizeof(text), 0));
	banyan_release(a, 1);
	a = find(db, "space");
	OK(banyan_set_xattr(a, "user.of a space", "s", 1, 0));
	banyan_release(a, 1);
}

/* Extents in the row, and in rows of their own, with holes between them */
static void make_values(banyan *db)
{
	put_random(db, "inline", 200, 1);
	put_random(db, "one", 5000, 2);
	put_random(db, "large", LARGE, 3);
	for (unsigned many = 4; many <= 300; many += 296) {
		const char *name = many == 4 ? "few" : "many";
		put(db, name, "");
		banyan_data *data = find(db, name);
		for (unsigned i = many; i--;)
			write_random(data, i * 10000, 600, i);
		OK(banyan_truncate(data, many * 10000 + 5000));
		banyan_release(data, 1);
	}
}

static void clone_part(banyan *db, const char *from, const char *to,
		       uint64_t offset, uint64_t size)
{
	put(db, to, "");
	banyan_data *a = find(db, from), *b = find(db, to);
	assert_int_equal(banyan_clone(a, offset, b, 0, size), size);
	banyan_release(a, 1);
	banyan_release(b, 1);
}

static void make_all(banyan *db)
{
	make_names(db);
	make_attributes(db);
	make_values(db);
	clone_part(db, "large", "cloned", 0, LARGE);
	clone_part(db, "large", "part of it", 100001, 1000000);
	clone_part(db, "many", "of many", 0, 3000000);
}

static void make_garbage(banyan *db)
{
	for (unsigned i = 0; i < 200; i++)
		put_random(db, "garbage", 20000, i);
	OK(banyan_remove(db, "garbage"));
}

static void everything_is_kept(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result result = { 0 };
	open_at(p, 0);
	make_all(p->db);
	make_garbage(p->db);
	for (unsigned frozen = 0; frozen < 3; frozen++) {
		uint64_t print = print_of(p->db);
		banyan_data *a = find(p->db, "a");
		struct banyan_stat was = stat_of(p->db), is;
		struct banyan_attr attr = attr_of(a), then;
		if (frozen == 1)
			OK(banyan_freeze(p->db));
		OK(banyan_vacuum(p->db, NULL, &result));
		is = stat_of(p->db);
		then = attr_of(a);
		assert_true(print == print_of(p->db));
		assert_memory_equal(&attr, &then, sizeof(attr));
		assert_int_equal(is.generation, was.generation + 1);
		assert_memory_equal(is.uuid, was.uuid, 16);
		assert_memory_not_equal(is.file_uuid, was.file_uuid, 16);
		assert_true(is.freezes > was.freezes);
		assert_int_equal(is.keys, was.keys);
		assert_int_equal(is.next_id, was.next_id);
		assert_int_equal(is.live_bytes, was.live_bytes);
		assert_int_equal(is.file_bytes, result.bytes_after);
		assert_int_equal(size_at(p->path), result.bytes_after);
		assert_int_equal(files_in(p), 1);
		banyan_release(a, 1);
		OK(banyan_close(p->db));
		expect_sound(p->path);
		open_at(p, 0);
		assert_true(print == print_of(p->db));
	}
}

/* An extent that takes a whole segment, as the first one: the first segment, with
 * the superblock, has less room */
static void the_first_value_may_fill_a_segment(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put_random(p->db, "b", 4000000, 1);
	put_random(p->db, "a", 9000000, 2);
	uint64_t print = print_of(p->db);
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_true(print == print_of(p->db));
}

static void what_is_shared_stays_shared(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result first = { 0 }, second = { 0 };
	open_at(p, 0);
	make_values(p->db);
	OK(banyan_vacuum(p->db, NULL, &first));
	for (unsigned i = 0; i < 20; i++) {
		char name[16];
		sprintf(name, "clone%u", i);
		clone_part(p->db, "large", name, 0, LARGE);
		clone_part(p->db, "large", strcat(name, "b"), i * 10000,
			   1000000);
	}
	OK(banyan_vacuum(p->db, NULL, &second));
	assert_true(second.bytes_after < first.bytes_after + 100000);
	OK(banyan_vacuum(p->db, NULL, &second));
	assert_true(second.bytes_after < first.bytes_after + 100000);
}

/* Each clone has parts of its own in between, or begins somewhere else, so that no
 * two refer to the same pieces */
static void nor_do_clones_that_were_written_to_part(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result result = { 0 };
	open_at(p, 0);
	put_random(p->db, "original", LARGE, 3);
	for (unsigned i = 0; i < 30; i++) {
		char name[16];
		sprintf(name, "clone%u", i);
		clone_part(p->db, "original", name, 0, LARGE);
		banyan_data *data = find(p->db, name);
		for (unsigned k = 0; k < 8; k++)
			write_random(data, i * 7000 + k * 600000, 100, i);
		banyan_release(data, 1);
		sprintf(name, "part%u", i);
		clone_part(p->db, "original", name, i * 65537, 2000000);
	}
	OK(banyan_remove(p->db, "original"));
	uint64_t print = print_of(p->db);
	for (unsigned i = 0; i < 2; i++) {
		OK(banyan_vacuum(p->db, NULL, &result));
		assert_true(print == print_of(p->db));
		assert_true(result.bytes_after < LARGE + 200000);
	}
}

static void rename_it(struct amid *a)
{
	OK(banyan_rename(a->p->db, "large", "renamed", 0));
}

/* Its row is written once more, its value is in the new file already */
static void what_is_changed_meanwhile_is_not_copied_twice(void **state)
{
	struct place *p = *state;
	struct amid amid = { .p = p, .call = rename_it };
	open_at(p, 0);
	put_random(p->db, "large", LARGE, 3);
	OK(vacuum_amid(&amid));
	assert_true(has_key(p->db, "renamed"));
	assert_true(size_at(p->path) < LARGE + 100000);
}

/* Bytes of clones are not bytes of the file */
static void clones_are_no_damage(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put_random(p->db, "a", 1000000, 1);
	clone_part(p->db, "a", "b", 0, 1000000);
	put_random(p->db, "c", 2200000, 2);
	uint64_t print = print_of(p->db);
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_true(print == print_of(p->db));
}

/* ---- held and open ---------------------------------------------------- */

static void write_orphan(struct amid *a)
{
	write_random(a->arg, 70000, 50000, 9);
}

static void expect_orphan(banyan_data *data)
{
	uint8_t bytes[120001], wanted[120000];
	fill(wanted, 100000, 5);
	fill(wanted + 70000, 50000, 9);
	assert_int_equal(banyan_read(data, bytes, sizeof(bytes), 0), 120000);
	assert_memory_equal(bytes, wanted, 120000);
}

static void what_is_held_without_a_key_lives_on(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	make_all(p->db);
	put_random(p->db, "orphan", 100000, 5);
	banyan_data *orphan = find(p->db, "orphan");
	banyan_data *held = find(p->db, "many");
	uint64_t id = banyan_id(held);
	OK(banyan_remove(p->db, "orphan"));
	struct amid amid = { .p = p, .call = write_orphan, .arg = orphan };
	OK(vacuum_amid(&amid));
	assert_true(amid.asked > 0);
	expect_orphan(orphan);
	OK(banyan_vacuum(p->db, NULL, NULL));
	expect_orphan(orphan);
	write_random(orphan, 0, 10, 1);
	assert_int_equal(banyan_id(held), id);
	assert_int_equal(attr_of(held).size, 3005000);
	write_random(held, 0, 10, 1);
	OK(banyan_insert_data(banyan_root(p->db), "again", 5, orphan));
	banyan_release(orphan, 1);
	banyan_release(held, 1);
}

static void an_orphan_that_is_released_is_gone(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_result result = { 0 };
	open_at(p, 0);
	put_random(p->db, "orphan", 1000000, 5);
	banyan_data *orphan = find(p->db, "orphan");
	OK(banyan_remove(p->db, "orphan"));
	banyan_release(orphan, 1);
	OK(banyan_vacuum(p->db, NULL, &result));
	assert_true(result.bytes_before > 1000000);
	assert_true(result.bytes_after < 50000);
}

static void change_all(banyan *db)
{
	char path[32];
	for (unsigned i = 0; i < 3000; i++) {
		sprintf(path, "key%05u", i);
		put_random(db, path, i % 400, i + 77);
	}
	for (unsigned i = 3000; i < 4000; i++) {
		sprintf(path, "key%05u", i);
		OK(banyan_remove(db, path));
	}
}

/* More than its small cache holds: they read the file that has lost its name */
static void views_and_cursors_go_on_with_what_they_show(void **state)
{
	struct place *p = *state;
	struct banyan_entry e;
	banyan_cursor *cursor = NULL;
	banyan *view = NULL, *of = NULL;
	unsigned seen = 0;
	open_at(p, BANYAN_CACHE_MIN);
	for (unsigned i = 0; i < 6000; i++) {
		char path[32];
		sprintf(path, "key%05u", i);
		put_random(p->db, path, 100 + i % 600, i);
	}
	uint64_t print = print_of(p->db);
	OK(banyan_view(p->db, &view));
	OK(banyan_scan(banyan_root(p->db), NULL, &cursor));
	for (; seen < 10; seen++)
		OK(banyan_next(cursor, &e));
	OK(banyan_vacuum(p->db, NULL, NULL));
	change_all(p->db);
	OK(banyan_vacuum(p->db, NULL, NULL));
	OK(banyan_view(view, &of));
	assert_true(print_of(view) == print);
	assert_true(stat_of(view).generation + 2 == stat_of(p->db).generation);
	while (banyan_next(cursor, &e) == 0)
		seen++;
	assert_int_equal(seen, 6000);
	banyan_scan_end(cursor);
	OK(banyan_close(view));
	OK(banyan_close(p->db));
	p->db = NULL;
	assert_true(print_of(of) == print);
	OK(banyan_close(of));
}

static void a_reader_of_another_process_keeps_the_old_file(void **state)
{
	struct place *p = *state;
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	banyan *reader = NULL;
	open_at(p, 0);
	make_all(p->db);
	OK(banyan_freeze(p->db));
	uint64_t print = print_of(p->db);
	OK(banyan_open(p->path, &o, &reader));
	OK(banyan_vacuum(p->db, NULL, NULL));
	OK(banyan_remove(p->db, "large"));
	assert_true(print_of(reader) == print);
	assert_int_equal(banyan_vacuum(reader, NULL, NULL), -EROFS);
	OK(banyan_close(reader));
}

static void a_database_in_memory_is_vacuumed(void **state)
{
	struct banyan_vacuum_result result = { 0 };
	banyan *db = open_memory();
	(void)state;
	make_all(db);
	make_garbage(db);
	uint64_t print = print_of(db);
	OK(banyan_vacuum(db, NULL, &result));
	assert_true(print == print_of(db));
	assert_true(result.bytes_before > result.bytes_after + 3000000);
	assert_int_equal(stat_of(db).file_bytes, result.bytes_after);
	make_garbage(db);
	OK(banyan_vacuum(db, NULL, &result));
	assert_true(print == print_of(db));
	OK(banyan_close(db));
}

/* ---- the course of it ------------------------------------------------- */

static void put_and_remove(struct amid *a)
{
	char path[32];
	for (unsigned i = 0; i < 500; i++) {
		sprintf(path, "amid%u", i);
		put_random(a->p->db, path, i % 7 ? 100 : 9000, i);
	}
	clone_part(a->p->db, "large", "cloned amid", 4000, 1000000);
	if (a->asked > 1)
		return;
	OK(banyan_rename(a->p->db, "space/in", "out", 0));
	OK(banyan_remove(a->p->db, "one"));
}

/* Also with a small table: then the new file has freezes before it takes over */
static void progress_may_write(void **state)
{
	struct place *p = *state;
	struct amid amid = { .p = p, .times = 4, .call = put_and_remove };
	open_at(p, 0);
	p->db->store->table_limit = 30000;
	make_all(p->db);
	OK(vacuum_amid(&amid));
	uint64_t print = print_of(p->db);
	assert_false(has_key(p->db, "one"));
	assert_key(p->db, "out/another/key", "deep");
	OK(banyan_close(p->db));
	expect_sound(p->path);
	open_at(p, 0);
	assert_true(print == print_of(p->db));
}

/* Large values come in until the very end */
static int put_large(void *arg, uint64_t done, uint64_t total)
{
	struct amid *a = arg;
	(void)done;
	(void)total;
	if (a->asked++ < 60)
		put_random(a->p->db, "large", 30000, a->asked);
	return 0;
}

static void progress_may_write_at_the_end(void **state)
{
	struct place *p = *state;
	struct amid amid = { .p = p };
	struct banyan_vacuum_options o = { .progress = put_large,
					   .arg = &amid };
	open_at(p, 0);
	make_names(p->db);
	OK(banyan_vacuum(p->db, &o, NULL));
	assert_int_equal(stat_of(p->db).live_bytes >= 30000, 1);
}

static void what_progress_says_ends_it(void **state)
{
	static const int values[] = { -ECANCELED, -77, 1, 2, 77 };
	struct place *p = *state;
	open_at(p, 0);
	make_all(p->db);
	uint64_t print = print_of(p->db);
	for (unsigned i = 0; i < 40; i++) {
		struct amid amid = { .p = p,
				     .at = i / 5,
				     .says = values[i % 5] };
		int rc = vacuum_amid(&amid);
		assert_int_equal(rc, amid.asked > amid.at ? values[i % 5] : 0);
		assert_int_equal(files_in(p), 1);
		assert_true(print == print_of(p->db));
	}
	OK(banyan_close(p->db));
	open_at(p, 0);
	assert_true(print == print_of(p->db));
}

static void put_many_small(struct amid *a)
{
	char path[32];
	for (unsigned i = 0; i < 20000; i++) {
		sprintf(path, "small%u", i);
		put(a->p->db, path, "some value");
	}
	/* It is this call that says nothing, and the second one after it ends it */
	a->at = 2;
	a->call = NULL;
	a->says = -ECANCELED;
}

/* While it catches up, too, be the values ever so small */
static void it_can_be_ended_while_it_catches_up(void **state)
{
	struct place *p = *state;
	struct amid amid = { .p = p, .call = put_many_small };
	open_at(p, 0);
	put(p->db, "a", "a");
	assert_int_equal(vacuum_amid(&amid), -ECANCELED);
	assert_int_equal(stat_of(p->db).keys, 20001);
}

static void vacuum_again(struct amid *a)
{
	assert_int_equal(banyan_vacuum(a->p->db, NULL, NULL), -EBUSY);
}

static void one_runs_at_a_time(void **state)
{
	struct place *p = *state;
	struct amid amid = { .p = p, .call = vacuum_again };
	open_at(p, 0);
	make_names(p->db);
	OK(vacuum_amid(&amid));
	assert_true(amid.asked > 0);
	OK(banyan_vacuum(p->db, NULL, NULL));
}

/* ---- numbers of freezes ----------------------------------------------- */

/* The first time there is more to do, so that there is a second time when the
 * first freeze of the new file has its number */
static void freeze_later(struct amid *a)
{
	if (a->asked == 1)
		for (unsigned i = 0; i < 3; i++)
			put_random(a->p->db, "much", 200000, i);
	for (unsigned i = 0; i < 2; i++) {
		put(a->p->db, i ? "x" : "y", "z");
		OK(banyan_freeze(a->p->db));
	}
	*(uint64_t *)a->arg = stat_of(a->p->db).freezes;
}

/* Somebody knows the number of one that came while the new file was filled */
static void freezes_never_have_the_same_number(void **state)
{
	struct place *p = *state;
	uint64_t last = 0;
	open_at(p, 0);
	make_names(p->db);
	for (unsigned i = 0; i < 4; i++) {
		struct amid amid = {
			.p = p, .call = freeze_later, .times = 2, .arg = &last
		};
		OK(vacuum_amid(&amid));
		assert_true(amid.asked > 1);
		uint64_t now = stat_of(p->db).freezes;
		assert_true(now > last);
		OK(banyan_close(p->db));
		expect_sound(p->path);
		open_at(p, 0);
		assert_true(stat_of(p->db).freezes >= now);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(everything_is_kept),
		TEST(the_first_value_may_fill_a_segment),
		TEST(what_is_shared_stays_shared),
		TEST(nor_do_clones_that_were_written_to_part),
		TEST(what_is_changed_meanwhile_is_not_copied_twice),
		TEST(clones_are_no_damage),
		TEST(what_is_held_without_a_key_lives_on),
		TEST(an_orphan_that_is_released_is_gone),
		TEST(views_and_cursors_go_on_with_what_they_show),
		TEST(a_reader_of_another_process_keeps_the_old_file),
		cmocka_unit_test(a_database_in_memory_is_vacuumed),
		TEST(progress_may_write),
		TEST(progress_may_write_at_the_end),
		TEST(what_progress_says_ends_it),
		TEST(it_can_be_ended_while_it_catches_up),
		TEST(one_runs_at_a_time),
		TEST(freezes_never_have_the_same_number),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
