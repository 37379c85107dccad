/* SPDX-License-Identifier: MIT */
#include "engine/store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void store_report(struct store *store, const char *format, ...)
{
	char line[REPORT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	pthread_mutex_lock(&store->report_lock);
	memcpy(store->reported, line, sizeof(line));
	pthread_mutex_unlock(&store->report_lock);
	if (store->report)
		store->report(store->report_arg, line);
}

void store_reported(struct store *store, char line[REPORT_MAX])
{
	pthread_mutex_lock(&store->report_lock);
	memcpy(line, store->reported, sizeof(store->reported));
	pthread_mutex_unlock(&store->report_lock);
}

static timestamp clock_now(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return timestamp_of((struct banyan_time){
		.sec = ts.tv_sec, .nsec = (uint64_t)ts.tv_nsec });
}

timestamp store_now(void)
{
	return clock_now(CLOCK_REALTIME_COARSE);
}

/* What lies no further back than this is not a clock that was set */
#define STAMP_STEP UINT64_C(1000000000) /* ns */

timestamp store_stamp(struct store *store)
{
	timestamp now = clock_now(CLOCK_REALTIME);
	timestamp last = store->stamped;
	if (now <= last && last - now < STAMP_STEP && last < TIMESTAMP_MAX)
		now = last + 1;
	store->stamped = now;
	return now;
}

void store_lock(struct store *store)
{
	while (sem_wait(&store->write_turn) && errno == EINTR)
		;
}

bool store_try_lock(struct store *store)
{
	return sem_trywait(&store->write_turn) == 0;
}

/* Long enough for an append or two */
#define SOON_TRIES 200
#define SOON_PAUSE 50000 /* ns */

bool store_lock_soon(struct store *store)
{
	const struct timespec pause = { .tv_nsec = SOON_PAUSE };
	bool taken = store_try_lock(store);
	for (unsigned i = 0; !taken && i < SOON_TRIES; i++) {
		if (atomic_load(&store->batch))
			return false;
		nanosleep(&pause, NULL);
		taken = store_try_lock(store);
	}
	return taken;
}

/* A mark is a help to recovery; the sync has succeeded without it. Who wants
 * one but cannot have the turn relies on whoever has it, and may have come when
 * that one had already looked: so it looks again. */
void store_unlock(struct store *store)
{
	do {
		if (atomic_load(&store->mark_wanted) &&
		    atomic_exchange(&store->mark_wanted, false))
			(void)log_mark(store->volume->log);
		sem_post(&store->write_turn);
	} while (atomic_load(&store->mark_wanted) && store_try_lock(store));
}

struct view *store_view(const struct store *store)
{
	struct epoch *epoch = cache_epoch(store->cache);
	unsigned slot = epoch_enter(epoch);
	struct view *v = view_ref(atomic_load(&store->view));
	epoch_leave(epoch, slot);
	return v;
}

struct volume *store_volume(const struct store *store)
{
	struct view *v = store_view(store);
	struct volume *volume = volume_ref(v->volume);
	view_unref(v);
	return volume;
}

/* The counters belong to the operation `seq` if none has begun to be counted
 * behind it */
static void count(const struct store *store, struct view_state *s)
{
	do {
		s->view = store_current(store, &s->seq);
		s->keys = atomic_load(&store->keys);
		s->live = atomic_load(&store->live);
		s->next_id = atomic_load(&store->next_id);
	} while (atomic_load(&store->counted) != s->seq);
}

void store_state(const struct store *store, struct view_state *now)
{
	unsigned slot = cache_enter(store->cache);
	count(store, now);
	view_ref(now->view);
	cache_leave(store->cache, slot);
}

void store_set_view(struct store *store, struct view *v)
{
	struct view *old = atomic_exchange(&store->view, v);
	absent_range_forget(&store->txn.absent);
	if (!old)
		return;
	old->mark = epoch_mark(cache_epoch(store->cache));
	old->retired = store->retired;
	store->retired = old;
	store_reap_views(store);
}

void store_reap_views(struct store *store)
{
	struct view **at = &store->retired;
	while (*at) {
		struct view *v = *at;
		if (!epoch_passed(cache_epoch(store->cache), v->mark)) {
			at = &v->retired;
			continue;
		}
		*at = v->retired;
		view_unref(v);
	}
}

void store_reap(struct store *store)
{
	struct epoch *epoch = cache_epoch(store->cache);
	epoch_wait(epoch, epoch_mark(epoch));
	store_lock(store);
	store_reap_views(store);
	store_unlock(store);
}
