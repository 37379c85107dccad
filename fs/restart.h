/* SPDX-License-Identifier: MIT */
/*
 * restart.h - the supervisor becomes another program, perhaps a newer version, and the
 * mount goes on.
 *
 * Its descriptors stay open. What a new worker has to know is written to a file in
 * memory in a form of its own, as the new version may lay out its memory differently.
 * The environment says which descriptors they are.
 */
#ifndef FS_RESTART_H
#define FS_RESTART_H

#include <stdbool.h>
#include <sys/types.h>

#include "lasting.h"

/* What a supervisor has that is replaced */
struct restart {
	int device;
	int file; /* of the database, with its lock */
	int rings; /* the memory of those that are held; -1: none */
	int orders; /* to the process that holds them */
	pid_t holder; /* 0: there is none */
	int state; /* what the worker has to know */
};

/* The exit status of a worker that has made all durable, and ends for this */
#define RESTART_STATUS 85

/* What is to be run: the program as it is found now, with the arguments that it had.
 * file and dir are o->file and o->dir, absolute. 0 or -ENOMEM. */
int restart_prepare(char **argv, const char *given_file, const char *file,
		    const char *given_dir, const char *dir);

/* Become the program. Returns if that is not possible, which it has explained. */
void restart_run(const struct restart *r, const struct lasting *l);

/* Before it becomes another program it asks whether that knows its formats: then this is
 * the answer, the exit status; otherwise -1. */
int restart_answer(int argc, char **argv);

/* Is this the program that a supervisor has become? */
bool restart_is_one(void);

/* Then what it has left: first the descriptors, and then what a worker has to know. 0, or
 * a negative errno value, explained. */
int restart_take(struct restart *r);
int restart_load(const struct restart *r, struct lasting *l);

#endif
