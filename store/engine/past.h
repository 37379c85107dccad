/* SPDX-License-Identifier: MIT */
/*
 * past.h - the state at an earlier moment, as a view of the open store.
 *
 * Redo stays in the log, so each operation since the first freeze in the file
 * is a moment that can be gone back to: the tree of the last freeze before it,
 * and a table of the operations between the two.
 */
#ifndef STORE_ENGINE_PAST_H
#define STORE_ENGINE_PAST_H

#include "engine/store.h"
#include "log/log_scan.h"

/* At a freeze whose record was read at offset: its tree, with an empty table
 * above it. 0 or -ENOMEM. */
int past_begin(const struct freeze *f, uint64_t offset, struct volume *volume,
	       struct view_state *past);

/*
 * At the freeze with this number, which may be a snapshot that no later freeze
 * leads to. now: a state in the volume, which tells where its past begins.
 * -ENOENT: there is none.
 */
int past_at_freeze(struct store *store, const struct view_state *now,
		   uint64_t number, struct view_state *past);

/* At the snapshot with this name. Errors as snapshots_find(), and -EUCLEAN,
 * -EBADMSG: its freeze is not there. */
int past_at_snapshot(struct store *store, const struct view_state *now,
		     const char *name, size_t len, struct view_state *past);

/*
 * After the last operation that came before or at that time. -ENOENT: the first
 * freeze in the file is later, or the operations from the last freeze before
 * that time to the next one are not in the file. The table is in RAM, beside the
 * limit.
 */
int past_at_time(struct store *store, const struct view_state *now,
		 timestamp time, struct view_state *past);

/*
 * Before the record at this offset of the log: after all operations in front of
 * it. -ENOENT: the first freeze in the file is later.
 */
int past_before(struct store *store, const struct view *now, uint64_t offset,
		struct view_state *past);

/*
 * The same for one place after the other, each at or behind the last one: what
 * lies between two is read once. Zeroed, *w is nowhere. The state is in w->past;
 * what reads it must have ended before it goes on, and after an error it is gone
 * or stays where it was.
 */
struct past_walk {
	struct view_state past;
	struct log_scan scan;
	struct log_record rec; /* the next one, if it was read already: */
	bool ahead;
	uint64_t reached;
	uint64_t limit; /* from here on another freeze is nearer */
};
int past_forward(struct store *store, const struct view *now, uint64_t offset,
		 struct past_walk *w);
void past_walk_end(struct past_walk *w);

/* At the first freeze in the file, with which its past begins */
int past_first(struct store *store, const struct view *now, struct freeze *f,
	       struct view_state *past);

#endif
