/* SPDX-License-Identifier: MIT */
#include "engine/read_txn.h"

#include "model/contents.h"

/* Bytes that are read at once, while nothing that has gone can be freed */
#define READ_SHORT (128u << 10)

static void begin(struct store *store, unsigned slot, struct view *view,
		  uint64_t seq, struct read_txn *rtxn)
{
	view_merged(view, seq, &rtxn->state.merged);
	rtxn->state.merged.slot = slot;
	rtxn->state.merged.entered = true;
	rtxn->state.space = NULL;
	rtxn->seq = seq;
	rtxn->view = NULL;
	rtxn->seen = view;
	rtxn->entered = store->cache;
}

void read_txn_begin(struct store *store, struct read_txn *rtxn)
{
	unsigned slot = cache_enter(store->cache);
	uint64_t seq = 0;
	struct view *view = store_current(store, &seq);
	begin(store, slot, view, seq, rtxn);
}

void read_txn_begin_at(struct store *store, struct view *view, uint64_t seq,
		       struct read_txn *rtxn)
{
	begin(store, cache_enter(store->cache), view, seq, rtxn);
}

void read_txn_begin_pinned(struct store *store, struct read_txn *rtxn)
{
	read_txn_begin(store, rtxn);
	read_txn_pin(rtxn);
}

void read_txn_pin(struct read_txn *rtxn)
{
	if (!rtxn->entered)
		return;
	rtxn->view = view_ref(rtxn->seen);
	rtxn->state.merged.entered = false;
	cache_leave(rtxn->entered, rtxn->state.merged.slot);
	rtxn->entered = NULL;
}

int read_txn_contents(struct read_txn *rtxn, const struct data *d, void *buffer,
		      size_t size, uint64_t offset)
{
	if (size > READ_SHORT)
		read_txn_pin(rtxn);
	return contents_read(&rtxn->state, d, buffer, size, offset);
}

void read_txn_end(struct read_txn *rtxn)
{
	view_unref(rtxn->view);
	rtxn->view = NULL;
	if (rtxn->entered)
		cache_leave(rtxn->entered, rtxn->state.merged.slot);
	rtxn->entered = NULL;
}
