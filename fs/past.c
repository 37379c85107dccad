/* SPDX-License-Identifier: MIT */
/*
 * Locks, in the order in which they are taken:
 *
 *   opening   views are opened and put to sleep by one thread at a time
 *   use       of a view: shared by requests, exclusive to open and close it
 *   lock      the trees, their nodes, and references
 *
 * Whoever holds `use` shared may take `lock`, but not `opening`, nor `use` again.
 */
#include "past.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/*
 * How many views may be open. One at a freeze is a pointer into the file, and
 * takes 2 KiB and a cache of its Data. One at a time has the operations from the
 * freeze before it in memory, beside the cache limit: 4 of them at the most, of
 * up to the limit each.
 */
#define FREEZES_MAX 32u
#define TIMES_MAX 4u

#define TREE_BUCKETS 256u
#define NODE_BUCKETS_MIN 16u /* a power of two */

struct view {
	struct view *next;
	struct tree *trees;
	struct moment moment;
	/* The snapshot that the freeze was when the view was first asked for, or
	 * NULL: found at once, where a number is looked for freeze by freeze */
	char *snapshot;
	unsigned refs; /* of trees, and of who is at it */
	pthread_rwlock_t use;
	banyan *db; /* changed with `opening` and `use`; NULL: it sleeps */
	_Atomic uint64_t used; /* the value of past->uses */
};

struct tree {
	struct tree *next; /* in its bucket */
	struct tree *sibling; /* of the same view */
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
	uint64_t generation;
	uint64_t holds; /* of the kernel, and of requests */
	_Atomic(banyan_data *) data; /* held; NULL: not yet, in this view */
	char path[]; /* by which it can be found */
};

struct past {
	struct fs *fs;
	struct fuse_lowlevel_ops ops;
	pthread_mutex_t opening;
	pthread_mutex_t lock;
	struct view *views;
	struct tree *tree[TREE_BUCKETS]; /* those that a name leads to */
	uint64_t names; /* changes of what names lead to */
	uint64_t generation; /* of the last new node */
	_Atomic uint64_t uses;
	_Atomic size_t awake; /* views */
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

/* ---- views: references --------------------------------------------------- */

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

/* With the lock held: the view of a moment, new if need be. NULL: no memory. */
static struct view *view_get(struct past *p, const struct moment *moment,
			     const char *name)
{
	struct view *v = p->views;

	while (v && !is_same(&v->moment, moment))
		v = v->next;
	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return NULL;
		v->moment = *moment;
		if (moment->snapshot)
			v->snapshot = strdup(name);
		use_init(&v->use);
		v->next = p->views;
		p->views = v;
	}
	v->refs++;
	return v;
}

/* With the lock held. The view is returned if it is to be freed. */
static struct view *view_put(struct past *p, struct view *v)
{
	struct view **at = &p->views;

	if (--v->refs)
		return NULL;
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	return v;
}

/* Nobody refers to it. NULL is fine. */
static void view_free(struct past *p, struct view *v)
{
	if (!v)
		return;
	if (v->db)
		atomic_fetch_sub(&p->awake, 1);
	banyan_close(v->db);
	pthread_rwlock_destroy(&v->use);
	free(v->snapshot);
	free(v);
}

/* ---- views: sleeping and waking ------------------------------------------ */

/* With the lock held */
static void release_nodes(struct tree *t)
{
	for (size_t i = 0; i < t->buckets; i++)
		for (struct past_node *n = t->bucket[i]; n; n = n->next) {
			banyan_data *data = atomic_exchange(&n->data, NULL);

			if (data)
				banyan_release(data, 1);
		}
}

/* With `opening` held */
static void put_to_sleep(struct past *p, struct view *v)
{
	banyan *db;

	pthread_rwlock_wrlock(&v->use);
	pthread_mutex_lock(&p->lock);
	for (struct tree *t = v->trees; t; t = t->sibling)
		release_nodes(t);
	pthread_mutex_unlock(&p->lock);
	db = v->db;
	v->db = NULL;
	pthread_rwlock_unlock(&v->use);
	atomic_fetch_sub(&p->awake, 1);
	banyan_close(db);
}

/*
 * With `opening` held, a reference to the view that is awake, of this kind if
 * kind is not NULL, and was used least recently. NULL: fewer than `most` are.
 */
