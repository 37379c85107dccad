/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "api/handle.h"
#include "engine/freeze.h"
#include "tests/support/random.h"

#define TABLE_LIMIT 6000u /* bytes of redo: a few operations */

/* ---- fingerprints ----------------------------------------------------- */

struct hash {
	banyan *db;
	uint64_t sum;
	uint8_t *bytes;
	size_t room;
};

static void add_number(struct hash *h, uint64_t n)
{
	uint64_t sum = (h->sum ^ n) * 0x9e3779b97f4a7c15u;
	h->sum = sum ^ sum >> 29;
}

static void add_bytes(struct hash *h, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	uint64_t word = 0;
	add_number(h, size);
	for (; size >= 8; size -= 8, p += 8) {
		memcpy(&word, p, 8);
		add_number(h, word);
	}
	word = 0;
	memcpy(&word, p, size);
	add_number(h, word);
}

static int reserve(struct hash *h, size_t size)
{
	if (size <= h->room)
		return 0;
	uint8_t *bytes = realloc(h->bytes, size * 2);
	if (!bytes)
		return -ENOMEM;
	h->bytes = bytes;
	h->room = size * 2;
	return 0;
}

static int add_contents(struct hash *h, banyan_data *data, uint64_t size)
{
	int rc = reserve(h, (size_t)size + 1);
	if (rc)
		return rc;
	ssize_t n = banyan_read(data, h->bytes, (size_t)size + 1, 0);
	if (n < 0)
		return (int)n;
	add_bytes(h, h->bytes, (size_t)n);
	return 0;
}

static int add_xattrs(struct hash *h, banyan_data *data)
{
	char names[1024];
	ssize_t size = banyan_list_xattr(data, names, sizeof(names));
	if (size < 0)
		return (int)size;
	for (char *name = names; name < names + size;
	     name += strlen(name) + 1) {
		ssize_t n = banyan_get_xattr(data, name, NULL, 0);
		int rc = n < 0 ? (int)n : reserve(h, (size_t)n + 1);
		if (rc)
			return rc;
		n = banyan_get_xattr(data, name, h->bytes, h->room);
		if (n < 0)
			return (int)n;
		add_bytes(h, name, strlen(name));
		add_bytes(h, h->bytes, (size_t)n);
	}
	return 0;
}

static int visit(void *arg, const char *path, const struct banyan_entry *e)
{
	struct hash *h = arg;
	banyan_data *data = NULL;
	add_bytes(h, path, strlen(path));
	add_number(h, e->attr.mode & S_IFMT);
	add_number(h, e->attr.nlink);
	add_number(h, e->attr.size);
	int rc = banyan_find(h->db, path, &data);
	if (rc)
		return rc;
	if (!S_ISDIR(e->attr.mode))
		rc = add_contents(h, data, e->attr.size);
	if (!rc)
		rc = add_xattrs(h, data);
	banyan_release(data, 1);
	return rc;
}

static int visit_snapshot(void *arg, const struct banyan_snapshot_info *info)
{
	struct hash *h = arg;
	banyan *view = NULL;
	uint64_t print = 0;
	int rc = banyan_view_snapshot(h->db, info->name, info->len, &view);
	if (rc)
		return rc == -EINVAL ? 1 : rc; /* it is a view itself */
	rc = fingerprint(view, &print);
	banyan_close(view);
	add_bytes(h, info->name, info->len);
	add_number(h, print);
	return rc;
}

int fingerprint(banyan *db, uint64_t *print)
{
	struct hash h = { .db = db };
	int rc = banyan_walk(db, "", NULL, true, visit, &h);
	if (!rc)
		rc = banyan_snapshots(db, visit_snapshot, &h);
	if (rc > 0)
		rc = 0;
	free(h.bytes);
	if (!rc)
		*print = h.sum;
	return rc;
}

/* ---- history ---------------------------------------------------------- */

void history_free(struct history *h)
{
	free(h->moment);
	*h = (struct history){ 0 };
}

