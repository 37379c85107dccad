/* SPDX-License-Identifier: MIT */
#include "stale.h"

#include "nodes.h"

#define SLOTS 4096u /* a power of two; 64 KiB */

struct slot {
	_Atomic uint64_t space; /* its id; 0: none */
	atomic_uint entries; /* of the last listing */
	atomic_uint stale;
};

static struct slot slots[SLOTS];

/*
 * Listing again is worth it from one stale Data in four keys on: a GETATTR takes as long
 * as four keys of a READDIRPLUS. Below three GETATTR it is not, as a listing takes two
 * requests at least.
 */
#define STALE_MIN 3u
#define KEYS_A_GETATTR 4u

static struct slot *slot_of(uint64_t space)
{
	uint64_t hash = space * UINT64_C(0x9e3779b97f4a7c15);

	return &slots[hash >> 32 & (SLOTS - 1)];
}

void stale_note(banyan_data *data)
{
	uint64_t space;
	struct slot *s;

	if (nodes_is(data, NODES_STALE))
		return;
	nodes_set(data, NODES_STALE, true);
	space = banyan_home(data);
	s = slot_of(space);
	if (space && atomic_load(&s->space) == space)
		atomic_fetch_add(&s->stale, 1);
}

void stale_told(banyan_data *data)
{
	if (nodes_is(data, NODES_STALE))
		nodes_set(data, NODES_STALE, false);
}

void stale_begin(uint64_t space)
{
	struct slot *s = slot_of(space);

	atomic_store(&s->space, space);
	atomic_store(&s->entries, 0);
	atomic_store(&s->stale, 0);
}

void stale_entry(uint64_t space, banyan_data *data)
{
	struct slot *s = slot_of(space);

	if (atomic_load(&s->space) == space)
		atomic_fetch_add(&s->entries, 1);
	stale_told(data);
}

bool stale_is(uint64_t space)
{
	struct slot *s = slot_of(space);
	unsigned stale = atomic_load(&s->stale);

	return atomic_load(&s->space) == space && stale >= STALE_MIN &&
	       stale >= atomic_load(&s->entries) / KEYS_A_GETATTR;
}
