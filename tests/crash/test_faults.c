/* SPDX-License-Identifier: MIT */
/*
 * Disks that fail: the nth call of each kind, for every n, once or from then
 * on. Beside the database that meets the fault there is one that meets none,
 * to which is done what the first one said it had done: both must always show
 * the same, and so must the file afterwards.
 *
 * BANYAN_SEED says which chores, BANYAN_FAULT ("kind nth error lasting", as a
 * failure prints it) which fault only. With BANYAN_LONG every n is tried.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "repair/check.h"
#include "api/handle.h"
#include "engine/freeze.h"
#include "chores.h"
#include "crash.h"
#include "tests/support/fault_calls.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"

#define STEPS_MAX 64u
#define SECONDS_MAX 2 /* of the processor, a form, if not in the long one */
#define CACHE_BYTES (8u << 20)
#define TABLE_LIMIT 6000u

struct form {
	uint64_t seed;
	unsigned before; /* chores before the faults begin */
	unsigned steps;
	bool clean; /* what the faults meet was closed, not killed */
	bool big;
	bool thread; /* the store's own thread freezes, a small table each time */
	unsigned seeds; /* so many in the long form */
};

#define BEFORE_MAX 200u

/* What the faults meet, and the states that it has gone through */
struct base {
	struct file *file;
	uint64_t reached[BEFORE_MAX + 1];
	unsigned done;
	unsigned synced;
};

struct twins {
	const struct form *form;
	const struct base *base;
	struct calls_plan plan;
	struct file *below; /* a fault file; below it is the one with faults */
	struct file *file;
	struct chores a; /* meets faults */
	struct chores b; /* does not */
	struct file *file_b;
	uint64_t reached[STEPS_MAX + 1]; /* states, by steps done */
	unsigned done;
	unsigned synced; /* so many of the steps are promised to stay */
	uint64_t faults; /* chores that failed */
	char said[1024];
};

/* Totals, to be printed: a test that meets no faults is none */
struct sums {
	uint64_t trials;
	uint64_t faults;
	uint64_t counted[FAULT_CALLS];
};

static const char *const call_names[] = { "read",	"append",  "sync",
					  "verify",	"size",	   "reserve",
					  "drop_cache", "publish", "beside",
					  "exclude",	"punch",   "directory",
					  "any" };

static void wrong(const struct twins *t, const char *what, long long n)
{
	const struct calls_plan *p = &t->plan;
	fail_msg("%s (%lld) at step %u:%s\n%s"
		 "%s %llu fails with %d%s\n"
		 "again: BANYAN_SEED=%llu BANYAN_FAULT='%d %llu %d %d'",
		 what, n, t->done, t->a.detail, t->said, call_names[p->call],
		 (unsigned long long)p->nth, p->error,
		 p->lasting ? ", and all after it" : "",
		 (unsigned long long)crash_seed(), (int)p->call,
		 (unsigned long long)p->nth, p->error, p->lasting);
}

static void hear(void *arg, const char *line)
{
	struct twins *t = arg;
	size_t len = strlen(t->said);
	snprintf(t->said + len, sizeof(t->said) - len, "  %s\n", line);
}

/* ---- opening ---------------------------------------------------------- */

static int open_one(struct twins *t, struct file *file, bool fresh, banyan **db)
{
	struct banyan_options o = { .cache_bytes = CACHE_BYTES,
				    .report = hear,
				    .report_arg = t };
	int rc = handle_open_file(file, &o, fresh, db);
	if (rc)
		return rc;
	if (!t->form->thread)
		freezer_stop((*db)->store);
	(*db)->store->table_limit = t->form->thread ? TABLE_LIMIT :
						      UINT64_MAX / 4;
	return 0;
}

static struct file *copy_of(struct file *f)
{
	struct file *copy = NULL;
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &copy),
			 0);
	return copy;
}

/* What is left of the file goes on as a new one, in front of it new faults */
static void renew(struct twins *t, struct file *from)
{
	struct file *old = t->below;
	t->below = copy_of(from);
	if (old == from)
		fault_file_free(old);
	calls_free(t->file);
	t->file = calls_new(t->below);
	assert_non_null(t->file);
}

static void start_chores(struct twins *t)
{
	t->a = (struct chores){ .seed = t->form->seed, .big = t->form->big };
	t->b = t->a;
}

/* ---- steps ------------------------------------------------------------ */

static void compare(struct twins *t)
{
	uint64_t reached[2] = { 0 };
	uint64_t held[2] = { 0 };
	int rc = chores_print(&t->a, &reached[0], &held[0]);
	if (rc)
		wrong(t, "cannot be read", rc);
	assert_int_equal(chores_print(&t->b, &reached[1], &held[1]), 0);
	if (reached[0] != reached[1])
		wrong(t, "not the state that it has said", 0);
	if (held[0] != held[1])
		wrong(t, "not what is held, as it has said", 0);
	t->reached[t->done] = reached[1];
}

