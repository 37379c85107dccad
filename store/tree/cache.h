/* SPDX-License-Identifier: MIT */
/*
 * cache.h - which nodes are in RAM: those of one file, or of several.
 *
 * One limit in bytes for all nodes and their indexes. Nodes in use are never
 * evicted, so what is in use at one time may exceed the limit; as soon as it is
 * put back the limit holds again. All functions but cache_new() and
 * cache_free() may be called by any number of threads at once.
 *
 * There are two ways to use a node. Who walks down the tree enters, peeks, and
 * leaves: nothing is counted for each node, and no lock taken for one that is
 * there. Who stays with a node gets it and puts it back.
 */
#ifndef STORE_TREE_CACHE_H
#define STORE_TREE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"
#include "file/file.h"
#include "tree/node.h"

struct cache;

int cache_new(uint64_t limit, struct cache **cache); /* 0 or -ENOMEM */
/* NULL is fine. No node may be in use any more. */
void cache_free(struct cache *cache);

/*
 * The node at ref in the file, which must be of the given level (0: leaf),
 * loaded and validated if it is not here. It stays until cache_put(). -EBADMSG:
 * other bytes than ref speaks of; -EUCLEAN: not such a node; -ENOMEM; or what
 * reading the file says.
 */
int cache_get(struct cache *cache, struct file *file,
	      const struct node_ref *ref, unsigned level,
	      const struct node **node);

/*
 * The child of entry i, likewise. If it has to be loaded, it is also checked
 * that its keys suit entries i and i + 1 of the parent: else -EUCLEAN.
 */
int cache_get_child(struct cache *cache, const struct node *parent, unsigned i,
		    const struct node **child);

/* Likewise, for who has entered: to enter twice could mean to wait for ever */
int cache_get_in(struct cache *cache, unsigned slot, struct file *file,
		 const struct node_ref *ref, unsigned level,
		 const struct node **node);
int cache_get_child_in(struct cache *cache, unsigned slot,
		       const struct node *parent, unsigned i,
		       const struct node **child);

void cache_put(struct cache *cache, const struct node *node); /* NULL is fine */

/* Between these two nodes that were peeked at stay where they are */
unsigned cache_enter(struct cache *cache);
void cache_leave(struct cache *cache, unsigned slot);

/* As cache_get() and cache_get_child(), but nothing is to be put back */
int cache_peek(struct cache *cache, unsigned slot, struct file *file,
	       const struct node_ref *ref, unsigned level,
	       const struct node **node);
int cache_peek_child(struct cache *cache, unsigned slot,
		     const struct node *parent, unsigned i,
		     const struct node **child);

/* Who else wants to know when readers have left may enter here, too */
struct epoch *cache_epoch(struct cache *cache);

struct cache_stat {
	uint64_t bytes;
	uint64_t waiting; /* evicted, but somebody who entered may see it */
	uint64_t limit;
	uint64_t hits;
	uint64_t misses;
};
void cache_get_stat(struct cache *cache, struct cache_stat *stat);
void cache_set_limit(struct cache *cache, uint64_t limit);
/* Before a file is closed, when nobody has nodes of it any more: they go */
void cache_forget(struct cache *cache, const struct file *file);
/* Give back the memory that lies idle where nodes were */
void cache_trim(struct cache *cache);

#endif
