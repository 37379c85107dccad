/* SPDX-License-Identifier: MIT */
/*
 * banyan mount: becomes banyanfs, so that its answers and its exit status are
 * ours; it returns when the mount serves.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "common.h"

#define DAEMON "banyanfs"

/* Where 'make install' has put it */
#ifndef BANYANFS_PATH
#define BANYANFS_PATH "/usr/local/bin/" DAEMON
#endif

struct mounting {
	char **arguments; /* of banyanfs: room for all that can come */
	int count;
	bool failed; /* no memory */
};

/* Takes over the argument */
static void add_argument(struct mounting *mounting, char *argument)
{
	if (argument)
		mounting->arguments[mounting->count++] = argument;
	else
		mounting->failed = true;
}

static int take_option(void *choices, int key, const char *argument)
{
	struct mounting *mounting = choices;

	if (key != 'o')
		return ARGP_ERR_UNKNOWN;
	add_argument(mounting, strdup("-o"));
	add_argument(mounting, strdup(argument));
	return 0;
}

/* A name that begins with '-' must not look like an option */
static char *as_path(const char *name)
{
	char *path;

	if (*name != '-')
		return strdup(name);
	return asprintf(&path, "./%s", name) < 0 ? NULL : path;
}

/* Beside this program, where it was installed, then wherever PATH says */
static void execute(char **arguments)
{
	char path[PATH_MAX];
	ssize_t len;
	char *slash;

	len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(DAEMON));
	if (len > 0) {
		path[len] = '\0';
		slash = strrchr(path, '/');
		if (slash) {
			memcpy(slash + 1, DAEMON, sizeof(DAEMON));
			execv(path, arguments);
			if (errno != ENOENT)
				return;
		}
	}
	execv(BANYANFS_PATH, arguments);
	if (errno == ENOENT)
		execvp(DAEMON, arguments);
}

static int start(struct mounting *mounting, char **operands)
{
	add_argument(mounting, as_path(operands[0]));
	add_argument(mounting, as_path(operands[1]));
	if (mounting->failed)
		return fail_file(operands[0], -ENOMEM);

	execute(mounting->arguments);
	if (errno == ENOENT)
		complain("the program " DAEMON " is neither beside banyan nor "
			 "in PATH");
	else
		complain("the program " DAEMON " cannot be run: %s",
			 strerror(errno));
	return EXIT_FAILURE;
}

static int mount(struct mounting *mounting, int argc, char **argv)
{
	char **operands;

	if (parse_arguments(&command_mount, argc, argv, mounting, &operands) <
	    0)
		return EXIT_MISUSE;
	return start(mounting, operands);
}

static int run(int argc, char **argv)
{
	struct mounting mounting = { 0 };
	int status;

	/* "-oX" is one argument here and two there, and NULL ends them */
	mounting.arguments = calloc(2 * (size_t)argc + 2, sizeof(char *));
	if (!mounting.arguments)
		return fail_file("mount", -ENOMEM);
	add_argument(&mounting, strdup(DAEMON));
	status = mount(&mounting, argc, argv);
	for (int i = 0; i < mounting.count; i++)
		free(mounting.arguments[i]);
	free(mounting.arguments);
	return status;
}

static const struct argp_option options[] = {
	{ "options", 'o', "OPTION,...", 0,
	  "Options of the mount, see below; may be given several times", 0 },
	{ 0 },
};

const struct command command_mount = {
	.name = "mount",
	.operands = "FILE DIR",
	.summary = "mount the database as a directory",
	.help = "Mount the database on the directory DIR: keys are files, "
		"aliases are hardlinks, key spaces are directories. Returns "
		"when the mount serves.",
	.more = "Among the options of the mount are create (make FILE if there "
		"is none), ro, cache=SIZE, commit=SECONDS, uid=, gid= and "
		"allow_other; 'banyanfs --help' tells all.\n\n"
		"  banyan mount -o create notes.banyan notes\n"
		"  banyan umount notes",
	.least = 2,
	.most = 2,
	.options = options,
	.option = take_option,
	.run = run,
};
