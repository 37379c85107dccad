/* SPDX-License-Identifier: MIT */
#include "past.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TREE_BUCKETS 256u
#define NODE_BUCKETS_MIN 16u /* a power of two */

struct tree {
	struct view_user user; /* of the view */
	struct tree *next; /* in its bucket */
	struct past *past;
	struct view *view;
	const struct hidden_node *dir; /* NULL: no name leads here any more */
	char *name;
	struct past_node **bucket; /* by id */
	size_t buckets, nodes;
};

struct past_node {
	struct hidden_node head;
	struct past_node *next; /* in its bucket */
	struct tree *tree;
	uint64_t id; /* of the Data */
	uint64_t parent_ino;
	uint64_t holds; /* of the kernel, and of requests */
	_Atomic(banyan_data *) data; /* held; NULL: not yet, in this view */
	char path[]; /* by which it can be found */
};

struct past {
	struct fs *fs;
	struct fuse_lowlevel_ops ops;
	pthread_mutex_t lock;
	struct tree *tree[TREE_BUCKETS]; /* those that a name leads to */
	uint64_t names; /* changes of what names lead to */
};

/* ---- numbers ------------------------------------------------------------ */

static uint64_t time_number(struct banyan_time time)
{
	return (uint64_t)time.sec * 1000000000 + time.nsec;
}

uint64_t past_root_ino(const struct moment *moment)
{
	return moment->freeze ?
		       hidden_mix(moment->freeze, BANYAN_ROOT_ID) :
		       hidden_mix(time_number(moment->time), UINT64_MAX);
}

uint64_t past_parent_ino(const struct past_node *node)
{
	return node->parent_ino;
}

/* ---- nodes: the table of a tree. All with the lock held. ----------------- */

static struct past_node **node_bucket(const struct tree *t, uint64_t id)
{
	return &t->bucket[hidden_mix(id, 0) & (t->buckets - 1)];
}

static struct past_node *node_find(const struct tree *t, uint64_t id)
{
	struct past_node *n = t->buckets ? *node_bucket(t, id) : NULL;

	while (n && n->id != id)
		n = n->next;
	return n;
}

/* Twice as many buckets; few are no harm, but none are */
static int node_grow(struct tree *t)
{
	struct tree old = *t;
	size_t buckets = t->buckets ? 2 * t->buckets : NODE_BUCKETS_MIN;
	struct past_node **bucket = calloc(buckets, sizeof(struct past_node *));

	if (!bucket)
		return t->buckets ? 0 : -ENOMEM;
	t->bucket = bucket;
	t->buckets = buckets;
	for (size_t i = 0; i < old.buckets; i++) {
		for (struct past_node *n = old.bucket[i], *next; n; n = next) {
			struct past_node **to = node_bucket(t, n->id);

			next = n->next;
			n->next = *to;
			*to = n;
		}
	}
	free(old.bucket);
	return 0;
}

static void forget(struct hidden_node *node, uint64_t times);

static void release_nodes(struct tree *t)
{
	for (size_t i = 0; i < t->buckets; i++)
		for (struct past_node *n = t->bucket[i]; n; n = n->next) {
			banyan_data *data = atomic_exchange(&n->data, NULL);

			if (data)
				banyan_release(data, 1);
		}
}

/* A new node; parent NULL: the root */
static struct past_node *node_new(struct tree *t,
				  const struct past_node *parent,
				  const char *name, uint64_t id)
{
	size_t above = parent ? strlen(parent->path) : 0;
	size_t len = strlen(name);
	struct past_node *n, **to;

	if (t->nodes >= t->buckets && node_grow(t))
		return NULL;
	n = calloc(1, sizeof(*n) + above + len + 2);
	if (!n)
		return NULL;
	n->head.ops = &t->past->ops;
	n->head.refusal = EROFS;
	n->head.forget = forget;
	n->tree = t;
	n->id = id;
	numbers_add(&n->head.numbered);
	if (parent) {
		memcpy(n->path, parent->path, above);
		n->path[above] = '/';
		memcpy(n->path + above + 1, name, len);
		n->parent_ino = parent->head.ino;
	}
	to = node_bucket(t, id);
	n->next = *to;
	*to = n;
	t->nodes++;
	return n;
}

static void node_free(struct past_node *n)
{
	struct past_node **at = node_bucket(n->tree, n->id);
	banyan_data *data = atomic_load(&n->data);

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->tree->nodes--;
	numbers_remove(&n->head.numbered);
	if (data)
		banyan_release(data, 1);
	free(n);
}

/* ---- trees -------------------------------------------------------------- */

