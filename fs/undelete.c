/* SPDX-License-Identifier: MIT */
/*
 * One thread takes one order after the other. Another tells the kernel of keys that
 * have come back in the root, as the kernel makes it wait until nobody has the root
 * locked: the caller of an order has, until the first thread answers it. It begins
 * when no order is left, and is seldom made to wait then: a thread that waits in the
 * kernel for a lock outlives SIGKILL, and with it the daemon.
 *
 * The lock protects the queues and what is said of the state; it is not held while an
 * order is carried out or the kernel is told.
 */
#include "undelete.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit.h"
#include "lasting.h"
#include "requests.h"
#include "supervisor.h"
#include "transport.h"

struct order {
	struct order *next;
	fuse_req_t req;
	uint64_t number; /* of the request */
	bool was_made; /* by a daemon that has died: see requests.h */
	const char *to; /* in text; NULL: to its own place */
	size_t size; /* of the text, without the last NUL */
	char text[]; /* the key, or several, with a NUL before each */
};

/* Keys that have come back: paths, each with a NUL behind it */
struct made {
	struct made *next;
	char *paths;
	size_t size, capacity;
	bool failed; /* some are missing */
};

struct undelete {
	struct fs *fs;
	struct lasting_request *lasting; /* NULL: nothing is to outlive us */
	pthread_t thread, teller;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* the thread */
	pthread_cond_t quiet; /* the teller */
	struct order *first, **last;
	struct made *made; /* of which the kernel is to be told */
	bool busy; /* with an order */
	bool telling;
	bool stop;
	bool ended; /* no more orders are carried out */
};

/* ---- what the kernel must be told ------------------------------------- */

static void note_made(void *arg, const char *path)
{
	struct made *made = arg;
	size_t n = strlen(path) + 1;

	if (!made->paths || n > made->capacity - made->size) {
		size_t capacity = 2 * made->capacity + n;
		char *paths = realloc(made->paths, capacity);

		if (!paths) {
			made->failed = true;
			return;
		}
		made->paths = paths;
		made->capacity = capacity;
	}
	memcpy(made->paths + made->size, path, n);
	made->size += n;
}

/*
 * The key space has one more key, and the Data maybe one more alias. What the
 * kernel does not know it has not cached: errors do not matter.
 */
static void tell_key(const struct fs *fs, banyan_data *space, const char *name,
		     banyan_data *data)
{
	fuse_ino_t parent = banyan_id(space);

	fuse_lowlevel_notify_inval_entry(fs->session, parent, name,
					 strlen(name));
	fuse_lowlevel_notify_inval_inode(fs->session, parent, 0, 0);
	fuse_lowlevel_notify_inval_inode(fs->session, banyan_id(data), -1, 0);
}

static void tell_path(const struct fs *fs, char *path)
{
	char *slash = strrchr(path, '/');
	banyan_data *space, *data;

	if (banyan_find(fs->db, path, &data))
		return;
	if (slash)
		*slash = '\0';
	if (!banyan_find(fs->db, slash ? path : "", &space)) {
		tell_key(fs, space, slash ? slash + 1 : path, data);
		banyan_release(space, 1);
	}
	banyan_release(data, 1);
	if (slash)
		*slash = '/';
}

/* Of the keys in the root, or of all others */
static void tell_made(const struct fs *fs, const struct made *made, bool root)
{
	atomic_store(&fs->lasting->notifier[root], gettid());
	supervisor_notifies();
	for (size_t at = 0; at < made->size;) {
		char *path = made->paths + at;

		at += strlen(path) + 1;
		if (root == !strchr(path, '/'))
			tell_path(fs, path);
	}
	atomic_store(&fs->lasting->notifier[root], 0);
}

/* ---- orders that are carried out -------------------------------------- */

static int undelete_several(banyan *db, const struct order *order,
			    struct made *made)
{
	const char *end = order->text + order->size;
	const char **keys;
	size_t count = 0;
	int rc;

	keys = calloc(order->size, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (const char *key = order->text; key < end; key += strlen(key))
		keys[count++] = ++key;
	rc = banyan_undelete_keys(db, keys, count, note_made, made);
	free(keys);
	return rc;
}

/*
 * The daemon before has made it, so that there is nothing left to be done: the keys
 * have come back, but nobody has been told.
 */
static int undelete_again(banyan *db, const struct order *order,
			  struct made *made)
{
	const char *end = order->text + order->size;
	const char *key = order->to ? order->to : order->text;

	if (!*order->text)
		key++;
	for (; key < end; key += strlen(key) + 1) {
		banyan_data *data;
		int rc = banyan_find(db, key, &data);

		if (rc)
			return rc;
		banyan_release(data, 1);
		note_made(made, key);
	}
	return 0;
}

/* ---- the thread ------------------------------------------------------- */

/* What was made is left in *made */
static void carry_out(struct fs *fs, const struct order *order,
		      struct made *made)
{
	int rc = *order->text ? banyan_undelete(fs->db, order->text, order->to,
						note_made, made) :
				undelete_several(fs->db, order, made);

