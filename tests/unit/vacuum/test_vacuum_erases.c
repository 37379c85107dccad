/* SPDX-License-Identifier: MIT */
/*
 * What was deleted or overwritten before a vacuum is nowhere in the file after
 * it, wherever it was: a search for its bytes finds it before and not after. What
 * is live is found after it, too.
 */
#include "vacuum_fixture.h"

#define CHUNK 4096u /* bytes that have a checksum together */
#define BIG 100000u
#define LIVE "c0ffee-this-is-live"

struct marks {
	banyan *db;
	char marks[64][32];
	unsigned count;
};

/* A new one, which shares no beginning with others: nodes leave those out */
static const char *mark(struct marks *m)
{
	uint64_t dice = m->count + 77;
	char *text = m->marks[m->count++];
	assert_true(m->count < 64);
	sprintf(text, "%08x-dead", (unsigned)test_random(&dice));
	return text;
}

/* A value of some kind of bytes, the mark at an offset of it */
static void put_around(banyan *db, const char *path, size_t size, size_t at,
		       const char *text)
{
	char *bytes = malloc(size);
	assert_non_null(bytes);
	fill((uint8_t *)bytes, size, size + at);
	memcpy(bytes + at, text, strlen(text));
	OK(banyan_put(db, path, bytes, size, BANYAN_PARENTS));
	free(bytes);
}

/* ---- what is to go ---------------------------------------------------- */

static void in_names(struct marks *m)
{
	char path[64];
	put(m->db, "stays", "value");
	const char *text = mark(m);
	put(m->db, text, "gone");
	OK(banyan_remove(m->db, text));
	text = mark(m);
	put(m->db, text, "renamed");
	OK(banyan_rename(m->db, text, "new name", 0));
	text = mark(m);
	OK(banyan_alias(m->db, "stays", text));
	OK(banyan_remove(m->db, text));
	sprintf(path, "%s/in/it", mark(m));
	put(m->db, path, "gone");
	for (int i = 0; i < 3; i++) {
		OK(banyan_remove(m->db, path));
		*strrchr(path, i < 2 ? '/' : path[0]) = '\0';
	}
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = mark(m),
				   .size = 13 };
	OK(banyan_insert(banyan_root(m->db), "link", 4, &link, NULL, NULL));
	OK(banyan_remove(m->db, "link"));
}

static void in_xattrs(struct marks *m)
{
	static char large[60000];
	char name[64];
	banyan_data *data = find(m->db, "stays");
	sprintf(name, "user.%s", mark(m));
	OK(banyan_set_xattr(data, name, "v", 1, 0));
	OK(banyan_remove_xattr(data, name));
	OK(banyan_set_xattr(data, "user.x", mark(m), 13, 0));
	OK(banyan_set_xattr(data, "user.x", "other", 5, 0));
	memset(large, 'x', sizeof(large));
	memcpy(large + 2 * CHUNK - 5, mark(m), 13);
	OK(banyan_set_xattr(data, "user.large", large, sizeof(large), 0));
	OK(banyan_set_xattr(data, "user.large", large, CHUNK, 0));
	banyan_release(data, 1);
}

static void in_values(struct marks *m)
{
	put(m->db, "inline", mark(m));
	put(m->db, "inline", "other");
	put(m->db, "removed", mark(m));
	OK(banyan_remove(m->db, "removed"));
	put_around(m->db, "border", BIG, CHUNK - 6, mark(m));
	put_around(m->db, "border", BIG, 0, LIVE);
	put_around(m->db, "large", 5000000, 4500000, mark(m));
	OK(banyan_remove(m->db, "large"));
}

