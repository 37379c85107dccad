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

struct placement *placement_new(const struct location *at)
{
	size_t len = at && at->space ? at->len : 0;
	struct placement *p = malloc(sizeof(*p) + len);
	if (!p)
		return NULL;
	atomic_init(&p->seq, 0);
	p->before = NULL;
	p->mark = 0;
	p->space = at ? at->space : 0;
	p->len = (uint8_t)len;
	if (len)
		memcpy(p->name, at->name, len);
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

const struct placement *held_place(const banyan_data *data, uint64_t seq)
{
	const struct placement *p = atomic_load(&data->place);
	/* The last is for all operations that somebody may still look for. What
	 * is behind the one that is wanted may be freed just now. */
	while (atomic_load(&p->seq) > seq && p->before)
		p = p->before;
	return p;
}

/* Free the versions that no reader can come to any more */
static void prune(const struct held_table *t, struct placement *p)
{
	for (; p; p = p->before) {
		bool old = p->before && p->mark &&
			   (!t->epoch || epoch_passed(t->epoch, p->mark));
		if (!old)
			continue;
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
	placement_free(atomic_load(&d->place));
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

/* Twice as many buckets, if there is memory for them: else chains grow */
static void grow(struct held_shard *s)
{
	size_t size = (s->mask + 1) * 2;
	banyan_data **fresh = calloc(size, sizeof(*fresh));
	if (!fresh)
		return;
	struct held_shard bigger = { .buckets = fresh, .mask = size - 1 };
	for (size_t i = 0; i <= s->mask; i++) {
		while (s->buckets[i]) {
			banyan_data *d = s->buckets[i];
			s->buckets[i] = d->next;
			d->next = NULL;
			*slot(&bigger, d->id) = d;
		}
	}
	free(s->buckets);
	s->buckets = fresh;
	s->mask = size - 1;
}

/* An entry that nobody holds yet. Takes over the placement, unless it fails. */
static banyan_data *add(struct held_table *t, struct held_shard *s, uint64_t id,
			struct placement *place)
{
	banyan_data *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->db = t->db;
	d->id = id;
	atomic_init(&d->place, place);
	if (s->count++ > s->mask)
		grow(s);
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
}

/* ---- holding ---------------------------------------------------------- */

static int add_at(struct held_table *t, struct held_shard *s, uint64_t id,
		  const struct location *at, banyan_data **data)
{
	struct placement *place = placement_new(at);
	banyan_data *d = place ? add(t, s, id, place) : NULL;
	if (!d) {
		placement_free(place);
		return -ENOMEM;
	}
	*data = d;
	return 0;
}

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
		rc = add_at(t, s, id, at, &d);
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
		placement_free(atomic_load(&d->place));
		atomic_store(&d->place, now);
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
		if (!*was)
			*was = placement_new(NULL);
		d = *was ? add(t, s, id, *was) : NULL;
		if (d)
			*was = NULL;
		else
			rc = -ENOMEM;
	}
	if (!rc) {
		struct placement *p = *now;
		*now = NULL;
		prune(t, atomic_load(&d->place));
		atomic_store(&p->seq, seq);
		p->before = atomic_load(&d->place);
		atomic_store(&d->place, p);
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
		rc = add_at(t, s, id, NULL, &d);
		if (!rc) {
			d->closed++;
			rc = 1;
		}
	} else if (d->holds == 0) {
		/* In the table for what this very operation did before */
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
	struct placement *p = atomic_load(&d->place);
	for (; p && p->before; p = p->before) {
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