void history_bounds(const struct history *h, size_t events, bool killed,
		    size_t *low, size_t *high)
{
	*low = 0;
	*high = 0;
	for (size_t i = 0; i < h->count; i++) {
		const struct moment *m = &h->moment[i];
		if (m->end <= events && killed)
			*low = i;
		else if (m->end <= events && m->durable != NOTHING)
			*low = m->durable;
		if (m->begin < events || m->end <= events)
			*high = i;
	}
}

size_t history_find(const struct history *h, uint64_t print, size_t low,
		    size_t high)
{
	for (size_t i = high + 1; i-- > low;)
		if (h->moment[i].print == print)
			return i;
	return SIZE_MAX;
}

/* As workload_note(), of a state that is known already */
static void note(struct workload *w, uint64_t print, size_t begin,
		 size_t durable)
{
	struct history *h = &w->history;
	struct moment m = { .print = print,
			    .begin = begin,
			    .durable = durable };
	if (w->file) {
		m.end = fault_file_events(w->file);
		m.size = fault_file_size(w->file);
	}
	if (h->count == h->room) {
		h->room = h->room * 2 + 16;
		h->moment = realloc(h->moment, h->room * sizeof(m));
		assert_non_null(h->moment);
	}
	h->moment[h->count++] = m;
}

void workload_note(struct workload *w, size_t begin, bool synced)
{
	uint64_t print = 0;
	assert_int_equal(fingerprint(w->db, &print), 0);
	note(w, print, begin, synced ? w->history.count : NOTHING);
}

/* ---- opening ---------------------------------------------------------- */

int workload_open(struct workload *w, bool fresh)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN,
				    .report = w->report,
				    .report_arg = w->report_arg };
	int rc = handle_open_file(w->file, &o, fresh, &w->db);
	if (rc)
		return rc;
	if (!w->thread)
		freezer_stop(w->db->store);
	w->db->store->table_limit = TABLE_LIMIT;
	return 0;
}

/*
 * Before each operation: while a table waits to be frozen the other one must
 * not be full, as the operation would wait for a freezer that is not there.
 */
static void let_it_grow(struct workload *w)
{
	if (!w->thread)
		w->db->store->table_limit = w->db->store->view->frozen ?
						    UINT64_MAX / 4 :
						    TABLE_LIMIT;
}

/* As after a proper end: the history goes on in a file of its own */
static void close_and_open(struct workload *w)
{
	struct file *after = NULL;
	struct history *h = &w->history;
	size_t begin = fault_file_events(w->file);
	let_it_grow(w);
	assert_int_equal(banyan_close(w->db), 0);
	note(w, h->moment[h->count - 1].print, begin, h->count);
	begin = fault_file_events(w->file);
	assert_int_equal(fault_file_after_kill(w->file, begin, &after), 0);
	fault_file_free(w->file);
	w->file = after;
	assert_int_equal(workload_open(w, false), 0);
	workload_note(w, begin, true);
}

void workload_free(struct workload *w)
{
	fault_file_free(w->file);
	history_free(&w->history);
	w->file = NULL;
}

/* ---- operations ------------------------------------------------------- */

struct op {
	struct workload *w;
	banyan *db; /* the workload's, or a batch of it */
	uint64_t random;
};

static uint64_t below(struct op *o, uint64_t n)
{
	return test_below(&o->random, n);
}

static void random_path(struct op *o, char *path)
{
	static const char *const spaces[] = { "", "", "s/", "s/t/", "u/" };
	sprintf(path, "%sk%u", spaces[below(o, 5)], (unsigned)below(o, 7));
}

/* A path that only big values have: there are few, so that they do not pile up
 * and reading all of them takes no time */
static void big_path(struct op *o, char *path)
{
	sprintf(path, "big%u", (unsigned)below(o, 2));
}

static size_t random_size(struct op *o, bool big)
{
	if (big)
		return 150000 + (size_t)below(o, 1300000);
	if (o->w->tiny)
		return (size_t)below(o, below(o, 4) ? 40 : 700);
	switch (below(o, 6)) {
	case 0:
		return (size_t)below(o, 10);
	case 1:
		return (size_t)below(o, 40000);
	case 2:
		return 200 + (size_t)below(o, 2000);
	default:
		return (size_t)below(o, 300);
	}
}

static uint8_t *random_bytes(struct op *o, size_t size)
{
	uint8_t *bytes = malloc(size + 8);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = test_random(&o->random);
		memcpy(bytes + i, &word, 8);
	}
	return bytes;
}

