/* SPDX-License-Identifier: MIT */
/* main.c - the banyan command: a table of subcommands, which makes the help */
#include <argp.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "common.h"
#include "quote.h"

static const struct command *const commands[] = {
	&command_create,   &command_put,      &command_get,
	&command_ls,	   &command_ln,	      &command_mv,
	&command_rm,	   &command_mkdir,    &command_import,
	&command_export,   &command_stat,     &command_freeze,
	&command_freezes,  &command_snapshot, &command_snapshots,
	&command_diff,	   &command_log,      &command_deleted,
	&command_undelete, &command_check,    &command_vacuum,
	&command_backup,   &command_mount,    &command_restart,
	&command_umount,
};

static void print_help(FILE *stream)
{
	fputs("Usage: banyan COMMAND [OPTION...] FILE [KEY...]\n"
	      "Work on a Banyan database: an ordered store of keys and values "
	      "in one file,\n"
	      "which can also be mounted as a directory.\n\n",
	      stream);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stream, "  %-9s %s\n", commands[i]->name,
			commands[i]->summary);
	fputs("  help      show this, or with the name of a command its "
	      "help\n\n"
	      "FILE is the database or the directory that it is mounted on; a "
	      "KEY is names of\n"
	      "1 to 255 bytes joined by '/'. 'banyan COMMAND --help' tells "
	      "more.\n"
	      "Commands that write work through the mount if there is one, "
	      "and else wait for\n"
	      "another process that has the database open (--wait).\n\n"
	      "Exit status: 0 done, 1 failed, 2 misuse; of check: 1 damage "
	      "found, 3 could\n"
	      "not run.\n",
	      stream);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	complain("'%s' is not a command; 'banyan help' lists them",
		 quote(name));
	return NULL;
}

/* argv[0] is the name of the subcommand: messages shall name both */
static int run_command(const struct command *command, int argc, char **argv)
{
	char name[32];

	snprintf(name, sizeof(name), "banyan %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

static int run_help(int argc, char **argv)
{
	char option[] = "--help";
	char *help[] = { NULL, option, NULL };
	const struct command *command;

	if (argc > 2) {
		complain("help takes the name of one command");
		return EXIT_MISUSE;
	}
	if (argc == 1 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	command = find_command(argv[1]);
	return command ? run_command(command, 2, help) : EXIT_MISUSE;
}

static bool is_one_of(const char *word, const char *a, const char *b,
		      const char *c)
{
	return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

int main(int argc, char **argv)
{
	const struct command *command;

	guard_streams();
	signal(SIGXFSZ, SIG_IGN); /* the write says EFBIG */
	setlocale(LC_CTYPE, "");
	argp_err_exit_status = EXIT_MISUSE;

	if (argc < 2) {
		print_help(stderr);
		return EXIT_MISUSE;
	}
	if (is_one_of(argv[1], "help", "--help", "-h"))
		return run_help(argc - 1, argv + 1);
	if (is_one_of(argv[1], "version", "--version", "-V")) {
		puts(argp_program_version);
		return EXIT_SUCCESS;
	}
	command = find_command(argv[1]);
	return command ? run_command(command, argc - 1, argv + 1) : EXIT_MISUSE;
}
