/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "command.h"
#include "common.h"
#include "store.h"

static int run(int argc, char **argv)
{
	struct store store;
	char **operands;
	int status;

	if (parse_arguments(&command_create, argc, argv, NULL, &operands) < 0)
		return EXIT_MISUSE;

	status = store_open_writing(&store, operands[0],
				    BANYAN_CREATE | BANYAN_EXCLUSIVE);
	return status ? status : store_close(&store, EXIT_SUCCESS);
}

const struct command command_create = {
	.name = "create",
	.operands = "FILE",
	.summary = "make an empty database",
	.help = "Make an empty database. A FILE that exists is left alone and "
		"is an error. After a crash there is either no file or a whole "
		"one.",
	.least = 1,
	.most = 1,
	.writes = true,
	.run = run,
};
