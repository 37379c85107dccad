/* SPDX-License-Identifier: MIT */
#include "fault_calls.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM_ALIGN 8u

/* The lock protects all but `below`; calls are handed on without it. What a file
 * that was made beside another counts is counted by the first. */
struct calls {
	struct file file;
	struct file *below;
	struct calls *first;
	struct calls *others; /* of the first: those beside it */
	pthread_mutex_t lock;
	struct calls_plan plan;
	uint64_t counted[FAULT_CALLS + 1]; /* the last one: any */
	uint64_t failed;
	unsigned paused;
};

static struct calls *calls_of(struct file *f)
{
	return (struct calls *)f;
}

static struct calls *first_of(struct file *f)
{
	return calls_of(f)->first;
}

/* 0, or the error that this call is to fail with */
static int count(const struct calls *of, enum fault_call call)
{
	struct calls *t = of->first;
	const struct calls_plan *p = &t->plan;
	int rc = 0;
	pthread_mutex_lock(&t->lock);
	if (!t->paused) {
		t->counted[call]++;
		t->counted[FAULT_CALLS]++;
		uint64_t n = t->counted[p->call];
		bool mine = p->call == FAULT_CALLS || p->call == call;
		if (mine && p->nth &&
		    (n == p->nth || (p->lasting && n > p->nth))) {
			t->failed++;
			rc = p->error;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* ---- the calls of file.h ---------------------------------------------- */

static int calls_read(struct file *f, void *buffer, size_t size,
		      uint64_t offset)
{
	int rc = count(calls_of(f), FAULT_READ);
	return rc ? rc : file_read(calls_of(f)->below, buffer, size, offset);
}

/* Of iov only the first bytes, and never all of it: how many pieces. Room ends at
 * a block, so not within the zeros behind the last record. */
static int cut_iov(struct iovec *iov, int n, size_t bytes)
{
	size_t all = 0;
	int i = 0;
	for (int k = 0; k < n; k++)
		all += iov[k].iov_len;
	if (bytes + ROOM_ALIGN > all)
		bytes = all > ROOM_ALIGN ? all - ROOM_ALIGN : 0;
	for (; i < n && bytes; i++) {
		if (iov[i].iov_len > bytes)
			iov[i].iov_len = bytes;
		bytes -= iov[i].iov_len;
	}
	return i;
}

static int calls_append(struct file *f, struct iovec *iov, int n,
			uint64_t offset, size_t *written)
{
	struct calls *t = calls_of(f);
	int said = count(t, FAULT_APPEND);
	*written = 0;
	if (!said)
		return file_append(t->below, iov, n, offset, written);
	n = cut_iov(iov, n, t->first->plan.partly);
	int rc = n ? file_append(t->below, iov, n, offset, written) : 0;
	return rc ? rc : said;
}

static int calls_sync(struct file *f)
{
	int rc = count(calls_of(f), FAULT_SYNC);
	if (!rc)
		return file_sync(calls_of(f)->below);
	/* The one below is to know that what this sync covers is in doubt */
	fault_file_fail(calls_of(f)->below, FAULT_SYNC, 1, rc, false);
	return file_sync(calls_of(f)->below);
}

static int calls_verify(struct file *f)
{
	int rc = count(calls_of(f), FAULT_VERIFY);
	return rc ? rc : file_verify(calls_of(f)->below);
}

static int calls_size(struct file *f, uint64_t *size)
{
	int rc = count(calls_of(f), FAULT_SIZE);
	return rc ? rc : file_size(calls_of(f)->below, size);
}

static int calls_reserve(struct file *f, uint64_t to)
{
	int rc = count(calls_of(f), FAULT_RESERVE);
	return rc ? rc : file_reserve(calls_of(f)->below, to);
}

static int calls_drop_cache(struct file *f, uint64_t offset)
{
	int rc = count(calls_of(f), FAULT_DROP_CACHE);
	return rc ? rc : file_drop_cache(calls_of(f)->below, offset);
}

static int calls_publish(struct file *f, bool replace)
{
	int rc = count(calls_of(f), FAULT_PUBLISH);
	if (!rc)
		rc = file_publish(calls_of(f)->below, replace);
	f->published = calls_of(f)->below->published;
	return rc;
}

static int calls_sync_name(struct file *f)
{
	return file_sync_name(calls_of(f)->below);
}

static int calls_beside(struct file *f, struct file **fresh)
{
	struct calls *first = first_of(f);
	struct file *below = NULL;
	int rc = count(calls_of(f), FAULT_BESIDE);
	if (!rc)
		rc = file_beside(calls_of(f)->below, &below);
	if (rc)
		return rc;
	*fresh = calls_new(below);
	if (!*fresh) {
		file_close(below);
		return -ENOMEM;
	}
	pthread_mutex_lock(&first->lock);
	calls_of(*fresh)->first = first;
	calls_of(*fresh)->others = first->others;
	first->others = calls_of(*fresh);
	pthread_mutex_unlock(&first->lock);
	return 0;
}

static int calls_exclude(struct file *f, bool on)
{
	int rc = on ? count(calls_of(f), FAULT_EXCLUDE) : 0;
	return rc ? rc : file_exclude(calls_of(f)->below, on);
}

static int calls_punch(struct file *f, uint64_t from, uint64_t to)
{
	int rc = count(calls_of(f), FAULT_PUNCH);
	return rc ? rc : file_punch(calls_of(f)->below, from, to);
}

static void calls_close(struct file *f)
{
	file_close(calls_of(f)->below);
}

static const struct file_ops calls_ops = {
	.read = calls_read,
	.append = calls_append,
	.sync = calls_sync,
	.verify = calls_verify,
	.size = calls_size,
	.reserve = calls_reserve,
	.drop_cache = calls_drop_cache,
	.publish = calls_publish,
	.sync_name = calls_sync_name,
	.beside = calls_beside,
	.exclude = calls_exclude,
	.punch = calls_punch,
	.close = calls_close,
};

/* ---- the outside ------------------------------------------------------ */

struct file *calls_new(struct file *below)
{
	struct calls *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->file.ops = &calls_ops;
	t->below = below;
	t->first = t;
	pthread_mutex_init(&t->lock, NULL);
	return &t->file;
}

void calls_fail(struct file *f, const struct calls_plan *plan)
{
	struct calls *t = first_of(f);
	pthread_mutex_lock(&t->lock);
	t->plan = *plan;
	for (size_t i = 0; i <= FAULT_CALLS; i++)
		t->counted[i] = 0;
	t->failed = 0;
	pthread_mutex_unlock(&t->lock);
}

static void pause_by(struct file *f, unsigned n)
{
	struct calls *t = first_of(f);
	pthread_mutex_lock(&t->lock);
	t->paused += n;
	pthread_mutex_unlock(&t->lock);
}

void calls_pause(struct file *f)
{
	pause_by(f, 1);
}

void calls_resume(struct file *f)
{
	pause_by(f, UINT_MAX);
}

uint64_t calls_counted(struct file *f, enum fault_call call)
{
	struct calls *t = first_of(f);
	pthread_mutex_lock(&t->lock);
	uint64_t n = t->counted[call];
	pthread_mutex_unlock(&t->lock);
	return n;
}

uint64_t calls_failed(struct file *f)
{
	struct calls *t = first_of(f);
	pthread_mutex_lock(&t->lock);
	uint64_t n = t->failed;
	pthread_mutex_unlock(&t->lock);
	return n;
}

void calls_free(struct file *f)
{
	struct calls *t = f ? first_of(f) : NULL;
	while (t) {
		struct calls *next = t->others;
		pthread_mutex_destroy(&t->lock);
		free(t);
		t = next;
	}
}

bool calls_asked_for(struct calls_plan *p)
{
	const char *text = getenv("BANYAN_FAULT");
	int call = 0;
	int lasting = 0;
	unsigned long long nth = 0;
	if (!text || sscanf(text, "%d %llu %d %d", &call, &nth, &p->error,
			    &lasting) != 4)
		return false;
	p->call = (enum fault_call)call;
	p->nth = nth;
	p->lasting = lasting;
	return true;
}
