/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a database and on a plain model of it (model.h): both
 * must always say the same, errors included.
 *
 * BANYAN_SEED says which operations, BANYAN_STEPS how many.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "model_ops.h"
#include "tests/support/random.h"

/* ---- scans ------------------------------------------------------------ */

static const char *maybe_name(struct run *r, char *name, size_t *len)
{
	if (run_chance(r, 50))
		return NULL;
	run_random_name(r, name);
	*len = strlen(name);
	if (run_chance(r, 50))
		*len = 1 + *len / 2;
	return name;
}

static void op_scan(struct run *r)
{
	char names[3][300];
	banyan_cursor *cursor = NULL;
	struct banyan_range g = { 0 };
	uint32_t space = run_random_space(r);
	const struct model *m = r->batch ? &r->before : &r->m;
	if (r->batch && (space >= MODEL_OBJECTS ||
			 m->object[space].serial != r->m.object[space].serial))
		return;
	g.prefix = run_chance(r, 30) ? maybe_name(r, names[0], &g.prefix_len) :
				       NULL;
	g.from = maybe_name(r, names[1], &g.from_len);
	g.to = maybe_name(r, names[2], &g.to_len);
	g.after = run_chance(r, 30);
	g.reverse = run_chance(r, 50);
	g.names_only = run_chance(r, 20);
	banyan_data *in = run_take(r, space);
	run_same(r, "scan", banyan_scan(in, &g, &cursor), 0);
	run_give_back(r, space, in);
	model_compare_cursor(m, space, &g, cursor);
	banyan_scan_end(cursor);
}

/* A cursor shows the moment at which it was made */
static void op_cursor(struct run *r)
{
	if (r->batch)
		return;
	if (r->cursor) {
		model_compare_cursor(&r->then, r->cursor_space, &r->range,
				     r->cursor);
		banyan_scan_end(r->cursor);
		model_free(&r->then);
		r->cursor = NULL;
		return;
	}
	uint32_t space = run_random_space(r);
	banyan_data *in = run_take(r, space);
	r->range = (struct banyan_range){ .reverse = run_chance(r, 50) };
	run_same(r, "scan", banyan_scan(in, &r->range, &r->cursor), 0);
	run_give_back(r, space, in);
	r->cursor_space = space;
	model_copy(&r->then, &r->m);
}

/* ---- batches and the whole -------------------------------------------- */

static void op_batch(struct run *r)
{
	if (!r->batch) {
		run_same(r, "begin", banyan_begin(r->db), 0);
		model_copy(&r->before, &r->m);
		r->batch = true;
		return;
	}
	r->batch = false;
	if (run_chance(r, 60)) {
		run_same(r, "commit", banyan_commit(r->db), 0);
		model_free(&r->before);
		return;
	}
	banyan_abort(r->db);
	model_free(&r->m);
	model_copy(&r->m, &r->before);
	model_free(&r->before);
	model_collect(&r->m);
}

static void end_batch(struct run *r)
{
	if (r->batch)
		op_batch(r);
}

static void compare_held(struct run *r)
{
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++)
		if (r->handle[i])
			model_compare_object(&r->m, i, r->handle[i]);
}

/* The library's own idea of what is sound must agree */
static void found(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

static void op_compare(struct run *r)
{
	if (r->batch)
		return;
	model_compare_all(&r->m, r->db);
	compare_held(r);
	struct banyan_check check = { .found = found };
	assert_int_equal(banyan_check(r->file, &check), 0);
}

static void op_freeze(struct run *r)
{
	run_same(r, "freeze", banyan_freeze(r->db), r->batch ? -EBUSY : 0);
}

static void op_sync(struct run *r)
{
	run_same(r, "sync", banyan_sync(r->db), r->batch ? -EBUSY : 0);
}

static void report(void *arg, const char *line)
{
	struct run *r = arg;
	print_error("step %llu: %s\n", (unsigned long long)r->step, line);
	fail();
}

static void open_db(struct run *r)
{
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = report,
				    .report_arg = r };
	assert_int_equal(banyan_open(r->file, &o, &r->db), 0);
}

static void close_db(struct run *r)
{
	end_batch(r);
	if (r->cursor)
		op_cursor(r);
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++) {
		banyan_release(r->handle[i], 1);
		r->handle[i] = NULL;
		r->m.object[i].held = false;
	}
	model_collect(&r->m);
	assert_int_equal(banyan_close(r->db), 0);
}

static void op_reopen(struct run *r)
{
	close_db(r);
	open_db(r);
	model_compare_all(&r->m, r->db);
}

/* ---- the run ---------------------------------------------------------- */

static const struct {
	void (*op)(struct run *r);
	unsigned per_mille;
} operations[] = {
	{ op_put, 150 },	 { op_put_data, 20 }, { op_remove, 70 },
	{ op_alias, 40 },	 { op_rename, 80 },   { op_make_space, 20 },
	{ op_get, 60 },		 { op_insert, 60 },   { op_unnamed, 15 },
	{ op_insert_data, 25 },	 { op_delete, 45 },   { op_hold, 25 },
	{ op_release, 70 },	 { op_write, 80 },    { op_scatter, 8 },
	{ op_truncate, 25 },	 { op_punch, 25 },    { op_clone, 40 },
	{ op_read, 30 },	 { op_seek, 10 },     { op_set_xattr, 25 },
	{ op_remove_xattr, 10 }, { op_scan, 35 },     { op_cursor, 10 },
	{ op_append, 6 },	 { op_batch, 25 },    { op_freeze, 4 },
	{ op_sync, 3 },		 { op_reopen, 2 },    { op_compare, 3 },
};

static void random_op(struct run *r)
{
	size_t n = sizeof(operations) / sizeof(operations[0]);
	unsigned total = 0;
	for (size_t i = 0; i < n; i++)
		total += operations[i].per_mille;
	unsigned pick = (unsigned)run_below(r, total);
	size_t i = 0;
	for (; pick >= operations[i].per_mille; i++)
		pick -= operations[i].per_mille;
	operations[i].op(r);
}

static void make_room(struct run *r)
{
	while (r->m.keys > MODEL_OBJECTS / 2)
		op_remove(r);
}

static uint64_t steps_wanted(uint64_t otherwise)
{
	const char *text = getenv("BANYAN_STEPS");
	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Below valgrind; unless a number was asked for */
static bool out_of_time(void)
{
	return !getenv("BANYAN_STEPS") &&
	       clock() > 40 / test_one_in(4) * CLOCKS_PER_SEC;
}

static void says_what_a_plain_model_says(void **state)
{
	char dir[TEMP_MAX];
	struct run *r = calloc(1, sizeof(*r));
	(void)state;
	assert_non_null(r);
	assert_int_equal(temp_directory(dir, TEMP_ON_DISK), 0);
	temp_path(r->file, dir, "db");
	r->random = test_seed();
	r->steps = steps_wanted(20000);
	model_init(&r->m);
	open_db(r);
	for (r->step = 0; r->step < r->steps && !out_of_time(); r->step++) {
		if (model_full(&r->m))
			make_room(r);
		random_op(r);
	}
	end_batch(r);
	op_compare(r);
	op_reopen(r);
	op_compare(r);
	close_db(r);
	print_message("%llu calls went well, %llu said an error\n",
		      (unsigned long long)r->good,
		      (unsigned long long)r->errors);
	model_free(&r->m);
	unlink(r->file);
	rmdir(dir);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_a_plain_model_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
