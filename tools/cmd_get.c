/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "keys.h"
#include "quote.h"

#define PIECE (1u << 20)

/* 0 or a negative errno value */
static int write_output(const char *buffer, size_t size)
{
	while (size) {
		ssize_t done = write(STDOUT_FILENO, buffer, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		buffer += done;
		size -= (size_t)done;
	}
	return 0;
}

static int fail_at(const struct store *store, const char *key, uint64_t offset,
		   int error)
{
	if (offset)
		complain("%s: key '%s': only the first %" PRIu64
			 " bytes could be read",
			 quote(store->name), quote(key), offset);
	return fail_key(store->name, key, error);
}

static int copy_value(const struct store *store, const char *key,
		      banyan_data *data, char *buffer)
{
	uint64_t offset = 0;
	ssize_t got;
	int error;

	for (;; offset += (uint64_t)got) {
		got = banyan_read(data, buffer, PIECE, offset);
		if (got < 0)
			return fail_at(store, key, offset, (int)got);
		if (got == 0)
			return EXIT_SUCCESS;
		error = write_output(buffer, (size_t)got);
		if (error)
			return fail_output(-error);
	}
}

static int get(const struct store *store, const char *key)
{
	char *buffer = NULL;
	banyan_data *data;
	int status, error;

	error = banyan_find(store->db, key, &data);
	if (error)
		return fail_key(store->name, key, error);
	if (is_space(store, key)) {
		status = fail_key(store->name, key, -EISDIR);
		goto out;
	}
	buffer = malloc(PIECE);
	if (buffer)
		status = copy_value(store, key, data, buffer);
	else
		status = fail_key(store->name, key, -ENOMEM);
out:
	free(buffer);
	banyan_release(data, 1);
	return status;
}

static int take_option(void *choices, int key, const char *argument)
{
	return key == OPTION_AT ? when_take("get", argument, choices) :
				  ARGP_ERR_UNKNOWN;
}

static int run(int argc, char **argv)
{
	struct store store;
	struct when when = { 0 };
	char **operands;
	int status;

	if (parse_arguments(&command_get, argc, argv, &when, &operands) < 0)
		return EXIT_MISUSE;
	if (check_key(operands[0], operands[1], false))
		return EXIT_FAILURE;

	status = store_open_reading(&store, operands[0], &when);
	if (status)
		return status;
	return store_close(&store, get(&store, operands[1]));
}

static const struct argp_option options[] = {
	AT_OPTION,
	{ 0 },
};

const struct command command_get = {
	.name = "get",
	.operands = "FILE KEY",
	.summary = "write the value of a key to standard output",
	.help = "Write the value of KEY to standard output, byte by byte as it "
		"is. Works beside a mount, and shows what was there when the "
		"command started. Of a symlink it is the target.",
	.least = 2,
	.most = 2,
	.options = options,
	.option = take_option,
	.run = run,
};
