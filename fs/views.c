/* SPDX-License-Identifier: MIT */
#include "views.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/*
 * How many views may be awake. One at a freeze is a pointer into the file, and
 * takes 2 KiB and a cache of its Data. One at a time has the operations from the
 * freeze before it in memory, beside the cache limit: 4 of them at the most, of
 * up to the limit each.
 */
#define FREEZES_MAX 32u
#define TIMES_MAX 4u

struct view {
	struct view *next;
	struct views *views;
	struct view_user *users;
	struct moment moment;
	/* The snapshot that the freeze was when the view was first asked for, or
	 * NULL: found at once, where a number is looked for freeze by freeze */
	char *snapshot;
	unsigned refs; /* of users, and of who puts it to sleep */
	pthread_rwlock_t use;
	banyan *db; /* changed with `opening` and `use`; NULL: asleep */
	_Atomic uint64_t used; /* the value of views->uses */
};

struct views {
	struct fs *fs;
	pthread_mutex_t opening;
	pthread_mutex_t lock;
	struct view *first;
	_Atomic uint64_t uses;
	_Atomic size_t awake;
};

/* ---- references ---------------------------------------------------------- */

static bool is_same(const struct moment *a, const struct moment *b)
{
	return a->freeze == b->freeze && a->time.sec == b->time.sec &&
	       a->time.nsec == b->time.nsec;
}

/* Readers that follow each other closely do not keep the others waiting */
static void use_init(pthread_rwlock_t *use)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(use, &attr);
	pthread_rwlockattr_destroy(&attr);
}

/* With the lock held. NULL: no memory. */
static struct view *view_new(struct views *views, const struct moment *moment,
			     const char *name)
{
	struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->views = views;
	v->moment = *moment;
	if (moment->snapshot)
		v->snapshot = strdup(name);
	use_init(&v->use);
	v->next = views->first;
	views->first = v;
	return v;
}

struct view *view_join(struct views *views, const struct moment *moment,
		       const char *name, struct view_user *user)
{
	struct view *v;

	pthread_mutex_lock(&views->lock);
	v = views->first;
	while (v && !is_same(&v->moment, moment))
		v = v->next;
	if (!v)
		v = view_new(views, moment, name);
	if (v) {
		v->refs++;
		user->next = v->users;
		v->users = user;
	}
	pthread_mutex_unlock(&views->lock);
	return v;
}

/* One reference less, that of a user if that is not NULL. With the last one the
 * view goes. */
static void view_put(struct view *v, struct view_user *user)
{
	struct views *views = v->views;
	struct view_user **at = &v->users;
	struct view **place = &views->first;
	bool last;

	pthread_mutex_lock(&views->lock);
	while (*at && *at != user)
		at = &(*at)->next;
	if (*at)
		*at = user->next;
	last = --v->refs == 0;
	while (last && *place != v)
		place = &(*place)->next;
	if (last)
		*place = v->next;
	pthread_mutex_unlock(&views->lock);
	if (!last)
		return;
	if (v->db)
		atomic_fetch_sub(&views->awake, 1);
	banyan_close(v->db);
	pthread_rwlock_destroy(&v->use);
	free(v->snapshot);
	free(v);
}

void view_leave(struct view *view, struct view_user *user)
{
	view_put(view, user);
}

const struct moment *view_moment(const struct view *view)
{
	return &view->moment;
}

struct view_user *views_user(struct views *views)
{
	return views->first ? views->first->users : NULL;
}

/* ---- to sleep ------------------------------------------------------------ */

/* With `opening` held */
static void put_to_sleep(struct view *v)
{
	struct views *views = v->views;
	banyan *db;

	pthread_rwlock_wrlock(&v->use);
	pthread_mutex_lock(&views->lock);
	for (struct view_user *user = v->users; user; user = user->next)
		user->release(user);
	pthread_mutex_unlock(&views->lock);
	db = v->db;
	v->db = NULL;
	pthread_rwlock_unlock(&v->use);
	atomic_fetch_sub(&views->awake, 1);
	banyan_close(db);
}

/*
 * With `opening` held, a reference to the view that is awake, of this kind if
 * kind is not NULL, and was used least recently. NULL: fewer than `most` are.
 */
