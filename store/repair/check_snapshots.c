/* SPDX-License-Identifier: MIT */
/*
 * check_snapshots.c - the trees that snapshots name.
 *
 * From the newest to the oldest, each is compared with the state that was checked
 * before, at first with the present. Nodes that this state has as well are passed
 * by, and so are rows that it has: the cost follows the differences, and memory
 * is that of the list of snapshots. What rows say of each other was true when
 * they were the present, and is not checked again.
 */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "engine/past.h"
#include "engine/read_txn.h"
#include "engine/snapshot.h"
#include "model/row_extents.h"
#include "repair/check.h"
#include "repair/row_text.h"
#include "repair/verify.h"
#include "table/merged_diff.h"

/* ---- the list ---------------------------------------------------------- */

struct list {
	struct snapshot *item; /* by number; their names are owned */
	size_t count, capacity;
};

static int add_snapshot(void *arg, const struct snapshot *s)
{
	struct list *l = arg;
	if (l->count == l->capacity) {
		size_t n = l->capacity ? 2 * l->capacity : 16;
		struct snapshot *more = realloc(l->item, n * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->item = more;
		l->capacity = n;
	}
	char *name = strndup(s->name, s->len);
	if (!name)
		return -ENOMEM;
	l->item[l->count] = *s;
	l->item[l->count++].name = name;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct snapshot *x = a, *y = b;
	return (x->number < y->number) - (x->number > y->number);
}

static void list_free(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free((void *)(uintptr_t)l->item[i].name);
	free(l->item);
}

/* ---- rows --------------------------------------------------------------- */

struct changed {
	struct checker *k;
	const struct state *s;
	struct verifier verifier;
	bool bad;
};

static int note_bad(void *arg, uint32_t start, uint32_t end)
{
	struct changed *r = arg;
	(void)start;
	(void)end;
	r->bad = true;
	return 0;
}

static int check_extent(void *arg, const struct extent *e)
{
	struct changed *r = arg;
	int rc = verify_extent(&r->verifier, e, note_bad, r);
	return rc ? rc : tell_still(&r->k->tell);
}

static int check_row(struct changed *r, const struct tree_difference *d)
{
	struct buf text = BUF_INIT;
	if (!d->after || !d->key_len || d->key[0] == ROW_SNAPSHOT)
		return 0;
	r->bad = false;
	int rc = row_extents(d->key, d->key_len, d->after, d->after_len,
			     check_extent, r);
	if (is_damage(rc) || (!rc && r->bad)) {
		rc = 0;
		text_row(r->s, d->key, d->key_len, &text);
		tell_bad(&r->k->tell, "damaged: %s",
			 tell_text(&r->k->tell, &text));
		buf_free(&text);
	}
	return rc;
}

/* The rows that the state before has not; up to the first damaged node, of which
 * was told */
static int check_changed(struct changed *r, const struct state *before)
{
	struct merged_diff *diff = NULL;
	struct tree_difference d;
	int rc = merged_diff_new(&before->merged, &r->s->merged, &diff);
	while (!rc && !(rc = merged_diff_next(diff, &d)))
		rc = check_row(r, &d);
	merged_diff_free(diff);
	return rc > 0 || is_damage(rc) ? 0 : rc;
}

/* ---- one after the other ------------------------------------------------ */

static int check_differences(struct checker *k, struct store *store,
			     const struct state *before,
			     const struct state *now)
{
	struct changed r = { .k = k, .s = now };
	r.verifier.file = store->volume->file;
	int rc = check_nodes(k, store, &before->merged.tree, &now->merged.tree);
	if (!rc)
		rc = check_changed(&r, before);
	verifier_free(&r.verifier);
	return rc;
}

/* A snapshot, whose state is left in *past and *rtxn for the next one. That its
 * freeze is not there was told with its row. */
static int check_one(struct checker *k, struct store *store,
		     const struct snapshot *s, const struct state *before,
		     struct view_state *past, struct read_txn *rtxn)
{
	struct volume *volume = store->volume;
	struct freeze f;
	uint64_t size = 0;
	char *begin = NULL;
	int rc = file_size(volume->file, &size);
	if (!rc)
		rc = log_read_freeze(volume->file, volume->sb.salt, size,
				     s->offset, &f);
	if (rc || f.number != s->number)
		return rc < 0 ? rc : 0;
	if (asprintf(&begin, "snapshot '%s': ", s->name) < 0)
		return -ENOMEM;
	rc = past_begin(&f, s->offset, volume, past);
	if (!rc) {
		read_txn_begin_at(store, past->view, past->seq, rtxn);
		read_txn_pin(rtxn);
		k->tell.begin = begin;
		rc = check_differences(k, store, before, &rtxn->state);
		k->tell.begin = NULL;
	}
	free(begin);
	return rc;
}

static void leave(struct view_state *past, struct read_txn *rtxn)
{
	if (past->view) {
		read_txn_end(rtxn);
		view_unref(past->view);
	}
	past->view = NULL;
}

/*
 * Trees that come from one another do not have a node again that one of them has
 * lost, so each node is visited about once. A hostile file may let two trees take
 * turns, in any number of snapshots.
 */
static bool repeats(struct checker *k, uint64_t size)
{
	if (k->visited / 2 <= size)
		return false;
	tell_bad(&k->tell, "snapshots have the same nodes over and over; the "
			   "rest of them was not checked");
	return true;
}

static int check_list(struct checker *k, struct store *store,
		      const struct state *now, const struct list *l)
{
	struct view_state past[2] = { 0 };
	struct read_txn rtxn[2];
	const struct state *before = now;
	unsigned turn = 0;
	uint64_t size = 0;
	int rc = file_size(store->volume->file, &size);
	for (size_t i = 0; !rc && i < l->count && !repeats(k, size); i++) {
		const struct snapshot *s = &l->item[i];
		if (i && s->number == s[-1].number)
			continue;
		leave(&past[turn], &rtxn[turn]);
		rc = check_one(k, store, s, before, &past[turn], &rtxn[turn]);
		if (!past[turn].view)
			continue;
		before = &rtxn[turn].state;
		turn = !turn;
	}
	leave(&past[0], &rtxn[0]);
	leave(&past[1], &rtxn[1]);
	return rc;
}

int check_snapshots(struct checker *k, struct store *store,
		    const struct state *now)
{
	struct list l = { 0 };
	int rc = snapshots_visit(now, add_snapshot, &l);
	/* Damaged rows, and rows below damaged nodes, were told of */
	if (is_damage(rc))
		rc = 0;
	if (l.count)
		qsort(l.item, l.count, sizeof(*l.item), newest_first);
	if (!rc)
		rc = check_list(k, store, now, &l);
	list_free(&l);
	return rc;
}