static struct view *least_used(struct past *p, const struct moment *kind,
			       size_t most)
{
	struct view *found = NULL;
	size_t awake = 0;

	pthread_mutex_lock(&p->lock);
	for (struct view *v = p->views; v; v = v->next) {
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
	pthread_mutex_unlock(&p->lock);
	return found;
}

/* With `opening` held: let views sleep until fewer than `most` are awake */
static void let_sleep(struct past *p, const struct moment *kind, size_t most)
{
	struct view *v;

	while ((v = least_used(p, kind, most))) {
		put_to_sleep(p, v);
		pthread_mutex_lock(&p->lock);
		v = view_put(p, v);
		pthread_mutex_unlock(&p->lock);
		view_free(p, v);
	}
}

int past_take_number(void *number, const struct banyan_freeze_info *freeze)
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
	rc = banyan_freezes(*db, past_take_number, &number);
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

static int wake(struct past *p, struct view *v)
{
	banyan *db;
	int rc = 0;

	pthread_mutex_lock(&p->opening);
	if (!v->db) {
		let_sleep(p, &v->moment,
			  v->moment.freeze ? FREEZES_MAX : TIMES_MAX);
		rc = open_view(p->fs, v, &db);
		if (!rc) {
			pthread_rwlock_wrlock(&v->use);
			v->db = db;
			atomic_fetch_add(&p->awake, 1);
			atomic_store(&v->used, atomic_fetch_add(&p->uses, 1));
			pthread_rwlock_unlock(&v->use);
		}
	}
	pthread_mutex_unlock(&p->opening);
	return rc == -ENOENT ? -ESTALE : rc;
}

void past_pause(struct past *p)
{
	pthread_mutex_lock(&p->opening);
	let_sleep(p, NULL, 1);
}

void past_resume(struct past *p)
{
	pthread_mutex_unlock(&p->opening);
}

void past_sleep(struct past *p)
{
	past_pause(p);
	past_resume(p);
}

size_t past_views(struct past *p)
{
	return atomic_load(&p->awake);
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
	n->generation = ++t->past->generation;
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
	if (data)
		banyan_release(data, 1);
	free(n);
}

/* ---- trees. All with the lock held. -------------------------------------- */

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

static void tree_detach(struct past *p, struct tree *t)
{
	struct tree **at = t->dir ? tree_place(p, t->dir, t->name) : NULL;

	if (!at)
		return;
	*at = t->next;
	t->next = NULL;
	t->dir = NULL;
}

/* With the nodes that are left. Nothing refers to it. */
static void tree_free(struct tree *t)
{
	release_nodes(t);
	for (size_t i = 0; i < t->buckets; i++)
		for (struct past_node *n = t->bucket[i], *next; n; n = next) {
			next = n->next;
			free(n);
		}
	free(t->bucket);
	free(t->name);
	free(t);
}

/* A tree without nodes is freed. Returns its view if that is to be freed. */
static struct view *tree_put(struct past *p, struct tree *t)
{
	struct tree **at = &t->view->trees;
	struct view *v = t->view;

	if (t->nodes)
		return NULL;
	tree_detach(p, t);
	while (*at != t)
		at = &(*at)->sibling;
	*at = t->sibling;
	tree_free(t);
	return view_put(p, v);
}

/* A new tree, without a node. NULL: no memory. */
static struct tree *tree_new(struct past *p, const struct hidden_node *dir,
			     const char *name, const struct moment *moment)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->past = p;
	t->name = strdup(name);
	if (t->name)
		t->view = view_get(p, moment, name);
	if (!t->view) {
		free(t->name);
		free(t);
		return NULL;
	}
	t->dir = dir;
	t->sibling = t->view->trees;
	t->view->trees = t;
	*tree_place(p, dir, name) = t;
	return t;
}

/* The root of a tree, which the kernel may have forgotten while it knows others.
 * NULL: no memory. */
static struct past_node *tree_root(struct tree *t,
				   const struct hidden_node *dir)
{
	struct past_node *root = node_find(t, BANYAN_ROOT_ID);

	if (root)
		return root;
	root = node_new(t, NULL, "", BANYAN_ROOT_ID);
	if (root) {
		root->head.ino = past_root_ino(&t->view->moment);
		root->parent_ino = dir->ino;
	}
	return root;
}

