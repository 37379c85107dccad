/* SPDX-License-Identifier: MIT */
/*
 * views.h - views of the library that are opened when a request needs them.
 *
 * A *view* shows one moment of the past. It has a reference from each tree that
 * shows this moment (past.h), and exists while there is one. It is in one of two
 * states:
 *
 *   awake    its handle of the library is open
 *   asleep   it is not: the first request for it opens the handle again
 *
 * A view goes to sleep when too many are awake and another one is needed, and
 * when a vacuum asks for it: the old file is closed with the last handle that
 * reads it. Before the handle is closed, each user of the view is told to
 * release the Data that it has found through it. A view whose freeze is gone
 * cannot wake up any more: -ESTALE.
 *
 * Locks, in the order in which they are taken:
 *
 *   opening   one thread at a time opens handles and closes them; a punch holds
 *             it for as long as no handle may be opened
 *   use       one of each view, and protects its handle: shared by requests that
 *             read through it, exclusive to open and close it
 *   lock      the list of views, their users and their references
 *
 * `lock` is held when users are told to release; they may take locks of their
 * own then, so the functions here are called with none of these held. A thread
 * between view_begin() and view_end() must not begin with another view, nor let
 * views sleep.
 *
 * Safe to call from any thread.
 */
#ifndef FS_VIEWS_H
#define FS_VIEWS_H

#include "fs.h"

struct view;
struct views;

struct moment {
	uint64_t freeze; /* its number; 0: by time */
	struct banyan_time time;
	bool snapshot; /* the freeze is the snapshot of the name */
};

/* Who refers to a view: to be embedded */
struct view_user {
	struct view_user *next;
	/* Release all Data of the view: it goes to sleep. No request uses it. */
	void (*release)(struct view_user *user);
};

int views_new(struct fs *fs, struct views **views);
/* No view has a user any more. NULL is fine. */
void views_free(struct views *views);

/* At the end, to free what is left: one of the users. NULL: there is none. */
struct view_user *views_user(struct views *views);

/* Let all views sleep: a vacuum has put another file in the place of theirs */
void views_sleep(struct views *views);

/*
 * Likewise, and let none wake up until views_resume(), by the same thread:
 * requests for the past wait.
 */
void views_pause(struct views *views);
void views_resume(struct views *views);

/* How many are awake */
size_t views_awake(struct views *views);

/* The view of a moment, asleep if it is new, with one more user. name: of the
 * snapshot, if the moment is one. NULL: no memory. */
struct view *view_join(struct views *views, const struct moment *moment,
		       const char *name, struct view_user *user);
/* The user has released all Data. With the last user the view goes. */
void view_leave(struct view *view, struct view_user *user);

/*
 * A user begins to read through the view, which stays awake until view_end().
 * 0; -ESTALE: there is no such moment any more; or why the view cannot wake up.
 */
int view_begin(struct view *view, banyan **db);
void view_end(struct view *view);

const struct moment *view_moment(const struct view *view);

/* To be passed to banyan_freezes(): the number of the first, into a uint64_t */
int view_take_number(void *number, const struct banyan_freeze_info *freeze);

#endif
