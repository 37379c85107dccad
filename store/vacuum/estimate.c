/* SPDX-License-Identifier: MIT */
#include "vacuum/estimate.h"

#include <errno.h>

#include "base/steady.h"
#include "vacuum/states.h"

/* Which freezes are young enough to be kept is looked at again after so long */
#define LOOK_AGAIN INT64_C(10000000000) /* ns */

/* ---- states that are kept --------------------------------------------- */

static int look(struct store *store, struct kept *k)
{
	struct states states = { 0 };
	struct view_state now;
	store_state(store, &now);
	k->generation = now.view->volume->sb.generation;
	int rc = states_collect(&states, store, &now,
				states_since(atomic_load(&store->keep)));
	view_unref(now.view);
	k->bytes = states_bytes(&states, &k->end);
	states_free(&states);
	return rc;
}

/* Nothing has changed since it was looked at */
static bool is_current(struct store *store, const struct kept *k,
		       uint64_t changes, int64_t now)
{
	struct volume *v = store_volume(store);
	bool same = k->looked && k->changes == changes &&
		    k->generation == v->sb.generation;
	volume_unref(v);
	return same &&
	       (!atomic_load(&store->keep) || now - k->looked < LOOK_AGAIN);
}

/* *bytes: of those states; *end: of the last one's record; 0: there is none */
static int find_kept(struct store *store, uint64_t *bytes, uint64_t *end)
{
	struct kept *k = &store->kept;
	uint64_t changes = atomic_load(&store->snapshot_changes);
	int64_t now = steady_now();
	pthread_mutex_lock(&store->kept_lock);
	if (!is_current(store, k, changes, now)) {
		*k = (struct kept){ .changes = changes, .looked = now };
		k->rc = look(store, k);
		/* Damage stays as it is, a lack of memory does not */
		if (k->rc == -ENOMEM)
			k->looked = 0;
	}
	int rc = k->rc;
	*bytes = k->bytes;
	*end = k->end;
	pthread_mutex_unlock(&store->kept_lock);
	return rc;
}

int estimate_vacuum(struct store *store, const struct state_size *now,
		    uint64_t file_bytes, uint64_t *bytes)
{
	uint64_t kept = 0;
	uint64_t end = 0;
	int rc = find_kept(store, &kept, &end);
	if (!rc)
		*bytes =
			kept + states_further(end, file_bytes, size_alone(now));
	return rc;
}
