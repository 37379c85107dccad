/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "interrupt.h"
#include "progress.h"
#include "quote.h"
#include "store.h"

struct choices {
	const char *out; /* salvage to this file; NULL: do not */
	bool zeros;
	struct when when;
};

struct checking {
	const char *name;
	struct progress progress;
};

static void print_line(struct checking *checking, const char *kind,
		       const char *line)
{
	progress_clear(&checking->progress);
	printf("%s: %s%s\n", quote(checking->name), kind, quote(line));
	fflush(stdout);
}

static void print_damage(void *arg, const char *line)
{
	print_line(arg, "", line);
}

static void print_lost(void *arg, const char *line)
{
	print_line(arg, "lost: ", line);
}

static void print_note(void *arg, const char *line)
{
	print_line(arg, "note: ", line);
}

static int show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct checking *checking = arg;

	return progress_told(&checking->progress, done, total) ||
	       output_failed();
}

static void begin(struct checking *checking, const struct target *target,
		  const char *what)
{
	*checking = (struct checking){ .name = target->shown };
	progress_begin(&checking->progress, what, 0);
	checking->progress.bytes = true;
	catch_interrupts();
}

/* Interrupted? Then that is said, and what comes of it */
static bool was_interrupted(const struct target *target, int error,
			    const char *left)
{
	if (error == -ECANCELED && interrupted())
		complain("%s: interrupted; %s", quote(target->shown), left);
	return error == -ECANCELED;
}

/* " up to freeze 3 of TIME and 2 operations after it, the last of TIME" */
static void print_end(const struct banyan_log_end *end)
{
	char time[64];

	format_time(end->freeze_time, time, sizeof(time));
	printf(" up to freeze %" PRIu64 " of %s", end->freeze, time);
	if (!end->operations)
		return;
	format_time(end->operation_time, time, sizeof(time));
	printf(" and %" PRIu64 " operation%s after it, the last of %s",
	       end->operations, end->operations > 1 ? "s" : "", time);
}

static bool is_past(const struct when *when)
{
	return when->freeze || when->by_time || when->snapshot;
}

/* " at freeze 3" */
static void print_when(const struct when *when)
{
	char time[64];

	if (when->freeze) {
		printf(" at freeze %" PRIu64, when->freeze);
	} else if (when->snapshot) {
		printf(" at snapshot '%s'", quote(when->snapshot));
	} else {
		format_time(when->time, time, sizeof(time));
		printf(" at %s", time);
	}
}

