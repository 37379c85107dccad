/* SPDX-License-Identifier: MIT */
/* banyan snapshot and banyan snapshots */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "quote.h"
#include "store.h"

struct choices {
	bool drop;
	const char *new_name; /* NULL: no rename */
};

/* ---- take, drop, rename ----------------------------------------------- */

static int fail_snapshot(const char *file, const char *name, int error)
{
	switch (-error) {
	case EEXIST:
		complain("%s: there is a snapshot '%s' already", quote(file),
			 quote(name));
		return EXIT_FAILURE;
	case EINVAL:
	case ENAMETOOLONG:
		complain("%s: '%s' is no name for a snapshot: 1 to 255 bytes, "
			 "no '/', not '.' or '..'",
			 quote(file), quote(name));
		return EXIT_FAILURE;
	case EOPNOTSUPP:
		complain("%s: the daemon of the mount knows no snapshots",
			 quote(file));
		return EXIT_FAILURE;
	case ENOENT:
		return fail_no_snapshot(file, name);
	default:
		return fail_file(file, error);
	}
}

static int change(const struct store *store, const char *name,
		  const struct choices *choices)
{
	const char *new_name = choices->new_name;
	int error;

	if (choices->drop)
		error = store->ops->snapshot_drop(store, name);
	else if (new_name)
		error = store->ops->snapshot_rename(store, name, new_name);
	else
		error = store->ops->snapshot(store, name);
	if (!error)
		return EXIT_SUCCESS;
	/* Of two names it is the new one that is there or is none */
	if (new_name && error != -ENOENT)
		name = new_name;
	return fail_snapshot(store->name, name, error);
}

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	switch (key) {
	case 'd':
		choices->drop = true;
		break;
	case 'r':
		choices->new_name = argument;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!choices->drop || !choices->new_name)
		return 0;
	complain("snapshot: --drop and --rename do not go together");
	return EINVAL;
}

static int run(int argc, char **argv)
{
	struct choices choices = { 0 };
	struct store store;
	char **operands;
	int status;

	if (parse_arguments(&command_snapshot, argc, argv, &choices,
			    &operands) < 0)
		return EXIT_MISUSE;
	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	return store_close(&store, change(&store, operands[1], &choices));
}

static const struct argp_option options[] = {
	{ "drop", 'd', NULL, 0, "Drop the snapshot", 0 },
	{ "rename", 'r', "NEW", 0, "Let the snapshot be called NEW", 0 },
	{ 0 },
};

const struct command command_snapshot = {
	.name = "snapshot",
	.operands = "FILE NAME",
	.summary = "keep the state of this moment under a name",
	.help = "Keep the database as it is now under NAME, for as long as the "
		"snapshot is not dropped: a vacuum keeps it, too. It takes the "
		"space of what is changed or deleted later. Works through the "
		"mount if there is one.",
	.more = "  banyan snapshot notes.banyan monday\n"
		"  banyan get --at monday notes.banyan greeting\n"
		"  banyan snapshot --rename week-1 notes.banyan monday\n"
		"  banyan snapshot --drop notes.banyan week-1",
	.least = 2,
	.most = 2,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};

/* ---- the list --------------------------------------------------------- */

static int print_snapshot(void *arg, const struct banyan_snapshot_info *info)
{
	const struct banyan_freeze_info *freeze = &info->freeze;
	char time[64];

	(void)arg;
	format_time(freeze->time, time, sizeof(time));
	printf("%6" PRIu64 "  %-35s %10" PRIu64 " %14" PRIu64 "  ",
	       freeze->number, time, freeze->keys, freeze->live_bytes);
	quote_to(stdout, info->name, info->len);
	putchar('\n');
	return output_failed();
}

static int run_list(int argc, char **argv)
{
	struct store store;
	char **operands;
	int status, error;

	if (parse_arguments(&command_snapshots, argc, argv, NULL, &operands) <
	    0)
		return EXIT_MISUSE;

	status = store_open_reading(&store, operands[0], NULL);
	if (status)
		return status;
	printf("%6s  %-35s %10s %14s  %s\n", "FREEZE", "TIME", "KEYS",
	       "LIVE BYTES", "NAME");
	error = banyan_snapshots(store.db, print_snapshot, NULL);
	if (error < 0)
		status = fail_file(store.name, error);
	return store_close(&store, status);
}

const struct command command_snapshots = {
	.name = "snapshots",
	.operands = "FILE",
	.summary = "list the snapshots in the file",
	.help = "List the snapshots in the file, by name: number of the "
		"freeze, time, keys, live bytes. Works beside a mount.",
	.more = "What a snapshot has is read with 'banyan get --at NAME', "
		"likewise ls, stat, export and diff.",
	.least = 1,
	.most = 1,
	.run = run_list,
};
