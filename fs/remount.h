/* SPDX-License-Identifier: MIT */
/*
 * remount.h - change a mount that another process serves.
 */
#ifndef FS_REMOUNT_H
#define FS_REMOUNT_H

#include "options.h"

/*
 * Give the mount on o->dir the flags that o asks for. The kernel keeps to them by
 * itself, and the daemon goes on as it is. Returns the exit status of the program; what
 * is wrong has been said.
 */
int remount(const struct options *o);

#endif
