/* SPDX-License-Identifier: MIT */
#include "crash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repair/check.h"
#include "api/handle.h"
#include "tests/support/random.h"
#include "tests/support/steady.h"
#include "tests/support/temp.h"

bool crash_long(void)
{
	return getenv("BANYAN_LONG") != NULL;
}

uint64_t crash_seed(void)
{
	const char *text = getenv("BANYAN_SEED");
	return text ? strtoull(text, NULL, 0) : 20240607;
}

/* ---- scenes ----------------------------------------------------------- */

void scene_hear(void *arg, const char *line)
{
	struct scene *s = arg;
	size_t len = strlen(s->said);
	snprintf(s->said + len, sizeof(s->said) - len, "  %s\n", line);
}

static bool all_zeros(const uint8_t *bytes, size_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Write the file as it was found to fd, its holes left out */
static void keep_bytes(const struct scene *s, int fd)
{
	uint8_t bytes[4096];
	struct file *found = NULL;
	uint64_t size = 0;
	if (fault_file_after_kill(s->file, s->found, &found))
		return;
	size = fault_file_size(found);
	for (uint64_t at = 0; at < size; at += sizeof(bytes)) {
		size_t n = size - at < sizeof(bytes) ? (size_t)(size - at) :
						       sizeof(bytes);
		if (!file_read(found, bytes, n, at) && !all_zeros(bytes, n) &&
		    pwrite(fd, bytes, n, (off_t)at) < 0)
			break;
	}
	if (ftruncate(fd, (off_t)size))
		print_message("the kept file is not whole\n");
	fault_file_free(found);
}

static void keep_file(const struct scene *s)
{
	char path[TEMP_MAX];
	if (!s->file)
		return;
	int fd = temp_file(path, TEMP_ON_DISK);
	if (fd < 0)
		return;
	keep_bytes(s, fd);
	close(fd);
	print_message("the file as it was found: %s\n", path);
}

void scene_wrong(struct scene *s, const char *what, long long n)
{
	keep_file(s);
	fail_msg("%s (%lld): %s after %zu events, depth %u, kind %d\n%s"
		 "again: BANYAN_SEED=%llu BANYAN_EVENTS=%zu",
		 what, n, s->killed ? "killed" : "cut", s->events, s->depth,
		 (int)s->kind, s->said, (unsigned long long)s->seed, s->top);
}

void scene_open(struct scene *s, struct workload *w, bool fresh)
{
	s->said[0] = '\0';
	s->file = w->file;
	s->found = fault_file_events(w->file);
	w->report = scene_hear;
	w->report_arg = s;
	int rc = workload_open(w, fresh);
	if (rc)
		scene_wrong(s, "cannot be opened", rc);
}

void scene_start(struct scene *s, struct workload *w)
{
	s->seed = w->seed;
	steady_begin(w->seed);
	assert_int_equal(fault_file_new(NULL, 0, &w->file), 0);
	scene_open(s, w, true);
	workload_note(w, fault_file_events(w->file), true);
}

void scene_die(struct file *f, banyan *db)
{
	fault_file_fail_after(f, 0);
	fault_file_fail(f, FAULT_APPEND, 1, -EIO, true);
	fault_file_fail(f, FAULT_SYNC, 1, -EIO, true);
	(void)banyan_close(db);
}

size_t scene_see(struct scene *s, banyan *db, const struct history *h,
		 size_t low, size_t high)
{
	uint64_t print = 0;
	int rc = fingerprint(db, &print);
	if (rc)
		scene_wrong(s, "cannot be read", rc);
	size_t i = history_find(h, print, low, high);
	if (i == SIZE_MAX) {
		char what[80];
		size_t any = history_find(h, print, 0, h->count - 1);
		snprintf(what, sizeof(what),
			 "not a state from %zu to %zu, but another", low, high);
		scene_wrong(s, what, any == SIZE_MAX ? -1 : (long long)any);
	}
	return i;
}

void scene_expect(struct scene *s, banyan *db, uint64_t print)
{
	uint64_t now = 0;
	int rc = fingerprint(db, &now);
	if (rc || now != print)
		scene_wrong(s, "not the state that was expected", rc);
}

void scene_expect_poisoned(struct scene *s, banyan *db)
{
	int rc = banyan_put(db, "late", "x", 1, 0);
	if (rc != -EIO)
		scene_wrong(s, "a put after a failure", rc);
	rc = banyan_sync(db);
	if (rc != -EIO)
		scene_wrong(s, "a sync after a failure", rc);
	rc = banyan_freeze(db);
	if (rc != -EIO)
		scene_wrong(s, "a freeze after a failure", rc);
}

void scene_expect_sound(struct scene *s, banyan *db)
{
	struct banyan_check options = { .found = scene_hear, .arg = s };
	struct checker k;
	checker_init(&k, &options);
	int rc = check_now(&k, db->store);
	if (rc || k.tell.count)
		scene_wrong(s, "unsound", rc ? rc : k.tell.count);
}

/* ---- trials ----------------------------------------------------------- */

void trial_at(struct trial *t, size_t events)
{
	uint64_t mix = t->scene.seed * 86028121 + events;
	t->random = test_random(&mix);
	t->scene.top = events;
	steady_begin(t->random);
}

enum fault_cut trial_kind(struct trial *t)
{
	static const enum fault_cut kinds[] = {
		FAULT_PREFIX, FAULT_PREFIX, FAULT_RANDOM, FAULT_RANDOM,
		FAULT_RANDOM, FAULT_BYTES,  FAULT_BYTES,  FAULT_GARBAGE,
		FAULT_DROP,   FAULT_ZEROS,  FAULT_KEEP,
	};
	return kinds[test_below(&t->random, sizeof(kinds) / sizeof(*kinds))];
}

/* A reader sees the same, and leaves the file as it is */
static size_t look(struct trial *t, struct file *f, const struct history *h,
		   size_t low, size_t high)
{
	struct scene *s = &t->scene;
	struct file *copy = NULL;
	banyan *db = NULL;
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = scene_hear,
				    .report_arg = s };
	size_t events = fault_file_events(f);
	assert_int_equal(fault_file_after_kill(f, events, &copy), 0);
	s->said[0] = '\0';
	s->file = copy;
	s->found = events;
	int rc = handle_open_file(copy, &o, false, &db);
	if (rc)
		scene_wrong(s, "cannot be opened for reading", rc);
	size_t seen = scene_see(s, db, h, low, high);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(fault_file_events(copy), events);
	fault_file_free(copy);
	return seen;
}

