/* SPDX-License-Identifier: MIT */
#include "model/held_data.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 16u

/* ---- locations -------------------------------------------------------- */

void location_set(struct location *at, uint64_t space, const char *name,
		  size_t len)
{
	assert(len <= sizeof(at->name));
	at->space = space;
	at->len = (uint8_t)len;
	if (len)
		memcpy(at->name, name, len);
}

/* Of a struct home with a name of so many bytes */
static size_t home_size(size_t len)
{
	size_t size = offsetof(struct home, name) + len;
	return size < sizeof(struct home) ? sizeof(struct home) : size;
}

/* A DATA row (space 0) has no name */
static void home_set(struct home *p, uint64_t space, const char *name,
		     uint8_t len)
{
	p->space = space;
	p->len = space ? len : 0;
	if (p->len)
		memcpy(p->name, name, p->len);
}

struct placement *placement_new(const struct location *at)
{
	size_t len = at && at->space ? at->len : 0;
	struct placement *p = malloc(sizeof(*p) + home_size(len));
	if (!p)
		return NULL;
	atomic_init(&p->seq, 0);
	p->before = NULL;
	p->mark = 0;
	home_set(placement_home(p), at ? at->space : 0, at ? at->name : NULL,
		 (uint8_t)len);
	return p;
}

void placement_free(struct placement *p)
{
	while (p) {
		struct placement *before = p->before;
		free(p);
		p = before;
	}
}

const struct home *held_home(const banyan_data *data, uint64_t seq)
{
	struct placement *p = atomic_load(&data->moves);
	/* What is behind the one that is wanted may be freed just now */
	while (p && atomic_load(&p->seq) > seq)
		p = p->before;
	return p ? placement_home(p) : (const struct home *)(data + 1);
}

/*
 * Free the versions that no reader can come to any more. The one in front of them is
 * then for all operations that somebody may still look for.
 */
static void prune(const struct held_table *t, struct placement *p)
{
	for (; p; p = p->before) {
		if (!p->mark || (t->epoch && !epoch_passed(t->epoch, p->mark)))
			continue;
		atomic_store(&p->seq, 0);
		placement_free(p->before);
		p->before = NULL;
	}
}

/* ---- the table -------------------------------------------------------- */

static uint64_t hash_of(uint64_t id)
{
	/* Fibonacci hashing: ids come in runs */
	return id * 0x9e3779b97f4a7c15u;
}

static struct held_shard *shard_of(struct held_table *t, uint64_t id)
{
	return &t->shard[(hash_of(id) >> 60) % HELD_SHARDS];
}

int held_init(struct held_table *t, banyan *db)
{
	*t = (struct held_table){ .db = db };
	for (unsigned i = 0; i < HELD_SHARDS; i++) {
		struct held_shard *s = &t->shard[i];
		s->buckets = calloc(BUCKETS_FIRST, sizeof(banyan_data *));
		if (!s->buckets) {
			held_destroy(t);
			return -ENOMEM;
		}
		s->mask = BUCKETS_FIRST - 1;
		pthread_mutex_init(&s->lock, NULL);
		pthread_cond_init(&s->reopened, NULL);
	}
	return 0;
}

static void free_data(banyan_data *d)
{
	placement_free(atomic_load(&d->moves));
	free(d);
}

static void destroy_shard(struct held_shard *s)
{
	for (size_t i = 0; i <= s->mask; i++) {
		while (s->buckets[i]) {
			banyan_data *d = s->buckets[i];
			s->buckets[i] = d->next;
			free_data(d);
		}
	}
	free(s->buckets);
	s->buckets = NULL;
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->reopened);
}

void held_destroy(struct held_table *t)
{
	for (unsigned i = 0; i < HELD_SHARDS; i++)
		if (t->shard[i].buckets)
			destroy_shard(&t->shard[i]);
}

