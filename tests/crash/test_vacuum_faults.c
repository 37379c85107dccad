/* SPDX-License-Identifier: MIT */
/*
 * Vacuums on a disk that fails: the nth call of each kind, for every n, once or
 * from then on, while keys are put between the steps. Whatever the vacuum says,
 * nothing that was put is lost, no file is left beside the database, and if that
 * can still be written to, the next vacuum goes well.
 *
 * BANYAN_FAULT ("kind nth error lasting", as a failure prints it): this one only.
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

#include "api/handle.h"
#include "crash.h"
#include "tests/support/fault_calls.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"

#define PUTS_MAX 200u
#define SECONDS_MAX 3 /* of the processor, a form, if not in the long one */

struct form {
	uint64_t table_limit; /* small: the new file has freezes of its own */
	unsigned values; /* bytes of what is put */
	bool snapshots; /* some states are kept, one is taken amid it */
	bool punch; /* in place */
};

struct trial_of {
	const struct form *form;
	struct calls_plan plan;
	struct scene scene;
	struct file *below;
	struct file *file;
	banyan *db;
	banyan *twin; /* in memory; meets no faults */
	uint64_t print[PUTS_MAX + 2]; /* after so many puts */
	unsigned puts;
	unsigned asked;
	unsigned durable; /* so many of the puts */
};

struct sums {
	uint64_t trials;
	uint64_t failed; /* vacuums */
	uint64_t counted[FAULT_CALLS];
};

static void wrong(const struct trial_of *t, const char *what, long long n)
{
	fail_msg("%s (%lld)\n%sagain: BANYAN_FAULT='%d %llu %d %d'", what, n,
		 t->scene.said, (int)t->plan.call,
		 (unsigned long long)t->plan.nth, t->plan.error,
		 t->plan.lasting);
}

static uint64_t print_of(struct trial_of *t, banyan *db)
{
	uint64_t print = 0;
	int rc = fingerprint(db, &print);
	if (rc)
		wrong(t, "cannot be read", rc);
	return print;
}

/* ---- what the vacuum meets -------------------------------------------- */

static int put(banyan *db, unsigned n, unsigned size)
{
	static uint8_t bytes[70000];
	char path[32];
	uint64_t dice = n;
	sprintf(path, "k%u", (unsigned)test_below(&dice, 30));
	/* No zeros: what lacks nothing else is whole in a file that is longer */
	memset(bytes, (int)n | 1, sizeof(bytes));
	return banyan_put(db, path, bytes, n % 3 ? size : 50, 0);
}

static void clone_value(banyan *db, const char *from, const char *to)
{
	banyan_data *a = NULL, *b = NULL;
	assert_int_equal(banyan_put(db, to, "", 0, 0), 0);
	assert_int_equal(banyan_find(db, from, &a), 0);
	assert_int_equal(banyan_find(db, to, &b), 0);
	assert_true(banyan_clone(a, 0, b, 0, 5000) > 0);
	banyan_release(a, 1);
	banyan_release(b, 1);
}

