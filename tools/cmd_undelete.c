/* SPDX-License-Identifier: MIT */
/*
 * banyan undelete. Of a database that is mounted its daemon does it: it takes
 * the order by an extended attribute of the mount's root, "KEY" or "KEY NUL TO".
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "command.h"
#include "common.h"
#include "keys.h"
#include "quote.h"
#include "store.h"

#define ATTRIBUTE "system.banyan.undelete"

enum { OPTION_TO = 't' };

struct choices {
	const char *to;
};

static int fail_undelete(const struct store *store, const char *key,
			 const char *to, int error)
{
	const char *file = quote(store->name), *name = quote(key);

	switch (-error) {
	case EEXIST:
		complain("%s: key '%s': exists%s", file, quote(to ? to : key),
			 to ? "" :
			      "; give --to KEY to bring back the deleted "
			      "one elsewhere");
		return EXIT_FAILURE;
	case ENOENT:
	case ENOTDIR:
		if (to)
			return fail_new_key(store, to, error, NULL);
		complain("%s: key '%s': its key space does not exist; undelete "
			 "that first, or give --to KEY",
			 file, name);
		return EXIT_FAILURE;
	case ENODATA:
		complain("%s: key '%s': was not deleted since the file's past "
			 "begins",
			 file, name);
		return EXIT_FAILURE;
	default:
		return fail_key(store->name, key, error);
	}
}

static int undelete_there(const struct store *store, const char *key,
			  const char *to)
{
	size_t len = strlen(key), size = len + (to ? 1 + strlen(to) : 0);
	char path[40], state[4], *order = malloc(size + 1);
	int rc = 0;

	if (!order)
		return -ENOMEM;
	memcpy(order, key, len + 1);
	if (to)
		memcpy(order + len + 1, to, strlen(to) + 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", store->root);
	if (setxattr(path, ATTRIBUTE, order, size, 0) != 0)
		rc = -errno;
	free(order);
	/* The kernel is told of keys in the root after the answer */
	while (!rc && getxattr(path, ATTRIBUTE, state, sizeof(state)) == 4 &&
	       memcmp(state, "busy", 4) == 0)
		poll(NULL, 0, 1);
	return rc;
}

static int fail_order(const struct store *store, const char *key,
		      const char *to, int error)
{
	const char *mount = quote(store->target.mount);

	if (error == -EPERM)
		complain("%s is mounted on %s: only root and the user who has "
			 "mounted it can undelete",
			 quote(store->name), mount);
	else if (error == -EOPNOTSUPP)
		complain("%s is mounted on %s by a version of Banyan that has "
			 "no undelete",
			 quote(store->name), mount);
	else
		return fail_undelete(store, key, to, error);
	return EXIT_FAILURE;
}

static int undelete(const struct store *store, const char *key, const char *to)
{
	int rc;

	if (check_key(store->name, key, false) ||
	    (to && check_key(store->name, to, false)))
		return EXIT_FAILURE;
	if (store->db) {
		rc = banyan_undelete(store->db, key, to, NULL, NULL);
		return rc ? fail_undelete(store, key, to, rc) : EXIT_SUCCESS;
	}
	rc = undelete_there(store, key, to);
	return rc ? fail_order(store, key, to, rc) : EXIT_SUCCESS;
}

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	if (key != OPTION_TO)
		return ARGP_ERR_UNKNOWN;
	choices->to = argument;
	return 0;
}

static int run(int argc, char **argv)
{
	struct choices choices = { 0 };
	struct store store;
	char **operands;
	int status;

	if (parse_arguments(&command_undelete, argc, argv, &choices,
			    &operands) < 0)
		return EXIT_MISUSE;
	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	return store_close(&store, undelete(&store, operands[1], choices.to));
}

static const struct argp_option options[] = {
	{ "to", OPTION_TO, "KEY", 0,
	  "Bring it back as this key, which does not exist", 0 },
	{ 0 },
};

const struct command command_undelete = {
	.name = "undelete",
	.operands = "FILE KEY",
	.summary = "bring back a key that was deleted",
	.help = "Bring back a key that was deleted as it was before that, with "
		"its times, attributes, and those of its aliases that do not "
		"exist now. 'banyan deleted' lists what can be had back: all "
		"that was deleted since the last vacuum. A key space comes "
		"back with all that was deleted from it since the last change "
		"in it that was no deletion, so with what an 'rm -r' has "
		"removed, and also with what was removed shortly before.",
	.more = "  banyan undelete notes.banyan todo\n"
		"  banyan undelete --to todo.old notes.banyan todo",
	.least = 2,
	.most = 2,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};
