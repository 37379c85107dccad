/* SPDX-License-Identifier: MIT */
/* banyan restart: let another daemon, as a rule of a newer version, serve a mount */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "command.h"
#include "common.h"
#include "quote.h"
#include "wait.h"

/* As the daemon has it: how many daemons have served the mount */
#define XATTR_RESTART "system.banyan.restart"

#define TIMEOUT_DEFAULT 60 /* seconds */

static int take_option(void *choices, int key, const char *argument)
{
	return key == 't' ?
		       take_number("restart", argument, "a number of seconds",
				   0, WAIT_MAX, choices) :
		       ARGP_ERR_UNKNOWN;
}

static int fail(const struct target *target, int error)
{
	const char *why = strerror(error);

	if (error == EOPNOTSUPP)
		why = "this mount ends with its daemon, as it is over io_uring "
		      "or mounted with nosurvive, or the kernel is older than "
		      "Linux 6.9; unmount and mount it again";
	else if (error == ENODATA)
		why = "its daemon is too old; unmount and mount it again";
	else if (error == EPERM)
		why = "only root and the user who has mounted it may do that";
	complain("%s: cannot be restarted: %s", quote(target->mount), why);
	return EXIT_FAILURE;
}

static int fail_kept(const struct target *target)
{
	complain("%s: the program that is installed cannot be run; the old one "
		 "goes on; see the system's log",
		 quote(target->mount));
	return EXIT_FAILURE;
}

/* 0 or an errno value. kept: the last one has not been replaced */
static int count_daemons(const struct target *target, uint64_t *count,
			 bool *kept)
{
	char text[40];
	ssize_t n =
		getxattr(target->point, XATTR_RESTART, text, sizeof(text) - 1);

	if (n < 0)
		return errno;
	text[n] = '\0';
	*count = strtoull(text, NULL, 10);
	*kept = strstr(text, "kept");
	return 0;
}

static int restart_and_wait(const struct target *target, uint64_t timeout)
{
	uint64_t before = 0, now = 0;
	struct wait wait;
	bool kept = false;
	int error = count_daemons(target, &before, &kept);

	if (!error && setxattr(target->point, XATTR_RESTART, "now", 3, 0))
		error = errno;
	if (error)
		return fail(target, error);
	wait_begin(&wait, timeout);
	wait.pause = 1;
	do {
		error = count_daemons(target, &now, &kept);
		if (error)
			return fail(target, error);
		if (now > before)
			return kept ? fail_kept(target) : EXIT_SUCCESS;
	} while (wait_more(&wait));
	complain("%s: still served by the same daemon after %" PRIu64
		 " s; see the system's log",
		 quote(target->mount), timeout);
	return EXIT_FAILURE;
}

static int run(int argc, char **argv)
{
	uint64_t timeout = TIMEOUT_DEFAULT;
	struct target target;
	char **operands;
	int count, status;

	count = parse_arguments(&command_restart, argc, argv, &timeout,
				&operands);
	if (count < 0)
		return EXIT_MISUSE;
	status = target_find(&target, operands[0]);
	if (status)
		return status;
	if (!target.mount) {
		complain("%s is not mounted", quote(operands[0]));
		status = EXIT_FAILURE;
	} else {
		status = restart_and_wait(&target, timeout);
	}
	target_free(&target);
	return status;
}

static const struct argp_option options[] = {
	{ "timeout", 't', "SECONDS", 0,
	  "Wait at most so long for the new daemon to serve (default 60)", 0 },
	{ 0 },
};

const struct command command_restart = {
	.name = "restart",
	.operands = "DIR",
	.summary = "let the installed version of banyanfs serve a mount",
	.help = "Replace the daemon that serves the mount on DIR (or of the "
		"file "
		"DIR) by the program that is installed now, and wait until "
		"that "
		"serves. Programs that work there notice a short pause: files "
		"and directories stay open, locks are kept.",
	.least = 1,
	.most = 1,
	.options = options,
	.option = take_option,
	.run = run,
};