static void make_some(const struct form *form, banyan *db)
{
	for (unsigned n = 1000; n < 1060; n++) {
		assert_int_equal(put(db, n, 6000), 0);
		if (form->snapshots && n % 20 == 19)
			assert_int_equal(banyan_snapshot(db,
							 n < 1030 ? "a" :
							 n < 1050 ? "b" :
								    "c",
							 1),
					 0);
	}
	assert_int_equal(banyan_put(db, "from", "x", 1, 0), 0);
	banyan_data *from = NULL;
	assert_int_equal(banyan_find(db, "from", &from), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(banyan_write(from, "0123456789", 10, i * 9000,
					      0, NULL),
				 0);
	banyan_release(from, 1);
	clone_value(db, "from", "to");
}

static int open_one(struct trial_of *t, struct file *f, bool fresh, banyan **db)
{
	struct banyan_options o = { .report = scene_hear,
				    .report_arg = &t->scene };
	int rc = handle_open_file(f, &o, fresh, db);
	if (!rc)
		(*db)->store->table_limit = t->form->table_limit;
	return rc;
}

static struct file *make_base(struct trial_of *t)
{
	struct file *f = NULL, *base = NULL;
	banyan *db = NULL;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(open_one(t, f, true, &db), 0);
	make_some(t->form, db);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(fault_file_after_kill(f, fault_file_events(f), &base),
			 0);
	fault_file_free(f);
	return base;
}

/* One that cannot be synced is there all the same, as an operation is */
static void change_snapshots(struct trial_of *t)
{
	banyan *view = NULL;
	bool drop = t->asked == 1;
	int rc = drop ? banyan_snapshot_drop(t->db, "b", 1) :
			banyan_snapshot(t->db, "d", 1);
	if (!drop && rc)
		rc = banyan_view_snapshot(t->db, "d", 1, &view);
	banyan_close(view);
	if (rc)
		return;
	rc = drop ? banyan_snapshot_drop(t->twin, "b", 1) :
		    banyan_snapshot(t->twin, "d", 1);
	assert_int_equal(rc, 0);
	t->print[++t->puts] = print_of(t, t->twin);
}

/* A put that a fault has met has changed nothing */
static int put_some(void *arg, uint64_t done, uint64_t total)
{
	struct trial_of *t = arg;
	(void)done;
	(void)total;
	if (t->form->snapshots && (t->asked == 1 || t->asked == 3))
		change_snapshots(t);
	for (unsigned i = 0; i < 3 && t->asked < 12; i++) {
		int rc = put(t->db, t->puts, t->form->values);
		if (rc)
			break;
		assert_int_equal(put(t->twin, t->puts, t->form->values), 0);
		t->print[++t->puts] = print_of(t, t->twin);
	}
	t->asked++;
	return 0;
}

/* ---- what is left ----------------------------------------------------- */

/* A file that is left shows a state after `low` puts or more */
static void expect_left(struct trial_of *t, struct file *f, unsigned low)
{
	banyan *db = NULL;
	unsigned i = t->puts + 1;
	t->scene.said[0] = '\0';
	int rc = open_one(t, f, false, &db);
	if (rc)
		wrong(t, "what is left cannot be opened", rc);
	uint64_t print = print_of(t, db);
	while (i > low && t->print[i - 1] != print)
		i--;
	if (i == low)
		wrong(t, "what is left is another state", low);
	scene_expect_sound(&t->scene, db);
	rc = banyan_put(db, "later", "x", 1, 0);
	if (!rc)
		rc = banyan_vacuum(db, NULL, NULL);
	if (!rc)
		rc = banyan_close(db);
	if (rc)
		wrong(t, "what is left cannot be used", rc);
	fault_file_free(f);
}

/* Whoever opens it next, and whoever does when the power is back */
static void leave(struct trial_of *t, bool in_doubt)
{
	static const enum fault_cut cuts[] = { FAULT_DROP, FAULT_KEEP,
					       FAULT_RANDOM, FAULT_GARBAGE };
	struct file *after = NULL;
	size_t events = fault_file_events(t->below);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		assert_int_equal(fault_file_after_cut(t->below, events, cuts[i],
						      t->plan.nth, &after),
				 0);
		expect_left(t, after, t->durable);
	}
	assert_int_equal(fault_file_after_kill(t->below, events, &after), 0);
	expect_left(t, after, in_doubt ? t->durable : t->puts);
}

/* ---- trials ----------------------------------------------------------- */

static void start(struct trial_of *t, struct file *base)
{
	struct calls_plan none = { .call = FAULT_CALLS };
	assert_int_equal(fault_file_after_kill(base, fault_file_events(base),
					       &t->below),
			 0);
	t->file = calls_new(t->below);
	assert_non_null(t->file);
	assert_int_equal(open_one(t, t->file, false, &t->db), 0);
	assert_int_equal(banyan_open(":memory:", NULL, &t->twin), 0);
	make_some(t->form, t->twin);
	t->print[0] = print_of(t, t->twin);
	assert_true(t->print[0] == print_of(t, t->db));
	calls_fail(t->file, &none);
}

