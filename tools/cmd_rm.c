/* SPDX-License-Identifier: MIT */
/*
 * banyan rm. With -r a key space is emptied from its leaves upwards, with a
 * stack on the heap: key spaces may be nested deeper than C calls can be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "common.h"
#include "keys.h"
#include "quote.h"

struct rm {
	bool recursive;
	bool force;
};

/* A key space that is being emptied, and its name in the one above */
struct level {
	struct level *above;
	banyan_data *space;
	banyan_cursor *cursor;
	size_t len;
	char name[BANYAN_NAME_MAX];
};

/* Takes over space, also when it fails */
static int push(struct level **top, banyan_data *space, const char *name,
		size_t len)
{
	const struct banyan_range names = { .names_only = true };
	struct level *level = calloc(1, sizeof(*level));
	int error = level ? banyan_scan(space, &names, &level->cursor) :
			    -ENOMEM;

	if (error) {
		free(level);
		banyan_release(space, 1);
		return error;
	}
	level->above = *top;
	level->space = space;
	level->len = len;
	memcpy(level->name, name, len);
	*top = level;
	return 0;
}

static void pop(struct level **top)
{
	struct level *level = *top;

	*top = level->above;
	banyan_scan_end(level->cursor);
	banyan_release(level->space, 1);
	free(level);
}

/* All its keys are gone: now itself, unless it is the one to begin with */
static int remove_emptied(struct level **top)
{
	char name[BANYAN_NAME_MAX];
	size_t len = (*top)->len;

	memcpy(name, (*top)->name, len);
	pop(top);
	if (!*top)
		return 0;
	return banyan_delete((*top)->space, name, len, BANYAN_ONLY_SPACE, NULL);
}

static int remove_next(struct level **top)
{
	struct level *level = *top;
	struct banyan_entry entry;
	banyan_data *space;
	int rc = banyan_next(level->cursor, &entry);

	if (rc < 0)
		return rc;
	if (rc == 1)
		return remove_emptied(top);
	if (!S_ISDIR(entry.attr.mode))
		return banyan_delete(level->space, entry.name, entry.len, 0,
				     NULL);
	rc = banyan_entry_data(level->cursor, &space);
	return rc ? rc : push(top, space, entry.name, entry.len);
}

/* Remove everything in a key space, which is taken over */
static int empty(banyan_data *space)
{
	struct level *top = NULL;
	int error = push(&top, space, "", 0);

	while (!error && top)
		error = remove_next(&top);
	while (top)
		pop(&top);
	return error;
}

static int remove_key(const struct store *store, const char *key,
		      const struct rm *rm)
{
	banyan_data *data;
	int error;

	if (check_key(store->name, key, false))
		return EXIT_FAILURE;
	error = banyan_find(store->db, key, &data);
	if (error == -ENOENT && rm->force)
		return EXIT_SUCCESS;
	if (error)
		return fail_key(store->name, key, error);
	if (!is_space(store, key)) {
		banyan_release(data, 1);
	} else if (rm->recursive) {
		error = empty(data);
	} else {
		banyan_release(data, 1);
		complain("%s: key '%s': is a key space (use -r)",
			 quote(store->name), quote(key));
		return EXIT_FAILURE;
	}
	if (!error)
		error = banyan_remove(store->db, key);
	return error ? fail_key(store->name, key, error) : EXIT_SUCCESS;
}

static int take_option(void *choices, int key, const char *argument)
{
	struct rm *rm = choices;

	(void)argument;
	switch (key) {
	case 'r':
		rm->recursive = true;
		return 0;
	case 'f':
		rm->force = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct rm rm = { 0 };
	struct store store;
	char **operands;
	int count, status;

	count = parse_arguments(&command_rm, argc, argv, &rm, &operands);
	if (count < 0)
		return EXIT_MISUSE;

	status = store_open_writing(&store, operands[0], 0);
	if (status)
		return status;
	for (int i = 1; i < count; i++)
		if (remove_key(&store, operands[i], &rm) != EXIT_SUCCESS)
			status = EXIT_FAILURE;
	return store_close(&store, status);
}

static const struct argp_option options[] = {
	{ "recursive", 'r', NULL, 0,
	  "Remove key spaces, with everything in them", 0 },
	{ "force", 'f', NULL, 0, "A KEY that does not exist is no error", 0 },
	{ 0 },
};

const struct command command_rm = {
	.name = "rm",
	.operands = "FILE KEY...",
	.summary = "remove keys",
	.help = "Remove keys. A value is gone when its last key is. After an "
		"error the other KEYs are still removed, and the exit status "
		"is 1.",
	.least = 2,
	.most = 1 << 30,
	.options = options,
	.option = take_option,
	.run = run,
};