	if (rc && order->was_made && !undelete_again(fs->db, order, made))
		rc = 0;
	if (!rc || made->size)
		commit_note(fs->commit);
	tell_made(fs, made, false);
	fs_reply_error(order->req, !rc && made->failed ? -ENOMEM : rc);
}

static struct order *take_order(struct undelete *u)
{
	struct order *order = u->first;

	u->first = order->next;
	if (!u->first)
		u->last = &u->first;
	return order;
}

/* With the lock held, which is let go meanwhile */
static void serve(struct undelete *u, struct order *order)
{
	struct made *made = calloc(1, sizeof(*made));
	bool stop = u->stop;

	u->busy = true;
	pthread_mutex_unlock(&u->lock);
	lasting_begin(u->lasting, order->number);
	if (stop || !made)
		fuse_reply_err(order->req, stop ? ECANCELED : ENOMEM);
	else
		carry_out(u->fs, order, made);
	lasting_end(u->lasting);
	free(order);
	pthread_mutex_lock(&u->lock);
	if (made) {
		made->next = u->made;
		u->made = made;
	}
	u->busy = false;
}

static void *run(void *arg)
{
	struct undelete *u = arg;

	banyan_set_note(u->lasting ? &u->lasting->note : NULL);
	pthread_mutex_lock(&u->lock);
	while (!u->stop || u->first) {
		if (u->first) {
			serve(u, take_order(u));
		} else {
			pthread_cond_signal(&u->quiet);
			pthread_cond_wait(&u->wake, &u->lock);
		}
	}
	u->ended = true;
	pthread_cond_signal(&u->quiet);
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

static void tell_and_free(const struct fs *fs, struct made *made)
{
	while (made) {
		struct made *next = made->next;

		tell_made(fs, made, true);
		free(made->paths);
		free(made);
		made = next;
	}
}

static void *run_teller(void *arg)
{
	struct undelete *u = arg;

	pthread_mutex_lock(&u->lock);
	while (!u->ended || u->made) {
		struct made *made = u->made;

		if (!made || u->busy || u->first) {
			pthread_cond_wait(&u->quiet, &u->lock);
			continue;
		}
		u->made = NULL;
		u->telling = true;
		pthread_mutex_unlock(&u->lock);
		tell_and_free(u->fs, made);
		pthread_mutex_lock(&u->lock);
		u->telling = false;
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

static void end_thread(struct undelete *u)
{
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_cond_signal(&u->wake);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->thread, NULL);
}

static void free_all(struct undelete *u)
{
	pthread_cond_destroy(&u->wake);
	pthread_cond_destroy(&u->quiet);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

int undelete_start(struct fs *fs, struct undelete **undelete)
{
	struct undelete *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	u->fs = fs;
	u->lasting = lasting_beside(fs->lasting);
	u->last = &u->first;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->wake, NULL);
	pthread_cond_init(&u->quiet, NULL);
	rc = pthread_create(&u->thread, NULL, run, u);
	if (!rc) {
		rc = pthread_create(&u->teller, NULL, run_teller, u);
		if (rc)
			end_thread(u);
	}
	if (rc) {
		free_all(u);
		return -rc;
	}
	*undelete = u;
	return 0;
}

void undelete_stop(struct undelete *u)
{
	if (!u)
		return;
	end_thread(u);
	pthread_join(u->teller, NULL);
	free_all(u);
}

/* ---- orders ----------------------------------------------------------- */

/* NULL: no memory. *order has a NUL behind it that does not count. */
static struct order *new_order(const char *text, size_t size, int *rc)
{
	struct order *order = malloc(sizeof(*order) + size + 1);
	size_t len;

	*rc = order ? 0 : -ENOMEM;
	if (!order)
		return NULL;
	*order = (struct order){ .size = size };
	memcpy(order->text, text, size);
	order->text[size] = '\0';
	len = strlen(order->text);
	if (!size)
		*rc = -EINVAL;
	if (len && len < size) {
		order->to = order->text + len + 1;
		if (!*order->to || strlen(order->to) + len + 1 != size)
			*rc = -EINVAL;
	}
	return order;
}

void undelete_order(struct undelete *u, fuse_req_t req, const char *text,
		    size_t size)
{
	int rc;
	struct order *order = new_order(text, size, &rc);
	bool may_wait = transport_may_wait();

	if (!rc) {
		order->req = req;
		order->number = requests_number();
		order->was_made = requests_was_made();
		pthread_mutex_lock(&u->lock);
		rc = u->stop ? -ECANCELED : may_wait ? 0 : -EBUSY;
		if (!rc) {
			*u->last = order;
			u->last = &order->next;
			pthread_cond_signal(&u->wake);
		}
		pthread_mutex_unlock(&u->lock);
	}
	if (rc) {
		free(order);
		fs_reply_error(req, rc);
	}
}

bool undelete_is_busy(struct undelete *u)
{
	bool busy;

	pthread_mutex_lock(&u->lock);
	busy = u->busy || u->first || u->made || u->telling;
	pthread_mutex_unlock(&u->lock);
	return busy;
}