static void vacuum(struct trial_of *t, struct sums *sums)
{
	struct banyan_vacuum_options o = { .progress = put_some, .arg = t };
	struct calls_plan none = { .call = FAULT_CALLS };
	unsigned puts = t->puts;
	calls_fail(t->file, &t->plan);
	int rc = t->form->punch ? banyan_vacuum_punch(t->db, &o, NULL) :
				  banyan_vacuum(t->db, &o, NULL);
	uint64_t failed = calls_failed(t->file);
	for (unsigned i = 0; i < FAULT_CALLS; i++)
		sums->counted[i] = calls_counted(t->file, (enum fault_call)i);
	calls_fail(t->file, &none);
	sums->trials++;
	sums->failed += rc != 0;
	if (rc && !failed)
		wrong(t, "it fails without a fault", rc);
	if (rc && rc != t->plan.error && rc != -EIO)
		wrong(t, "it says another error", rc);
	if (fault_file_temporaries(t->below))
		wrong(t, "a file is left", rc);
	/* What comes in while it punches is not synced by it */
	if (!rc)
		t->durable = t->form->punch ? puts : t->puts;
}

static void trial(const struct form *form, struct file *base,
		  const struct calls_plan *plan, struct sums *sums)
{
	struct trial_of *t = calloc(1, sizeof(*t));
	assert_non_null(t);
	t->form = form;
	t->plan = *plan;
	start(t, base);
	vacuum(t, sums);
	if (print_of(t, t->db) != t->print[t->puts])
		wrong(t, "not the state that it should be", t->puts);
	bool poisoned = log_poisoned(t->db->store->volume->log);
	leave(t, poisoned);
	int rc = put(t->db, t->puts, t->form->values);
	if ((rc != 0) != poisoned)
		wrong(t, "a put afterwards", rc);
	if (!rc)
		assert_int_equal(put(t->twin, t->puts, t->form->values), 0);
	rc = banyan_vacuum(t->db, NULL, NULL);
	if (poisoned ? rc != -EIO : rc != 0)
		wrong(t, "a vacuum afterwards", rc);
	if (print_of(t, t->db) != print_of(t, t->twin))
		wrong(t, "not the state that it should be then", 0);
	if (!poisoned)
		scene_expect_sound(&t->scene, t->db);
	rc = banyan_close(t->db);
	if ((rc != 0) != poisoned)
		wrong(t, "the close", rc);
	assert_int_equal(banyan_close(t->twin), 0);
	calls_free(t->file);
	fault_file_free(t->below);
	free(t);
}

/* ---- which faults ----------------------------------------------------- */