/* With the lock held */
static struct tree **tree_place(struct past *p, const struct hidden_node *dir,
				const char *name)
{
	uint64_t h = 0;
	struct tree **at;

	for (const char *c = name; *c; c++)
		h = hidden_mix(h, (unsigned char)*c);
	at = &p->tree[h % TREE_BUCKETS];
	while (*at && ((*at)->dir != dir || strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	return at;
}

/* With the lock held */
static void tree_detach(struct past *p, struct tree *t)
{
	struct tree **at = t->dir ? tree_place(p, t->dir, t->name) : NULL;

	if (!at)
		return;
	*at = t->next;
	t->next = NULL;
	t->dir = NULL;
}

/* The view goes to sleep */
static void tree_release(struct view_user *user)
{
	struct tree *t = (struct tree *)user;

	pthread_mutex_lock(&t->past->lock);
	release_nodes(t);
	pthread_mutex_unlock(&t->past->lock);
}

/* With the nodes that are left. No name leads to it, nobody has a hold on its
 * nodes. Without the lock; NULL is fine. */
static void tree_free(struct tree *t)
{
	if (!t)
		return;
	release_nodes(t);
	if (t->view)
		view_leave(t->view, &t->user);
	for (size_t i = 0; i < t->buckets; i++)
		for (struct past_node *n = t->bucket[i], *next; n; n = next) {
			next = n->next;
			numbers_remove(&n->head.numbered);
			free(n);
		}
	free(t->bucket);
	free(t->name);
	free(t);
}

/* A tree without a node, to which no name leads yet. NULL: no memory. */
static struct tree *tree_new(struct past *p, const char *name,
			     const struct moment *moment)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->user.release = tree_release;
	t->past = p;
	t->name = strdup(name);
	if (t->name)
		t->view = view_join(p->fs->views, moment, name, &t->user);
	if (t->view)
		return t;
	tree_free(t);
	return NULL;
}

/* With the lock held: the root, with a hold for the kernel, which may have
 * forgotten it while it knows other nodes. NULL: no memory. */
static struct past_node *tree_root(struct tree *t,
				   const struct hidden_node *dir)
{
	struct past_node *root = node_find(t, BANYAN_ROOT_ID);

	if (!root) {
		root = node_new(t, NULL, "", BANYAN_ROOT_ID);
		if (!root)
			return NULL;
		root->head.ino = past_root_ino(view_moment(t->view));
		root->parent_ino = dir->ino;
	}
	root->holds++;
	return root;
}

/* With the last hold the node goes, with the last node the tree */
static void forget(struct hidden_node *node, uint64_t times)
{
	struct past_node *n = (struct past_node *)node;
	struct tree *t = n->tree;
	struct past *p = t->past;
	bool last;

	pthread_mutex_lock(&p->lock);
	n->holds -= times < n->holds ? times : n->holds;
	if (!n->holds)
		node_free(n);
	last = !t->nodes;
	if (last)
		tree_detach(p, t);
	pthread_mutex_unlock(&p->lock);
	if (last)
		tree_free(t);
}

/* ---- nodes --------------------------------------------------------------- */

static void fill(const struct past_node *n, const struct banyan_attr *attr,
		 struct fuse_entry_param *e)
{
	const struct fs *fs = n->tree->past->fs;

	memset(e, 0, sizeof(*e));
	e->ino = hidden_id(&n->head);
	e->attr_timeout = FS_FOREVER;
	e->entry_timeout = FS_FOREVER;
	fs_fill_stat(fs, attr, &e->attr);
	e->attr.st_ino = n->head.ino;
}

/* Between view_begin() and view_end(): the Data that belongs to the node in the
 * view as it is open now */
static int find_again(struct past_node *n, banyan *db, banyan_data **data)
{
	banyan_data *found, *other = NULL;
	int rc = banyan_find(db, n->path, &found);

	if (rc)
		return rc == -ENOENT ? -ESTALE : rc;
	if (banyan_id(found) != n->id) {
		banyan_release(found, 1);
		return -ESTALE;
	}
	*data = found;
	if (!atomic_compare_exchange_strong(&n->data, &other, found)) {
		banyan_release(found, 1); /* another thread was faster */
		*data = other;
	}
	return 0;
}

/* Somebody has a hold. On success view_end() is to be called. */
static int begin(struct past_node *n, banyan_data **data)
{
	struct view *v = n->tree->view;
	banyan *db;
	int rc = view_begin(v, &db);

	if (rc)
		return rc;
	*data = atomic_load(&n->data);
	if (!*data)
		rc = find_again(n, db, data);
	if (rc)
		view_end(v);
	return rc;
}

int past_get(struct past_node *n, banyan_data **data)
{
	struct past *p = n->tree->past;
	int rc;

	/* After the answer, which comes before past_put(), the kernel may forget
	 * the node */
	pthread_mutex_lock(&p->lock);
	n->holds++;
	pthread_mutex_unlock(&p->lock);
	rc = begin(n, data);
	if (rc)
		past_drop(n);
	return rc;
}

void past_put(struct past_node *n)
{
	view_end(n->tree->view);
	past_drop(n);
}

int past_add(struct past_node *parent, const char *name, banyan_data *data,
	     const struct banyan_attr *attr, struct fuse_entry_param *e)
{
	struct tree *t = parent->tree;
	uint64_t id = banyan_id(data);
	banyan_data *none = NULL;
	struct past_node *n;

	if (id == BANYAN_ROOT_ID) { /* it has no name; this would be a loop */
		banyan_release(data, 1);
		return -EUCLEAN;
	}
	pthread_mutex_lock(&t->past->lock);
	n = node_find(t, id);
	if (!n) {
		n = node_new(t, parent, name, id);
		if (n)
			n->head.ino = hidden_ino(attr);
	}
	if (n) {
		n->holds++;
		if (atomic_compare_exchange_strong(&n->data, &none, data))
			data = NULL;
	}
	pthread_mutex_unlock(&t->past->lock);
	if (data)
		banyan_release(data, 1);
	if (!n)
		return -ENOMEM;
	fill(n, attr, e);
	return 0;
}

void past_drop(struct past_node *n)
{
	forget(&n->head, 1);
}

/* ---- entering ------------------------------------------------------------ */

/* With the lock held: the tree of the name, which is `made` if there is none.
 * NULL: neither. */
static struct tree *tree_of_name(struct past *p, const struct hidden_node *dir,
				 const char *name, struct tree *made)
{
	struct tree **at = tree_place(p, dir, name);

	if (!*at && made) {
		made->dir = dir;
		*at = made;
	}
	return *at;
}

/*
 * The root of the tree of a name, with a hold for the kernel. If what names lead
 * to changes while the moment is looked up, it is looked up again.
 */
static int find_tree(struct past *p, const struct hidden_node *dir,
		     const char *name, past_resolve *resolve,
		     struct past_node **root)
{
	struct tree *t, *made = NULL;
	struct moment moment = { 0 };
	uint64_t names = 0;
	int rc = 0;

	*root = NULL;
	do {
		pthread_mutex_lock(&p->lock);
		t = tree_of_name(p, dir, name, names == p->names ? made : NULL);
		names = p->names;
		if (t)
			*root = tree_root(t, dir);
		if (t && t == made && *root)
			made = NULL;
		else if (t && t == made)
			tree_detach(p, t);
		pthread_mutex_unlock(&p->lock);
		tree_free(made);
		made = NULL;
		if (t)
			return *root ? 0 : -ENOMEM;
		rc = resolve(p->fs, name, &moment);
		if (!rc && !(made = tree_new(p, name, &moment)))
			rc = -ENOMEM;
	} while (!rc);
	return rc;
}

int past_enter(struct past *p, const struct hidden_node *dir, const char *name,
	       past_resolve *resolve, struct fuse_entry_param *e)
{
	struct past_node *root;
	struct banyan_attr attr;
	banyan_data *data;
	int rc = find_tree(p, dir, name, resolve, &root);

	if (!root)
		return rc;
	rc = begin(root, &data);
	if (!rc) {
		rc = banyan_get_attr(data, &attr);
		view_end(root->tree->view);
	}
	if (!rc) {
		fill(root, &attr, e);
		e->entry_timeout = 0;
		return 0;
	}
	if (rc == -ESTALE) {
		rc = -ENOENT;
		pthread_mutex_lock(&p->lock);
		tree_detach(p, root->tree);
		pthread_mutex_unlock(&p->lock);
	}
	past_drop(root);
	return rc;
}

void past_leave(struct past *p, const struct hidden_node *dir, const char *name)
{
	struct tree *t;

	pthread_mutex_lock(&p->lock);
	p->names++;
	t = *tree_place(p, dir, name);
	if (t)
		tree_detach(p, t);
	pthread_mutex_unlock(&p->lock);
}

void past_rename(struct past *p, const struct hidden_node *dir,
		 const char *name, const char *new_name)
{
	char *copy = strdup(new_name);
	struct tree *t;

	past_leave(p, dir, new_name);
	pthread_mutex_lock(&p->lock);
	p->names++;
	t = *tree_place(p, dir, name);
	if (t) {
		tree_detach(p, t);
		if (copy) { /* else the next lookup makes another tree */
			free(t->name);
			t->name = copy;
			t->dir = dir;
			*tree_place(p, dir, copy) = t;
			copy = NULL;
		}
	}
	pthread_mutex_unlock(&p->lock);
	free(copy);
}

/* ---- life ---------------------------------------------------------------- */

int past_new(struct fs *fs, struct past **past)
{
	struct past *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fs = fs;
	pthread_mutex_init(&p->lock, NULL);
	past_ops(fs, &p->ops);
	*past = p;
	return 0;
}

void past_free(struct past *p)
{
	struct view_user *user;

	if (!p)
		return;
	while ((user = views_user(p->fs->views)))
		tree_free((struct tree *)user);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
