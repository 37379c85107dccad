/* SPDX-License-Identifier: MIT */
#include "vacuum/punch.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/steady.h"
#include "engine/freeze.h"
#include "engine/sweep.h"
#include "engine/write.h"
#include "engine/read_txn.h"
#include "model/row_extents.h"
#include "model/row_lookup.h"
#include "model/snapshots.h"
#include "tree/tree_diff.h"
#include "vacuum/states.h"

/* Bytes that are marked, or looked at, before progress is asked again */
#define ASK_BYTES (UINT64_C(4) << 20)
/* Readers of this process leave an earlier view within this time, unless they
 * hold it for long */
#define READERS_WAIT INT64_C(1000000000) /* ns */
#define READERS_PAUSE 1000000 /* ns */

struct punch {
	struct store *store;
	struct volume *volume; /* a reference */
	uint64_t end; /* blocks before it may go: a multiple of FILE_BLOCK */
	uint8_t *live; /* a bit for each of them */
	struct buf snapshots; /* offsets of their freezes, as uint64_t */
	bool noted; /* all of those */
	uint64_t left; /* where the last segment but one is left, and where */
	uint64_t next; /* the last one begins */
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t done;
	uint64_t total;
	uint64_t told;
	int stopped; /* what progress has returned to end it */
};

static int ask(struct punch *p)
{
	p->told = p->done;
	if (p->done > p->total)
		p->total = p->done;
	if (p->progress)
		p->stopped = p->progress(p->arg, p->done, p->total);
	return p->stopped ? -ECANCELED : 0;
}

static int go_on(struct punch *p, uint64_t bytes)
{
	p->done += bytes;
	return p->done < p->told + ASK_BYTES ? 0 : ask(p);
}

/* ---- who reads -------------------------------------------------------- */

/* Has everybody in this process left what is not the current view? `alone`: and
 * nobody stays in that one. */
static bool is_current_only(struct punch *p, bool alone)
{
	struct store *store = p->store;
	store_reap(store);
	store_lock(store);
	/* The store's own, this function's, and that of the current view */
	bool only = atomic_load(&p->volume->refs) == 3 &&
		    (!alone || atomic_load(&store->view->refs) == 1);
	store_unlock(store);
	return only;
}

