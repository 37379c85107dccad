/* SPDX-License-Identifier: MIT */
/* users.h - who works below a directory, and so keeps it mounted */
#ifndef TOOLS_USERS_H
#define TOOLS_USERS_H

#include <sys/types.h>

/*
 * The processes, but this one and a daemon (or 0) with the process that outlives it,
 * that have a working directory, a root or an open file at
 * or below an absolute path, as far as this user may know: "process 12 (vim),
 * process 14 (bash)", "..." after the first few. NULL if none was found, else
 * to be freed. The directory itself is not touched: it may be dead.
 */
char *users_of(const char *directory, pid_t daemon);

#endif
