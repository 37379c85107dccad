/* SPDX-License-Identifier: MIT */
#include "file/file_aside.h"

#include <pthread.h>
#include <stdlib.h>

#define RANGES 64u

struct file_aside {
	struct file *file;
	file_hint *hint;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool stopping;
	struct {
		uint64_t from, to;
	} range[RANGES];
	unsigned first, count;
};

static void *run(void *arg)
{
	struct file_aside *a = arg;
	pthread_mutex_lock(&a->lock);
	while (!a->stopping) {
		if (!a->count) {
			pthread_cond_wait(&a->more, &a->lock);
			continue;
		}
		uint64_t from = a->range[a->first].from;
		uint64_t to = a->range[a->first].to;
		a->first = (a->first + 1) % RANGES;
		a->count--;
		pthread_mutex_unlock(&a->lock);
		a->hint(a->file, from, to);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

struct file_aside *file_aside_start(struct file *file, file_hint *hint)
{
	struct file_aside *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->file = file;
	a->hint = hint;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->more, NULL);
	if (!pthread_create(&a->thread, NULL, run, a))
		return a;
	pthread_cond_destroy(&a->more);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

void file_aside_stop(struct file_aside *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_signal(&a->more);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->more);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void file_aside_do(struct file_aside *a, uint64_t from, uint64_t to)
{
	bool full;
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	full = a->count == RANGES;
	if (!full) {
		unsigned at = (a->first + a->count++) % RANGES;
		a->range[at].from = from;
		a->range[at].to = to;
		pthread_cond_signal(&a->more);
	}
	pthread_mutex_unlock(&a->lock);
	if (full)
		a->hint(a->file, from, to);
}
