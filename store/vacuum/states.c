/* SPDX-License-Identifier: MIT */
#include "vacuum/states.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/freezes.h"
#include "engine/read_txn.h"
#include "engine/snapshot.h"
#include "vacuum/size.h"

void states_free(struct states *s)
{
	free(s->list);
	*s = (struct states){ 0 };
}

int states_add(struct states *s, const struct carried *c)
{
	if (s->count == s->capacity) {
		size_t n = s->capacity ? 2 * s->capacity : 16;
		struct carried *more = realloc(s->list, n * sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->list = more;
		s->capacity = n;
	}
	s->list[s->count++] = *c;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct carried *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

int carried_freeze(const struct carried *c, struct store *host,
		   const struct volume *volume, struct freeze *f)
{
	const struct snapshot named = { "", 0, c->number, c->offset };
	return snapshot_freeze(host, volume, &named, f);
}

const struct carried *states_find(const struct states *s, uint64_t number)
{
	const struct carried wanted = { .number = number };
	return s->count ? bsearch(&wanted, s->list, s->count, sizeof(wanted),
				  by_number) :
			  NULL;
}

uint64_t states_bytes(const struct states *s, uint64_t *end)
{
	const uint64_t record = record_size(FREEZE_BODY_SIZE, 0);
	uint64_t bytes = 0;
	*end = 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct carried *c = &s->list[i];
		bytes += states_further(*end, c->offset, c->alone);
		*end = c->offset + record;
	}
	return bytes;
}

/* ---- collecting ------------------------------------------------------- */

struct collecting {
	struct states *states;
	struct store *host;
	struct volume *volume;
};

static int add_freeze(const struct collecting *c, const struct freeze *f,
		      uint64_t offset)
{
	const struct state_size size = { f->live_bytes, f->keys, f->index_bytes,
					 0 };
	const struct carried found = { .number = f->number,
				       .offset = offset,
				       .alone = size_alone(&size) };
	return states_add(c->states, &found);
}

static int add_snapshot(void *arg, const struct snapshot *s)
{
	const struct collecting *c = arg;
	struct freeze f;
	int rc = snapshot_freeze(c->host, c->volume, s, &f);
	return rc ? rc : add_freeze(c, &f, s->offset);
}

static int add_snapshots(struct collecting *c, const struct view_state *now)
{
	struct read_txn rtxn;
	read_txn_begin_at(c->host, now->view, now->seq, &rtxn);
	read_txn_pin(&rtxn);
	int rc = snapshots_visit(&rtxn.state, add_snapshot, c);
	read_txn_end(&rtxn);
	return rc;
}

/* From the last one back */
static int add_freezes(struct collecting *c, uint64_t last, timestamp since)
{
	struct freeze_walk w;
	struct freeze f;
	uint64_t offset = 0;
	int rc = freezes_walk(c->volume, last, &w);
	while (!rc && !(rc = freezes_next(c->host, &w, &f, &offset)) &&
	       f.time >= since)
		rc = add_freeze(c, &f, offset);
	return rc < 0 ? rc : 0;
}

/* Several names may be one freeze's */
static void sort(struct states *s)
{
	size_t kept = 0;
	if (s->count)
		qsort(s->list, s->count, sizeof(*s->list), by_number);
	for (size_t i = 0; i < s->count; i++)
		if (!kept || s->list[i].number != s->list[kept - 1].number)
			s->list[kept++] = s->list[i];
	s->count = kept;
}

int states_collect(struct states *s, struct store *host,
		   const struct view_state *now, timestamp since)
{
	struct collecting c = { s, host, now->view->volume };
	int rc = add_snapshots(&c, now);
	if (!rc && since < TIMESTAMP_MAX)
		rc = add_freezes(&c, now->view->last_freeze, since);
	sort(s);
	return rc;
}

int states_others(const struct states *s, struct store *host,
		  const struct view *now, uint64_t *count)
{
	struct freeze_walk w;
	struct freeze f;
	uint64_t offset = 0;
	int rc = freezes_walk(now->volume, now->last_freeze, &w);
	while (!rc && (rc = freezes_next(host, &w, &f, &offset)) == 0)
		*count += !states_find(s, f.number);
	return rc < 0 ? rc : 0;
}

timestamp states_since(uint64_t keep)
{
	timestamp now = store_now();
	if (!keep)
		return TIMESTAMP_MAX;
	return keep < now ? now - keep : 0;
}
