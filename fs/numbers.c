/* SPDX-License-Identifier: MIT */
#include "numbers.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#define BUCKETS_FIRST 256u

static struct numbered *first[BUCKETS_FIRST];
static _Atomic uint64_t own = NUMBERS_FIXED;
static struct {
	pthread_rwlock_t lock;
	_Atomic uint64_t *last;
	struct numbered **bucket;
	size_t buckets, count;
} all = {
	.lock = PTHREAD_RWLOCK_INITIALIZER,
	.last = &own,
	.bucket = first,
	.buckets = BUCKETS_FIRST,
};

void numbers_start(_Atomic uint64_t *last)
{
	all.last = last;
	if (!atomic_load(last))
		atomic_store(last, NUMBERS_FIXED);
}

static struct numbered **bucket_of(uint64_t number)
{
	return &all.bucket[number & (all.buckets - 1)];
}

/* If there is no memory chains grow */
static void grow(void)
{
	struct numbered **old = all.bucket;
	size_t n = all.buckets;
	struct numbered **fresh = calloc(2 * n, sizeof(struct numbered *));

	if (!fresh)
		return;
	all.bucket = fresh;
	all.buckets = 2 * n;
	for (size_t i = 0; i < n; i++) {
		while (old[i]) {
			struct numbered *one = old[i];

			old[i] = one->next;
			one->next = *bucket_of(one->number);
			*bucket_of(one->number) = one;
		}
	}
	if (old != first)
		free(old);
}

void numbers_add_as(struct numbered *n, uint64_t number)
{
	pthread_rwlock_wrlock(&all.lock);
	if (all.count++ >= all.buckets)
		grow();
	n->number = number;
	n->next = *bucket_of(number);
	*bucket_of(number) = n;
	pthread_rwlock_unlock(&all.lock);
}

void numbers_add(struct numbered *n)
{
	numbers_add_as(n, atomic_fetch_add(all.last, 1) + 1);
}

void numbers_remove(struct numbered *n)
{
	struct numbered **p;

	pthread_rwlock_wrlock(&all.lock);
	for (p = bucket_of(n->number); *p && *p != n; p = &(*p)->next)
		;
	if (*p) {
		*p = n->next;
		all.count--;
	}
	pthread_rwlock_unlock(&all.lock);
}

struct numbered *numbers_find(uint64_t number)
{
	struct numbered *n;

	pthread_rwlock_rdlock(&all.lock);
	for (n = *bucket_of(number); n && n->number != number; n = n->next)
		;
	pthread_rwlock_unlock(&all.lock);
	return n;
}