/* A freeze that went well has left nothing to be replayed */
static void expect_frozen(struct twins *t)
{
	struct banyan_stat stat = { 0 };
	assert_int_equal(banyan_get_stat(t->a.db, &stat), 0);
	if (stat.redo_rows)
		wrong(t, "rows that a freeze has left",
		      (long long)stat.redo_rows);
}

static void step(struct twins *t)
{
	unsigned n = t->form->before + t->done;
	calls_resume(t->file);
	int rc = chore_do(&t->a, n);
	calls_pause(t->file);
	if (chore_is_fault(rc)) {
		t->faults++;
		if (!calls_failed(t->file))
			wrong(t, "a failure without a fault", rc);
	} else {
		t->b.skip = t->a.failed;
		int said = chore_do(&t->b, n);
		if (rc != said)
			wrong(t, "another answer than without faults", rc);
		if (!t->a.blurred && t->a.seen != t->b.seen)
			wrong(t, "saw another thing than without faults", rc);
		if (t->a.failed)
			t->faults++;
	}
	t->done++;
	compare(t);
	if (!rc && t->a.synced)
		t->synced = t->done;
	if (!rc && t->a.synced && strstr(t->a.detail, "freeze"))
		expect_frozen(t);
}

/* A failed sync, and a failed append but for lack of space, is the last word */
static bool is_poison(const struct twins *t)
{
	const struct calls_plan *p = &t->plan;
	return p->call == FAULT_SYNC || p->call == FAULT_VERIFY ||
	       (p->call == FAULT_APPEND && p->error != -ENOSPC &&
		p->error != -EDQUOT && p->error != -EFBIG);
}

static void expect_poisoned(struct twins *t)
{
	banyan *db = t->a.db;
	int rc = banyan_put(db, "late", "x", 1, 0);
	if (rc != -EIO)
		wrong(t, "a put after it", rc);
	rc = banyan_remove(db, "late");
	if (rc != -EIO)
		wrong(t, "a remove after it", rc);
	rc = banyan_sync(db);
	if (rc != -EIO)
		wrong(t, "a sync after it", rc);
	rc = banyan_freeze(db);
	if (rc != -EIO)
		wrong(t, "a freeze after it", rc);
	banyan *batch = NULL;
	rc = banyan_begin(db, &batch);
	if (rc != -EIO)
		wrong(t, "a batch after it", rc);
	compare(t);
}

/* No fault is met any more: all goes well again */
static void go_on(struct twins *t)
{
	struct calls_plan none = { .call = FAULT_CALLS };
	uint64_t faults = t->faults;
	calls_fail(t->file, &none);
	for (unsigned i = 0; i < 6; i++)
		step(t);
	if (t->faults != faults)
		wrong(t, "it failed when the fault was over", 0);
}

/* ---- afterwards ------------------------------------------------------- */

static void expect_sound(struct twins *t, banyan *db)
{
	struct banyan_check options = { .found = hear, .arg = t };
	struct checker k;
	checker_init(&k, &options);
	int rc = check_now(&k, db->store);
	if (rc || k.tell.count)
		wrong(t, "unsound", rc ? rc : k.tell.count);
}

/* A file that is left shows one of the states from `low` steps on */
static void expect_left(struct twins *t, struct file *f, unsigned low)
{
	banyan *db = NULL;
	uint64_t print = 0;
	unsigned i = t->done + 1;
	int rc = open_one(t, f, false, &db);
	if (rc)
		wrong(t, "what is left cannot be opened", rc);
	assert_int_equal(fingerprint(db, &print), 0);
	while (i > low && t->reached[i - 1] != print)
		i--;
	if (i == low)
		wrong(t, "what is left is another state", low);
	expect_sound(t, db);
	rc = banyan_put(db, "later", "x", 1, 0);
	if (!rc)
		rc = banyan_close(db);
	if (rc)
		wrong(t, "what is left cannot be used", rc);
	fault_file_free(f);
}

/* Whoever opens it next, and whoever does when the power is back */
static void leave(struct twins *t, bool closed, bool poisoned)
{
	struct file *after = NULL;
	unsigned all = t->done;
	unsigned low = closed ? all : t->synced;
	static const enum fault_cut cuts[] = { FAULT_DROP, FAULT_KEEP,
					       FAULT_RANDOM };
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fault_file_after_cut(
					 t->below, fault_file_events(t->below),
					 cuts[i], t->plan.nth, &after),
				 0);
		expect_left(t, after, low);
	}
	bool doubt = poisoned && t->plan.call == FAULT_SYNC;
	expect_left(t, copy_of(t->below), doubt ? low : all);
}

