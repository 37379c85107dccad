/* SPDX-License-Identifier: MIT */
/*
 * command.c - arguments of a subcommand, by argp.
 *
 * argp answers misuse with two lines and an exit of its own. Without an error
 * stream it does neither: getopt's line about a wrong option remains, to which
 * a hint is added, and what else can be wrong is said here, in one line too.
 */
#include "command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "banyan.h"
#include "common.h"
#include "quote.h"
#include "store.h"
#include "wait.h"

const char *argp_program_version = "banyan " BANYAN_VERSION;

struct parsing {
	const struct command *command;
	void *choices;
	char **operands;
	int count;
	bool explained; /* what is wrong: no hint is needed */
};

static error_t misuse(struct parsing *parsing, const char *what)
{
	parsing->explained = true;
	fprintf(stderr, "banyan %s: %s; usage: banyan %s%s %s\n",
		parsing->command->name, what, parsing->command->name,
		parsing->command->options || parsing->command->writes ?
			" [OPTION...]" :
			"",
		parsing->command->operands);
	return EINVAL;
}

static error_t take_operands(struct parsing *parsing, struct argp_state *state)
{
	char what[256];

	parsing->operands = state->argv + state->next;
	parsing->count = state->argc - state->next;
	state->next = state->argc;
	if (parsing->count <= parsing->command->most)
		return 0;

	snprintf(what, sizeof(what), "'%.160s' is one argument too many",
		 quote(parsing->operands[parsing->command->most]));
	return misuse(parsing, what);
}

static error_t take_option(struct parsing *parsing, int key, char *argument)
{
	error_t error = ARGP_ERR_UNKNOWN;

	if (parsing->command->option)
		error = parsing->command->option(parsing->choices, key,
						 argument);
	if (error == EINVAL)
		parsing->explained = true;
	return error;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct parsing *parsing = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->err_stream = NULL;
		if (parsing->command->writes)
			state->child_inputs[0] = parsing;
		return 0;
	case ARGP_KEY_ARG:
		return ARGP_ERR_UNKNOWN; /* all at once, by KEY_ARGS */
	case ARGP_KEY_ARGS:
		return take_operands(parsing, state);
	case ARGP_KEY_END:
		if (parsing->count < parsing->command->least)
			return misuse(parsing, "too few arguments");
		return 0;
	default:
		return take_option(parsing, key, argument);
	}
}

/* ---- the option of commands that write -------------------------------- */

enum { OPTION_WAIT = 768 };

static error_t parse_wait(int key, char *argument, struct argp_state *state)
{
	struct parsing *parsing = state->input;
	uint64_t seconds;

	if (key != OPTION_WAIT)
		return ARGP_ERR_UNKNOWN;
	if (take_number(parsing->command->name, argument, "a number of seconds",
			0, WAIT_MAX, &seconds)) {
		parsing->explained = true;
		return EINVAL;
	}
	store_wait(seconds);
	return 0;
}

static const struct argp_option wait_options[] = {
	{ "wait", OPTION_WAIT, "SECONDS", 0,
	  "Wait at most so long for another process to close the database "
	  "(default 5; 0: do not wait)",
	  0 },
	{ 0 },
};

static const struct argp wait_argp = {
	.options = wait_options,
	.parser = parse_wait,
};

static const struct argp_child for_writing[] = {
	{ &wait_argp, 0, NULL, 0 },
	{ 0 },
};

/* ---- all of them ------------------------------------------------------ */

/* argp's form of both texts: separated by a vertical tab */
static char *join_help(const struct command *command)
{
	char *text;

	if (asprintf(&text, "%s%s%s", command->help, command->more ? "\v" : "",
		     command->more ? command->more : "") < 0)
		return NULL;
	return text;
}

/* argp_parse(), in whose one line about a wrong option there is a hint, too */
static error_t parse_with_hint(const struct argp *argp, int argc, char **argv,
			       struct parsing *parsing)
{
	FILE *errors = stderr;
	char *said = NULL;
	size_t size = 0;
	FILE *caught = open_memstream(&said, &size);
	error_t error;

	if (caught)
		stderr = caught; /* glibc: a variable like others */
	error = argp_parse(argp, argc, argv, 0, NULL, parsing);
	stderr = errors;
	if (caught)
		fclose(caught);
	if (said && error && !parsing->explained)
		fprintf(stderr, "%.*s; 'banyan %s --help' lists the options\n",
			(int)strcspn(said, "\n"), said, parsing->command->name);
	else if (said)
		fputs(said, stderr);
	free(said);
	return error;
}

int parse_arguments(const struct command *command, int argc, char **argv,
		    void *choices, char ***operands)
{
	struct parsing parsing = { .command = command, .choices = choices };
	char *help = join_help(command);
	struct argp argp = {
		.options = command->options,
		.parser = parse,
		.args_doc = command->operands,
		.doc = help,
		.children = command->writes ? for_writing : NULL,
	};
	error_t error;

	/* That short options take an argument if the long ones do goes without
	 * saying */
	setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
	error = parse_with_hint(&argp, argc, argv, &parsing);
	free(help);
	if (error)
		return -1;
	*operands = parsing.operands;
	return parsing.count;
}
