/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "command.h"
#include "common.h"
#include "keys.h"
#include "quote.h"

struct rm {
	bool recursive;
	bool force;
};

static int remove_key(const struct store *store, const char *key,
		      const struct rm *rm)
{
	struct key_info info;
	int error;

	if (check_key(store->name, key, false))
		return EXIT_FAILURE;
	error = store->ops->find(store, key, &info);
	if (error == -ENOENT && rm->force)
		return EXIT_SUCCESS;
	if (!error && S_ISDIR(info.mode) && !rm->recursive) {
		complain("%s: key '%s': is a key space (use -r)",
			 quote(store->name), quote(key));
		return EXIT_FAILURE;
	}
	if (!error && S_ISDIR(info.mode))
		error = store->ops->empty(store, key);
	if (!error)
		error = store->ops->remove(store, key);
	return error ? fail_key(store->name, key, error) : EXIT_SUCCESS;
}

static int take_option(void *choices, int key, const char *argument)
{
	struct rm *rm = choices;

	(void)argument;
	switch (key) {
	case 'r':
		rm->recursive = true;
		return 0;
	case 'f':
		rm->force = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct rm rm = { 0 };
	struct store store;
	char **operands;
	int count, status;

	count = parse_arguments(&command_rm, argc, argv, &rm, &operands);
	if (count < 0)
		return EXIT_MISUSE;

	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	for (int i = 1; i < count; i++)
		if (remove_key(&store, operands[i], &rm) != EXIT_SUCCESS)
			status = EXIT_FAILURE;
	return store_close(&store, status);
}

static const struct argp_option options[] = {
	{ "recursive", 'r', NULL, 0,
	  "Remove key spaces, with everything in them", 0 },
	{ "force", 'f', NULL, 0, "A KEY that does not exist is no error", 0 },
	{ 0 },
};

const struct command command_rm = {
	.name = "rm",
	.operands = "FILE KEY...",
	.summary = "remove keys",
	.help = "Remove keys. A value is gone when its last key is. After an "
		"error the other KEYs are still removed, and the exit status "
		"is 1.",
	.least = 2,
	.most = 1 << 30,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};
