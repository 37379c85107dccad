/* SPDX-License-Identifier: MIT */
/*
 * mountpoint.h - the directory: is it fit, mount on it, and unmount.
 *
 * Functions that fail have said why, in one line on standard error.
 */
#ifndef FS_MOUNTPOINT_H
#define FS_MOUNTPOINT_H

#include <fuse_lowlevel.h>

/*
 * Make sure that dir is a directory which can be mounted on, detaching what a
 * daemon that died has left there, and that it would not hide file. Its
 * absolute name, to be freed; NULL: it is not.
 */
char *mountpoint_prepare(const char *dir, const char *file);

/* Mount. 0 or a negative errno value. */
int mountpoint_attach(struct fuse_session *session, const char *dir);

/* Unmount, even while it is in use. 0 or a negative errno value. */
int mountpoint_detach(const char *dir);

/* Let the kernel read ahead as far as one request goes, where that is allowed
 */
void mountpoint_tune(const char *dir);

/* Where the database file is mounted for writing, to be freed; NULL: nowhere */
char *mountpoint_of(const char *file);

#endif
