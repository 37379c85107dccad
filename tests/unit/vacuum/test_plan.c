/* SPDX-License-Identifier: MIT */
/* What a vacuum or a punch would do is known beforehand, and how well */
#include "vacuum_fixture.h"

static struct banyan_vacuum_plan plan_of(banyan *db)
{
	struct banyan_vacuum_plan plan = { .struct_size = sizeof(plan) };
	OK(banyan_vacuum_plan(db, NULL, NULL, &plan));
	return plan;
}

static void snapshot(banyan *db, unsigned number)
{
	char name[32];
	snprintf(name, sizeof(name), "s%u", number);
	OK(banyan_snapshot(db, name, strlen(name)));
}

/* Both less than so many parts of `of` apart */
static void assert_near(uint64_t a, uint64_t b, uint64_t of, unsigned parts)
{
	uint64_t apart = a > b ? a - b : b - a;
	if (apart > of / parts)
		fail_msg("%llu and %llu, of %llu", (unsigned long long)a,
			 (unsigned long long)b, (unsigned long long)of);
}

/* The plan is as good as this after whatever was done to the database */
static void expect_plan(struct place *p, unsigned parts)
{
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	struct banyan_vacuum_plan plan = plan_of(p->db);
	uint64_t size = (uint64_t)size_at(p->path);
	assert_true(plan.bytes_free > 0 && plan.bytes_free != UINT64_MAX);
	OK(banyan_vacuum(p->db, NULL, &r));
	assert_near(plan.bytes_after, r.bytes_after, size, parts);
	assert_near(plan.bytes_before, size, size, parts);
	assert_int_equal(plan.freezes_kept, r.freezes_kept);
	/* The vacuum may freeze first */
	assert_true(r.freezes_dropped >= plan.freezes_dropped);
	assert_true(r.freezes_dropped <= plan.freezes_dropped + 1);
}

static void put_many(banyan *db, unsigned from, unsigned to, size_t size,
		     uint64_t seed)
{
	char key[40];
	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), "k%u/%u", i % 7, i);
		put_random(db, key, size, seed + i);
	}
}

static void without_snapshots(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	for (unsigned round = 0; round < 3; round++) {
		put_many(p->db, 0, 3000, 100, round);
		put_many(p->db, 3000, 3300, 9000, round);
	}
	expect_plan(p, 40);
	put_many(p->db, 0, 300, 20000, 9);
	expect_plan(p, 40);
}

/* Few values, written over and over between one snapshot and the next */
static void what_was_between_snapshots(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put_many(p->db, 0, 1000, 5000, 1);
	for (unsigned s = 0; s < 5; s++) {
		for (unsigned round = 0; round < 10; round++)
			put_many(p->db, 0, 50, 5000, 100 * s + round);
		snapshot(p->db, s);
	}
	expect_plan(p, 40);
	for (unsigned round = 0; round < 10; round++)
		put_many(p->db, 0, 50, 5000, round);
	expect_plan(p, 40);
}

/* What is moved, or cloned from what an earlier state has, is there once */
static void what_states_share(void **state)
{
	struct place *p = *state;
	open_at(p, 0);
	put_many(p->db, 0, 100, 50000, 1);
	snapshot(p->db, 0);
	for (unsigned i = 0; i < 98; i += 7) {
		char old[40], new[40];
		snprintf(old, sizeof(old), "k0/%u", i);
		snprintf(new, sizeof(new), "k1/moved%u", i);
		OK(banyan_rename(p->db, old, new, 0));
	}
	banyan_data *from = find(p->db, "k1/moved0");
	OK(banyan_put_data(p->db, "clone", from, 0));
	banyan_release(from, 1);
	snapshot(p->db, 1);
	put_many(p->db, 0, 100, 100, 1);
	expect_plan(p, 40);
}

