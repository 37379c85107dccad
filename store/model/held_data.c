/* SPDX-License-Identifier: MIT */
#include "model/held_data.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 256u

void location_set(struct location *h, uint64_t space, const char *name,
		  size_t len)
{
	assert(len <= sizeof(h->name));
	h->space = space;
	h->len = (uint8_t)len;
	if (len)
		memcpy(h->name, name, len);
}

int held_init(struct held_table *t)
{
	*t = (struct held_table){ 0 };
	t->buckets = calloc(BUCKETS_FIRST, sizeof(*t->buckets));
	if (!t->buckets)
		return -ENOMEM;
	t->mask = BUCKETS_FIRST - 1;
	pthread_mutex_init(&t->lock, NULL);
	return 0;
}

static void free_data(banyan_data *d)
{
	free(d->name);
	free(d);
}

void held_destroy(struct held_table *t)
{
	if (!t->buckets)
		return;
	for (size_t i = 0; i <= t->mask; i++) {
		while (t->buckets[i]) {
			banyan_data *d = t->buckets[i];
			t->buckets[i] = d->next;
			free_data(d);
		}
	}
	free(t->buckets);
	t->buckets = NULL;
	pthread_mutex_destroy(&t->lock);
}

/* The pointer that points, or would point, to the Data */
static banyan_data **slot(const struct held_table *t, uint64_t id)
{
	assert(t->buckets);
	/* Fibonacci hashing: ids come in runs */
	size_t hash = (size_t)(id * 0x9e3779b97f4a7c15u >> 32);
	banyan_data **p = &t->buckets[hash & t->mask];
	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

/* Twice as many buckets, if there is memory for them: else chains grow */
static void grow(struct held_table *t)
{
	size_t size = (t->mask + 1) * 2;
	banyan_data **fresh = calloc(size, sizeof(*fresh));
	if (!fresh)
		return;
	struct held_table bigger = { .buckets = fresh, .mask = size - 1 };
	for (size_t i = 0; i <= t->mask; i++) {
		while (t->buckets[i]) {
			banyan_data *d = t->buckets[i];
			t->buckets[i] = d->next;
			d->next = NULL;
			*slot(&bigger, d->id) = d;
		}
	}
	free(t->buckets);
	t->buckets = fresh;
	t->mask = size - 1;
}

static int copy_name(const struct location *home, char **name)
{
	if (!home || !home->space)
		return 0;
	*name = malloc(home->len ? home->len : 1);
	if (!*name)
		return -ENOMEM;
	memcpy(*name, home->name, home->len);
	return 0;
}

/* name is a copy of that in home, and becomes the Data's */
static void put_location(banyan_data *d, const struct location *home,
			 char *name)
{
	d->name = name;
	d->space = name ? home->space : 0;
	d->name_len = name ? home->len : 0;
}

static int set_location(banyan_data *d, const struct location *home)
{
	char *name = NULL;
	int rc = copy_name(home, &name);
	if (rc)
		return rc;
	free(d->name);
	put_location(d, home, name);
	return 0;
}

static banyan_data *add(struct held_table *t, banyan *db, uint64_t id,
			const struct location *home)
{
	banyan_data *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->db = db;
	d->id = id;
	if (set_location(d, home)) {
		free(d);
		return NULL;
	}
	if (t->count++ > t->mask)
		grow(t);
	*slot(t, id) = d;
	return d;
}

static void drop(struct held_table *t, banyan_data **p)
{
	banyan_data *d = *p;
	*p = d->next;
	t->count--;
	t->generation += d->moved || d->barred;
	free_data(d);
}

uint64_t held_generation(struct held_table *t)
{
	pthread_mutex_lock(&t->lock);
	uint64_t generation = t->generation;
	pthread_mutex_unlock(&t->lock);
	return generation;
}

int held_hold(struct held_table *t, banyan *db, uint64_t id,
	      const struct location *home, uint64_t generation,
	      banyan_data **data)
{
	int rc = 0;
	pthread_mutex_lock(&t->lock);
	banyan_data *d = *slot(t, id);
	if (d ? d->barred : t->generation != generation)
		rc = -EAGAIN;
	else if (!d && !(d = add(t, db, id, home)))
		rc = -ENOMEM;
	if (!rc) {
		d->holds++;
		*data = d;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

int held_hold_found(struct held_table *t, banyan *db, uint64_t id,
		    const struct location *home, banyan_data **data)
{
	int rc = 0;
	pthread_mutex_lock(&t->lock);
	banyan_data *d = *slot(t, id);
	if (d && d->barred) {
		/* By this very writer, for a batch that goes on */
		rc = set_location(d, home);
		d->barred = rc != 0;
		d->moved = true;
	} else if (!d) {
		d = add(t, db, id, home);
		rc = d ? 0 : -ENOMEM;
	}
	if (!rc) {
		d->holds++;
		*data = d;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void held_hold_again(struct held_table *t, banyan_data *data)
{
	pthread_mutex_lock(&t->lock);
	data->holds++;
	pthread_mutex_unlock(&t->lock);
}

bool held_release(struct held_table *t, banyan_data *data, uint64_t times,
		  uint64_t *id, bool *orphan)
{
	bool last = false;
	pthread_mutex_lock(&t->lock);
	assert(data->holds >= times);
	data->holds -= times;
	if (data->holds == 0) {
		last = true;
		*id = data->id;
		*orphan = data->orphan;
		drop(t, slot(t, data->id));
	}
	pthread_mutex_unlock(&t->lock);
	return last;
}

static struct location location_of(const banyan_data *d)
{
	struct location h;
	location_set(&h, d->space, d->name, d->name_len);
	return h;
}

struct location held_location(struct held_table *t, const banyan_data *data)
{
	pthread_mutex_lock(&t->lock);
	struct location h = location_of(data);
	pthread_mutex_unlock(&t->lock);
	return h;
}

int held_bar(struct held_table *t, banyan *db, uint64_t id,
	     const struct location *home, struct location_before *before)
{
	int rc = 0;
	char *name = NULL;
	pthread_mutex_lock(&t->lock);
	banyan_data *d = *slot(t, id);
	if (d) {
		rc = d->barred ? 2 : 0;
	} else {
		rc = copy_name(home, &name);
		d = rc ? NULL : add(t, db, id, NULL);
		if (d) {
			*before = (struct location_before){
				.space = name ? home->space : 0,
				.name = name,
				.name_len = name ? home->len : 0,
			};
			d->barred = true;
			rc = 1;
		} else {
			free(name);
			rc = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* Its home is again what it was */
static void restore_location(banyan_data *d, struct location_before *before)
{
	free(d->name);
	d->space = before->space;
	d->name = before->name;
	d->name_len = before->name_len;
	d->orphan = before->orphan;
	before->name = NULL;
}

void held_unbar(struct held_table *t, uint64_t id,
		struct location_before *before, bool committed)
{
	pthread_mutex_lock(&t->lock);
	banyan_data **p = slot(t, id);
	/* The writer itself may have come to hold it since */
	if (*p && (*p)->barred)
		drop(t, p);
	else if (*p && !committed)
		restore_location(*p, before);
	free(before->name);
	pthread_mutex_unlock(&t->lock);
}

int held_move(struct held_table *t, uint64_t id, const struct location *home,
	      bool orphan, struct location_before *before)
{
	int rc = 0;
	char *name = NULL;
	pthread_mutex_lock(&t->lock);
	banyan_data *d = *slot(t, id);
	if (d && d->barred) {
		rc = 2;
	} else if (d) {
		rc = copy_name(home, &name);
		if (!rc) {
			*before = (struct location_before){ d->space, d->name,
							    d->name_len,
							    d->orphan };
			put_location(d, home, name);
			d->orphan = orphan;
			d->moved = true;
			d->holds++;
			rc = 1;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

bool held_settle(struct held_table *t, uint64_t id,
		 struct location_before *before, bool committed)
{
	pthread_mutex_lock(&t->lock);
	banyan_data **p = slot(t, id);
	banyan_data *d = *p;
	assert(d && d->holds > 0);
	if (!committed)
		restore_location(d, before);
	free(before->name);
	bool left = --d->holds == 0 && d->orphan;
	if (d->holds == 0)
		drop(t, p);
	pthread_mutex_unlock(&t->lock);
	return left;
}
