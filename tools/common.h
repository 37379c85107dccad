/* SPDX-License-Identifier: MIT */
/*
 * common.h - what all subcommands share: how they complain, open and close.
 *
 * Whatever fails says so itself, in one line on standard error that begins with
 * "banyan: " and names the file and the key, and returns an exit status.
 */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "banyan.h"
#include "target.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* ---- complaints ------------------------------------------------------- */

void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An error about a database file, or about a key in it. EXIT_FAILURE. */
int fail_file(const char *file, int error);
int fail_key(const char *file, const char *key, int error);

/* The same about a database file that is to be made */
int fail_create(const char *file, int error);

/*
 * "process 12 (banyanfs)" for what banyan_holder() returned, or "another
 * process" where it cannot be named. Valid until the next call.
 */
const char *process_text(pid_t pid);

/* ---- standard streams ------------------------------------------------- */

/*
 * Make descriptors 0, 1 and 2 safe, so that no database is opened on one of
 * them, and see to it that what could not be written to standard output is an
 * error at exit.
 */
void guard_streams(void);

/* Has writing to standard output failed? Then there is no point in going on. */
bool output_failed(void);

/* The exit status if it has, EXIT_FAILURE if this is not called */
void output_exits_with(int status);

/*
 * The same for what is written past stdio: say so, unless the reader of a pipe
 * has just gone away. EXIT_FAILURE.
 */
int fail_output(int error);

/* ---- databases -------------------------------------------------------- */

struct store {
	struct target target;
	const char *name; /* of the file, for messages; lives in target */
	banyan *db;
};

/*
 * Find and open the database that an argument means. Reading works beside a
 * mount, also of the past: freeze is the number of a freeze, 0 the present.
 * Writing is refused on a mounted database. flags: BANYAN_CREATE,
 * BANYAN_EXCLUSIVE. 0, or an exit status: there is nothing to close then.
 */
int store_open_reading(struct store *store, const char *argument,
		       uint64_t freeze);
int store_open_writing(struct store *store, const char *argument,
		       unsigned flags);

/*
 * Close it: returns status, or EXIT_FAILURE if closing failed, which means that
 * what was written may be lost.
 */
int store_close(struct store *store, int status);

/* An error about a file opened at a freeze (0: the present). EXIT_FAILURE. */
int fail_freeze(const struct target *target, uint64_t freeze, int error);

/*
 * The option of the commands that can read the past: an entry for a table of
 * options, and what takes its argument. 0, or EINVAL after complaining.
 */
enum { OPTION_AT = 512 };
#define AT_OPTION                                                        \
	{                                                                \
		"at", OPTION_AT, "NUMBER", 0,                            \
			"As it was at the freeze with this number (see " \
			"'banyan freezes')",                             \
			0                                                \
	}
int take_at(const char *command, const char *argument, uint64_t *freeze);

/* Refuse if the database is mounted. 0 or EXIT_FAILURE. */
int refuse_mounted(const struct target *target);

#endif
