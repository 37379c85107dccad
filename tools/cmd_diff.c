/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "common.h"
#include "quote.h"
#include "store.h"

struct choices {
	bool null; /* paths only, for --files-from */
};

/* What is printed, sorted by path at the end */
struct line {
	char sign;
	char *path;
};

struct lines {
	struct line *list;
	size_t count;
	size_t capacity;
	bool null;
};

static int add_line(void *arg, const struct banyan_change *change)
{
	struct lines *lines = arg;
	struct line line = {
		.sign = !change->before ? '+' :
			!change->after	? '-' :
					  '~',
	};

	if (lines->null && line.sign == '-')
		return 0;
	if (lines->count == lines->capacity) {
		size_t capacity = lines->capacity ? 2 * lines->capacity : 64;
		struct line *list =
			reallocarray(lines->list, capacity, sizeof(*list));

		if (!list)
			return -ENOMEM;
		lines->list = list;
		lines->capacity = capacity;
	}
	line.path = strdup(change->path);
	if (!line.path)
		return -ENOMEM;
	lines->list[lines->count++] = line;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void print_lines(struct lines *lines)
{
	if (lines->count)
		qsort(lines->list, lines->count, sizeof(*lines->list), by_path);
	for (size_t i = 0; i < lines->count && !output_failed(); i++) {
		const struct line *line = &lines->list[i];

		if (lines->null) {
			fwrite(line->path, 1, strlen(line->path) + 1, stdout);
			continue;
		}
		printf("%c ", line->sign);
		quote_to(stdout, line->path, strlen(line->path));
		putchar('\n');
	}
}

static int print_differences(banyan *before, banyan *after, bool null)
{
	struct lines lines = { .null = null };
	int rc = banyan_diff(before, after, add_line, &lines);

	if (!rc)
		print_lines(&lines);
	for (size_t i = 0; i < lines.count; i++)
		free(lines.list[i].path);
	free(lines.list);
	return rc;
}

static int diff(const struct store *store, const struct when when[2], bool null)
{
	banyan *views[2] = { store->db, store->db };
	int status = EXIT_SUCCESS, rc = 0;

	for (int i = 0; i < 2 && !status; i++) {
		rc = when_open(store->db, &when[i], &views[i]);
		if (rc)
			status = fail_when(&store->target, &when[i], rc);
	}
	if (!status) {
		rc = print_differences(views[0], views[1], null);
		if (rc)
			status = fail_file(store->name, rc);
	}
	for (int i = 0; i < 2; i++)
		if (views[i] != store->db)
			banyan_close(views[i]);
	return status;
}

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	(void)argument;
	if (key != '0')
		return ARGP_ERR_UNKNOWN;
	choices->null = true;
	return 0;
}

static int run(int argc, char **argv)
{
	struct choices choices = { 0 };
	struct when when[2] = { 0 };
	struct store store;
	char **operands;
	int count, status;

	count = parse_arguments(&command_diff, argc, argv, &choices, &operands);
	if (count < 0)
		return EXIT_MISUSE;
	for (int i = 1; i < count; i++)
		if (when_take("diff", operands[i], &when[i - 1]))
			return EXIT_MISUSE;

	status = store_open_reading(&store, operands[0], NULL);
	if (status)
		return status;
	return store_close(&store, diff(&store, when, choices.null));
}

static const struct argp_option options[] = {
	{ "null", '0', NULL, 0,
	  "Print the paths of keys that were added or changed, and nothing "
	  "else, each with a NUL behind it: for 'rsync -0 --files-from=-'",
	  0 },
	{ 0 },
};

const struct command command_diff = {
	.name = "diff",
	.operands = "FILE WHEN [WHEN]",
	.summary = "list keys that were added, changed or removed since then",
	.help = "List the keys that were added (+), changed (~) or removed (-) "
		"from one moment to another, or until now. WHEN is the number "
		"of a freeze (see 'banyan freezes'), a date and time as "
		"2026-05-31T12:00:00, or else the name of a snapshot; @NAME is "
		"always a snapshot. Of a key space that was moved, what is "
		"in it is not listed. Works beside a mount.",
	.more = "  banyan diff notes.banyan 3\n"
		"  banyan diff notes.banyan 2026-05-31 2026-06-01",
	.least = 2,
	.most = 3,
	.options = options,
	.option = take_option,
	.run = run,
};