static void freezes_that_keep_asks_for(void **state)
{
	struct place *p = *state;
	const struct banyan_vacuum_options o = { .struct_size = sizeof(o),
						 .keep = 3600 };
	struct banyan_vacuum_plan plan = { .struct_size = sizeof(plan) };
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	open_at(p, 0);
	for (unsigned i = 0; i < 3; i++) {
		put_many(p->db, 0, 100, 5000, i);
		OK(banyan_freeze(p->db));
	}
	OK(banyan_vacuum_plan(p->db, NULL, &o, &plan));
	assert_int_equal(plan.freezes_dropped, 0);
	assert_true(plan.freezes_kept >= 4);
	OK(banyan_vacuum(p->db, &o, &r));
	assert_int_equal(r.freezes_dropped, 0);
	assert_int_equal(r.freezes_kept, plan.freezes_kept);
	assert_near(plan.bytes_after, r.bytes_after, r.bytes_after, 20);
	OK(banyan_vacuum(p->db, NULL, &r));
	assert_int_equal(r.freezes_kept, 0);
	assert_true(r.freezes_dropped > plan.freezes_kept);
}

/* A plan for another place, of an earlier state */
static void of_a_backup(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_plan plan = { .struct_size = sizeof(plan) };
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	char out[TEMP_FILE_MAX];
	banyan *view = NULL;
	open_at(p, 0);
	put_many(p->db, 0, 300, 5000, 1);
	OK(banyan_view(p->db, &view));
	put_many(p->db, 0, 3000, 5000, 2);
	temp_path(out, p->dir, "out");
	OK(banyan_vacuum_plan(view, out, NULL, &plan));
	OK(banyan_backup(view, out, NULL, &r));
	assert_near(plan.bytes_after, r.bytes_after, r.bytes_after, 20);
	OK(banyan_close(view));
	OK(unlink(out));
	temp_path(out, p->dir, "none/out");
	assert_int_equal(banyan_vacuum_plan(p->db, out, NULL, &plan), -ENOENT);
}

static void of_a_punch(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_plan plan = { .struct_size = sizeof(plan) };
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	int rc;
	open_at(p, 0);
	put_many(p->db, 0, 300, 20000, 1);
	snapshot(p->db, 0);
	for (unsigned round = 0; round < 3; round++)
		put_many(p->db, 0, 200, 20000, round);
	OK(banyan_freeze(p->db));
	OK(banyan_remove(p->db, "k0/0"));
	OK(banyan_vacuum_punch_plan(p->db, NULL, &plan));
	rc = banyan_vacuum_punch(p->db, NULL, &r);
	if (rc == -EOPNOTSUPP)
		skip();
	OK(rc);
	assert_near(plan.bytes_before, r.bytes_before, UINT64_C(1) << 20, 1);
	assert_near(plan.bytes_after, r.bytes_after, 200000, 1);
	assert_int_equal(plan.freezes_kept, 1);
	assert_int_equal(r.freezes_kept, 1);
	assert_int_equal(plan.freezes_dropped, r.freezes_dropped);
}

/* All that is live only the operations have */
static void of_a_punch_before_anything_is_frozen(void **state)
{
	struct place *p = *state;
	struct banyan_vacuum_plan plan = { .struct_size = sizeof(plan) };
	struct banyan_vacuum_result r = { .struct_size = sizeof(r) };
	int rc;
	open_at(p, 0);
	put_many(p->db, 0, 100, 20000, 1);
	put_many(p->db, 0, 50, 20000, 2);
	OK(banyan_vacuum_punch_plan(p->db, NULL, &plan));
	rc = banyan_vacuum_punch(p->db, NULL, &r);
	if (rc == -EOPNOTSUPP)
		skip();
	OK(rc);
	assert_near(plan.bytes_after, r.bytes_after, 200000, 1);
}

/* What a read-only handle tells beside the writer */
static void of_another_process(void **state)
{
	struct place *p = *state;
	const struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	struct banyan_vacuum_plan plan;
	banyan *reader = NULL;
	open_at(p, 0);
	put_many(p->db, 0, 1000, 5000, 1);
	put_many(p->db, 0, 1000, 5000, 2);
	OK(banyan_open(p->path, &o, &reader));
	plan = plan_of(reader);
	assert_near(plan.bytes_after, plan_of(p->db).bytes_after,
		    plan.bytes_after, 50);
	OK(banyan_close(reader));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_snapshots),
		TEST(what_was_between_snapshots),
		TEST(what_states_share),
		TEST(freezes_that_keep_asks_for),
		TEST(of_a_backup),
		TEST(of_a_punch),
		TEST(of_a_punch_before_anything_is_frozen),
		TEST(of_another_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
