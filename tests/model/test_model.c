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

static void random_range(struct run *r, struct banyan_range *g,
			 char names[3][300])
{
	*g = (struct banyan_range){ 0 };
	if (run_chance(r, 30))
		g->prefix = maybe_name(r, names[0], &g->prefix_len);
	g->from = maybe_name(r, names[1], &g->from_len);
	g->to = maybe_name(r, names[2], &g->to_len);
	g->after = run_chance(r, 30);
	g->reverse = run_chance(r, 50);
	g->names_only = run_chance(r, 20);
}

static void op_scan(struct run *r)
{
	char names[3][300];
	banyan_cursor *cursor = NULL;
	struct banyan_range g;
	uint32_t space = run_random_space(r);
	random_range(r, &g, names);
	banyan_data *in = run_take(r, space);
	run_same(r, "scan", banyan_scan(in, &g, &cursor), 0);
	run_give_back(r, space, in);
	model_compare_cursor(&r->m, space, &g, cursor);
	banyan_scan_end(cursor);
}

/* A cursor shows the moment at which it was made */
static void op_cursor(struct run *r)
{
	if (r->cursor) {
		model_compare_cursor(&r->then, r->cursor_space, &r->range,
				     r->cursor);
		banyan_scan_end(r->cursor);
		model_free(&r->then);
		r->cursor = NULL;
		return;
	}
	if (r->batch)
		return;
	uint32_t space = run_random_space(r);
	banyan_data *in = run_take(r, space);
	r->range = (struct banyan_range){ .reverse = run_chance(r, 50) };
	run_same(r, "scan", banyan_scan(in, &r->range, &r->cursor), 0);
	run_give_back(r, space, in);
	r->cursor_space = space;
	model_copy(&r->then, &r->m);
}

/* ---- views ------------------------------------------------------------ */

/* A view shows the moment at which it was made, too; a view of it shows the same */
static void op_view(struct run *r)
{
	banyan *of = NULL;
	if (!r->view) {
		run_same(r, "view", banyan_view(r->db, &r->view), 0);
		model_copy(&r->viewed, r->batch ? &r->before : &r->m);
		return;
	}
	run_same(r, "view of a view", banyan_view(r->view, &of), 0);
	model_compare_all(&r->viewed, r->view);
	assert_int_equal(banyan_put(r->view, "a", "b", 1, 0), -EROFS);
	assert_int_equal(banyan_close(r->view), 0);
	model_compare_all(&r->viewed, of);
	assert_int_equal(banyan_close(of), 0);
	model_free(&r->viewed);
	r->view = NULL;
}

/* ---- snapshots -------------------------------------------------------- */

static void take_snapshot(struct run *r, struct run_snapshot *s)
{
	sprintf(s->name, "s%llu", (unsigned long long)r->step);
	run_same(r, "snapshot",
		 banyan_snapshot(r->db, s->name, strlen(s->name)), 0);
	model_copy(&s->then, &r->m);
}

static void compare_snapshot(struct run *r, struct run_snapshot *s)
{
	banyan *view = NULL;
	size_t len = strlen(s->name);
	run_same(r, "view of a snapshot",
		 banyan_view_snapshot(r->db, s->name, len, &view), 0);
	model_compare_all(&s->then, view);
	assert_int_equal(banyan_close(view), 0);
}

static void drop_snapshot(struct run *r, struct run_snapshot *s)
{
	banyan *view = NULL;
	size_t len = strlen(s->name);
	run_same(r, "drop", banyan_snapshot_drop(r->db, s->name, len), 0);
	run_same(r, "drop", banyan_snapshot_drop(r->db, s->name, len), -ENOENT);
	run_same(r, "view of none",
		 banyan_view_snapshot(r->db, s->name, len, &view), -ENOENT);
	model_free(&s->then);
	s->name[0] = '\0';
}

static void rename_snapshot(struct run *r, struct run_snapshot *s)
{
	char name[32];
	sprintf(name, "r%llu", (unsigned long long)r->step);
	run_same(r, "rename of a snapshot",
		 banyan_snapshot_rename(r->db, s->name, strlen(s->name), name,
					strlen(name)),
		 0);
	strcpy(s->name, name);
}

static int count_snapshot(void *arg, const struct banyan_snapshot_info *info)
{
	unsigned *n = arg;
	(void)info;
	++*n;
	return 0;
}

/* What each was when it was taken, however often vacuums have been since */
static void op_snapshot(struct run *r)
{
	struct run_snapshot *s = &r->snapshot[run_below(r, RUN_SNAPSHOTS)];
	unsigned there = 0, used = 0;
	if (r->batch) {
		run_same(r, "snapshot", banyan_snapshot(r->batch, "s", 1),
			 -EINVAL);
		return;
	}
	if (!s->name[0]) {
		take_snapshot(r, s);
	} else if (run_chance(r, 20)) {
		run_same(r, "snapshot",
			 banyan_snapshot(r->db, s->name, strlen(s->name)),
			 -EEXIST);
		rename_snapshot(r, s);
	} else {
		compare_snapshot(r, s);
		if (run_chance(r, 40))
			drop_snapshot(r, s);
	}
	for (unsigned i = 0; i < RUN_SNAPSHOTS; i++)
		used += r->snapshot[i].name[0] != '\0';
	assert_int_equal(banyan_snapshots(r->db, count_snapshot, &there), 0);
	assert_int_equal(there, used);
}

/* ---- batches and the whole -------------------------------------------- */

static void begin_batch(struct run *r)
{
	banyan *second = NULL;
	run_same(r, "begin", banyan_begin(r->db, &r->batch), 0);
	run_same(r, "begin in it", banyan_begin(r->batch, &second), -EINVAL);
	model_copy(&r->before, &r->m);
	r->m.keep = true;
}