static struct view *least_used(struct views *views, const struct moment *kind,
			       size_t most)
{
	struct view *found = NULL;
	size_t awake = 0;

	pthread_mutex_lock(&views->lock);
	for (struct view *v = views->first; v; v = v->next) {
		if (!v->db || (kind && !kind->freeze != !v->moment.freeze))
			continue;
		awake++;
		if (!found || atomic_load(&v->used) < atomic_load(&found->used))
			found = v;
	}
	if (awake < most)
		found = NULL;
	if (found)
		found->refs++;
	pthread_mutex_unlock(&views->lock);
	return found;
}

/* With `opening` held: let views sleep until fewer than `most` are awake */
static void let_sleep(struct views *views, const struct moment *kind,
		      size_t most)
{
	struct view *v;

	while ((v = least_used(views, kind, most))) {
		put_to_sleep(v);
		view_put(v, NULL);
	}
}

void views_pause(struct views *views)
{
	pthread_mutex_lock(&views->opening);
	let_sleep(views, NULL, 1);
}

void views_resume(struct views *views)
{
	pthread_mutex_unlock(&views->opening);
}

void views_sleep(struct views *views)
{
	views_pause(views);
	views_resume(views);
}

size_t views_awake(struct views *views)
{
	return atomic_load(&views->awake);
}

/* ---- awake --------------------------------------------------------------- */

int view_take_number(void *number, const struct banyan_freeze_info *freeze)
{
	*(uint64_t *)number = freeze->number;
	return 1;
}

/* -ENOENT: the name has another freeze by now, or none */
static int open_snapshot(struct fs *fs, const struct view *v, banyan **db)
{
	uint64_t number = 0;
	int rc = banyan_view_snapshot(fs->db, v->snapshot, strlen(v->snapshot),
				      db);

	if (rc)
		return rc;
	rc = banyan_freezes(*db, view_take_number, &number);
	if (rc >= 0 && number == v->moment.freeze)
		return 0;
	banyan_close(*db);
	return -ENOENT;
}

static int open_view(struct fs *fs, const struct view *v, banyan **db)
{
	if (v->snapshot && !open_snapshot(fs, v, db))
		return 0;
	return v->moment.freeze ?
		       banyan_view_at_freeze(fs->db, v->moment.freeze, db) :
		       banyan_view_at_time(fs->db, v->moment.time, db);
}

static int wake(struct view *v)
{
	struct views *views = v->views;
	banyan *db;
	int rc = 0;

	pthread_mutex_lock(&views->opening);
	if (!v->db) {
		let_sleep(views, &v->moment,
			  v->moment.freeze ? FREEZES_MAX : TIMES_MAX);
		rc = open_view(views->fs, v, &db);
		if (!rc) {
			pthread_rwlock_wrlock(&v->use);
			v->db = db;
			atomic_fetch_add(&views->awake, 1);
			atomic_store(&v->used,
				     atomic_fetch_add(&views->uses, 1));
			pthread_rwlock_unlock(&v->use);
		}
	}
	pthread_mutex_unlock(&views->opening);
	return rc == -ENOENT ? -ESTALE : rc;
}

int view_begin(struct view *v, banyan **db)
{
	int rc;

	pthread_rwlock_rdlock(&v->use);
	while (!v->db) {
		pthread_rwlock_unlock(&v->use);
		rc = wake(v);
		if (rc)
			return rc;
		pthread_rwlock_rdlock(&v->use);
	}
	atomic_store_explicit(&v->used,
			      atomic_fetch_add_explicit(&v->views->uses, 1,
							memory_order_relaxed),
			      memory_order_relaxed);
	*db = v->db;
	return 0;
}

void view_end(struct view *v)
{
	pthread_rwlock_unlock(&v->use);
}

/* ---- life ---------------------------------------------------------------- */

int views_new(struct fs *fs, struct views **views)
{
	struct views *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->fs = fs;
	pthread_mutex_init(&v->opening, NULL);
	pthread_mutex_init(&v->lock, NULL);
	*views = v;
	return 0;
}

void views_free(struct views *views)
{
	if (!views)
		return;
	pthread_mutex_destroy(&views->opening);
	pthread_mutex_destroy(&views->lock);
	free(views);
}
