/* SPDX-License-Identifier: MIT */
/*
 * The thread takes one order after the other. The lock protects the queue and
 * what is said of the state; it is not held while an order is carried out.
 */
#include "undelete.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "commit.h"
#include "transport.h"

struct order {
	struct order *next;
	fuse_req_t req;
	const char *to; /* in text; NULL: to its own place */
	size_t size; /* of the text, without the last NUL */
	char text[]; /* the key, or several, with a NUL before each */
};

struct undelete {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct order *first, **last;
	bool busy;
	bool stop;
};

/* ---- what the kernel must be told ------------------------------------- */

/* Keys that have come back: paths, each with a NUL behind it */
struct made {
	char *paths;
	size_t size, capacity;
	bool failed; /* some are missing */
};

static void note_made(void *arg, const char *path)
{
	struct made *made = arg;
	size_t n = strlen(path) + 1;

	if (n > made->capacity - made->size) {
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
	for (size_t at = 0; at < made->size;) {
		char *path = made->paths + at;

		at += strlen(path) + 1;
		if (root == !strchr(path, '/'))
			tell_path(fs, path);
	}
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

/* ---- the thread ------------------------------------------------------- */

static void carry_out(struct fs *fs, const struct order *order)
{
	struct made made = { 0 };
	int rc = *order->text ? banyan_undelete(fs->db, order->text, order->to,
						note_made, &made) :
				undelete_several(fs->db, order, &made);

	if (!rc || made.size)
		commit_note(fs->commit);
	tell_made(fs, &made, false);
	fs_reply_error(order->req, !rc && made.failed ? -ENOMEM : rc);
	tell_made(fs, &made, true);
	free(made.paths);
}

static struct order *take_order(struct undelete *u)
{
	struct order *order = u->first;

	u->first = order->next;
	if (!u->first)
		u->last = &u->first;
	return order;
}

static void *run(void *arg)
{
	struct undelete *u = arg;

	pthread_mutex_lock(&u->lock);
	while (!u->stop || u->first) {
		struct order *order;
		bool stop = u->stop;

		if (!u->first) {
			pthread_cond_wait(&u->wake, &u->lock);
			continue;
		}
		order = take_order(u);
		u->busy = true;
		pthread_mutex_unlock(&u->lock);
		if (stop)
			fuse_reply_err(order->req, ECANCELED);
		else
			carry_out(u->fs, order);
		free(order);
		pthread_mutex_lock(&u->lock);
		u->busy = false;
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

int undelete_start(struct fs *fs, struct undelete **undelete)
{
	struct undelete *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	u->fs = fs;
	u->last = &u->first;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->wake, NULL);
	rc = pthread_create(&u->thread, NULL, run, u);
	if (rc) {
		pthread_cond_destroy(&u->wake);
		pthread_mutex_destroy(&u->lock);
		free(u);
		return -rc;
	}
	*undelete = u;
	return 0;
}

void undelete_stop(struct undelete *u)
{
	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_cond_signal(&u->wake);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->thread, NULL);
	pthread_cond_destroy(&u->wake);
	pthread_mutex_destroy(&u->lock);
	free(u);
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
	busy = u->busy || u->first;
	pthread_mutex_unlock(&u->lock);
	return busy;
}
