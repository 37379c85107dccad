/* SPDX-License-Identifier: MIT */
/*
 * Each side stands at an *item*: a node that was not looked into yet, or a row.
 * A node stands for all rows from its separator on, up to the next item.
 * Whichever side is behind, by key, goes on; if both are at the same key and
 * not at the same node, the higher node is looked into first, so that both come
 * to the same level and can meet at nodes that they share.
 */
#include "tree/tree_diff.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct side {
	struct cache *cache;
	struct file *file;
	struct {
		const struct node *node;
		unsigned at;
	} path[TREE_HEIGHT_MAX]; /* by level */
	unsigned level; /* the lowest that is in use; TREE_HEIGHT_MAX: none */
	uint64_t nodes;
	tree_diff_node *visit; /* may be NULL */
	void *arg;
	/* The item */
	bool ended;
	bool is_node;
	struct node_ref ref; /* of a node, which is of node_level */
	unsigned node_level;
	size_t key_len; /* of a row; of a node: its separator */
	const uint8_t *value; /* of a row */
	size_t value_len;
	uint8_t key[ROW_KEY_MAX];
	uint8_t room[ROW_VALUE_MAX];
};

struct tree_diff {
	struct side before;
	struct side after;
	bool pass_before; /* the row was told: pass it with the next call */
	bool pass_after;
};

static int compare_keys(const struct side *a, const struct side *b)
{
	return compare_bytes(a->key, a->key_len, b->key, b->key_len);
}

/* ---- one side --------------------------------------------------------- */

static void take_row(struct side *s, const struct node *leaf, unsigned at)
{
	struct node_row row;
	node_row(leaf, at, &row);
	memcpy(s->key, node_prefix(leaf), leaf->prefix_len);
	memcpy(s->key + leaf->prefix_len, row.suffix, row.suffix_len);
	s->key_len = leaf->prefix_len + row.suffix_len;
	memcpy(s->room, node_template(leaf), row.shared);
	memcpy(s->room + row.shared, row.rest, row.rest_len);
	s->value = s->room;
	s->value_len = row.shared + row.rest_len;
}

/* The item at the place to which the path leads */
static void take_item(struct side *s)
{
	const struct node *node = s->path[s->level].node;
	unsigned at = s->path[s->level].at;
	s->is_node = s->level > 0;
	if (!s->is_node) {
		take_row(s, node, at);
		return;
	}
	node_child(node, at, &s->ref);
	s->node_level = s->level - 1;
	s->key_len = node_key(node, at, s->key);
}

/* Behind the item */
static void pass(struct side *s)
{
	while (s->level < TREE_HEIGHT_MAX) {
		const struct node *node = s->path[s->level].node;
		if (++s->path[s->level].at < node->count) {
			take_item(s);
			return;
		}
		cache_put(s->cache, node);
		s->path[s->level].node = NULL;
		do
			s->level++;
		while (s->level < TREE_HEIGHT_MAX && !s->path[s->level].node);
	}
	s->ended = true;
}

/* To the first item in the node that is the item */
static int enter(struct side *s)
{
	const struct node *node = NULL;
	unsigned level = s->node_level;
	bool is_root = s->level == TREE_HEIGHT_MAX;
	int rc = is_root ? cache_get(s->cache, s->file, &s->ref, level, &node) :
			   cache_get_child(s->cache, s->path[s->level].node,
					   s->path[s->level].at, &node);
	if (rc)
		return rc;
	s->nodes++;
	s->level = level;
	s->path[level].node = node;
	s->path[level].at = 0;
	if (s->visit)
		rc = s->visit(s->arg, &s->ref);
	take_item(s);
	return rc;
}

static int begin(struct side *s, struct cache *cache, const struct tree *tree)
{
	s->cache = cache;
	s->file = tree->file;
	s->level = TREE_HEIGHT_MAX;
	if (tree->height > TREE_HEIGHT_MAX)
		return -EUCLEAN;
	s->ended = tree->height == 0;
	if (s->ended)
		return 0;
	s->is_node = true;
	s->ref = tree->root;
	s->node_level = tree->height - 1;
	return 0;
}

