/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "command.h"
#include "common.h"
#include "keys.h"
#include "quote.h"

static int fail_alias(const struct store *store, const char *key,
		      const char *alias, int error)
{
	struct key_info info;
	int found = store->ops->find(store, key, &info);

	if (found)
		return fail_key(store->name, key, found);
	if (S_ISDIR(info.mode)) {
		complain("%s: key '%s': a key space cannot have aliases",
			 quote(store->name), quote(key));
		return EXIT_FAILURE;
	}
	return fail_new_key(store, alias, error, NULL);
}

static int run(int argc, char **argv)
{
	struct store store;
	char **operands;
	int status, error;

	if (parse_arguments(&command_ln, argc, argv, NULL, &operands) < 0)
		return EXIT_MISUSE;
	if (check_key(operands[0], operands[1], false) ||
	    check_key(operands[0], operands[2], false))
		return EXIT_FAILURE;

	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	error = store.ops->alias(&store, operands[1], operands[2]);
	if (error)
		status = fail_alias(&store, operands[1], operands[2], error);
	return store_close(&store, status);
}

const struct command command_ln = {
	.name = "ln",
	.operands = "FILE KEY ALIAS",
	.summary = "make an alias of a key",
	.help = "Make ALIAS a further key of the Data that KEY points to. Both "
		"are equal from then on: what is written through one shows "
		"through the other, and the value lives until the last one is "
		"removed. An ALIAS that exists is an error.",
	.least = 3,
	.most = 3,
	.writes = true,
	.run = run,
};
