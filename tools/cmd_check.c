/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "quote.h"

struct checking {
	const char *name;
	bool on_terminal;
	int percent; /* shown last */
};

static void clear_progress(const struct checking *checking)
{
	if (checking->on_terminal)
		fputs("\r\033[K", stderr);
}

static void print_damage(void *arg, const char *line)
{
	struct checking *checking = arg;

	clear_progress(checking);
	checking->percent = -1;
	printf("%s: %s\n", quote(checking->name), quote(line));
	fflush(stdout);
}

static int show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct checking *checking = arg;
	int percent = total ? (int)(100.0 * (double)done / (double)total) : 0;

	if (checking->on_terminal && percent != checking->percent) {
		fprintf(stderr, "\rchecking %s: %d %%", quote(checking->name),
			percent);
		fflush(stderr);
	}
	checking->percent = percent;
	return 0;
}

static int check(const struct target *target)
{
	struct checking checking = {
		.name = target->shown,
		.on_terminal = isatty(STDERR_FILENO),
		.percent = -1,
	};
	const struct banyan_check how = {
		.found = print_damage,
		.progress = show_progress,
		.arg = &checking,
	};
	int64_t damages = banyan_check(target->file, &how);

	clear_progress(&checking);
	if (damages < 0) {
		fail_file(target->shown, (int)damages);
		return EXIT_NOT_RUN;
	}
	if (damages == 0)
		printf("%s: sound\n", quote(target->shown));
	else
		printf("%s: damaged in %" PRId64 " place%s\n",
		       quote(target->shown), damages, damages > 1 ? "s" : "");
	return damages ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(int argc, char **argv)
{
	struct target target;
	char **operands;
	int status;

	if (parse_arguments(&command_check, argc, argv, NULL, &operands) < 0)
		return EXIT_MISUSE;
	output_exits_with(EXIT_NOT_RUN);
	if (target_find(&target, operands[0]))
		return EXIT_NOT_RUN;
	status = check(&target);
	target_free(&target);
	return status;
}

const struct command command_check = {
	.name = "check",
	.operands = "FILE",
	.summary = "read everything and verify it",
	.help = "Read everything in the database and verify every checksum and "
		"every cross-reference. Each damage is one line, which names "
		"the place and, where it can be told, the key. Works beside a "
		"mount. Nothing is changed.",
	.more = "Exit status: 0 sound, 1 damage found, 2 misuse, 3 the check "
		"could not run.",
	.least = 1,
	.most = 1,
	.run = run,
};
