/* SPDX-License-Identifier: MIT */
/*
 * replay.c - the operations since the last freeze, into the redo table.
 *
 * Nearly always they fit in there: whoever wrote them froze in time. But a limit
 * of RAM may be smaller than the writer's was, and in a hostile file a few MiB
 * of operations can stand for gigabytes of rows. So a table that reaches the
 * limit is merged into the tree on the way. That is a freeze like any other,
 * only that its place in the log lies before the end: if the machine stops in
 * between, the next open starts there.
 *
 * Where it cannot be merged (a read-only open, no room, a damaged node) replay
 * goes on in RAM, as nobody is to be kept from reading because of that, but not
 * for ever. A writer with the same limit never leaves as much: its active table
 * has at most twice the limit of a table and the one being frozen once that,
 * each with an operation on top. Writers with a larger one leave rows of twice
 * their bytes in the log, or of forty times if all are much alike. (The same
 * long attribute on a million Data has 180 times its bytes; gigabytes of that
 * are to be opened for writing first.)
 */
#include <errno.h>

#include "engine/budget.h"
#include "engine/freeze.h"
#include "engine/replay.h"

/* Tables that are merged are worth it: one record alone has 16 MiB */
#define MERGE_LEAST (32u << 20)
/* What may stay in RAM: so many times the limit, what two operations have on
 * top, and so many times the bytes in the log */
#define STAY_LIMITS 4u
#define STAY_MORE (128u << 20)
#define STAY_BODIES 64u

struct replay {
	struct store *store;
	const struct log_state *st;
	uint64_t bodies; /* bytes of operations so far */
	bool stuck; /* what there is cannot be merged */
};

/* ---- too much for the table ------------------------------------------- */

static int stay_in_ram(const struct replay *r, uint64_t bytes)
{
	struct store *store = r->store;
	if (bytes <= STAY_LIMITS * store->cache_limit + STAY_MORE +
			     STAY_BODIES * r->bodies)
		return 0;
	store_report(
		store,
		"the operations since the last freeze take more than %llu MiB"
		" of memory: open it for writing, or with a larger cache",
		(unsigned long long)bytes >> 20);
	return -ENOMEM;
}

/* All before `at` has been replayed: is it too much? */
static int settle(struct replay *r, const struct log_position *at)
{
	const struct log_state *st = r->st;
	struct store *store = r->store;
	int rc = 0;
	budget_follow(store, store->view);
	uint64_t bytes = view_bytes(store->view);
	if (bytes < MERGE_LEAST || bytes < store->cache_limit)
		return 0;
	if (store->read_only || r->stuck)
		return stay_in_ram(r, bytes);
	if (!store->volume->log)
		rc = log_continue(store->volume->file, st, &store->volume->log);
	if (rc)
		return rc;
	rc = freeze_replayed(store, at);
	if (rc)
		store_report(store, "automatic freeze failed: %s",
			     banyan_strerror(rc));
	r->stuck = rc != 0;
	return log_poisoned(store->volume->log) ? rc : 0;
}

/* ---- the operations --------------------------------------------------- */

int replay_rows(struct redo_table *table, struct redo_reader *rows,
		const struct operation *op, struct view_state *s)
{
	struct row_change change;
	int rc;
	while ((rc = redo_next(rows, &change)) == 0) {
		rc = redo_table_put(table, change.key, change.key_len,
				    change.value, change.value_len, s->seq + 1,
				    NULL);
		if (rc)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (op->next_id < s->next_id || op->next_id > INT64_MAX)
		return -EUCLEAN;
	s->seq++;
	s->next_id = op->next_id;
	s->keys += (uint64_t)op->keys;
	s->live += (uint64_t)op->live;
	return 0;
}

static int replay_operation(struct store *store, const struct log_record *rec)
{
	struct redo_reader rows;
	struct operation op;
	struct view_state now = {
		.seq = atomic_load(&store->visible),
		.next_id = atomic_load(&store->next_id),
		.keys = atomic_load(&store->keys),
		.live = atomic_load(&store->live),
	};
	int rc = redo_open(&rows, rec->body, rec->header.body_len, &op);
	if (!rc)
		rc = replay_rows(store->view->active, &rows, &op, &now);
	if (rc)
		return rc;
	store->stamped = op.time;
	atomic_store(&store->next_id, now.next_id);
	atomic_store(&store->keys, now.keys);
	atomic_store(&store->live, now.live);
	atomic_fetch_add(&store->redo_bytes, rec->header.body_len);
	atomic_store(&store->counted, now.seq);
	atomic_store(&store->visible, now.seq);
	return 0;
}

static int replay_record(struct replay *r, const struct log_record *rec,
			 const struct log_position *behind)
{
	if (rec->header.type != RECORD_OPERATION)
		return 0;
	int rc = replay_operation(r->store, rec);
	if (is_damage(rc))
		store_report(r->store, "damaged operation at offset %llu",
			     (unsigned long long)rec->offset);
	r->bodies += rec->header.body_len;
	return rc ? rc : settle(r, behind);
}

int store_replay(struct store *store, const struct log_state *st)
{
	struct replay r = { .store = store, .st = st };
	struct log_scan s;
	struct log_record rec;
	int rc = log_scan_open(&s, store->volume->file, st->sb.salt, st->size,
			       &st->freeze.replay);
	if (rc)
		return rc;
	store->replaying = true;
	while (s.at.seq < st->end.seq && (rc = log_scan_next(&s, &rec)) == 0 &&
	       (rc = replay_record(&r, &rec, &s.at)) == 0)
		;
	store->replaying = false;
	log_scan_close(&s);
	/* The end was seen before: not to reach it is no end but an error */
	return rc > 0 ? -EBADMSG : rc;
}