static int do_put(struct op *o, bool big)
{
	char path[32];
	size_t size = random_size(o, big);
	uint8_t *bytes = random_bytes(o, size);
	if (big)
		big_path(o, path);
	else
		random_path(o, path);
	int rc = banyan_put(o->db, path, bytes, size, BANYAN_PARENTS);
	free(bytes);
	return rc;
}

/* Written piece by piece, and there as a whole or not at all */
static int do_pieces(struct op *o)
{
	char path[32];
	banyan_data *data = NULL;
	struct banyan_new make = { .mode = 0600 };
	int rc = banyan_insert_unnamed(o->db, &make, &data, NULL);
	if (rc)
		return rc;
	for (unsigned i = 0; i < 5 && !rc; i++) {
		size_t size = random_size(o, o->w->big) / 4;
		uint8_t *bytes = random_bytes(o, size);
		let_it_grow(o->w);
		rc = banyan_write(data, bytes, size, 0, BANYAN_APPEND, NULL);
		free(bytes);
	}
	random_path(o, path);
	if (o->w->big)
		big_path(o, path);
	let_it_grow(o->w);
	if (!rc)
		rc = banyan_put_data(o->db, path, data, BANYAN_PARENTS);
	banyan_release(data, 1);
	return rc;
}

static int do_change(struct op *o)
{
	char path[32];
	uint8_t bytes[3000] = { 0 };
	banyan_data *data = NULL;
	random_path(o, path);
	int rc = banyan_find(o->db, path, &data);
	if (rc)
		return rc;
	uint64_t offset = below(o, 20000);
	size_t size = (size_t)below(o, o->w->tiny ? 500 : sizeof(bytes));
	memset(bytes, (int)below(o, 255), size);
	switch (below(o, 5)) {
	case 0:
		rc = banyan_truncate(data, offset);
		break;
	case 1:
		rc = banyan_punch(data, offset / 2, offset, false);
		break;
	case 2:
		rc = banyan_set_xattr(data, "user.x", bytes, size, 0);
		break;
	case 3:
		rc = banyan_remove_xattr(data, "user.x");
		break;
	default:
		rc = banyan_write(data, bytes, size, offset, 0, NULL);
	}
	banyan_release(data, 1);
	return rc;
}

static int do_clone(struct op *o)
{
	char path[32];
	banyan_data *from = NULL;
	banyan_data *to = NULL;
	random_path(o, path);
	int rc = banyan_find(o->db, path, &from);
	if (rc)
		return rc;
	random_path(o, path);
	rc = banyan_find(o->db, path, &to);
	if (!rc) {
		int64_t n = banyan_clone(from, 100, to, 50, 20000);
		rc = n < 0 ? (int)n : 0;
		banyan_release(to, 1);
	}
	banyan_release(from, 1);
	return rc;
}

static int do_name(struct op *o)
{
	char path[32];
	char to[32];
	random_path(o, path);
	random_path(o, to);
	switch (below(o, 7)) {
	case 0:
	case 1:
		return banyan_remove(o->db, path);
	case 2:
		return banyan_alias(o->db, path, to);
	case 3:
		return banyan_rename(o->db, path, to, BANYAN_EXCHANGE);
	case 4: /* a whole space changes places, or goes */
		sprintf(path, "%c", "stu"[below(o, 3)]);
		sprintf(to, "%c", "stu"[below(o, 3)]);
		return below(o, 3) ? banyan_rename(o->db, path, to, 0) :
				     banyan_remove(o->db, path);
	default:
		return banyan_rename(o->db, path, to, 0);
	}
}

static int do_big(struct op *o)
{
	char path[32];
	if (below(o, 3))
		return do_put(o, true);
	big_path(o, path);
	return banyan_remove(o->db, path);
}

static int append_some(struct op *o, banyan_data *data)
{
	uint8_t bytes[256];
	size_t size = 130 + (size_t)below(o, 120);
	memset(bytes, (int)below(o, 255), size);
	return banyan_write(data, bytes, size, 0, BANYAN_APPEND, NULL);
}

