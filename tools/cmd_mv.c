/* SPDX-License-Identifier: MIT */
/* banyan mv. What rename(2) leaves open is done as mv(1) does it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "common.h"
#include "keys.h"
#include "quote.h"

/* The id of what a key points to, 0 if there is none */
static uint64_t find_id(const struct store *store, const char *key)
{
	struct key_info info;

	return store->ops->find(store, key, &info) ? 0 : info.id;
}

static int say(const struct store *store, const char *old, const char *new,
	       const char *what)
{
	complain("%s: '%s' %s '%s'", quote(store->name), quote(old), what,
		 quote(new));
	return EXIT_FAILURE;
}

static int fail_move(const struct store *store, const char *old,
		     const char *new, int error)
{
	switch (-error) {
	case EINVAL:
		return say(store, old, new, "cannot move below itself, to");
	case ENOTDIR:
		if (is_space(store, old) && find_id(store, new))
			return say(store, old, new,
				   "is a key space and cannot replace");
		return fail_new_key(store, new, error, NULL);
	case EISDIR:
		return say(store, old, new, "cannot replace the key space");
	case ENOTEMPTY:
	case EEXIST:
		return say(store, old, new,
			   "cannot replace, as there are keys in it,");
	default:
		return fail_new_key(store, new, error, NULL);
	}
}

/* Do two paths name the same key? Their slashes may differ. */
static bool same_key(const char *a, const char *b)
{
	const char *a_name, *b_name;
	size_t a_len, b_len;

	while (next_name(&a, &a_name, &a_len) & next_name(&b, &b_name, &b_len))
		if (a_len != b_len || memcmp(a_name, b_name, a_len) != 0)
			return false;
	return a_len == b_len;
}

static int move(const struct store *store, const char *old, const char *new)
{
	uint64_t id = find_id(store, old);
	int error;

	if (same_key(old, new))
		return say(store, old, new, "is the same key as");
	/* rename(2) does nothing between aliases: mv(1) removes the old one */
	if (id && id == find_id(store, new))
		error = store->ops->remove(store, old);
	else
		error = store->ops->rename(store, old, new, 0);
	return error ? fail_move(store, old, new, error) : EXIT_SUCCESS;
}

/* NEW may be a key space to move into; if it ends in '/', it must be */
static int move_to(const struct store *store, const char *old, const char *new)
{
	size_t new_len = strlen(new), len;
	struct key_info info;
	const char *name;
	char *inside;
	int status, error;

	error = store->ops->find(store, old, &info);
	if (error)
		return fail_key(store->name, old, error);
	if (is_space(store, new) && !same_key(old, new)) {
		last_name(old, &name, &len);
		inside = join_key(new, name, len);
		status = inside ? move(store, old, inside) :
				  fail_file(store->name, -ENOMEM);
		free(inside);
		return status;
	}
	if (new_len && new[new_len - 1] == '/' && !S_ISDIR(info.mode)) {
		complain("%s: there is no key space '%s'", quote(store->name),
			 quote(new));
		return EXIT_FAILURE;
	}
	return move(store, old, new);
}

static int run(int argc, char **argv)
{
	struct store store;
	char **operands;
	int status;

	if (parse_arguments(&command_mv, argc, argv, NULL, &operands) < 0)
		return EXIT_MISUSE;
	/* The root is no key to move, but one to move into if it is "/" */
	if (check_key(operands[0], operands[1], false) ||
	    check_key(operands[0], operands[2], operands[2][0] == '/'))
		return EXIT_FAILURE;

	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	return store_close(&store, move_to(&store, operands[1], operands[2]));
}

const struct command command_mv = {
	.name = "mv",
	.operands = "FILE OLD NEW",
	.summary = "move or rename a key",
	.help = "Let the key OLD be called NEW. Whatever it points to, a value "
		"or a key space with millions of keys, nothing is copied. If "
		"NEW is a key space OLD moves into it; a NEW that is any other "
		"key is replaced, in one step.",
	.more = "  banyan mv notes.banyan draft letters/final\n"
		"  banyan mv notes.banyan letters/final /",
	.least = 3,
	.most = 3,
	.writes = true,
	.run = run,
};
