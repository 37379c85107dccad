/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "store.h"

static int print_freeze(void *arg, const struct banyan_freeze_info *info)
{
	char time[64];

	(void)arg;
	format_time(info->time, time, sizeof(time));
	printf("%6" PRIu64 "  %-35s %10" PRIu64 " %14" PRIu64 " %14" PRIu64
	       "  %s\n",
	       info->number, time, info->keys, info->live_bytes,
	       info->file_bytes, info->automatic ? "automatic" : "asked for");
	return output_failed();
}

static int run(int argc, char **argv)
{
	struct store store;
	char **operands;
	int status, error;

	if (parse_arguments(&command_freezes, argc, argv, NULL, &operands) < 0)
		return EXIT_MISUSE;

	status = store_open_reading(&store, operands[0], NULL);
	if (status)
		return status;
	printf("%6s  %-35s %10s %14s %14s  %s\n", "NUMBER", "TIME", "KEYS",
	       "LIVE BYTES", "FILE BYTES", "KIND");
	error = banyan_freezes(store.db, print_freeze, NULL);
	if (error < 0)
		status = fail_file(store.name, error);
	return store_close(&store, status);
}

const struct command command_freezes = {
	.name = "freezes",
	.operands = "FILE",
	.summary = "list the freezes in the file",
	.help = "List the freezes in the file, the newest first: number, time, "
		"keys, live bytes, the size of the file then, and whether "
		"somebody asked for it or it happened by itself. Works beside "
		"a mount.",
	.more = "What was there at a freeze can still be read: 'banyan get "
		"--at NUMBER', likewise ls, stat, export and check.",
	.least = 1,
	.most = 1,
	.run = run,
};
