/* SPDX-License-Identifier: MIT */
/* What a worker does; see linear_run.h */
#include "linear_run.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/clock.h"

const struct linear_key linear_keys[LINEAR_KEYS] = {
	{ "k0", "k0", 0 },   { "k1", "k1", 0 },	  { "k2", "k2", 0 },
	{ "s/k3", "k3", 1 }, { "s/k4", "k4", 1 },
};

void linear_wrong(struct linear_run *r, const char *what, long long rc)
{
	if (atomic_fetch_add(&r->failures, 1) < 10)
		fprintf(stderr, "window %u: %s: %lld (%s)\n", r->window, what,
			rc, rc < 0 ? banyan_strerror((int)rc) : "");
}

void linear_breathe(struct linear_worker *w)
{
	if (linear_number(w, 4) == 0)
		sched_yield();
	if (linear_number(w, 64) == 0)
		usleep(linear_number(w, 300));
}

/* ---- steps ------------------------------------------------------------ */

static uint32_t new_value(struct linear_worker *w, unsigned class)
{
	uint32_t n = ++w->values * LINEAR_THREADS + w->number;
	return n * 4 + class;
}

static banyan_data *space_of(const struct linear_worker *w, unsigned key)
{
	return w->space[linear_keys[key].space];
}

static void get(struct linear_worker *w, struct linear_step *t)
{
	const struct linear_key *k = &linear_keys[t->key];
	ssize_t n = 0;
	if (linear_number(w, 2)) {
		void *bytes = NULL;
		size_t size = 0;
		t->rc = banyan_get(w->db, k->path, &bytes, &size);
		n = t->rc ? t->rc : (ssize_t)size;
		t->value = t->rc ? 0 : linear_value_of(bytes, n);
		free(bytes);
		return;
	}
	n = banyan_fetch(space_of(w, t->key), k->name, 2, w->bytes,
			 LINEAR_VALUE_MAX + 1);
	t->rc = n < 0 ? (int)n : 0;
	t->value = n < 0 ? 0 : linear_value_of(w->bytes, n);
}

static void put(struct linear_worker *w, struct linear_step *t)
{
	t->value = new_value(w, linear_number(w, 4));
	linear_value_fill(w->bytes, t->value);
	t->rc = banyan_put(w->db, linear_keys[t->key].path, w->bytes,
			   linear_value_size(t->value), 0);
}

/* data NULL: nobody is interested, and the id is learnt from others */
static void insert(struct linear_worker *w, struct linear_step *t,
		   banyan_data **data)
{
	t->value = new_value(w, linear_number(w, 4));
	linear_value_fill(w->bytes, t->value);
	struct banyan_new make = { .mode = S_IFREG | 0600,
				   .value = w->bytes,
				   .size = linear_value_size(t->value) };
	t->rc = banyan_insert(space_of(w, t->key), linear_keys[t->key].name, 2,
			      &make, data, NULL);
	if (!t->rc && data)
		t->id = banyan_id(*data);
}

static void delete_key(struct linear_worker *w, struct linear_step *t,
		       banyan_data **data)
{
	t->rc = data ? banyan_delete(space_of(w, t->key),
				     linear_keys[t->key].name, 2, 0, data) :
		       banyan_remove(w->db, linear_keys[t->key].path);
	if (!t->rc && data)
		t->id = banyan_id(*data);
}

static void rename_key(struct linear_worker *w, struct linear_step *t)
{
	static const unsigned flags[] = { 0, 0, BANYAN_NO_REPLACE,
					  BANYAN_EXCHANGE };
	t->flags = flags[linear_number(w, 4)];
	t->rc = banyan_move(space_of(w, t->key), linear_keys[t->key].name, 2,
			    space_of(w, t->to), linear_keys[t->to].name, 2,
			    t->flags);
}

/* One of the steps that a batch can have, too */
static void do_step(struct linear_worker *w, struct linear_step *t)
{
	static const enum linear_kind kinds[] = {
		LINEAR_GET,    LINEAR_GET,    LINEAR_GET,    LINEAR_PUT,
		LINEAR_PUT,    LINEAR_INSERT, LINEAR_REMOVE, LINEAR_RENAME,
		LINEAR_RENAME, LINEAR_ALIAS,
	};
	t->kind = kinds[linear_number(w, sizeof(kinds) / sizeof(*kinds))];
	t->key = linear_number(w, LINEAR_KEYS);
	t->to = linear_number(w, LINEAR_KEYS);
	if (t->kind == LINEAR_GET)
		get(w, t);
	else if (t->kind == LINEAR_PUT)
		put(w, t);
	else if (t->kind == LINEAR_INSERT)
		insert(w, t, NULL);
	else if (t->kind == LINEAR_REMOVE)
		delete_key(w, t, NULL);
	else if (t->kind == LINEAR_RENAME)
		rename_key(w, t);
	else
		t->rc = banyan_alias(w->db, linear_keys[t->key].path,
				     linear_keys[t->to].path);
}

/* ---- operations ------------------------------------------------------- */

