/* SPDX-License-Identifier: MIT */
/* banyan backup */
#include <stdlib.h>

#include "backup.h"
#include "command.h"
#include "common.h"
#include "interrupt.h"

struct choices {
	struct backup how;
	struct when when;
};

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	switch (key) {
	case 'r':
		return take_size("backup", argument,
				 "a rate: bytes a second, such as 50M", 1,
				 &choices->how.rate);
	case 'k':
		return take_duration("backup", argument, &choices->how.keep);
	case OPTION_AT:
		return when_take("backup", argument, &choices->when);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct choices choices = { 0 };
	struct store store;
	char **operands;
	int status;

	if (parse_arguments(&command_backup, argc, argv, &choices, &operands) <
	    0)
		return EXIT_MISUSE;
	catch_interrupts();
	status = store_open_reading(&store, operands[0], &choices.when);
	if (!status)
		status = store_close(&store,
				     backup(&store, &choices.how, operands[1]));
	end_if_interrupted();
	return status;
}

static const struct argp_option options[] = {
	AT_OPTION,
	{ "rate", 'r', "BYTES", 0,
	  "Write at most so many bytes a second (K, M, G, T)", 0 },
	{ "keep", 'k', "DURATION", 0,
	  "Copy the freezes of the last time, too: 30s, 5m, 2h, 7d, 1w", 0 },
	{ 0 },
};

const struct command command_backup = {
	.name = "backup",
	.operands = "FILE OUT",
	.summary = "write a compact copy of the database to a new file",
	.help = "Write what FILE has at this moment, or had then, to the new "
		"file OUT, without what was deleted or replaced, but with the "
		"snapshots. FILE is only read, and can be mounted and in use: "
		"the copy is of one moment. Nothing is left of OUT if it "
		"fails, or is ended with Ctrl-C.",
	.more = "  banyan backup notes.banyan /backup/notes.banyan\n"
		"  banyan backup --at 2026-05-31 notes.banyan then.banyan",
	.least = 2,
	.most = 2,
	.options = options,
	.option = take_option,
	.run = run,
};