/* With the last hold the node goes, with the last node the tree */
static void forget(struct hidden_node *node, uint64_t times)
{
	struct past_node *n = (struct past_node *)node;
	struct tree *t = n->tree;
	struct past *p = t->past;
	struct view *v = NULL;

	pthread_mutex_lock(&p->lock);
	n->holds -= times < n->holds ? times : n->holds;
	if (!n->holds) {
		node_free(n);
		v = tree_put(p, t);
	}
	pthread_mutex_unlock(&p->lock);
	view_free(p, v);
}

/* ---- nodes --------------------------------------------------------------- */

static void fill(const struct past_node *n, const struct banyan_attr *attr,
		 struct fuse_entry_param *e)
{
	const struct fs *fs = n->tree->past->fs;

	memset(e, 0, sizeof(*e));
	e->ino = hidden_id(&n->head);
	e->generation = n->generation;
	e->attr_timeout = FS_FOREVER;
	e->entry_timeout = FS_FOREVER;
	fs_fill_stat(fs, attr, &e->attr);
	e->attr.st_ino = n->head.ino;
}

/* With `use` held: the Data that belongs to the node in the view as it is open
 * now */
static int find_again(struct past_node *n, banyan_data **data)
{
	banyan_data *found, *other = NULL;
	int rc = banyan_find(n->tree->view->db, n->path, &found);

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

/* Somebody has a hold. On success with `use` of the view, which is awake. */
static int begin(struct past_node *n, banyan_data **data)
{
	struct past *p = n->tree->past;
	struct view *v = n->tree->view;
	int rc = 0;

	pthread_rwlock_rdlock(&v->use);
	while (!v->db) {
		pthread_rwlock_unlock(&v->use);
		rc = wake(p, v);
		if (rc)
			return rc;
		pthread_rwlock_rdlock(&v->use);
	}
	atomic_store_explicit(&v->used,
			      atomic_fetch_add_explicit(&p->uses, 1,
							memory_order_relaxed),
			      memory_order_relaxed);
	*data = atomic_load(&n->data);
	if (!*data)
		rc = find_again(n, data);
	if (rc)
		pthread_rwlock_unlock(&v->use);
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
	pthread_rwlock_unlock(&n->tree->view->use);
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

/* With the lock held: a hold for the kernel. NULL: no memory. */
static struct past_node *hold_root(struct past *p, struct tree *t,
				   const struct hidden_node *dir)
{
	struct past_node *root = tree_root(t, dir);

	if (root)
		root->holds++;
	else
		view_free(p, tree_put(p, t)); /* is asleep if it is freed */
	return root;
}

/*
 * The root of the tree of a name, with a hold for the kernel. If what names lead
 * to changes while the moment is looked up, it is looked up again.
 */
static int find_tree(struct past *p, const struct hidden_node *dir,
		     const char *name, past_resolve *resolve,
		     struct past_node **root)
{
	struct moment moment = { 0 };
	uint64_t names = UINT64_MAX;
	int rc = 0;

	*root = NULL;
	while (!rc && !*root) {
		struct tree *t;

		pthread_mutex_lock(&p->lock);
		t = *tree_place(p, dir, name);
		if (!t && names == p->names) {
			t = tree_new(p, dir, name, &moment);
			rc = t ? 0 : -ENOMEM;
		}
		if (t) {
			*root = hold_root(p, t, dir);
			rc = *root ? 0 : -ENOMEM;
		}
		names = p->names;
		pthread_mutex_unlock(&p->lock);
		if (!rc && !*root)
			rc = resolve(p->fs, name, &moment);
	}
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
		pthread_rwlock_unlock(&root->tree->view->use);
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
	pthread_mutex_init(&p->opening, NULL);
	pthread_mutex_init(&p->lock, NULL);
	past_ops(fs, &p->ops);
	*past = p;
	return 0;
}

void past_free(struct past *p)
{
	if (!p)
		return;
	for (struct view *v = p->views, *next; v; v = next) {
		next = v->next;
		for (struct tree *t = v->trees, *sibling; t; t = sibling) {
			sibling = t->sibling;
			tree_free(t);
		}
		view_free(p, v);
	}
	pthread_mutex_destroy(&p->opening);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