static int wait_for_readers(struct punch *p, bool alone)
{
	const struct timespec pause = { .tv_nsec = READERS_PAUSE };
	int64_t until = steady_now() + READERS_WAIT;
	while (!is_current_only(p, alone)) {
		if (steady_now() > until) {
			store_report(p->store,
				     "punch: an earlier state of the database "
				     "is in use in this process");
			return -EBUSY;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* ---- what is live ----------------------------------------------------- */

static void mark(struct punch *p, uint64_t from, uint64_t to)
{
	if (to > p->end)
		to = p->end;
	for (uint64_t b = from / FILE_BLOCK; b * FILE_BLOCK < to; b++)
		p->live[b / 8] |= (uint8_t)(1u << b % 8);
}

static bool is_live(const struct punch *p, uint64_t block)
{
	return p->live[block / 8] & 1u << block % 8;
}

static int mark_node(void *arg, const struct node_ref *ref)
{
	struct punch *p = arg;
	mark(p, ref->offset, ref->offset + ref->length);
	return go_on(p, ref->length);
}

/* Its chunks, and the array of their checksums in front of the payload */
static int mark_extent(void *arg, const struct extent *e)
{
	struct punch *p = arg;
	uint32_t chunks = chunk_count(e->payload_len);
	uint32_t last = e->start + e->length - 1;
	mark(p, e->payload + chunk_at(e->payload_len, e->start).start,
	     e->payload + chunk_at(e->payload_len, last).end);
	if (chunks > 1)
		mark(p, e->payload - 4 * (uint64_t)chunks, e->payload);
	return go_on(p, e->length);
}

static int mark_row(struct punch *p, const struct tree_difference *d)
{
	struct snapshot s;
	if (!p->noted && d->key_len && d->key[0] == ROW_SNAPSHOT) {
		int rc = snapshot_decode(&s, d->key, d->key_len, d->after,
					 d->after_len);
		buf_add(&p->snapshots, &s.offset, sizeof(s.offset));
		return rc ? rc : p->snapshots.failed ? -ENOMEM : 0;
	}
	return row_extents(d->key, d->key_len, d->after, d->after_len,
			   mark_extent, p);
}

/* What the tree refers to and `before` does not */
static int mark_tree(struct punch *p, const struct tree *before,
		     const struct tree *tree)
{
	struct tree_diff *diff = NULL;
	struct tree_difference d;
	int rc = tree_diff_new(p->store->cache, before, tree, &diff);
	if (!rc)
		tree_diff_watch(diff, mark_node, p);
	while (!rc && (rc = tree_diff_next(diff, &d)) == 0)
		rc = d.after ? mark_row(p, &d) : 0;
	tree_diff_free(diff);
	return rc < 0 ? rc : 0;
}

static void mark_headers(struct punch *p)
{
	mark(p, 0, SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE);
	for (uint64_t at = SEGMENT_SIZE; at < p->end; at += SEGMENT_SIZE)
		mark(p, at, at + SEGMENT_HEADER_SIZE);
}

/* The later ones first, so that each has most with the one before in common */
static int compare_offsets(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x < *y) - (*x > *y);
}

static int mark_snapshots(struct punch *p, struct tree before)
{
	uint64_t *offset = (uint64_t *)(void *)p->snapshots.data;
	size_t count = p->snapshots.len / sizeof(*offset);
	struct freeze f;
	uint64_t size = 0;
	int rc = file_size(p->volume->file, &size);
	if (count)
		qsort(offset, count, sizeof(*offset), compare_offsets);
	for (size_t i = 0; !rc && i < count; i++) {
		rc = log_read_freeze(p->volume->file, p->volume->sb.salt, size,
				     offset[i], &f);
		if (rc)
			return rc > 0 ? -EBADMSG : rc;
		const struct tree tree = { f.root, f.height, before.file };
		mark(p, offset[i],
		     offset[i] + record_size(FREEZE_BODY_SIZE, 0));
		rc = mark_tree(p, &before, &tree);
		before = tree;
	}
	return rc;
}

static int mark_live(struct punch *p, const struct freeze *last)
{
	const struct tree nothing = { .file = p->volume->file };
	const struct tree tree = { last->root, last->height, p->volume->file };
	p->live = calloc(1, p->end / FILE_BLOCK / 8 + 1);
	if (!p->live)
		return -ENOMEM;
	mark_headers(p);
	int rc = mark_tree(p, &nothing, &tree);
	p->noted = true;
	return rc ? rc : mark_snapshots(p, tree);
}

/* ---- what is dead ----------------------------------------------------- */

static int punch_range(struct punch *p, uint64_t from, uint64_t to)
{
	int rc = from < to ? ask(p) : 0;
	return from < to && !rc ? file_punch(p->volume->file, from, to) : rc;
}

static int punch_dead(struct punch *p)
{
	uint64_t blocks = p->end / FILE_BLOCK;
	uint64_t from = 0;
	int rc = 0;
	for (uint64_t b = 0; !rc && b <= blocks; b++) {
		if (b < blocks && !is_live(p, b))
			continue;
		rc = punch_range(p, from * FILE_BLOCK, b * FILE_BLOCK);
		if (!rc)
			rc = go_on(p, (b + 1 - from) * FILE_BLOCK);
		from = b + 1;
	}
	/* What was kept free for the segment that was left */
	if (!rc)
		rc = punch_range(
			p, (p->left + FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK,
			p->next);
	return rc;
}

/* ---- all of it -------------------------------------------------------- */

/* The last segment's header is to name the freeze that ended the past */
static int begin_segment(struct punch *p)
{
	struct log *log = p->volume->log;
	store_lock(p->store);
	log_begin(log, true);
	p->left = log_end(log).offset;
	int rc = log_leave_segment(log);
	p->next = log_end(log).offset - SEGMENT_HEADER_SIZE;
	store_unlock(p->store);
	return rc ? rc : log_sync(log, NULL);
}

static int end_past(struct punch *p, struct freeze *last)
{
	struct store *store = p->store;
	/* Between the freeze of a snapshot and the row that names it there can be
	 * no end of the past */
	pthread_mutex_lock(&store->snapshot_lock);
	int rc = freeze_end_past(store, last);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (rc)
		return rc;
	p->end = last->replay.offset - last->replay.offset % FILE_BLOCK;
	p->total = last->live_bytes + last->index_bytes + p->end;
	rc = begin_segment(p);
	return rc ? rc : wait_for_readers(p, false);
}

/* Freezes that go, and that have names */
static int count_freezes(struct punch *p, struct vacuum_result *result)
{
	struct states states = { 0 };
	struct view_state now;
	store_state(p->store, &now);
	int rc = states_collect(&states, p->store, &now, states_since(0));
	if (!rc)
		rc = states_others(&states, p->store, now.view,
				   &result->dropped);
	result->kept = states.count;
	states_free(&states);
	view_unref(now.view);
	return rc;
}

static int run(struct punch *p, struct vacuum_result *result)
{
	struct file *file = p->volume->file;
	struct freeze last;
	int rc = file_allocated(file, &result->before);
	if (!rc)
		rc = count_freezes(p, result);
	if (!rc)
		rc = wait_for_readers(p, true);
	if (!rc)
		rc = store_sweep(p->store);
	if (!rc)
		rc = end_past(p, &last);
	if (!rc)
		rc = mark_live(p, &last);
	if (!rc)
		rc = punch_dead(p);
	free(p->live);
	buf_free(&p->snapshots);
	return rc ? rc : file_allocated(file, &result->after);
}

int store_punch(struct store *store,
		int (*progress)(void *arg, uint64_t done, uint64_t total),
		void *arg, struct vacuum_result *result)
{
	struct punch p = { .store = store, .progress = progress, .arg = arg };
	if (store->read_only)
		return -EROFS;
	if (atomic_exchange(&store->vacuuming, true))
		return -EBUSY;
	p.volume = store_volume(store);
	int rc = p.volume->file->ops->punch ? 0 : -EOPNOTSUPP;
	if (!rc)
		rc = file_exclude(p.volume->file, true);
	if (!rc) {
		rc = run(&p, result);
		(void)file_exclude(p.volume->file, false);
	}
	volume_unref(p.volume);
	atomic_store(&store->vacuuming, false);
	if (rc && p.stopped)
		return p.stopped;
	if (is_damage(rc))
		store_report(store, "punch: the file is damaged; nothing was "
				    "punched (see 'banyan check')");
	return rc;
}

/* ---- ahead ------------------------------------------------------------ */

static int mark_merged(void *arg, const uint8_t *key, size_t len,
		       const uint8_t *value, size_t value_len)
{
	const struct tree_difference d = { .key = key,
					   .key_len = len,
					   .after = value,
					   .after_len = value_len };
	return mark_row(arg, &d);
}

/* Operations that no tree has yet count: rows as they will be frozen. The nodes
 * that this replaces are taken for live. */
static int mark_now(struct punch *p, const struct view_state *now)
{
	const struct tree *tree = &now->view->tree;
	const struct tree nothing = { .file = tree->file };
	struct read_txn rtxn;
	read_txn_begin_at(p->store, now->view, now->seq, &rtxn);
	read_txn_pin(&rtxn);
	mark_headers(p);
	int rc = tree_diff_visit(p->store->cache, &nothing, tree, mark_node, p);
	if (!rc)
		rc = rows_visit(&rtxn.state, NULL, 0, mark_merged, p);
	read_txn_end(&rtxn);
	p->noted = true;
	return rc ? rc : mark_snapshots(p, *tree);
}

static uint64_t live_bytes(const struct punch *p)
{
	uint64_t count = 0;
	for (uint64_t b = 0; b < p->end / FILE_BLOCK; b++)
		count += is_live(p, b);
	return count * FILE_BLOCK;
}

static int look_ahead(struct punch *p, const struct view_state *now,
		      struct vacuum_result *result)
{
	struct file *file = p->volume->file;
	uint64_t size = 0;
	int rc = file_size(file, &size);
	if (!rc)
		rc = file_allocated(file, &result->before);
	if (!rc)
		rc = count_freezes(p, result);
	if (rc)
		return rc;
	p->end = size - size % FILE_BLOCK;
	p->total = now->live + p->end;
	p->live = calloc(1, p->end / FILE_BLOCK / 8 + 1);
	if (!p->live)
		return -ENOMEM;
	rc = mark_now(p, now);
	result->after = live_bytes(p) + (size - p->end);
	if (result->after > result->before)
		result->after = result->before;
	return rc;
}

int store_punch_ahead(struct store *store,
		      int (*progress)(void *arg, uint64_t done, uint64_t total),
		      void *arg, struct vacuum_result *result)
{
	struct punch p = { .store = store, .progress = progress, .arg = arg };
	struct view_state now;
	store_state(store, &now);
	p.volume = volume_ref(now.view->volume);
	int rc = p.volume->file->ops->punch ? 0 : -EOPNOTSUPP;
	if (!rc)
		rc = look_ahead(&p, &now, result);
	free(p.live);
	buf_free(&p.snapshots);
	volume_unref(p.volume);
	view_unref(now.view);
	return rc && p.stopped ? p.stopped : rc;
}
