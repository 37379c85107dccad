/* SPDX-License-Identifier: MIT */
/*
 * past.h - trees of the past, which are open while the kernel knows them.
 *
 * A *tree* is what lies below a name in .banyan/at or .banyan/snapshots. Its
 * nodes are those of its own, even where another tree shows the same moment: the
 * kernel wants a directory in one place. Trees of the same moment share a view
 * of the library.
 *
 * A view can *sleep*: it is closed, and its Data are released. Nodes stay, since
 * the kernel knows them, and the first request for one opens the view again and
 * finds the Data by its path, which leads to the same Data as the past does not
 * change. So few views are open at a time, however many the kernel remembers,
 * and a vacuum gets rid of the old file whoever uses a tree. If the freeze is
 * not there any more, nodes answer -ESTALE.
 *
 * Safe to call from any thread.
 */
#ifndef FS_PAST_H
#define FS_PAST_H

#include "hidden.h"

struct past;
struct past_node;

/* What a tree shows */
struct moment {
	uint64_t freeze; /* its number; 0: by time */
	struct banyan_time time;
	bool snapshot; /* the freeze is the snapshot of the name */
};

int past_new(struct fs *fs, struct past **past);
/* At the end, when no request is served any more. NULL is fine. */
void past_free(struct past *past);

/* Let all views sleep: a vacuum has put another file in the place of theirs */
void past_sleep(struct past *past);

/*
 * Likewise, and let none be opened until past_resume(), by the same thread:
 * requests for the past wait.
 */
void past_pause(struct past *past);
void past_resume(struct past *past);

/* How many views are open */
size_t past_views(struct past *past);

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

/* To be passed to banyan_freezes(): the number of the first, into a uint64_t */
int past_take_number(void *number, const struct banyan_freeze_info *freeze);

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
