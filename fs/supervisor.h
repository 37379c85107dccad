/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h - the process that outlives the daemon.
 *
 * The *supervisor* starts the *worker*, which is the daemon: it has the database open
 * and serves the mount. The supervisor keeps what must outlive a worker: descriptors
 * of /dev/fuse and of the locked database file, which the worker sends it, and the
 * memory of lasting.h. When a worker dies by a signal it starts the next one, which
 * takes over (takeover.h). It never looks at a request, nor at the database.
 *
 * Where requests come by rings, these belong to a third process (holder.h), which the
 * supervisor starts when the first worker asks for it, and which both outlive. If it
 * dies, the mount ends.
 *
 * A worker ends by itself after an unmount, or when the supervisor has sent it a signal
 * to end; then the supervisor ends with the same status. With RESTART_STATUS the
 * supervisor becomes another program (restart.h), which starts the next worker. If the supervisor dies, the
 * kernel sends the worker SIGTERM.
 */
#ifndef FS_SUPERVISOR_H
#define FS_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>

#include "lasting.h"
#include "restart.h"

/*
 * Run workers until one ends. work(arg) is called in each of them and gives its exit
 * status. ready: as daemon_fork() has it, to be closed here once a worker has it; -1:
 * none. Gives the exit status.
 */
int supervisor_run(struct lasting *lasting, int ready, int (*work)(void *arg),
		   void *arg);

/* Before: this is the program that a supervisor has become, which has left this */
void supervisor_goes_on(const struct restart *r);

/* ---- in a worker --------------------------------------------------------- */
/* Without a supervisor these do nothing */

/* What the worker before has left: -1 if there is none; files, as many as *count */
int supervisor_device(void);
const int *supervisor_files(size_t *count);

/* The library has those that it uses: close ours, or a file that a vacuum replaces would
 * stay on the disk */
void supervisor_close_files(void);

/* Keep the device, instead of any before; -1: keep none */
void supervisor_keep_device(int fd);
/* Keep a descriptor of the database; settled: instead of all others */
void supervisor_keep_file(int fd, bool settled);
/* It serves. away: let us go into the background */
void supervisor_serves(bool away);
/* lasting->notifier has been set */
void supervisor_notifies(void);
/* Start the process that holds lasting->rings, for the device that is kept */
void supervisor_hold_rings(void);

#endif