/* Their payload is still used, beside the mark */
static void in_parts(struct marks *m)
{
	put_around(m->db, "part", BIG, 3 * CHUNK - 3, mark(m));
	banyan_data *data = find(m->db, "part");
	write_random(data, 3 * CHUNK - 3, 13, 5);
	banyan_release(data, 1);
	put_around(m->db, "hole", BIG, 50000, mark(m));
	data = find(m->db, "hole");
	OK(banyan_punch(data, 50000, 13, true));
	banyan_release(data, 1);
	put_around(m->db, "short", BIG, 50000, mark(m));
	data = find(m->db, "short");
	OK(banyan_truncate(data, 50000));
	banyan_release(data, 1);
	put_around(m->db, "original", BIG, 50000, mark(m));
	data = find(m->db, "original");
	put(m->db, "clone", "");
	banyan_data *clone = find(m->db, "clone");
	assert_int_equal(banyan_clone(data, 0, clone, 0, 50000), 50000);
	assert_int_equal(banyan_clone(data, 50013, clone, 50000, 49987), 49987);
	banyan_release(clone, 1);
	banyan_release(data, 1);
	OK(banyan_remove(m->db, "original"));
}

/* By little and little, as a log grows: its tail is joined now and then */
static void in_tails(struct marks *m)
{
	char text[200] = "";
	put(m->db, "grows", "");
	banyan_data *data = find(m->db, "grows");
	for (unsigned i = 0; i < 40; i++) {
		memset(text, 'a' + (char)(i % 26), sizeof(text));
		if (i % 13 == 0)
			memcpy(text, mark(m), 13);
		OK(banyan_write(data, text, sizeof(text), 0, BANYAN_APPEND,
				NULL));
		if (i == 30)
			OK(banyan_truncate(data, 100));
	}
	OK(banyan_truncate(data, 0));
	banyan_release(data, 1);
}

static void in_what_never_had_a_key(struct marks *m)
{
	struct banyan_new make = { .mode = 0600, .value = mark(m), .size = 13 };
	banyan_data *data = NULL;
	OK(banyan_insert_unnamed(m->db, &make, &data, NULL));
	banyan_release(data, 1);
}

static void make_marks(struct marks *m)
{
	in_names(m);
	in_xattrs(m);
	in_values(m);
	in_parts(m);
	in_tails(m);
	in_what_never_had_a_key(m);
	put(m->db, LIVE "-name", "x");
}

static void expect_marks(const struct marks *m, const char *path, bool there)
{
	for (unsigned i = 0; i < m->count; i++)
		if ((times_in_file(path, m->marks[i]) > 0) != there)
			fail_msg("mark %u: %s", i,
				 there ? "not found" : "found");
}

/* Frozen or not: in nodes, or in the redo alone */
static void what_has_gone_is_nowhere(void **state)
{
	struct place *p = *state;
	for (unsigned frozen = 0; frozen < 3; frozen++) {
		struct marks m = { 0 };
		open_at(p, 0);
		m.db = p->db;
		make_marks(&m);
		if (frozen == 1)
			OK(banyan_freeze(p->db));
		uint64_t print = print_of(p->db);
		expect_marks(&m, p->path, true);
		OK(banyan_vacuum(p->db, NULL, NULL));
		expect_marks(&m, p->path, false);
		assert_int_equal(times_in_file(p->path, LIVE), 2);
		assert_true(print == print_of(p->db));
		OK(banyan_close(p->db));
		p->db = NULL;
		expect_marks(&m, p->path, false);
		expect_sound(p->path);
		if (frozen < 2)
			OK(unlink(p->path));
	}
}

static void make_amid(struct amid *a)
{
	in_values(a->arg);
}

/* It goes with the next one */
static void what_goes_meanwhile_goes_with_the_next(void **state)
{
	struct place *p = *state;
	struct marks before = { 0 };
	struct marks m = { .count = 40 };
	struct amid amid = { .p = p, .call = make_amid, .arg = &m };
	open_at(p, 0);
	before.db = m.db = p->db;
	make_marks(&before);
	OK(vacuum_amid(&amid));
	expect_marks(&before, p->path, false);
	OK(banyan_vacuum(p->db, NULL, NULL));
	expect_marks(&before, p->path, false);
	for (unsigned i = 40; i < m.count; i++)
		assert_int_equal(times_in_file(p->path, m.marks[i]), 0);
	assert_true(m.count > 40 && before.count < 40);
	assert_int_equal(times_in_file(p->path, LIVE), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_has_gone_is_nowhere),
		TEST(what_goes_meanwhile_goes_with_the_next),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
