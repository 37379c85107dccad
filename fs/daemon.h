/* SPDX-License-Identifier: MIT */
/*
 * daemon.h - going into the background.
 *
 * The fork comes first and everything else happens in the child: threads and
 * locks do not survive a fork. The parent waits until the child says that the
 * mount serves, or ends; so its exit status tells, and messages of the start
 * reach the terminal.
 */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

/*
 * Where a standard stream is closed, put /dev/null: or else the first files
 * that are opened would take its place, and be taken for it later on.
 */
void daemon_fill_streams(void);

/*
 * Fork. Returns in the child, with a descriptor for daemon_ready(); the parent
 * waits and exits. Negative errno: no fork happened.
 */
int daemon_fork(void);

/*
 * The start has succeeded: let go of terminal and directory, let the parent
 * exit with 0. -EPIPE: it is gone; somebody has interrupted the start.
 */
int daemon_ready(int fd);

/* The part of it that concerns this process: streams, directory, the system's log */
int daemon_detach(void);

#endif
