/* SPDX-License-Identifier: MIT */
/* check_nodes.c - the nodes of a tree. */
#include <inttypes.h>
#include <stdlib.h>
#include <errno.h>

#include "repair/check.h"

struct bound {
	uint8_t key[ROW_KEY_MAX];
	size_t len;
};

struct nodes {
	struct checker *k;
	struct store *store;
	const struct tree *known; /* whose nodes were checked; NULL: none */
};

static bool is_bound(const struct bound *b, const uint8_t *key, size_t len)
{
	return compare_bytes(b->key, b->len, key, len) == 0;
}

/* Is entry i of a node of the known tree this child, between the same keys?
 * last: the upper bound is not in the node; another one counts as different. */
static bool is_entry(const struct node *node, unsigned i,
		     const struct node_ref *child, const struct bound *lower,
		     const struct bound *upper)
{
	uint8_t key[ROW_KEY_MAX];
	struct node_ref ref;
	node_child(node, i, &ref);
	if (ref.offset != child->offset || ref.length != child->length ||
	    ref.crc != child->crc ||
	    !is_bound(lower, key, node_key(node, i, key)))
		return false;
	if (i + 1 == node->count)
		return !upper;
	return upper && is_bound(upper, key, node_key(node, i + 1, key));
}

/*
 * Does the known tree have this child, too? Errors count as no. upper is NULL if
 * the child is the last one of its node.
 */
static bool is_known(struct nodes *n, const struct node_ref *child,
		     unsigned level, const struct bound *lower,
		     const struct bound *upper)
{
	const struct tree *t = n->known;
	const struct node *node = NULL;
	bool found = false;
	if (!t || t->height < level + 2)
		return false;
	struct node_ref ref = t->root;
	for (unsigned at = t->height - 1;; at--) {
		if (cache_get(n->store->cache, t->file, &ref, at, &node))
			return false;
		int i = node_search_child(node, lower->key, lower->len);
		bool ends = i < 0 || at == level + 1;
		if (i >= 0 && ends)
			found = is_entry(node, (unsigned)i, child, lower,
					 upper);
		else if (i >= 0)
			node_child(node, (unsigned)i, &ref);
		cache_put(n->store->cache, node);
		if (ends)
			return found;
	}
}

static int check_node(struct nodes *n, const struct node_ref *ref,
		      unsigned level, const struct bound *lower,
		      const struct bound *upper);

static int check_children(struct nodes *n, const struct node *node,
			  const struct bound *upper)
{
	for (unsigned i = 0; i < node->count; i++) {
		struct bound from;
		struct bound to;
		struct node_ref child;
		bool last = i + 1 == node->count;
		from.len = node_key(node, i, from.key);
		if (!last)
			to.len = node_key(node, i + 1, to.key);
		node_child(node, i, &child);
		if (is_known(n, &child, node->level - 1u, &from,
			     last ? NULL : &to))
			continue;
		int rc = check_node(n, &child, node->level - 1, &from,
				    last ? upper : &to);
		if (rc)
			return rc;
	}
	return 0;
}

/* Remember a damaged node: check_rows() skips the rows below it */
static int note_torn(struct checker *k, const struct bound *upper)
{
	if (k->torn_count == k->torn_capacity) {
		size_t n = k->torn_capacity ? k->torn_capacity * 2 : 8;
		struct torn *more = realloc(k->torn, n * sizeof(*more));
		if (!more)
			return -ENOMEM;
		k->torn = more;
		k->torn_capacity = n;
	}
	struct torn *t = &k->torn[k->torn_count++];
	t->last = !upper;
	t->upper_len = upper ? upper->len : 0;
	if (upper)
		memcpy(t->upper, upper->key, upper->len);
	return 0;
}

/* The recursion is at most TREE_HEIGHT_MAX deep. Each node's bounds are
 * checked, so a hostile tree cannot have the same node in two places. */
static int check_node(struct nodes *n, const struct node_ref *ref,
		      unsigned level, const struct bound *lower,
		      const struct bound *upper)
{
	struct checker *k = n->k;
	struct cache *cache = n->store->cache;
	const struct node *node = NULL;
	k->visited += n->known ? ref->length : 0;
	int rc = cache_get(cache, n->store->volume->file, ref, level, &node);
	if (!rc) {
		rc = node_check_bounds(node, lower->key, lower->len,
				       upper ? upper->key : NULL,
				       upper ? upper->len : 0);
		if (!rc && level > 0)
			rc = check_children(n, node, upper);
		else if (!rc)
			rc = tell_still(&k->tell);
		cache_put(cache, node);
	}
	if (is_damage(rc)) {
		tell_bad(&k->tell,
			 "damaged node at offset %" PRIu64 ", %" PRIu32
			 " bytes, level %u",
			 ref->offset, ref->length, level);
		rc = n->known ? 0 : note_torn(k, upper);
	}
	return rc;
}

int check_nodes(struct checker *k, struct store *store,
		const struct tree *known, const struct tree *tree)
{
	struct nodes n = { k, store, known };
	struct bound lower = { .len = 0 };
	if (!tree->height ||
	    (known && known->root.offset == tree->root.offset &&
	     known->height == tree->height))
		return 0;
	return check_node(&n, &tree->root, tree->height - 1, &lower, NULL);
}
