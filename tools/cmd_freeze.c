/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "command.h"
#include "common.h"
#include "store.h"

static int run(int argc, char **argv)
{
	struct store store;
	char **operands;
	int status, error;

	if (parse_arguments(&command_freeze, argc, argv, NULL, &operands) < 0)
		return EXIT_MISUSE;

	status = store_open_unmounted(&store, operands[0], 0);
	if (status)
		return status;
	error = banyan_freeze(store.db);
	if (error)
		status = fail_file(store.name, error);
	return store_close(&store, status);
}

const struct command command_freeze = {
	.name = "freeze",
	.operands = "FILE",
	.summary = "write a durable state of the database that opens at once",
	.help = "Write everything into the tree of the database, durably. It "
		"then opens there, with nothing to be read again, and 'banyan "
		"freezes' lists the moment.",
	.least = 1,
	.most = 1,
	.writes = true,
	.run = run,
};
