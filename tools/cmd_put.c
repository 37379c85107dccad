/* SPDX-License-Identifier: MIT */
/*
 * banyan put. A value from standard input of less than PUT_MAX bytes is put in
 * one operation; a larger one is written to a draft first, piece by piece, so
 * that memory is bounded and readers never see half of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "interrupt.h"
#include "keys.h"
#include "quote.h"

struct put {
	unsigned open_flags;
	unsigned put_flags;
};

/*
 * Fill the buffer unless input ends earlier: bytes read, or -1 with errno, which
 * is EINTR if the process was interrupted.
 */
static ssize_t read_input(char *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(STDIN_FILENO, buffer + done, size - done);

		if (got < 0 && errno == EINTR && !interrupted())
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static int fail_input(int error)
{
	if (!interrupted())
		complain("standard input: %s", strerror(error));
	return EXIT_FAILURE;
}

/* Only files have a value that can be set: symlinks and devices are not */
static int fail_kind(const struct store *store, const char *key, int error)
{
	struct key_info info;

	if (store->ops->find(store, key, &info) || S_ISREG(info.mode))
		return fail_key(store->name, key, error);
	complain("%s: key '%s': is not a file but a %s", quote(store->name),
		 quote(key), format_type(info.mode));
	return EXIT_FAILURE;
}

static int fail_put(const struct store *store, const char *key, int error)
{
	if (error == -EINVAL)
		return fail_kind(store, key, error);
	return fail_new_key(store, key, error, " (-p makes it)");
}

/*
 * Refuse what cannot succeed before gigabytes are read for it. The put itself
 * decides; this is a courtesy.
 */
static int check_early(const struct store *store, const char *key,
		       unsigned flags)
{
	struct key_info info;

	if (store->ops->find(store, key, &info))
		return 0;
	if (flags & BANYAN_NEW_ONLY)
		return fail_key(store->name, key, -EEXIST);
	return S_ISDIR(info.mode) ? fail_key(store->name, key, -EISDIR) : 0;
}

/* The buffer, and all further input by way of it */
static int copy_input(const struct store *store, const char *key,
		      struct draft *draft, char *buffer, size_t len)
{
	uint64_t offset = 0;
	ssize_t got = (ssize_t)len;
	int error;

	while (got > 0) {
		error = store->ops->draft_write(draft, buffer, (size_t)got,
						offset);
		if (error)
			return fail_key(store->name, key, error);
		offset += (uint64_t)got;
		got = read_input(buffer, PUT_MAX);
	}
	return got < 0 || interrupted() ? fail_input(errno) : 0;
}

static int put_large(const struct store *store, const char *key, unsigned flags,
		     char *buffer, size_t len)
{
	struct draft draft;
	int status, error;

	status = check_early(store, key, flags);
	if (status)
		return status;
	catch_interrupts(); /* through a mount a draft has to be removed */
	error = store->ops->draft_begin(store, key, flags, &draft);
	if (error)
		return fail_put(store, key, error);
	status = copy_input(store, key, &draft, buffer, len);
	if (!status) {
		error = store->ops->draft_put(store, &draft, key, flags);
		if (error)
			status = fail_put(store, key, error);
	}
	store->ops->draft_end(&draft);
	return status;
}

/* The buffer holds the first len bytes of the value; all of it if not full */
static int put(const struct put *put, char **operands, char *buffer, size_t len)
{
	const char *key = operands[1];
	struct store store;
	int status, error;

	status = store_open_writing(&store, operands[0], put->open_flags);
	if (status)
		return status;
	if (!operands[2] && len == PUT_MAX) {
		status = put_large(&store, key, put->put_flags, buffer, len);
	} else {
		error = store.ops->put(&store, key, buffer, len,
				       put->put_flags);
		if (error)
			status = fail_put(&store, key, error);
	}
	return store_close(&store, status);
}

static int put_input(const struct put *choices, char **operands)
{
	char *buffer = malloc(PUT_MAX);
	ssize_t len;
	int status;

	if (!buffer)
		return fail_file(operands[0], -ENOMEM);
	/* Before the database is opened: nobody has to wait for slow input */
	len = read_input(buffer, PUT_MAX);
	status = len < 0 ? fail_input(errno) :
			   put(choices, operands, buffer, (size_t)len);
	free(buffer);
	if (status)
		end_if_interrupted();
	return status;
}

static int take_option(void *choices, int key, const char *argument)
{
	struct put *put = choices;

	(void)argument;
	switch (key) {
	case 'c':
		put->open_flags |= BANYAN_CREATE;
		return 0;
	case 'n':
		put->put_flags |= BANYAN_NEW_ONLY;
		return 0;
	case 'p':
		put->put_flags |= BANYAN_PARENTS;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct put choices = { 0 };
	char **operands;
	int count;

	count = parse_arguments(&command_put, argc, argv, &choices, &operands);
	if (count < 0)
		return EXIT_MISUSE;
	if (check_key(operands[0], operands[1], false))
		return EXIT_FAILURE;
	if (count == 2)
		return put_input(&choices, operands);
	return put(&choices, operands, operands[2], strlen(operands[2]));
}

static const struct argp_option options[] = {
	{ "create", 'c', NULL, 0, "Create FILE if there is none", 0 },
	{ "new", 'n', NULL, 0, "Fail if KEY exists already", 0 },
	{ "parents", 'p', NULL, 0,
	  "Make the key spaces on the way to KEY that are missing", 0 },
	{ 0 },
};

const struct command command_put = {
	.name = "put",
	.operands = "FILE KEY [VALUE]",
	.summary = "set the value of a key",
	.help = "Let the value of KEY be VALUE, or all of standard input if "
		"there is no VALUE. A key that exists keeps its Data and thus "
		"its attributes: all its aliases show the new value. Whatever "
		"happens, readers see the old value or the new one.",
	.more = "VALUE is taken as it is, with no newline added. A VALUE that "
		"begins with '-' goes after '--'.\n\n"
		"If the database is mounted this goes through the mount. Then "
		"a VALUE that is shorter than the old one takes two steps: for "
		"a moment, or if the command is killed between them, the rest "
		"of the old value is still behind the new one. So does one of "
		"more than 2 GiB. Key spaces that -p has made stay if the put "
		"fails.\n\n"
		"  banyan put -c notes.banyan colour green\n"
		"  banyan put -p notes.banyan music/song <song.mp3",
	.least = 2,
	.most = 3,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};