/* ---- trials ----------------------------------------------------------- */

static void open_reference(struct twins *t, struct file *from)
{
	t->file_b = copy_of(from);
	start_chores(t);
	assert_int_equal(open_one(t, t->file_b, false, &t->b.db), 0);
}

/* A failed sync may have cost what was not synced before, and no more */
static void expect_earlier(struct twins *t)
{
	uint64_t print = 0;
	unsigned i = t->base->done + 1;
	assert_int_equal(fingerprint(t->a.db, &print), 0);
	while (i > t->base->synced && t->base->reached[i - 1] != print)
		i--;
	if (i == t->base->synced)
		wrong(t, "not a state that it had before it was opened", 0);
}

static void open_twins(struct twins *t)
{
	renew(t, t->base->file);
	open_reference(t, t->below);
	calls_fail(t->file, &t->plan);
	int rc = open_one(t, t->file, false, &t->a.db);
	calls_pause(t->file);
	if (rc) {
		t->faults++;
		if (!chore_is_fault(rc) || !calls_failed(t->file))
			wrong(t, "opening failed otherwise", rc);
		assert_int_equal(banyan_close(t->b.db), 0);
		fault_file_free(t->file_b);
		renew(t, t->below);
		open_reference(t, t->below);
		rc = open_one(t, t->file, false, &t->a.db);
		calls_pause(t->file);
	}
	if (rc)
		wrong(t, "it cannot be opened after it could not", rc);
	expect_earlier(t);
	compare(t);
}

static void end_twins(struct twins *t, struct sums *sums)
{
	bool poisoned = calls_failed(t->file) && is_poison(t);
	chores_release(&t->a);
	chores_release(&t->b);
	if (poisoned)
		expect_poisoned(t);
	for (unsigned i = 0; i < FAULT_CALLS; i++)
		sums->counted[i] = calls_counted(t->file, (enum fault_call)i);
	bool lifted = calls_failed(t->file) && !poisoned && t->plan.lasting;
	if (lifted)
		go_on(t);
	chores_release(&t->a);
	chores_release(&t->b);
	calls_resume(t->file);
	uint64_t failed = calls_failed(t->file);
	int rc = banyan_close(t->a.db);
	calls_pause(t->file);
	if (rc && !chore_is_fault(rc))
		wrong(t, "closing says what it should not", rc);
	if (rc && !poisoned && calls_failed(t->file) == failed)
		wrong(t, "closing failed without a fault", rc);
	if (!rc && poisoned)
		wrong(t, "closing does not tell of the failure", rc);
	if (calls_failed(t->file) > failed)
		t->faults++;
	poisoned = calls_failed(t->file) && is_poison(t);
	leave(t, !rc, poisoned);
	assert_int_equal(banyan_close(t->b.db), 0);
	calls_free(t->file);
	fault_file_free(t->below);
	fault_file_free(t->file_b);
	sums->trials++;
	sums->faults += t->faults;
}

static void trial(const struct form *form, const struct base *base,
		  const struct calls_plan *plan, struct sums *sums)
{
	struct twins *t = calloc(1, sizeof(*t));
	assert_non_null(t);
	t->form = form;
	t->base = base;
	t->plan = *plan;
	steady_begin(form->seed);
	open_twins(t);
	while (t->done < form->steps)
		step(t);
	end_twins(t, sums);
	free(t);
}

static void note_base(struct base *base, struct chores *c, int rc)
{
	uint64_t held = 0;
	uint64_t *reached = &base->reached[++base->done];
	assert_false(chore_is_fault(rc));
	assert_int_equal(chores_print(c, reached, &held), 0);
	if (!rc && c->synced)
		base->synced = base->done;
}

static struct base *make_base(const struct form *form)
{
	struct twins *t = calloc(1, sizeof(*t));
	struct base *base = calloc(1, sizeof(*base));
	struct file *f = NULL;
	assert_non_null(t);
	assert_non_null(base);
	assert_true(form->before < BEFORE_MAX);
	t->form = form;
	steady_begin(form->seed);
	start_chores(t);
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(open_one(t, f, true, &t->a.db), 0);
	note_base(base, &t->a, 0);
	for (unsigned n = 0; n < form->before; n++)
		note_base(base, &t->a, chore_do(&t->a, n));
	base->file = form->clean ? NULL : copy_of(f);
	chores_release(&t->a);
	assert_int_equal(banyan_close(t->a.db), 0);
	if (form->clean) {
		base->file = copy_of(f);
		base->synced = base->done;
	}
	fault_file_free(f);
	free(t);
	return base;
}

