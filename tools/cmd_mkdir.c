/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "command.h"
#include "common.h"
#include "keys.h"

static int take_option(void *choices, int key, const char *argument)
{
	unsigned *flags = choices;

	(void)argument;
	if (key != 'p')
		return ARGP_ERR_UNKNOWN;
	*flags = BANYAN_PARENTS;
	return 0;
}

static int make_space(const struct store *store, const char *key,
		      unsigned flags)
{
	int error = store->ops->make_space(store, key, flags);

	if (error == -EEXIST && (flags & BANYAN_PARENTS) &&
	    is_space(store, key))
		error = 0;
	return error ? fail_new_key(store, key, error, " (-p makes it)") :
		       EXIT_SUCCESS;
}

static int run(int argc, char **argv)
{
	struct store store;
	unsigned flags = 0;
	char **operands;
	int status;

	if (parse_arguments(&command_mkdir, argc, argv, &flags, &operands) < 0)
		return EXIT_MISUSE;
	if (check_key(operands[0], operands[1], false))
		return EXIT_FAILURE;

	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	return store_close(&store, make_space(&store, operands[1], flags));
}

static const struct argp_option options[] = {
	{ "parents", 'p', NULL, 0,
	  "Make the key spaces on the way to KEY that are missing, and take "
	  "it well if KEY is a key space already",
	  0 },
	{ 0 },
};

const struct command command_mkdir = {
	.name = "mkdir",
	.operands = "FILE KEY",
	.summary = "make a key space",
	.help = "Make KEY a new, empty key space: on a mount, a directory.",
	.least = 2,
	.most = 2,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};