/*
 * One value that grows by little and little, so that its tail is joined: now by
 * one append, now by as many as that takes.
 */
static int append(struct op *o, unsigned count)
{
	banyan_data *data = NULL;
	int rc = banyan_find(o->db, "grows", &data);
	if (rc == -ENOENT)
		return banyan_put(o->db, "grows", "", 0, 0);
	if (rc)
		return rc;
	while (!rc && count--)
		rc = append_some(o, data);
	banyan_release(data, 1);
	return rc;
}

static int end_batch(struct op *o, int rc, bool drop)
{
	banyan *batch = o->db;
	o->db = o->w->db;
	if (!rc && !drop)
		return banyan_commit(batch);
	banyan_abort(batch);
	return rc;
}

/* Many appends are a batch, unless this is in one already */
static int do_append(struct op *o)
{
	if (below(o, 3) || o->db != o->w->db)
		return append(o, 1);
	int rc = banyan_begin(o->w->db, &o->db);
	if (rc)
		return rc;
	return end_batch(o, append(o, 30), false);
}

static int do_one(struct op *o)
{
	uint64_t kind = below(o, 100);
	if (o->w->big && kind < 35)
		return do_big(o);
	if (kind < 12)
		return do_append(o);
	if (kind < 50)
		return do_put(o, false);
	if (kind < 65)
		return do_change(o);
	if (kind < 70)
		return do_clone(o);
	return do_name(o);
}

static bool is_disk_error(int rc)
{
	return rc == -EIO || rc == -ENOSPC || rc == -ENOMEM || rc == -EBADMSG ||
	       rc == -EUCLEAN || rc == -ENODATA;
}

/* -ENODATA is what a missing attribute gives, too */
static int disk_error(int rc)
{
	return is_disk_error(rc) && rc != -ENODATA ? rc : 0;
}

static int do_batch(struct op *o)
{
	int rc = banyan_begin(o->w->db, &o->db);
	if (rc)
		return rc;
	for (uint64_t n = 1 + below(o, 8); n && !rc; n--)
		rc = disk_error(do_one(o));
	return end_batch(o, rc, !rc && below(o, 6) == 0);
}

int workload_do(struct workload *w, unsigned n, bool *syncs)
{
	struct op o = { .w = w, .db = w->db, .random = w->seed * 1000003 + n };
	uint64_t kind = below(&o, 100);
	let_it_grow(w);
	*syncs = kind < 14;
	if (kind < 9)
		return banyan_sync(w->db);
	if (kind < 14)
		return banyan_freeze(w->db);
	if (kind < 26)
		return do_batch(&o);
	if (kind < 30)
		return disk_error(do_pieces(&o));
	return disk_error(do_one(&o));
}

/* ---- steps ------------------------------------------------------------ */

/* What somebody else does while a sync is under way */
static void do_beside(void *arg)
{
	struct workload *w = arg;
	struct op o = { .w = w, .db = w->db };
	o.random = w->seed * 7368787 + ++w->beside;
	size_t begin = fault_file_events(w->file);
	/* The name of a snapshot may be there by now, as an operation of its
	 * own */
	if (w->in_snapshot) {
		w->seen_in_sync = w->history.count;
		workload_note(w, begin, false);
	}
	if (below(&o, 3))
		return;
	let_it_grow(w);
	int rc = below(&o, 4) ? disk_error(do_one(&o)) : do_batch(&o);
	if (!rc)
		workload_note(w, begin, false);
}

/* ---- snapshots -------------------------------------------------------- */

/* There are two names; a third one is what they are renamed to */
static int change_snapshots(struct op *o)
{
	static const char *const names[] = { "x", "y", "z" };
	const char *name = names[below(o, 2)];
	switch (below(o, 8)) {
	case 0:
		return banyan_snapshot_drop(o->db, name, 1);
	case 1:
		return banyan_snapshot_rename(o->db, name, 1, "z", 1);
	case 2:
		return banyan_snapshot_drop(o->db, "z", 1);
	default:
		return banyan_snapshot(o->db, name, 1);
	}
}

