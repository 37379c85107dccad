/* SPDX-License-Identifier: MIT */
#include "api/losses.h"

#include <errno.h>
#include <stdlib.h>

#include "api/deleted.h"
#include "api/versions.h"
#include "engine/freezes.h"
#include "engine/past.h"
#include "engine/read_txn.h"
#include "vacuum/states.h"

struct losses {
	struct store *store;
	struct view_state now;
	struct states states; /* that are kept */
	struct kept_freezes kept;
	uint64_t oldest; /* offset of the first freeze in the log */
	int (*visit)(void *arg, const struct banyan_loss *loss);
	void *arg;
};

static int by_position(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static int find_kept(struct losses *l, timestamp since)
{
	struct freeze f;
	int rc = states_collect(&l->states, l->store, &l->now, since);
	if (rc || !l->states.count)
		return rc;
	l->kept.position = calloc(l->states.count, sizeof(uint64_t));
	if (!l->kept.position)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < l->states.count; i++) {
		rc = carried_freeze(&l->states.list[i], l->store,
				    l->now.view->volume, &f);
		if (!rc)
			l->kept.position[l->kept.count++] = f.replay.offset;
	}
	qsort(l->kept.position, l->kept.count, sizeof(uint64_t), by_position);
	return rc;
}

static int tell_freezes(struct losses *l)
{
	struct freeze_walk w;
	struct freeze f;
	uint64_t offset = 0;
	int rc =
		freezes_walk(l->now.view->volume, l->now.view->last_freeze, &w);
	while (!rc && (rc = freezes_next(l->store, &w, &f, &offset)) == 0) {
		const struct banyan_loss loss = { .kind = BANYAN_LOSS_FREEZE,
						  .time = timestamp_split(
							  f.time),
						  .freeze = f.number };
		l->oldest = offset;
		if (states_find(&l->states, f.number))
			continue;
		rc = l->visit(l->arg, &loss);
		if (rc)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

static int tell_key(void *arg, const struct banyan_deleted_key *key)
{
	const struct losses *l = arg;
	const struct banyan_loss loss = { .kind = BANYAN_LOSS_KEY,
					  .time = key->time,
					  .path = key->path,
					  .id = key->id,
					  .size = key->size,
					  .type = key->type,
					  .event = BANYAN_DELETED };
	return l->visit(l->arg, &loss);
}

static bool is_lost(void *arg, const struct deletion *key)
{
	const struct losses *l = arg;
	return !is_kept(&l->kept, key->since, key->until);
}

static int tell_of_log(struct losses *l, const struct older_state *older)
{
	const struct deleted_order order = {
		.wanted = is_lost, .wanted_arg = l, .visit = tell_key, .arg = l
	};
	struct versions v = { .kept = &l->kept };
	struct deletions d;
	int rc =
		deletions_open_watched(l->store, older, versions_watch, &v, &d);
	if (rc)
		return rc;
	/* A vacuum may have ended meanwhile, and this be another file */
	if (d.h.now->volume != l->now.view->volume)
		rc = -ESTALE;
	if (!rc)
		rc = deleted_list(l->store, &d, &order);
	if (!rc)
		rc = versions_tell(l->store, &d, l->visit, l->arg);
	deletions_close(&d);
	return rc;
}

/* A snapshot from before the log begins; NULL: there is none */
static const struct carried *newest_older(const struct losses *l)
{
	size_t i = l->states.count;
	while (i && l->states.list[i - 1].offset >= l->oldest)
		i--;
	return i ? &l->states.list[i - 1] : NULL;
}

static int tell_history(struct losses *l)
{
	struct volume *v = l->now.view->volume;
	const struct carried *c = newest_older(l);
	struct view_state past;
	struct read_txn rtxn;
	struct freeze f;
	if (!c)
		return tell_of_log(l, NULL);
	int rc = carried_freeze(c, l->store, v, &f);
	if (!rc)
		rc = past_begin(&f, c->offset, v, &past);
	if (rc)
		return rc;
	const struct older_state older = { &rtxn.state, f.replay.offset };
	read_txn_begin_at(l->store, past.view, past.seq, &rtxn);
	read_txn_pin(&rtxn);
	rc = tell_of_log(l, &older);
	read_txn_end(&rtxn);
	view_unref(past.view);
	return rc;
}

int losses_visit(struct store *store, uint64_t keep,
		 int (*visit)(void *arg, const struct banyan_loss *loss),
		 void *arg)
{
	struct losses l = { .store = store, .visit = visit, .arg = arg };
	store_state(l.store, &l.now);
	int rc = find_kept(&l, states_since(keep));
	if (!rc)
		rc = tell_freezes(&l);
	if (!rc)
		rc = tell_history(&l);
	free(l.kept.position);
	states_free(&l.states);
	view_unref(l.now.view);
	return rc;
}