static const struct {
	enum fault_call call;
	int error;
	size_t partly;
} kinds[] = {
	{ FAULT_PUBLISH, -EIO, 0 },  { FAULT_BESIDE, -ENOSPC, 0 },
	{ FAULT_SYNC, -EIO, 0 },     { FAULT_APPEND, -ENOSPC, 0 },
	{ FAULT_APPEND, -EIO, 0 },   { FAULT_RESERVE, -ENOSPC, 0 },
	{ FAULT_VERIFY, -EIO, 0 },   { FAULT_APPEND, -ENOSPC, 700 },
	{ FAULT_APPEND, -EIO, 700 }, { FAULT_READ, -EIO, 0 },
	{ FAULT_SIZE, -EIO, 0 },     { FAULT_PUBLISH, -ENOSPC, 0 },
	{ FAULT_SYNC, -ENOSPC, 0 },  { FAULT_APPEND, -EDQUOT, 30 },
	{ FAULT_READ, -ENOMEM, 0 },  { FAULT_EXCLUDE, -EBUSY, 0 },
	{ FAULT_PUNCH, -EIO, 0 },    { FAULT_PUNCH, -EOPNOTSUPP, 0 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define PARTS 8u

static bool late(clock_t began)
{
	return !crash_long() && clock() - began > SECONDS_MAX * CLOCKS_PER_SEC;
}

/* FAULT_DIRECTORY is met by the fault file alone: nobody calls it */
static void meet_directory(const struct form *form, struct file *base,
			   struct sums *sums)
{
	struct trial_of *t = calloc(1, sizeof(*t));
	assert_non_null(t);
	t->form = form;
	t->plan = (struct calls_plan){ .call = FAULT_DIRECTORY, .error = -EIO };
	start(t, base);
	fault_file_fail(t->below, FAULT_DIRECTORY, 1, -EIO, false);
	struct banyan_vacuum_options o = { .progress = put_some, .arg = t };
	int rc = banyan_vacuum(t->db, &o, NULL);
	if (rc != -EIO)
		wrong(t, "the directory cannot be synced", rc);
	scene_expect_poisoned(&t->scene, t->db);
	if (print_of(t, t->db) != t->print[t->puts])
		wrong(t, "not the state that it should be", 0);
	/* All of it is in the new file, and what was synced in the old one */
	leave(t, false);
	assert_int_equal(banyan_close(t->db), -EIO);
	assert_int_equal(banyan_close(t->twin), 0);
	calls_free(t->file);
	fault_file_free(t->below);
	free(t);
	sums->trials++;
	sums->failed++;
}

static void some_faults(const struct form *form, struct file *base,
			const uint64_t *counted, unsigned part, clock_t began,
			struct sums *sums)
{
	for (size_t i = 0; i < 2 * KINDS; i++) {
		struct calls_plan p = { .call = kinds[i / 2].call,
					.error = kinds[i / 2].error,
					.partly = kinds[i / 2].partly,
					.lasting = i % 2 };
		unsigned stride = p.call == FAULT_READ && !crash_long() ? 5 : 1;
		for (p.nth = 1 + part; p.nth <= counted[p.call];
		     p.nth += PARTS * stride) {
			if (late(began))
				return;
			trial(form, base, &p, sums);
		}
	}
}

static void run_form(const struct form *form)
{
	struct calls_plan p = { .call = FAULT_CALLS };
	struct trial_of made = { .form = form };
	struct sums sums = { 0 };
	clock_t began = clock();
	struct file *base = make_base(&made);
	if (calls_asked_for(&p)) {
		trial(form, base, &p, &sums);
		fault_file_free(base);
		return;
	}
	trial(form, base, &p, &sums);
	assert_int_equal(sums.failed, 0);
	struct sums first = sums;
	if (!form->punch)
		meet_directory(form, base, &sums);
	for (unsigned part = 0; part < PARTS; part++)
		some_faults(form, base, first.counted, part, began, &sums);
	print_message("%llu faults, %llu vacuums failed%s; calls:",
		      (unsigned long long)sums.trials - 1,
		      (unsigned long long)sums.failed,
		      late(began) ? ", not all was tried" : "");
	for (unsigned i = 0; i < FAULT_CALLS; i++)
		print_message(" %llu", (unsigned long long)first.counted[i]);
	print_message("\n");
	assert_true(sums.failed > sums.trials / 8);
	fault_file_free(base);
}

static void a_vacuum_that_fails_has_changed_nothing(void **state)
{
	static const struct form form = { UINT64_MAX / 4, 300, false, false };
	(void)state;
	run_form(&form);
}

static void nor_where_larger_values_come_in(void **state)
{
	static const struct form form = { UINT64_MAX / 4, 70000, false, false };
	(void)state;
	run_form(&form);
}

static void nor_where_the_new_file_has_freezes(void **state)
{
	static const struct form form = { 16000, 2000, false, false };
	(void)state;
	run_form(&form);
}

static void nor_with_snapshots(void **state)
{
	static const struct form form = { UINT64_MAX / 4, 2000, true, false };
	(void)state;
	run_form(&form);
}

static void nor_has_a_punch(void **state)
{
	static const struct form form = { UINT64_MAX / 4, 70000, false, true };
	(void)state;
	run_form(&form);
}

/* A disk with room for all but the last few bytes, and for less and less */
static void a_full_disk_leaves_the_old_file(void **state)
{
	static const struct form form = { UINT64_MAX / 4, 3000, false, false };
	struct trial_of made = { .form = &form };
	struct file *base = make_base(&made);
	uint64_t size = fault_file_size(base);
	unsigned full = 0, well = 0;
	(void)state;
	for (uint64_t room = 0; room < 5u << 20; room += 155555) {
		struct trial_of *t = calloc(1, sizeof(*t));
		assert_non_null(t);
		t->form = &form;
		start(t, base);
		fault_file_limit(t->below, size + room);
		struct banyan_vacuum_options o = { .progress = put_some,
						   .arg = t };
		int rc = banyan_vacuum(t->db, &o, NULL);
		fault_file_limit(t->below, 0);
		if (rc && rc != -ENOSPC)
			wrong(t, "on a full disk", rc);
		full += rc != 0;
		well += rc == 0;
		assert_int_equal(fault_file_temporaries(t->below), 0);
		if (print_of(t, t->db) != t->print[t->puts])
			wrong(t, "not the state that it should be", 0);
		leave(t, false);
		assert_int_equal(banyan_vacuum(t->db, NULL, NULL), 0);
		assert_int_equal(banyan_close(t->db), 0);
		assert_int_equal(banyan_close(t->twin), 0);
		calls_free(t->file);
		fault_file_free(t->below);
		free(t);
	}
	print_message("%u full disks, %u with room\n", full, well);
	assert_true(full > 3 && well > 3);
	fault_file_free(base);
}

/* ---- a name that is not durable --------------------------------------- */

static banyan *open_again(struct file *f)
{
	struct banyan_options o = { 0 };
	banyan *db = NULL;
	assert_int_equal(handle_open_file(f, &o, false, &db), 0);
	return db;
}

/* Killed behind an event, opened, written to and synced, then the power goes */
static void kill_then_cut(struct file *f, size_t events)
{
	struct file *killed = NULL, *cut = NULL;
	char value[8];
	assert_int_equal(fault_file_after_kill(f, events, &killed), 0);
	banyan *db = open_again(killed);
	assert_int_equal(banyan_put(db, "after", "value", 5, 0), 0);
	assert_int_equal(banyan_sync(db), 0);
	assert_int_equal(fault_file_after_cut(killed, fault_file_events(killed),
					      FAULT_DROP, 1, &cut),
			 0);
	scene_die(killed, db);
	db = open_again(cut);
	assert_int_equal(banyan_fetch(banyan_root(db), "after", 5, value,
				      sizeof(value)),
			 5);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(cut);
	fault_file_free(killed);
}

/* The directory was not synced when the process was killed: whoever writes next
 * has to do it */
static void what_is_synced_after_a_kill_stays(void **state)
{
	static const struct form form = { .snapshots = true };
	struct banyan_options o = { 0 };
	struct file *f = NULL;
	banyan *db = NULL;
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
	make_some(&form, db);
	size_t begin = fault_file_events(f);
	assert_int_equal(banyan_vacuum(db, NULL, NULL), 0);
	size_t end = fault_file_events(f);
	assert_int_equal(banyan_close(db), 0);
	for (size_t events = begin; events <= end; events++)
		kill_then_cut(f, events);
	fault_file_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vacuum_that_fails_has_changed_nothing),
		cmocka_unit_test(nor_where_larger_values_come_in),
		cmocka_unit_test(nor_where_the_new_file_has_freezes),
		cmocka_unit_test(nor_with_snapshots),
		cmocka_unit_test(nor_has_a_punch),
		cmocka_unit_test(a_full_disk_leaves_the_old_file),
		cmocka_unit_test(what_is_synced_after_a_kill_stays),
	};
	/* Files are made and dropped by the thousand: keep their memory */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