static int check(const struct target *target, const struct when *when)
{
	struct checking checking;
	struct banyan_log_end end = { 0 };
	const struct banyan_check how = {
		.found = print_damage,
		.note = print_note,
		.progress = show_progress,
		.arg = &checking,
		.freeze = when->freeze,
		.time = when->by_time ? &when->time : NULL,
		.snapshot = when->snapshot,
		.end = &end,
	};
	int64_t damages;

	begin(&checking, target, "checking");
	damages = banyan_check(target->file, &how);
	progress_clear(&checking.progress);
	if (damages == -ENOENT && is_past(when)) {
		fail_when(target, when, -ENOENT);
		return EXIT_NOT_RUN;
	}
	if (damages < 0) {
		if (!was_interrupted(target, (int)damages,
				     "the rest was not checked"))
			fail_file(target->shown, (int)damages);
		return EXIT_NOT_RUN;
	}
	printf("%s: ", quote(target->shown));
	if (damages) {
		printf("damaged in %" PRId64 " place%s", damages,
		       damages > 1 ? "s" : "");
	} else {
		printf("sound");
		if (is_past(when))
			print_when(when);
		else
			print_end(&end);
	}
	putchar('\n');
	return damages ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Of two files, is it the new one that this error is about? */
static bool is_of_output(int error, const struct target *target)
{
	switch (error) {
	case -EEXIST:
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
	case -EROFS:
		return true;
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -EACCES:
	case -ENAMETOOLONG:
		return access(target->file, R_OK) == 0;
	default:
		return false;
	}
}

static void fail_salvage(const struct target *target, const char *out,
			 int error)
{
	if (was_interrupted(target, error, "nothing was written"))
		return;
	if (is_of_output(error, target))
		fail_create(out, error);
	else
		fail_file(target->shown, error);
}

static int salvage(const struct target *target, const struct choices *choices)
{
	struct checking checking;
	const struct banyan_salvage how = {
		.lost = print_lost,
		.note = print_note,
		.progress = show_progress,
		.arg = &checking,
		.zeros = choices->zeros,
	};
	int64_t losses;

	begin(&checking, target, "salvaging");
	losses = banyan_salvage(target->file, choices->out, &how);
	progress_clear(&checking.progress);
	if (losses < 0) {
		fail_salvage(target, choices->out, (int)losses);
		return EXIT_NOT_RUN;
	}
	if (losses == 0)
		printf("%s: nothing is lost, all is in ", quote(target->shown));
	else
		printf("%s: %" PRId64 " loss%s, the rest is in ",
		       quote(target->shown), losses, losses > 1 ? "es" : "");
	printf("%s\n", quote(choices->out));
	return losses ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	switch (key) {
	case 's':
		choices->out = argument;
		return 0;
	case 'z':
		choices->zeros = true;
		return 0;
	case OPTION_AT:
		return when_take("check", argument, &choices->when);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct choices choices = { 0 };
	struct target target;
	char **operands;
	int status;

	if (parse_arguments(&command_check, argc, argv, &choices, &operands) <
	    0)
		return EXIT_MISUSE;
	if (choices.zeros && !choices.out) {
		complain("check: --zeros goes with --salvage only");
		return EXIT_MISUSE;
	}
	if (choices.out && !*choices.out) {
		complain("check: the name after --salvage is empty");
		return EXIT_MISUSE;
	}
	if (is_past(&choices.when) && choices.out) {
		complain("check: --at does not go with --salvage");
		return EXIT_MISUSE;
	}
	output_exits_with(EXIT_NOT_RUN);
	if (target_find(&target, operands[0]))
		return EXIT_NOT_RUN;
	if (target_has_file(&target))
		status = EXIT_NOT_RUN;
	else if (choices.out)
		status = salvage(&target, &choices);
	else
		status = check(&target, &choices.when);
	target_free(&target);
	end_if_interrupted();
	return status;
}

static const struct argp_option options[] = {
	{ "salvage", 's', "OUT", 0,
	  "Copy what is sound into a new database OUT, and list what is lost",
	  0 },
	{ "zeros", 'z', NULL, 0,
	  "With --salvage: keep values that are damaged in part, with zeros in "
	  "place of the bytes that are lost",
	  0 },
	AT_OPTION,
	{ 0 },
};

const struct command command_check = {
	.name = "check",
	.operands = "FILE",
	.summary = "read everything and verify it",
	.help = "Read everything in the database and verify every checksum and "
		"every cross-reference. Each damage is one line, which names "
		"the place and, where it can be told, the key; of damage that "
		"only a snapshot has it names the snapshot. A sound file is "
		"named with the last freeze in it and its time, as a copy that "
		"was cut short where a record ends looks like an older copy. "
		"Works beside a mount. FILE is never changed.",
	.more = "A salvage takes the last state that can be had, lists each "
		"loss by its key or place on a line with 'lost:', and damage "
		"that cost nothing with 'note:'. OUT must not exist, and comes "
		"to be only when it is whole.\n\n"
		"Exit status: 0 sound, of a salvage: nothing is lost; 1 damage "
		"found, or something is lost; 2 misuse; 3 the check or the "
		"salvage could not run.",
	.least = 1,
	.most = 1,
	.options = options,
	.option = take_option,
	.run = run,
};