static void release_inside(struct run *r)
{
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++) {
		if (!r->inside[i])
			continue;
		model_compare_object(&r->m, i, r->inside[i]);
		banyan_release(r->inside[i], 1);
		r->inside[i] = NULL;
		run_note_held(r, i);
	}
}

static void end_batch(struct run *r)
{
	if (!r->batch)
		return;
	release_inside(r);
	if (run_chance(r, 60)) {
		run_same(r, "commit", banyan_commit(r->batch), 0);
		r->m.keep = false;
	} else {
		banyan_abort(r->batch);
		model_free(&r->m);
		model_copy(&r->m, &r->before);
	}
	r->batch = NULL;
	model_free(&r->before);
	model_collect(&r->m);
}

static void op_batch(struct run *r)
{
	if (r->batch)
		end_batch(r);
	else
		begin_batch(r);
}

/* What others see while a batch is open: all as it was before, what it has
 * deleted included */
static void compare_held(struct run *r)
{
	struct model *m = r->batch ? &r->before : &r->m;
	for (uint32_t i = 0; i < MODEL_OBJECTS; i++)
		if (r->held[i])
			model_compare_object(m, i, r->held[i]);
}

static void scan_beside(struct run *r)
{
	char names[3][300];
	char path[MODEL_PATH_MAX];
	banyan_cursor *cursor = NULL;
	banyan_data *in = NULL;
	struct banyan_range g;
	uint32_t space = (uint32_t)run_below(r, MODEL_OBJECTS);
	if (!model_is_space(&r->before, space) ||
	    !model_path(&r->before, space, path))
		space = MODEL_ROOT;
	random_range(r, &g, names);
	assert_true(model_path(&r->before, space, path));
	assert_int_equal(banyan_find(r->db, path, &in), 0);
	assert_int_equal(banyan_scan(in, &g, &cursor), 0);
	banyan_release(in, 1);
	model_compare_cursor(&r->before, space, &g, cursor);
	banyan_scan_end(cursor);
}

/* Maybe what the batch has renamed or deleted: it lives on in any case */
static void hold_beside(struct run *r)
{
	char path[MODEL_PATH_MAX];
	uint32_t object = (uint32_t)run_below(r, MODEL_OBJECTS);
	if (object == MODEL_ROOT || r->held[object] ||
	    !r->before.object[object].used ||
	    !model_path(&r->before, object, path))
		return;
	assert_int_equal(banyan_find(r->db, path, &r->held[object]), 0);
	run_note_held(r, object);
	model_compare_object(&r->before, object, r->held[object]);
}

static void release_beside(struct run *r)
{
	uint32_t object = (uint32_t)run_below(r, MODEL_OBJECTS);
	if (!r->held[object])
		return;
	model_compare_object(&r->before, object, r->held[object]);
	banyan_release(r->held[object], 1);
	r->held[object] = NULL;
	run_note_held(r, object);
	model_collect(&r->before);
}

static void op_beside(struct run *r)
{
	if (!r->batch)
		return;
	switch (run_below(r, 20)) {
	case 0:
		model_compare_all(&r->before, r->db);
		break;
	case 1:
		compare_held(r);
		break;
	case 2:
	case 3:
	case 4:
		scan_beside(r);
		break;
	default:
		for (unsigned i = 0; i < 20; i++) {
			hold_beside(r);
			release_beside(r);
		}
	}
}

/* The library's own idea of what is sound must agree */
static void found(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

static void op_compare(struct run *r)
{
	model_compare_all(&r->m, run_through(r));
	compare_held(r);
	struct banyan_check check = { .found = found };
	assert_int_equal(banyan_check(r->file, &check), 0);
}

static void op_freeze(struct run *r)
{
	run_same(r, "freeze", banyan_freeze(run_through(r)),
		 r->batch ? -EINVAL : 0);
}

static void op_sync(struct run *r)
{
	run_same(r, "sync", banyan_sync(r->db), 0);
	if (r->batch)
		run_same(r, "sync", banyan_sync(r->batch), -EINVAL);
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
		banyan_release(r->held[i], 1);
		r->held[i] = NULL;
		r->m.object[i].held = false;
	}
	model_collect(&r->m);
	assert_int_equal(banyan_close(r->db), 0);
	if (r->view) /* it needs nothing of what is closed */
		op_view(r);
}

static void op_reopen(struct run *r)
{
	close_db(r);
	open_db(r);
	model_compare_all(&r->m, r->db);
}

/* It is another file then, in which all is the same: held Data, a cursor and a
 * view that are left standing as well */
static void op_vacuum(struct run *r)
{
	if (r->batch) {
		run_same(r, "vacuum", banyan_vacuum(r->batch, NULL, NULL),
			 -EINVAL);
		return;
	}
	run_same(r, "vacuum", banyan_vacuum(r->db, NULL, NULL), 0);
	op_compare(r);
	if (run_chance(r, 50))
		op_reopen(r);
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
	{ op_beside, 60 },	 { op_view, 4 },      { op_vacuum, 3 },
	{ op_snapshot, 4 },
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

/* A batch keeps what it removes */
static void make_room(struct run *r)
{
	end_batch(r);
	while (r->m.keys > MODEL_OBJECTS / 3)
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
	for (unsigned i = 0; i < RUN_SNAPSHOTS; i++)
		if (r->snapshot[i].name[0]) {
			compare_snapshot(r, &r->snapshot[i]);
			drop_snapshot(r, &r->snapshot[i]);
		}
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
