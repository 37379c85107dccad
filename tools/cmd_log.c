/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "keys.h"
#include "quote.h"
#include "store.h"

static int print_version(void *arg, const struct banyan_version *version)
{
	bool *headed = arg;
	char time[64];

	if (!*headed)
		printf("%-35s  %-10s %14s %10s\n", "TIME", "EVENT", "SIZE",
		       "ID");
	*headed = true;
	format_time(version->time, time, sizeof(time));
	printf("%-35s  %-10s %14" PRIu64 " %10" PRIu64 "\n", time,
	       format_event(version->event), version->attr.size,
	       version->attr.id);
	return output_failed();
}

static int print_log(const struct store *store, const char *key)
{
	bool headed = false;
	int rc = banyan_log(store->db, key, print_version, &headed);

	if (rc == -ENOENT) {
		complain("%s: %s: never existed, as far as the file knows",
			 quote(store->name), quote(key));
		return EXIT_FAILURE;
	}
	return rc < 0 ? fail_key(store->name, key, rc) : EXIT_SUCCESS;
}

static int run(int argc, char **argv)
{
	struct store store;
	char **operands;
	int status;

	if (parse_arguments(&command_log, argc, argv, NULL, &operands) < 0)
		return EXIT_MISUSE;
	status = store_open_reading(&store, operands[0], NULL);
	if (status)
		return status;
	status = check_key(store.name, operands[1], false);
	if (!status)
		status = print_log(&store, operands[1]);
	return store_close(&store, status);
}

const struct command command_log = {
	.name = "log",
	.operands = "FILE KEY",
	.summary = "list the versions of a key",
	.help = "List the versions of a key that the file still has, the "
		"newest first: time, event, size, and the id of the Data. "
		"The events are made, changed, attributes, replaced (by "
		"another Data, as when an editor saves), moved away and "
		"deleted, of which the size is the last one; kept: it was "
		"there at the first freeze in the file, before which nothing "
		"is known. The key need not exist now. Works beside a mount.",
	.more = "A version is read with its time:\n\n"
		"  banyan log notes.banyan todo\n"
		"  banyan get --at '2026-05-31 12:00:00.123456789 +0000' "
		"notes.banyan todo",
	.least = 2,
	.most = 2,
	.run = run,
};
