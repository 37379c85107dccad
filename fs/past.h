/* SPDX-License-Identifier: MIT */
/*
 * past.h - the trees of the past as the kernel knows them.
 *
 * A *tree* is what lies below a name in .banyan/at or .banyan/snapshots. It has
 * nodes of its own, even where another tree shows the same moment: the kernel
 * wants a directory in one place. Trees of the same moment share a view.
 *
 * A tree is in one of two states: a name leads to it, or none does any more, as
 * the snapshot was dropped or renamed, or its freeze went with a vacuum. It
 * exists while the kernel, or a request, has a hold on one of its nodes.
 *
 * A *node* stands for a Data in a tree. It has the path of the Data and, once a
 * request has needed it, a hold on the Data in the view. When the view goes to
 * sleep (views.h) the holds are released; nodes stay, since the kernel knows
 * them. The next request finds the Data by its path, which leads to the same
 * Data, as the past does not change; a node whose moment is gone answers -ESTALE.
 *
 * One lock protects the trees, which names lead to them, their nodes, and the
 * counts of holds. It is the innermost one: it may be taken between view_begin()
 * and view_end() and by the release of a user, and no function of views.h is
 * called with it. The Data of a node is found without it and put into the node
 * with an atomic exchange; it is taken out only while the view goes to sleep or
 * when the last hold on the node is gone, so while no request uses it.
 *
 * Safe to call from any thread.
 */
#ifndef FS_PAST_H
#define FS_PAST_H

#include "hidden.h"
#include "views.h"

struct past;
struct past_node;

int past_new(struct fs *fs, struct past **past);
/* At the end, when no request is served any more. NULL is fine. */
void past_free(struct past *past);

/* ---- trees -------------------------------------------------------------- */

/*
 * The moment that a name in a directory stands for: 0 or an error. It is only
 * asked for if there is no tree of that name.
 */
typedef int past_resolve(struct fs *fs, const char *name,
			 struct moment *moment);

/*
 * Fill in the answer to a LOOKUP of a name in a directory of trees, with a hold
 * for the kernel on the tree's root. -ENOENT: there is no such moment any more.
 * The answer is for now: names can go without the kernel's doing.
 */
int past_enter(struct past *past, const struct hidden_node *dir,
	       const char *name, past_resolve *resolve,
	       struct fuse_entry_param *e);

/* The name leads to another tree from now on, or to none. What the kernel has of
 * the tree stays usable. */
void past_leave(struct past *past, const struct hidden_node *dir,
		const char *name);
void past_rename(struct past *past, const struct hidden_node *dir,
		 const char *name, const char *new_name);

/* The inode number of a tree's root; of that of a freeze it is known without
 * entering it */
uint64_t past_root_ino(const struct moment *moment);

/* ---- nodes: see ops_past.c ---------------------------------------------- */

/* The handlers of nodes */
void past_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops);

/* The Data of a node; it and the node are valid until past_put(), even if the
 * kernel forgets them. -ESTALE: it is not there any more; or why it cannot be
 * found. */
int past_get(struct past_node *node, banyan_data **data);
void past_put(struct past_node *node);

/*
 * Fill in the answer for a key in parent, with a hold for the kernel. The hold of
 * data that the caller has is taken over, or released on an error.
 */
int past_add(struct past_node *parent, const char *name, banyan_data *data,
	     const struct banyan_attr *attr, struct fuse_entry_param *e);

/* A hold is given back that the kernel does not know of */
void past_drop(struct past_node *node);

/* The inode number of the directory that a directory lies in */
uint64_t past_parent_ino(const struct past_node *node);

static inline struct past_node *past_node(fuse_ino_t ino)
{
	return (struct past_node *)hidden_node(ino);
}

#endif
