/* SPDX-License-Identifier: MIT */
/*
 * session.h - libfuse's session: make it, mount and serve by it, end it.
 *
 * Functions that fail have said why, in one line on standard error.
 */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "fs.h"
#include "options.h"

/* For a mount of the database file. 0 or an exit status. Sets the options of fs,
 * too. */
int session_new(struct fs *fs, struct options *o, const char *file);

/*
 * Mount on dir and serve. ended(arg) is called, from another thread, after an
 * unmount. 0 or a negative errno value; then session_end() is still to come.
 */
int session_serve(struct fs *fs, const char *dir, void (*ended)(void *arg),
		  void *arg);

bool session_is_unmounted(const struct fs *fs);

/* When nobody serves any more: unmount, unless that has been done (detached),
 * and free. Who still has files open there is cut off. */
void session_end(struct fs *fs, const char *dir, bool detached);

#endif