/* What it has found is no error of the disk */
static int do_snapshot(struct workload *w, uint64_t random)
{
	struct op o = { .w = w, .db = w->db, .random = random };
	struct history *h = &w->history;
	size_t begin = fault_file_events(w->file);
	size_t count = h->count;
	let_it_grow(w);
	w->in_snapshot = true;
	int rc = change_snapshots(&o);
	w->in_snapshot = false;
	bool taken = !rc && h->count > count;
	if (taken)
		begin = h->moment[h->count - 1].begin;
	workload_note(w, begin, false);
	if (taken)
		h->moment[h->count - 1].durable = w->seen_in_sync;
	w->snapshots_done += !rc;
	return rc == -ENOENT || rc == -EEXIST ? 0 : rc;
}

/* A vacuum that is asked by the thread that runs it cannot slow that down: it
 * would go on for ever if each time there was more to do */
#define ASKED_MAX 60u

static int beside_vacuum(void *arg, uint64_t done, uint64_t total)
{
	struct workload *w = arg;
	uint64_t random = w->seed * 3628273 + ++w->beside;
	(void)done;
	(void)total;
	if (w->asked++ > ASKED_MAX)
		return 0;
	if (w->snapshots && test_below(&random, 2) == 0)
		assert_int_equal(do_snapshot(w, random), 0);
	for (unsigned i = 0; i < 8; i++)
		do_beside(arg);
	return 0;
}

/* No thread freezes the new file either, unless one is to */
int workload_vacuum(struct workload *w)
{
	struct history *h = &w->history;
	struct banyan_vacuum_options o = { .progress = beside_vacuum,
					   .arg = w };
	size_t begin = fault_file_events(w->file);
	w->asked = 0;
	size_t count = h->count;
	if (!w->thread)
		w->db->store->table_limit = UINT64_MAX / 4;
	fault_file_at_sync(w->file, w->thread ? NULL : do_beside, w);
	bool in_place = w->punches && begin % 2;
	int rc = in_place ? banyan_vacuum_punch(w->db, &o, NULL) :
			    banyan_vacuum(w->db, &o, NULL);
	fault_file_at_sync(w->file, NULL, NULL);
	if (rc)
		return rc;
	w->vacuumed++;
	w->amid += fault_file_events(w->file) - begin;
	/* It changes nothing, and all that came before its end is durable; before
	 * its beginning, if it was a punch */
	uint64_t print = h->moment[h->count - 1].print;
	workload_note(w, begin, !in_place);
	if (in_place)
		h->moment[h->count - 1].durable = count - 1;
	assert_int_equal(h->moment[h->count - 1].print, print);
	return 0;
}

int workload_settle(struct workload *w, unsigned n)
{
	uint64_t random = w->seed * 15485863 + n;
	bool now = test_below(&random, 3) == 0;
	if (w->thread || !w->db->store->view->frozen || !now)
		return 0;
	return freeze_all(w->db->store, true);
}

int workload_step(struct workload *w, unsigned n)
{
	struct history *h = &w->history;
	uint64_t random = w->seed * 32452843 + n;
	bool syncs = false;
	if (!w->stays && test_below(&random, 40) == 0) {
		close_and_open(w);
		return 0;
	}
	if ((w->vacuums || w->punches) && test_below(&random, 8) == 0)
		return workload_vacuum(w);
	if (w->snapshots && test_below(&random, 4) == 0) {
		fault_file_at_sync(w->file, w->thread ? NULL : do_beside, w);
		int said = do_snapshot(w, random);
		fault_file_at_sync(w->file, NULL, NULL);
		return said;
	}
	fault_file_at_sync(w->file, w->thread ? NULL : do_beside, w);
	int rc = workload_settle(w, n);
	size_t begin = fault_file_events(w->file);
	size_t count = h->count;
	if (!rc)
		rc = workload_do(w, n, &syncs);
	fault_file_at_sync(w->file, NULL, NULL);
	/* What came beside a sync is noted, and is not what the sync promises */
	if (h->count > count)
		begin = h->moment[h->count - 1].begin;
	workload_note(w, begin, false);
	if (syncs && !rc)
		h->moment[h->count - 1].durable = count - 1;
	return rc;
}

void workload_run(struct workload *w, unsigned n, unsigned count)
{
	for (; count; count--, n++)
		assert_int_equal(workload_step(w, n), 0);
}
