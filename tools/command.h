/* SPDX-License-Identifier: MIT */
/*
 * command.h - what a subcommand is. Each lives in a file of its own, which
 * exports one struct command; main.c has the table of them.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <argp.h>
#include <stdbool.h>

/* Exit statuses beside EXIT_SUCCESS and EXIT_FAILURE (1: the operation failed,
 * of check: damage was found) */
enum {
	EXIT_MISUSE = 2,
	EXIT_NOT_RUN = 3, /* check: could not run */
};

struct command {
	const char *name;
	const char *operands; /* as the usage line shows them */
	const char *summary; /* a few words, for the list of subcommands */
	const char *help; /* what --help says above the options */
	const char *more; /* and below them; may be NULL */
	int least, most; /* number of operands */
	bool writes; /* to a database: has an option to wait for others */
	const struct argp_option *options; /* NULL: none */

	/* Take one option: 0, EINVAL after complaining about its argument, or
	 * ARGP_ERR_UNKNOWN. NULL if there are no options. */
	int (*option)(void *choices, int key, const char *argument);

	/* Returns the exit status. argv[0] is "banyan NAME". */
	int (*run)(int argc, char **argv);
};

/*
 * Parse the arguments of a subcommand: options go to command->option() together
 * with choices, *operands is the part of argv (permuted) that holds the others.
 * Returns how many operands there are, or -1 after one line on standard error
 * about the misuse. Does not return for --help, --usage and --version.
 */
int parse_arguments(const struct command *command, int argc, char **argv,
		    void *choices, char ***operands);

extern const struct command command_create;
extern const struct command command_put;
extern const struct command command_get;
extern const struct command command_ls;
extern const struct command command_ln;
extern const struct command command_mv;
extern const struct command command_rm;
extern const struct command command_mkdir;
extern const struct command command_stat;
extern const struct command command_import;
extern const struct command command_export;
extern const struct command command_freeze;
extern const struct command command_diff, command_freezes, command_log,
	command_deleted, command_undelete;
extern const struct command command_snapshot, command_snapshots;
extern const struct command command_check;
extern const struct command command_vacuum, command_backup;
extern const struct command command_mount;
extern const struct command command_restart;
extern const struct command command_umount;

#endif
