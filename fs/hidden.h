/* SPDX-License-Identifier: MIT */
/*
 * hidden.h - what lies below .banyan in the root of the mount.
 *
 *   .banyan/at/<freeze or time>/    the tree as of then
 *   .banyan/snapshots/<name>/       likewise; mkdir, rmdir, mv
 *   .banyan/status, status.json     text of the moment at which it is opened
 *
 * A node there is a structure that begins with a struct hidden_node. Its node id
 * is its number (numbers.h) with the highest bit set; node ids of the database have it
 * clear (nodes.h). A number that is not known, as a daemon that has died gave it, means
 * a node on which everything fails with ESTALE. Each kind of node has handlers of its own, and route.c is the only place
 * that looks for the bit.
 */
#ifndef FS_HIDDEN_H
#define FS_HIDDEN_H

#include "fs.h"
#include "numbers.h"

#define HIDDEN_NAME ".banyan"

struct hidden_node {
	struct numbered numbered;
	const struct fuse_lowlevel_ops *ops;
	/* The kernel gives back so many holds. NULL: nobody counts them. */
	void (*forget)(struct hidden_node *node, uint64_t times);
	uint64_t ino; /* the inode number */
	int refusal; /* what changes are answered with, as errno has it */
};

#define HIDDEN_BIT (UINT64_C(1) << 63)

static inline bool hidden_is(fuse_ino_t ino)
{
	return ino & HIDDEN_BIT;
}

struct hidden_node *hidden_node(fuse_ino_t ino);

static inline fuse_ino_t hidden_id(const struct hidden_node *node)
{
	return node->numbered.number | HIDDEN_BIT;
}

/*
 * Inode numbers have the highest bit set, which those of the database have not.
 * These are of nodes that are always there; all others are larger.
 */
enum hidden_fixed {
	HIDDEN_ROOT,
	HIDDEN_AT,
	HIDDEN_SNAPSHOTS,
	HIDDEN_STATUS,
	HIDDEN_STATUS_JSON,
	HIDDEN_FIXED = NUMBERS_FIXED,
};

static inline uint64_t hidden_fixed_ino(enum hidden_fixed which)
{
	return HIDDEN_BIT | which;
}

/* An inode number made of two numbers, the same for the same two */
uint64_t hidden_mix(uint64_t a, uint64_t b);

/* That of a Data in the past. Its ctime grows with each of its changes, so in
 * two trees of the past the number is the same only if the Data is. */
uint64_t hidden_ino(const struct banyan_attr *attr);

/* fs->live has been filled in, the database is open. -ENOMEM. */
int hidden_new(struct fs *fs, struct hidden **hidden);
void hidden_free(struct hidden *hidden); /* NULL is fine */

/*
 * Handlers for all kinds of nodes (refuse.c): nothing can be changed, what
 * concerns the whole mount is as everywhere, and there is nothing else. GETATTR
 * and what a kind has is to be put in.
 */
void hidden_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops);

/* Make a node one of status.c's */
void hidden_text(const struct hidden *hidden, struct hidden_node *node);

/* Of the name .banyan itself, parent being the root: only LOOKUP does something */
const struct fuse_lowlevel_ops *hidden_gate(const struct hidden *hidden);

#endif
