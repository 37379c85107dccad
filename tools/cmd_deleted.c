/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "keys.h"
#include "quote.h"
#include "store.h"

struct choices {
	bool null; /* paths only, for 'xargs -0' */
};

static int print_key(void *arg, const struct banyan_deleted_key *key)
{
	const struct choices *choices = arg;
	char time[64];

	if (choices->null) {
		fwrite(key->path, 1, strlen(key->path) + 1, stdout);
		return output_failed();
	}
	format_time(key->time, time, sizeof(time));
	printf("%-35s %14" PRIu64 "  ", time, key->size);
	quote_to(stdout, key->path, strlen(key->path));
	puts(S_ISDIR(key->type) ? "/" : "");
	return output_failed();
}

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	(void)argument;
	if (key != '0')
		return ARGP_ERR_UNKNOWN;
	choices->null = true;
	return 0;
}

static int run(int argc, char **argv)
{
	struct choices choices = { 0 };
	struct store store;
	char **operands;
	int count, status, rc;

	count = parse_arguments(&command_deleted, argc, argv, &choices,
				&operands);
	if (count < 0)
		return EXIT_MISUSE;
	status = store_open_reading(&store, operands[0], NULL);
	if (status)
		return status;
	if (count > 1)
		status = check_key(store.name, operands[1], true);
	if (!status) {
		rc = banyan_deleted(store.db, count > 1 ? operands[1] : NULL,
				    print_key, &choices);
		if (rc < 0)
			status = fail_file(store.name, rc);
	}
	return store_close(&store, status);
}

static const struct argp_option options[] = {
	{ "null", '0', NULL, 0,
	  "Print paths and nothing else, each with a NUL behind it", 0 },
	{ 0 },
};

const struct command command_deleted = {
	.name = "deleted",
	.operands = "FILE [KEY-SPACE]",
	.summary = "list keys that were deleted and can be had back",
	.help = "List the keys that were deleted since the first freeze in the "
		"file and do not exist now, the newest deletion first: its "
		"time, the size, and the path; all, or those that were in "
		"KEY-SPACE, at any depth. Keys that were moved, or whose "
		"contents live on under another key, are not listed. Works "
		"beside a mount.",
	.more = "  banyan deleted notes.banyan | head\n"
		"  banyan deleted notes.banyan drafts\n\n"
		"'banyan undelete' brings them back, until a vacuum.",
	.least = 1,
	.most = 2,
	.options = options,
	.option = take_option,
	.run = run,
};