struct linear_op *linear_begin(struct linear_worker *w)
{
	struct linear_run *r = w->run;
	unsigned at = w->number * r->form->operations + w->count++;
	struct linear_op *op = &r->ops[at];
	linear_breathe(w);
	*op = (struct linear_op){ .thread = w->number, .count = 1 };
	op->begin = test_now();
	return op;
}

bool linear_room(const struct linear_worker *w)
{
	return w->count < w->run->form->operations;
}

static void end(struct linear_worker *w, struct linear_op *op)
{
	op->end = test_now();
	for (unsigned i = 0; i < op->count; i++) {
		int rc = op->step[i].rc;
		if (rc && rc != -ENOENT && rc != -EEXIST)
			linear_wrong(w->run, "an operation", rc);
		if (op->step[i].value == UINT32_MAX)
			linear_wrong(w->run, "a torn value", 0);
	}
}

static void enter_batch(struct linear_worker *w)
{
	int rc = banyan_begin(w->run->db, &w->db);
	if (!rc) {
		w->space[0] = banyan_root(w->db);
		rc = banyan_find(w->db, "s", &w->space[1]);
	}
	if (rc)
		linear_wrong(w->run, "a batch", rc);
}

static int leave_batch(struct linear_worker *w, bool aborted)
{
	int rc = 0;
	banyan_release(w->space[1], 1);
	if (aborted)
		banyan_abort(w->db);
	else
		rc = banyan_commit(w->db);
	w->db = w->run->db;
	w->space[0] = w->run->space[0];
	w->space[1] = w->run->space[1];
	return rc;
}

static void batch(struct linear_worker *w)
{
	struct linear_op *op = linear_begin(w);
	enter_batch(w);
	op->count = 2 + linear_number(w, LINEAR_STEPS - 1);
	op->aborted = linear_number(w, 4) == 0;
	for (unsigned i = 0; i < op->count; i++) {
		do_step(w, &op->step[i]);
		linear_breathe(w);
	}
	int rc = leave_batch(w, op->aborted);
	if (rc)
		linear_wrong(w->run, "a commit", rc);
	end(w, op);
}

/* One thing that is done to a Data that is held */
static void use(struct linear_worker *w, banyan_data *d)
{
	struct banyan_attr attr = { 0 };
	struct linear_op *op = linear_begin(w);
	struct linear_step *t = &op->step[0];
	t->id = banyan_id(d);
	t->kind = LINEAR_READ + linear_number(w, 4);
	if (t->kind == LINEAR_READ) {
		ssize_t n = banyan_read(d, w->bytes, LINEAR_VALUE_MAX + 1, 0);
		t->rc = n < 0 ? (int)n : 0;
		t->value = n < 0 ? 0 : linear_value_of(w->bytes, n);
	} else if (t->kind == LINEAR_WRITE) {
		/* The longest, so that nothing is left of another */
		t->value = new_value(w, 3);
		linear_value_fill(w->bytes, t->value);
		t->rc = banyan_write(d, w->bytes, LINEAR_VALUE_MAX, 0, 0, NULL);
	} else if (t->kind == LINEAR_LINKS) {
		t->rc = banyan_get_attr(d, &attr);
		t->links = attr.nlink;
	} else {
		t->to = linear_number(w, LINEAR_KEYS);
		t->rc = banyan_insert_data(space_of(w, t->to),
					   linear_keys[t->to].name, 2, d);
	}
	end(w, op);
}

/* Come to hold a Data, use it, let it go */
static void hold(struct linear_worker *w)
{
	static const enum linear_kind kinds[] = { LINEAR_SEARCH, LINEAR_SEARCH,
						  LINEAR_INSERT,
						  LINEAR_REMOVE };
	banyan_data *d = NULL;
	struct linear_op *op = linear_begin(w);
	struct linear_step *t = &op->step[0];
	t->kind = kinds[linear_number(w, 4)];
	t->key = linear_number(w, LINEAR_KEYS);
	if (t->kind == LINEAR_INSERT)
		insert(w, t, &d);
	else if (t->kind == LINEAR_REMOVE)
		delete_key(w, t, &d);
	else
		t->rc = banyan_search(space_of(w, t->key),
				      linear_keys[t->key].name, 2, &d, NULL);
	if (t->kind == LINEAR_SEARCH && !t->rc)
		t->id = banyan_id(d);
	end(w, op);
	for (unsigned n = linear_number(w, 4); d && n && linear_room(w); n--)
		use(w, d);
	banyan_release(d, 1);
}

static void disturb(struct linear_worker *w)
{
	banyan *db = w->run->db;
	int rc = linear_number(w, 6) ? banyan_sync(db) : banyan_freeze(db);
	if (rc)
		linear_wrong(w->run, "a sync or a freeze", rc);
}

void linear_work(struct linear_worker *w)
{
	unsigned dice = linear_number(w, 100);
	if (dice < 4) {
		disturb(w);
	} else if (dice < 14) {
		batch(w);
	} else if (dice < 26) {
		linear_scan(w);
	} else if (dice < 28 && w->run->form->local) {
		linear_open_beside(w);
	} else if (dice < 50) {
		hold(w);
	} else {
		struct linear_op *op = linear_begin(w);
		do_step(w, &op->step[0]);
		end(w, op);
	}
}
