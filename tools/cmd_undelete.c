/* SPDX-License-Identifier: MIT */
/*
 * banyan undelete. Of a database that is mounted its daemon does it: it takes
 * the order by an extended attribute of the mount's root: "KEY", "KEY NUL TO", or
 * of several keys each with a NUL before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "command.h"
#include "common.h"
#include "keys.h"
#include "quote.h"
#include "store.h"

#define ATTRIBUTE "system.banyan.undelete"
#define ORDER_MAX 65536u /* XATTR_SIZE_MAX */

enum { OPTION_TO = 't' };

struct choices {
	const char *to;
};

/* The type of a key, and its mode; 0: it does not exist */
static mode_t mode_of(const struct store *store, const char *key)
{
	struct banyan_attr attr = { 0 };
	banyan_data *data;
	struct stat st;

	if (!store->db)
		return fstatat(store->root, key, &st, AT_SYMLINK_NOFOLLOW) ?
			       0 :
			       st.st_mode;
	if (banyan_find(store->db, key, &data))
		return 0;
	(void)banyan_get_attr(data, &attr);
	banyan_release(data, 1);
	return attr.mode;
}

static int fail_exists(const struct store *store, const char *key,
		       const char *to)
{
	const char *file = quote(store->name), *name = quote(to ? to : key);

	if (to)
		complain("%s: key '%s': exists", file, name);
	else if (S_ISDIR(mode_of(store, key)))
		complain("%s: key '%s': exists; what was deleted from it comes "
			 "back by: banyan deleted -0 %s %s | xargs -0 banyan "
			 "undelete %s",
			 file, name, file, name, file);
	else
		complain(
			"%s: key '%s': exists; give --to KEY to bring back the "
			"deleted one elsewhere",
			file, name);
	return EXIT_FAILURE;
}

static int fail_undelete(const struct store *store, const char *key,
			 const char *to, int error)
{
	const char *file = quote(store->name), *name = quote(key);

	switch (-error) {
	case EEXIST:
		return fail_exists(store, key, to);
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

/* Give the daemon an order, and wait until it is carried out */
static int give_order(const struct store *store, const char *order, size_t size)
{
	char path[40], state[4];
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", store->root);
	if (setxattr(path, ATTRIBUTE, order, size, 0) != 0)
		rc = -errno;
	/* The kernel is told of keys in the root after the answer */
	while (getxattr(path, ATTRIBUTE, state, sizeof(state)) == 4 &&
	       memcmp(state, "busy", 4) == 0)
		poll(NULL, 0, 1);
	return rc;
}

static int undelete_there(const struct store *store, const char *key,
			  const char *to)
{
	size_t len = strlen(key), size = len + (to ? 1 + strlen(to) : 0);
	char *order;
	int rc;

	if (size > ORDER_MAX)
		return -ENAMETOOLONG;
	order = malloc(size + 1);
	if (!order)
		return -ENOMEM;
	memcpy(order, key, len + 1);
	if (to)
		memcpy(order + len + 1, to, strlen(to) + 1);
	rc = give_order(store, order, size);
	free(order);
	return rc;
}

static bool may_order(const struct store *store)
{
	return geteuid() == 0 || geteuid() == store->target.owner;
}

static int fail_order(const struct store *store, const char *key,
		      const char *to, int error)
{
	const char *mount = quote(store->target.mount);

	/* To those two it says that the key space is immutable */
	if (error == -EPERM && !may_order(store))
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

/* ---- several keys --------------------------------------------------------- */

/* The error is that of one key of several, and the others are there */
static bool is_of_one(const struct store *store, int error)
{
	if (error == -EPERM)
		return store->db || may_order(store);
	return error == -ENODATA || error == -ENOENT || error == -ENOTDIR;
}

/* As many as fit into an order: how many, or an error. A key that is too long for any
 * order is passed by. */
static int order_some(const struct store *store, char *const *keys, int count)
{
	char *order = malloc(ORDER_MAX);
	size_t size = 0;
	int n = 0, rc = 0;

	if (!order)
		return -ENOMEM;
	for (; n < count; n++) {
		size_t len = strlen(keys[n]) + 1;

		if (len > ORDER_MAX - size)
			break;
		order[size] = '\0';
		memcpy(order + size + 1, keys[n], len - 1);
		size += len;
	}
	if (n)
		rc = give_order(store, order, size);
	free(order);
	if (rc && !is_of_one(store, rc))
		return rc;
	return n ? n : 1;
}

static int undelete_all(const struct store *store, char *const *keys, int count)
{
	int rc = 0;

	if (store->db) {
		rc = banyan_undelete_keys(store->db, (const char *const *)keys,
					  (size_t)count, NULL, NULL);
		return is_of_one(store, rc) ? 0 : rc;
	}
	for (int i = 0; i < count && rc >= 0; i += rc)
		rc = order_some(store, keys + i, count - i);
	return rc < 0 ? rc : 0;
}

/* What is not there then is tried by itself, to say why */
static int undelete_several(const struct store *store, char **keys, int given)
{
	int status = EXIT_SUCCESS;
	int count = 0, rc;

	for (int i = 0; i < given; i++) {
		if (check_key(store->name, keys[i], false))
			status = EXIT_FAILURE;
		else
			keys[count++] = keys[i];
	}
	rc = undelete_all(store, keys, count);
	if (rc)
		return store->db ? fail_undelete(store, keys[0], NULL, rc) :
				   fail_order(store, keys[0], NULL, rc);
	for (int i = 0; i < count; i++)
		if (!mode_of(store, keys[i]) && undelete(store, keys[i], NULL))
			status = EXIT_FAILURE;
	return status;
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
	int count = parse_arguments(&command_undelete, argc, argv, &choices,
				    &operands);

	if (count < 0)
		return EXIT_MISUSE;
	if (choices.to && count > 2) {
		complain("undelete: --to goes with one key only");
		return EXIT_MISUSE;
	}
	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	status = count > 2 ? undelete_several(&store, operands + 1, count - 1) :
			     undelete(&store, operands[1], choices.to);
	return store_close(&store, status);
}

static const struct argp_option options[] = {
	{ "to", OPTION_TO, "KEY", 0,
	  "Bring it back as this key, which does not exist", 0 },
	{ 0 },
};

const struct command command_undelete = {
	.name = "undelete",
	.operands = "FILE KEY...",
	.summary = "bring back keys that were deleted",
	.help = "Bring back a key that was deleted as it was before that, with "
		"its times, attributes, and those of its aliases that do not "
		"exist now. 'banyan deleted' lists what can be had back: all "
		"that was deleted since the last vacuum. A key space comes "
		"back with all that was deleted from it since the last change "
		"in it that was no deletion, so with what an 'rm -r' has "
		"removed, and also with what was removed shortly before. Of "
		"several keys those that exist are left as they are. After "
		"an error the other KEYs are still brought back, and the "
		"exit status is 1.",
	.more = "  banyan undelete notes.banyan todo\n"
		"  banyan deleted -0 notes.banyan plans | xargs -0 "
		"banyan undelete notes.banyan\n"
		"  banyan undelete --to todo.old notes.banyan todo",
	.least = 2,
	.most = 1 << 30,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};
