/* SPDX-License-Identifier: MIT */
/*
 * banyan ls. Keys are printed as the scan hands them out, so that a listing of
 * millions begins at once and needs no memory; columns have fixed widths.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "keys.h"
#include "quote.h"

enum {
	OPTION_FROM = 256,
	OPTION_TO,
	OPTION_PREFIX,
};

struct listing {
	struct store store;
	const char *key; /* whose keys are listed */
	struct when when;
	struct banyan_range range;
	bool is_long;
	bool recursive;
	bool quoted; /* for a terminal */
	char end; /* of each entry */
};

static void print_name(const struct listing *listing, const char *name)
{
	if (listing->quoted)
		quote_to(stdout, name, strlen(name));
	else
		fputs(name, stdout);
}

/* name is relative to listing->key, or that itself if in_space is false */
static int print_target(const struct listing *listing, const char *name,
			bool in_space)
{
	char *path = join_key(in_space ? listing->key : "", name, strlen(name));
	void *target = NULL;
	size_t size;
	int error;

	if (!path)
		return -ENOMEM;
	error = banyan_get(listing->store.db, path, &target, &size);
	if (!error) {
		fputs(" -> ", stdout);
		print_name(listing, target);
	}
	free(target);
	free(path);
	return error;
}

static void print_attr(const struct banyan_attr *attr)
{
	char mode[11], time[64], size[40];

	format_mode(attr->mode, mode);
	format_minute(attr->mtime, time, sizeof(time));
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		snprintf(size, sizeof(size), "%u, %u", major(attr->rdev),
			 minor(attr->rdev));
	else
		snprintf(size, sizeof(size), "%" PRIu64, attr->size);
	printf("%s %3" PRIu32 " %-8s %-8s %10s %s ", mode, attr->nlink,
	       format_user(attr->uid), format_group(attr->gid), size, time);
}

static int print_key(const struct listing *listing, const char *name,
		     const struct banyan_attr *attr, bool in_space)
{
	int error = 0;

	if (listing->is_long)
		print_attr(attr);
	print_name(listing, name);
	if (listing->is_long && S_ISLNK(attr->mode))
		error = print_target(listing, name, in_space);
	putchar(listing->end);
	return error;
}

static int visit(void *arg, const char *path, const struct banyan_entry *entry)
{
	int error = print_key(arg, path, &entry->attr, true);

	return error ? error : output_failed();
}

static int list(struct listing *listing)
{
	banyan *db = listing->store.db;
	struct banyan_attr attr;
	banyan_data *data;
	int error;

	error = banyan_find(db, listing->key, &data);
	if (error)
		goto out;
	error = banyan_get_attr(data, &attr);
	banyan_release(data, 1);
	if (error)
		goto out;
	if (S_ISDIR(attr.mode))
		error = banyan_walk(db, listing->key, &listing->range,
				    listing->recursive, visit, listing);
	else
		error = print_key(listing, listing->key, &attr, false);
out:
	/* Positive: output failed, which is reported at exit */
	if (error < 0)
		return fail_key(listing->store.name, listing->key, error);
	return EXIT_SUCCESS;
}

static int take_range(struct listing *listing, int key, const char *argument)
{
	struct banyan_range *range = &listing->range;

	switch (key) {
	case OPTION_FROM:
		range->from = argument;
		range->from_len = strlen(argument);
		return 0;
	case OPTION_TO:
		range->to = argument;
		range->to_len = strlen(argument);
		return 0;
	case OPTION_PREFIX:
		range->prefix = argument;
		range->prefix_len = strlen(argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int take_option(void *choices, int key, const char *argument)
{
	struct listing *listing = choices;

	switch (key) {
	case 'l':
		listing->is_long = true;
		return 0;
	case 'R':
		listing->recursive = true;
		return 0;
	case 'r':
		listing->range.reverse = true;
		return 0;
	case '0':
		listing->end = '\0';
		return 0;
	case OPTION_AT:
		return when_take("ls", argument, &listing->when);
	default:
		return take_range(listing, key, argument);
	}
}

static int run(int argc, char **argv)
{
	struct listing listing = { .key = "", .end = '\n' };
	char **operands;
	int count, status;

	count = parse_arguments(&command_ls, argc, argv, &listing, &operands);
	if (count < 0)
		return EXIT_MISUSE;
	if (count == 2)
		listing.key = operands[1];
	if (check_key(operands[0], listing.key, true))
		return EXIT_FAILURE;
	listing.quoted = listing.end && isatty(STDOUT_FILENO);
	listing.range.names_only = !listing.is_long;

	status = store_open_reading(&listing.store, operands[0], &listing.when);
	if (status)
		return status;
	return store_close(&listing.store, list(&listing));
}

static const struct argp_option options[] = {
	{ "long", 'l', NULL, 0,
	  "Type and permissions, number of keys, owner, group, bytes, time of "
	  "the last change, name",
	  0 },
	{ "recursive", 'R', NULL, 0, "Also what the key spaces hold, as paths",
	  0 },
	{ "reverse", 'r', NULL, 0, "From the last name to the first", 0 },
	{ "null", '0', NULL, 0,
	  "End names with a NUL byte, not a newline, for programs (xargs -0)",
	  0 },
	{ "from", OPTION_FROM, "NAME", 0, "Begin at this name", 0 },
	{ "to", OPTION_TO, "NAME", 0, "End before this name", 0 },
	{ "prefix", OPTION_PREFIX, "TEXT", 0, "Only names that begin so", 0 },
	AT_OPTION,
	{ 0 },
};

const struct command command_ls = {
	.name = "ls",
	.operands = "FILE [KEY]",
	.summary = "list keys",
	.help = "List the keys of the key space KEY, or of the root key space, "
		"in the order of their bytes; a KEY that is no key space is "
		"listed itself. Works beside a mount.",
	.more = "--from, --to and --prefix choose among the names in KEY; with "
		"-R, whatever lies below those chosen is listed too.\n\n"
		"On a terminal, bytes that do not print are shown as in C: "
		"\\n, \\033. Elsewhere names are written as they are.",
	.least = 1,
	.most = 2,
	.options = options,
	.option = take_option,
	.run = run,
};
