/* SPDX-License-Identifier: MIT */
/*
 * Threads that do all there is to do, to a few keys, with values that are written
 * once only: for what each of them saw there must be one order in which all of
 * it happened (linear.h). The redo table's limit is that of a few rows, so that
 * tables are swapped and merged all the time. linear_run.h tells how it goes.
 *
 * BANYAN_SEED gives the operations, not how the threads come to run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "linear_run.h"

#define TABLE_SMALL 10000u /* an empty one takes about half of it */
#define TABLE_CROWDED 100000u /* some hundred rows, in several blocks */

/* ---- the database ----------------------------------------------------- */

/* Its file, slowed down; of memory, it outlives the database */
static struct file *get_file(struct linear_run *r, bool fresh)
{
	struct file *below = r->below;
	struct file *f = NULL;
	struct slow slow = r->form->slow;
	if (r->form->local && fresh)
		assert_int_equal(file_create(r->path, 0600, NULL, &below), 0);
	else if (r->form->local)
		assert_int_equal(file_open(r->path, true, NULL, &below), 0);
	else if (fresh)
		assert_int_equal(file_memory(&below), 0);
	if (!r->form->local)
		r->below = below;
	slow.seed = r->seed;
	assert_int_equal(slow_file_new(below, r->form->local, &slow, &f), 0);
	return f;
}

static void open_database(struct linear_run *r, bool fresh)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	assert_int_equal(
		handle_open_file(get_file(r, fresh), &o, fresh, &r->db), 0);
	r->db->store->table_limit = r->form->crowded ? TABLE_CROWDED :
						       TABLE_SMALL;
	if (fresh)
		assert_int_equal(banyan_make_space(r->db, "s", 0), 0);
	r->space[0] = banyan_root(r->db);
	assert_int_equal(banyan_find(r->db, "s", &r->space[1]), 0);
}

static void close_database(struct linear_run *r)
{
	banyan_release(r->space[1], 1);
	assert_int_equal(banyan_close(r->db), 0);
	r->db = NULL;
}

static void set_up(struct linear_run *r, const struct linear_form *form)
{
	*r = (struct linear_run){ .form = form, .seed = test_seed() };
	if (!form->local)
		return;
	assert_int_equal(temp_directory(r->directory, TEMP_ON_DISK), 0);
	temp_path(r->path, r->directory, "db");
}

static void tear_down(struct linear_run *r)
{
	file_close(r->below);
	if (!r->form->local)
		return;
	struct banyan_check check = { 0 };
	assert_int_equal(banyan_check(r->path, &check), 0);
	unlink(r->path);
	rmdir(r->directory);
}

static void run(const struct linear_form *form)
{
	struct linear_run r;
	struct banyan_stat stat = { 0 };
	struct linear_row rows[LINEAR_KEYS];
	set_up(&r, form);
	open_database(&r, true);
	linear_run_windows(&r);
	assert_int_equal(banyan_get_stat(r.db, &stat), 0);
	close_database(&r);
	assert_int_equal(r.failures, 0);
	open_database(&r, false);
	linear_scan_all(&r, r.db, rows);
	close_database(&r);
	assert_int_equal(r.failures, 0);
	assert_memory_equal(rows, r.rows, sizeof(rows));
	tear_down(&r);
	print_message("%u threads: %u windows, %zu operations, %zu of them at "
		      "the same time as others, %llu freezes\n",
		      form->threads, r.window, r.operations, r.overlaps,
		      (unsigned long long)stat.freezes);
	/* Or else this has not shown much */
	assert_true(stat.freezes > r.window / 10);
	assert_true(r.overlaps > r.operations / 50);
}

/* ---- tests ------------------------------------------------------------ */

static void two_threads_in_memory(void **state)
{
	(void)state;
	run(&(struct linear_form){ .threads = 2, .operations = 25 });
}

static void four_threads_in_memory(void **state)
{
	(void)state;
	run(&(struct linear_form){ .threads = 4, .operations = 12 });
}

static void eight_threads_in_memory(void **state)
{
	(void)state;
	run(&(struct linear_form){ .threads = 8, .operations = 6 });
}

static void four_threads_in_a_crowd(void **state)
{
	(void)state;
	run(&(struct linear_form){
		.threads = 4, .operations = 12, .crowded = true });
}

static void three_threads_on_a_disk(void **state)
{
	(void)state;
	run(&(struct linear_form){
		.threads = 3, .operations = 16, .local = true });
}

static void five_threads_on_a_slow_disk(void **state)
{
	(void)state;
	run(&(struct linear_form){
		.threads = 5,
		.operations = 10,
		.local = true,
		.slow = { .append = 200, .read = 200, .sync = 2000 } });
}

static void eight_threads_in_slow_memory(void **state)
{
	(void)state;
	run(&(struct linear_form){
		.threads = 8,
		.operations = 6,
		.slow = { .append = 300, .read = 300, .sync = 3000 } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_in_memory),
		cmocka_unit_test(four_threads_in_memory),
		cmocka_unit_test(eight_threads_in_memory),
		cmocka_unit_test(four_threads_in_a_crowd),
		cmocka_unit_test(three_threads_on_a_disk),
		cmocka_unit_test(five_threads_on_a_slow_disk),
		cmocka_unit_test(eight_threads_in_slow_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