/* The pointer that points, or would point, to the entry */
static banyan_data **slot(const struct held_shard *s, uint64_t id)
{
	banyan_data **p = &s->buckets[(hash_of(id) >> 32) & s->mask];
	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

/* If there is no memory for it chains grow, or the table stays large */
static void resize(struct held_shard *s, size_t size)
{
	banyan_data **fresh = calloc(size, sizeof(*fresh));
	if (!fresh)
		return;
	struct held_shard other = { .buckets = fresh, .mask = size - 1 };
	for (size_t i = 0; i <= s->mask; i++) {
		while (s->buckets[i]) {
			banyan_data *d = s->buckets[i];
			s->buckets[i] = d->next;
			d->next = NULL;
			*slot(&other, d->id) = d;
		}
	}
	free(s->buckets);
	s->buckets = fresh;
	s->mask = size - 1;
}

/* An entry that nobody holds yet, in a NAME row or (space 0) a DATA row */
static banyan_data *add(struct held_table *t, struct held_shard *s, uint64_t id,
			uint64_t space, const char *name, uint8_t len)
{
	banyan_data *d = calloc(1, sizeof(*d) + home_size(space ? len : 0));
	if (!d)
		return NULL;
	d->db = t->db;
	d->id = id;
	home_set((struct home *)(d + 1), space, name, len);
	if (s->count++ > s->mask)
		resize(s, (s->mask + 1) * 2);
	*slot(s, id) = d;
	return d;
}

static void drop(struct held_shard *s, banyan_data *d)
{
	*slot(s, d->id) = d->next;
	s->count--;
	if (d->moved > s->moved)
		s->moved = d->moved;
	free_data(d);
	if (s->mask >= BUCKETS_FIRST && s->count < s->mask / 8)
		resize(s, (s->mask + 1) / 2);
}

/* ---- holding ---------------------------------------------------------- */

int held_hold(struct held_table *t, uint64_t id, const struct location *at,
	      uint64_t seq, banyan_data **data)
{
	struct held_shard *s = shard_of(t, id);
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	if (d ? d->closed != 0 : s->moved > seq) {
		rc = -EAGAIN;
	} else if (!d) {
		d = add(t, s, id, at->space, at->name, at->len);
		rc = d ? 0 : -ENOMEM;
	}
	if (!rc) {
		d->holds++;
		*data = d;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void held_wait(struct held_table *t, uint64_t id)
{
	struct held_shard *s = shard_of(t, id);
	const banyan_data *d;
	pthread_mutex_lock(&s->lock);
	while ((d = *slot(s, id)) && d->closed)
		pthread_cond_wait(&s->reopened, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

banyan_data *held_find(struct held_table *t, uint64_t id, uint64_t holds)
{
	struct held_shard *s = shard_of(t, id);
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	if (d && !d->holds)
		d = NULL;
	if (d)
		d->holds += holds;
	pthread_mutex_unlock(&s->lock);
	return d;
}

void held_hold_again(struct held_table *t, banyan_data *data)
{
	struct held_shard *s = shard_of(t, data->id);
	pthread_mutex_lock(&s->lock);
	data->holds++;
	pthread_mutex_unlock(&s->lock);
}

bool held_release(struct held_table *t, banyan_data *data, uint64_t times,
		  uint64_t *id, bool *orphan)
{
	struct held_shard *s = shard_of(t, data->id);
	bool last = false;
	pthread_mutex_lock(&s->lock);
	assert(data->holds >= times);
	data->holds -= times;
	if (data->holds == 0 && data->pins == 0) {
		last = true;
		*id = data->id;
		*orphan = data->orphan;
		drop(s, data);
	}
	pthread_mutex_unlock(&s->lock);
	return last;
}

int held_restore(struct held_table *t, uint64_t id, const struct location *at,
		 uint64_t times, bool orphan)
{
	struct held_shard *s = shard_of(t, id);
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	if (!d)
		d = add(t, s, id, at->space, at->name, at->len);
	if (d) {
		d->holds += times;
		d->orphan = orphan;
	}
	pthread_mutex_unlock(&s->lock);
	return d ? 0 : -ENOMEM;
}

size_t held_count(struct held_table *t)
{
	size_t n = 0;
	for (unsigned i = 0; i < HELD_SHARDS; i++) {
		struct held_shard *s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		n += s->count;
		pthread_mutex_unlock(&s->lock);
	}
	return n;
}

static bool release_shard(struct held_shard *s)
{
	bool orphans = false;
	for (size_t i = 0; i <= s->mask; i++) {
		banyan_data **p = &s->buckets[i];
		while (*p) {
			banyan_data *d = *p;
			if (d->id == BANYAN_ROOT_ID) {
				p = &d->next;
				continue;
			}
			orphans |= d->orphan;
			*p = d->next;
			s->count--;
			free_data(d);
		}
	}
	return orphans;
}

bool held_release_all(struct held_table *t)
{
	bool orphans = false;
	for (unsigned i = 0; i < HELD_SHARDS; i++) {
		struct held_shard *s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		orphans |= release_shard(s);
		pthread_mutex_unlock(&s->lock);
	}
	return orphans;
}

/* ---- the writer ------------------------------------------------------- */

bool held_is_held(struct held_table *t, uint64_t id)
{
	struct held_shard *s = shard_of(t, id);
	pthread_mutex_lock(&s->lock);
	const banyan_data *d = *slot(s, id);
	bool held = d && d->holds;
	pthread_mutex_unlock(&s->lock);
	return held;
}

bool held_replace(struct held_table *t, uint64_t id, struct placement *now,
		  bool orphan)
{
	struct held_shard *s = shard_of(t, id);
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	if (d) {
		placement_free(atomic_load(&d->moves));
		atomic_store(&d->moves, now);
		d->orphan = orphan;
	} else {
		placement_free(now);
	}
	pthread_mutex_unlock(&s->lock);
	return d != NULL;
}

int held_move(struct held_table *t, uint64_t id, struct placement **was,
	      struct placement **now, uint64_t seq)
{
	struct held_shard *s = shard_of(t, id);
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	if (!d) {
		const struct home *at = *was ? placement_home(*was) : NULL;
		d = at ? add(t, s, id, at->space, at->name, at->len) :
			 add(t, s, id, 0, NULL, 0);
		rc = d ? 0 : -ENOMEM;
	}
	if (!rc) {
		struct placement *p = *now;
		*now = NULL;
		prune(t, atomic_load(&d->moves));
		atomic_store(&p->seq, seq);
		p->before = atomic_load(&d->moves);
		atomic_store(&d->moves, p);
		d->pins++;
	}
	pthread_mutex_unlock(&s->lock);
	placement_free(*was);
	*was = NULL;
	return rc;
}

int held_close(struct held_table *t, uint64_t id)
{
	struct held_shard *s = shard_of(t, id);
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	if (!d) {
		d = add(t, s, id, 0, NULL, 0);
		if (!d)
			rc = -ENOMEM;
	} else if (d->holds || d->closed == UINT16_MAX) {
		rc = d->holds ? 0 : -EUCLEAN;
		d = NULL;
	} /* else it is in the table for what this operation did before */
	if (d) {
		d->closed++;
		rc = 1;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void drop_unused(struct held_shard *s, banyan_data *d)
{
	if (d->holds == 0 && d->pins == 0 && !d->closed)
		drop(s, d);
}

/* Versions before the operation's, or its own if it has failed, are old now */
static void retire(const struct held_table *t, banyan_data *d, uint64_t seq,
		   bool committed)
{
	struct placement *p = atomic_load(&d->moves);
	for (; p; p = p->before) {
		if (atomic_load(&p->seq) != seq)
			continue;
		if (!committed)
			atomic_store(&p->seq, UINT64_MAX);
		else if (t->epoch)
			p->mark = epoch_mark(t->epoch);
	}
}

bool held_settle(struct held_table *t, uint64_t id, uint64_t seq, bool orphan,
		 bool committed)
{
	struct held_shard *s = shard_of(t, id);
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	assert(d && d->pins > 0);
	d->pins--;
	retire(t, d, seq, committed);
	if (committed) {
		d->moved = seq;
		d->orphan = orphan;
	}
	bool left = d->holds == 0 && d->pins == 0 && d->orphan;
	drop_unused(s, d);
	pthread_mutex_unlock(&s->lock);
	return left;
}

void held_reopen(struct held_table *t, uint64_t id, uint64_t seq,
		 bool committed)
{
	struct held_shard *s = shard_of(t, id);
	pthread_mutex_lock(&s->lock);
	banyan_data *d = *slot(s, id);
	assert(d && d->closed);
	d->closed--;
	if (committed)
		d->moved = seq;
	drop_unused(s, d);
	pthread_cond_broadcast(&s->reopened);
	pthread_mutex_unlock(&s->lock);
}
