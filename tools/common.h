/* SPDX-License-Identifier: MIT */
/*
 * common.h - what all subcommands share: how they complain, and what they print.
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

/* What an error means that is about a database file; never NULL */
const char *file_text(int error);

/* An error about a database file, or about a key in it. EXIT_FAILURE. */
int fail_file(const char *file, int error);
int fail_key(const char *file, const char *key, int error);

/* Has this error been complained about by one of these already? */
bool has_complained(int error);

/* The same about a database file that is to be made, or that was written to */
int fail_create(const char *file, int error);
int fail_close(const char *file, int error);

/*
 * Most of what the library reports is the place of the damage that it is about
 * to return an error for. keep_report(), which takes the file's name as arg and
 * may be called from any thread, keeps it until that error is complained about,
 * for both to be one line; say_kept() prints what is left.
 */
void keep_report(void *arg, const char *line);
void say_kept(const char *file);

/*
 * "process 12 (banyanfs)" for what banyan_holder() returned, or "another
 * process" where it cannot be named. Valid until the next call.
 */
const char *process_text(pid_t pid);

/* ---- arguments -------------------------------------------------------- */

/*
 * Take the argument of an option that is a number within these bounds; what: "a
 * number of seconds". 0, or EINVAL after complaining.
 */
int take_number(const char *command, const char *argument, const char *what,
		uint64_t least, uint64_t most, uint64_t *number);

/* Likewise a number of bytes, which may have K, M, G or T behind it */
int take_size(const char *command, const char *argument, const char *what,
	      uint64_t least, uint64_t *number);

/* Likewise a number of seconds, or of s, m, h, d or w behind it */
int take_duration(const char *command, const char *argument, uint64_t *seconds);

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

#endif