static void end(struct side *s)
{
	for (unsigned i = 0; i < TREE_HEIGHT_MAX; i++)
		cache_put(s->cache, s->path[i].node);
}

/* ---- both ------------------------------------------------------------- */

int tree_diff_new(struct cache *cache, const struct tree *before,
		  const struct tree *after, struct tree_diff **out)
{
	struct tree_diff *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	int rc = begin(&d->before, cache, before);
	if (!rc)
		rc = begin(&d->after, cache, after);
	if (rc)
		free(d);
	else
		*out = d;
	return rc;
}

void tree_diff_free(struct tree_diff *d)
{
	if (!d)
		return;
	end(&d->before);
	end(&d->after);
	free(d);
}

void tree_diff_watch(struct tree_diff *d, tree_diff_node *visit, void *arg)
{
	d->after.visit = visit;
	d->after.arg = arg;
}

uint64_t tree_diff_nodes(const struct tree_diff *d)
{
	return d->before.nodes + d->after.nodes;
}

static bool same_node(const struct side *a, const struct side *b)
{
	return a->is_node && b->is_node && a->node_level == b->node_level &&
	       a->file == b->file && a->ref.offset == b->ref.offset &&
	       a->ref.length == b->ref.length && a->ref.crc == b->ref.crc;
}

static bool same_row(const struct side *a, const struct side *b)
{
	return a->value_len == b->value_len &&
	       memcmp(a->value, b->value, a->value_len) == 0;
}

/* What of the two goes on: the side behind, or the higher node. NULL: both are
 * at one row. */
static struct side *behind(struct side *a, struct side *b)
{
	if (a->ended || b->ended)
		return a->ended ? b : a;
	int order = compare_keys(a, b);
	if (order)
		return order < 0 ? a : b;
	if (a->is_node && b->is_node)
		return a->node_level >= b->node_level ? a : b;
	if (a->is_node || b->is_node)
		return a->is_node ? a : b;
	return NULL;
}

/* Pass the rows that were told, and all that is the same in both */
static int find_difference(struct tree_diff *d, struct side **one)
{
	struct side *a = &d->before;
	struct side *b = &d->after;
	for (;;) {
		if (a->ended && b->ended)
			return 1;
		if (!a->ended && !b->ended && same_node(a, b)) {
			pass(a);
			pass(b);
			continue;
		}
		*one = behind(a, b);
		if (*one && (*one)->is_node) {
			int rc = enter(*one);
			if (rc)
				return rc;
		} else if (*one || !same_row(a, b)) {
			return 0;
		} else {
			pass(a);
			pass(b);
		}
	}
}

int tree_diff_next(struct tree_diff *d, struct tree_difference *out)
{
	struct side *one = NULL;
	if (d->pass_before)
		pass(&d->before);
	if (d->pass_after)
		pass(&d->after);
	d->pass_before = false;
	d->pass_after = false;
	int rc = find_difference(d, &one);
	if (rc)
		return rc;
	d->pass_before = one != &d->after;
	d->pass_after = one != &d->before;
	const struct side *named = one ? one : &d->before;
	*out = (struct tree_difference){ .key = named->key,
					 .key_len = named->key_len };
	if (d->pass_before) {
		out->before = d->before.value;
		out->before_len = d->before.value_len;
	}
	if (d->pass_after) {
		out->after = d->after.value;
		out->after_len = d->after.value_len;
	}
	return 0;
}

int tree_diff_visit(struct cache *cache, const struct tree *before,
		    const struct tree *after, tree_diff_node *visit, void *arg)
{
	struct tree_diff *diff = NULL;
	struct tree_difference d;
	int rc = tree_diff_new(cache, before, after, &diff);
	if (!rc)
		tree_diff_watch(diff, visit, arg);
	while (!rc)
		rc = tree_diff_next(diff, &d);
	tree_diff_free(diff);
	return rc < 0 ? rc : 0;
}
