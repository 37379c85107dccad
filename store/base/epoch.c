/* SPDX-License-Identifier: MIT */
/*
 * The time is a number that each mark makes one greater. A reader writes the
 * time into a slot that is free and wipes it when it leaves. What was marked at
 * a time has been passed when no slot holds that time or an earlier one.
 *
 * A reader that comes to its slot late, with a time that is past, only delays
 * others. One that comes after the slots were looked through has loaded no
 * pointer yet: what it loads then is what was there after the thing was out.
 */
#include "base/epoch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOTS 64u

/* A cache line each, so that threads do not take them from one another */
struct slot {
	_Alignas(64) _Atomic uint64_t time; /* 0: free */
	_Atomic uint64_t count;
};

struct epoch {
	struct slot slots[SLOTS];
	_Alignas(64) _Atomic uint64_t now;
};

struct epoch *epoch_new(void)
{
	struct epoch *e = aligned_alloc(64, sizeof(*e));
	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	atomic_init(&e->now, 1);
	return e;
}

void epoch_free(struct epoch *e)
{
	free(e);
}

/* A thread begins to look for a free slot where it found one before */
static unsigned first_slot(void)
{
	uint64_t thread = (uint64_t)pthread_self();
	return (unsigned)(thread * 0x9e3779b97f4a7c15u >> 58);
}

unsigned epoch_enter(struct epoch *e)
{
	unsigned first = first_slot();
	for (unsigned n = 0;; n++) {
		unsigned i = (first + n) % SLOTS;
		uint64_t free_slot = 0;
		uint64_t now = atomic_load(&e->now);
		if (atomic_compare_exchange_strong(&e->slots[i].time,
						   &free_slot, now))
			return i;
		if (n % SLOTS == SLOTS - 1)
			sched_yield(); /* that many threads at once */
	}
}

void epoch_leave(struct epoch *e, unsigned slot)
{
	atomic_store_explicit(&e->slots[slot].time, 0, memory_order_release);
}

uint64_t epoch_mark(struct epoch *e)
{
	return atomic_fetch_add(&e->now, 1);
}

bool epoch_passed(struct epoch *e, uint64_t mark)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t time = atomic_load(&e->slots[i].time);
		if (time && time <= mark)
			return false;
	}
	return true;
}

void epoch_wait(struct epoch *e, uint64_t mark)
{
	const struct timespec pause = { .tv_nsec = 50000 };
	while (!epoch_passed(e, mark))
		nanosleep(&pause, NULL);
}

/* The slot is the thread's own while it is in: no other counts there */
void epoch_count(struct epoch *e, unsigned slot, unsigned n)
{
	_Atomic uint64_t *count = &e->slots[slot].count;
	uint64_t was = atomic_load_explicit(count, memory_order_relaxed);
	atomic_store_explicit(count, was + n, memory_order_relaxed);
}

uint64_t epoch_counted(const struct epoch *e)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < SLOTS; i++)
		sum += atomic_load_explicit(&e->slots[i].count,
					    memory_order_relaxed);
	return sum;
}