static void free_base(struct base *base)
{
	fault_file_free(base->file);
	free(base);
}

/* ---- which faults ----------------------------------------------------- */

static bool late(clock_t began)
{
	return !crash_long() && clock() - began > SECONDS_MAX * CLOCKS_PER_SEC;
}

static const struct {
	enum fault_call call;
	int error;
	size_t partly;
} kinds[] = {
	{ FAULT_APPEND, -EIO, 0 },	{ FAULT_APPEND, -ENOSPC, 0 },
	{ FAULT_SYNC, -EIO, 0 },	{ FAULT_RESERVE, -ENOSPC, 0 },
	{ FAULT_READ, -EIO, 0 },	{ FAULT_APPEND, -ENOSPC, 700 },
	{ FAULT_APPEND, -EIO, 700 },	{ FAULT_APPEND, -EDQUOT, 0 },
	{ FAULT_APPEND, -EFBIG, 20 },	{ FAULT_SYNC, -ENOSPC, 0 },
	{ FAULT_SYNC, -EDQUOT, 0 },	{ FAULT_RESERVE, -EDQUOT, 0 },
	{ FAULT_RESERVE, -EFBIG, 0 },	{ FAULT_RESERVE, -EIO, 0 },
	{ FAULT_SIZE, -EIO, 0 },	{ FAULT_DROP_CACHE, -EIO, 0 },
	{ FAULT_APPEND, -ENOMEM, 300 }, { FAULT_READ, -ENOMEM, 0 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define PARTS 8u

/* All that is of one part of them: every PARTSth n of every kind */
static void some_faults(const struct form *form, const struct base *base,
			const uint64_t *counted, unsigned part, clock_t began,
			struct sums *sums)
{
	for (size_t i = 0; i < 2 * KINDS; i++) {
		struct calls_plan p = { .call = kinds[i / 2].call,
					.error = kinds[i / 2].error,
					.partly = kinds[i / 2].partly,
					.lasting = i % 2 };
		/* Of reads there are many, and one is much like another */
		unsigned stride = p.call == FAULT_READ &&
						  (form->big || !crash_long()) ?
					  5 :
					  1;
		for (p.nth = 1 + part; p.nth <= counted[p.call];
		     p.nth += PARTS * stride) {
			if (sums->faults && late(began))
				return;
			trial(form, base, &p, sums);
		}
	}
}

static void run_form(const struct form *form)
{
	struct calls_plan none = { .call = FAULT_CALLS };
	struct calls_plan p = none;
	struct sums sums = { 0 };
	clock_t began = clock();
	struct base *base = make_base(form);
	if (calls_asked_for(&p)) {
		trial(form, base, &p, &sums);
		free_base(base);
		return;
	}
	trial(form, base, &none, &sums);
	assert_int_equal(sums.faults, 0);
	struct sums first = sums;
	for (unsigned part = 0; part < PARTS; part++)
		some_faults(form, base, first.counted, part, began, &sums);
	print_message("%llu trials, %llu failures; calls:",
		      (unsigned long long)sums.trials,
		      (unsigned long long)sums.faults);
	for (unsigned i = 0; i < FAULT_CALLS; i++)
		print_message(" %s %llu", call_names[i],
			      (unsigned long long)first.counted[i]);
	print_message("%s\n", late(began) ? "; not all was tried" : "");
	assert_true(sums.faults > sums.trials / 4);
	free_base(base);
}

static void run_forms(struct form form)
{
	unsigned seeds = crash_long() && !getenv("BANYAN_FAULT") ? form.seeds :
								   1;
	form.seed = test_seed();
	for (unsigned i = 0; i < seeds; i++, form.seed++)
		run_form(&form);
}

static void what_fails_has_changed_nothing(void **state)
{
	(void)state;
	run_forms((struct form){ .before = 40, .steps = 50, .seeds = 6 });
}

static void nor_where_the_tree_has_all_of_it(void **state)
{
	(void)state;
	run_forms((struct form){
		.before = 120, .steps = 30, .clean = true, .seeds = 6 });
}

static void nor_where_the_log_changes_segments(void **state)
{
	(void)state;
	run_forms((struct form){
		.before = 20, .steps = 30, .big = true, .seeds = 1 });
}

static void nor_with_freezes_by_a_thread_beside_it(void **state)
{
	(void)state;
	run_forms((struct form){
		.before = 40, .steps = 40, .thread = true, .seeds = 6 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fails_has_changed_nothing),
		cmocka_unit_test(nor_where_the_tree_has_all_of_it),
		cmocka_unit_test(nor_where_the_log_changes_segments),
		cmocka_unit_test(nor_with_freezes_by_a_thread_beside_it),
	};
	/* Files are made and dropped by the thousand: keep their memory */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
