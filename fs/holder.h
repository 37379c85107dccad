/* SPDX-License-Identifier: MIT */
/*
 * holder.h - the process that has the rings of a mount that outlives its daemon.
 *
 * The kernel ends with an error what it is about to give to a thread that dies. So the
 * fetchers are not in the daemon but in this process, which the supervisor starts, and
 * which stays when either of them becomes another one. It hands over each request to the
 * daemon and waits for the answer, by the state of the entry (rings.h); it never looks
 * at a request.
 */
#ifndef FS_HOLDER_H
#define FS_HOLDER_H

#include "rings.h"

/* As people see it in ps(1) */
#define HOLDER_NAME "banyanfs-rings"

/*
 * Fetch until the mount ends. The exit status of the process. orders: a pipe from the
 * supervisor and the daemons; when it ends there is none of them any more.
 */
int holder_run(struct rings *rings, int device, int orders);

/* To its other end: go into the background */
void holder_detach(int orders);

#endif