/* Recovery is cut short, and has to begin again */
static void cut_recovery(struct trial *t, struct file *f,
			 const struct history *h, size_t low, size_t high,
			 size_t events)
{
	struct workload w = { 0 };
	assert_int_equal(fault_file_after_cut(f, events, trial_kind(t),
					      test_random(&t->random), &w.file),
			 0);
	scene_open(&t->scene, &w, false);
	scene_see(&t->scene, w.db, h, low, high);
	scene_die(w.file, w.db);
	workload_free(&w);
	t->cuts++;
}

/* The next process has run and died: cut what it did as well */
static void cut_again(struct trial *t, const struct workload *w, unsigned depth)
{
	const struct history *h = &w->history;
	size_t opened = h->moment[0].end;
	size_t last = h->moment[h->count - 1].end;
	for (unsigned i = 0; i < 2; i++) {
		size_t events =
			opened + test_below(&t->random, last - opened + 1);
		trial_cut(t, w->file, h, events, trial_kind(t),
			  test_below(&t->random, 5) == 0, depth);
	}
}

void trial_go_on(struct trial *t, struct file *f, const struct history *h,
		 size_t low, size_t high, unsigned depth)
{
	struct scene *s = &t->scene;
	struct workload w = { .seed = test_random(&t->random), .file = f };
	size_t before = fault_file_events(f);
	bool killed = s->killed;
	/* A power cut in mid-recovery may take more than the kill before it
	 * did, and make whole what looked torn: nobody has seen anything yet */
	size_t sure = 0;
	size_t most = 0;
	history_bounds(h, s->events, false, &sure, &most);
	if (test_below(&t->random, 4) == 0) {
		size_t seen = look(t, f, h, low, high);
		/* Unless what is in the cache may be nowhere else */
		low = killed ? low : seen;
		high = killed ? high : seen;
	}
	scene_open(s, &w, false);
	bool torn = strstr(s->said, "torn tail") != NULL;
	size_t seen = scene_see(s, w.db, h, low, high);
	if (!torn && !killed) {
		sure = seen;
		most = seen;
	}
	if (test_below(&t->random, 8) == 0)
		scene_expect_sound(s, w.db);
	if (depth == t->depth_max) {
		scene_die(w.file, w.db);
		workload_free(&w);
		return;
	}
	/* To have been opened for writing makes durable what was seen */
	workload_note(&w, before, true);
	workload_run(&w, 0, 1 + (unsigned)test_below(&t->random, 6));
	scene_die(w.file, w.db);
	cut_again(t, &w, depth + 1);
	size_t opened = w.history.moment[0].end;
	if (opened > before)
		cut_recovery(t, w.file, h, sure, most,
			     before + test_below(&t->random, opened - before));
	workload_free(&w);
}

void trial_cut(struct trial *t, struct file *f, const struct history *h,
	       size_t events, enum fault_cut kind, bool killed, unsigned depth)
{
	struct scene *s = &t->scene;
	struct file *after = NULL;
	size_t low = 0;
	size_t high = 0;
	uint64_t seed = test_random(&t->random);
	s->events = events;
	s->kind = kind;
	s->killed = killed;
	s->depth = depth;
	t->cuts++;
	history_bounds(h, events, killed, &low, &high);
	int rc = killed ? fault_file_after_kill(f, events, &after) :
			  fault_file_after_cut(f, events, kind, seed, &after);
	assert_int_equal(rc, 0);
	trial_go_on(t, after, h, low, high, depth);
}
