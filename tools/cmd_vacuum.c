/* SPDX-License-Identifier: MIT */
/*
 * banyan vacuum. A database that is mounted is vacuumed by its daemon, which
 * takes orders, and tells how far it is, by an extended attribute of the
 * mount's root.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backup.h"
#include "command.h"
#include "common.h"
#include "format.h"
#include "interrupt.h"
#include "progress.h"
#include "quote.h"
#include "store.h"
#include "users.h"

#define ATTRIBUTE "system.banyan.vacuum"
#define KEEP_ATTRIBUTE "system.banyan.keep"
#define POLL_MS 100
/* Between the end of a vacuum and the beginning of the next one: others who wait for
 * the first one see how it has ended */
#define NEXT_MS (3 * POLL_MS)

struct choices {
	uint64_t rate; /* bytes a second; 0: no limit */
	bool has_keep;
	uint64_t keep; /* seconds; without: as the mount has it, or none */
	bool punch;
	bool dry_run;
	bool list; /* each thing that would be dropped */
	bool null; /* with a NUL behind each, and paths as they are */
	const char *into; /* the copy goes there, and FILE stays */
};

/* How it went, with the library or through the mount */
struct outcome {
	int error; /* 0, or a negative errno value */
	uint64_t before, after; /* bytes of the file */
	uint64_t dropped, kept; /* freezes */
	uint64_t needed, room; /* for the new file, about; on the disk */
};

/* ---- what is told ----------------------------------------------------- */

/* Somebody reads an earlier state, or sits in it; or it is a bind mount */
static int fail_busy(const struct store *store)
{
	pid_t holder = banyan_holder(store->target.file);
	char *file = realpath(store->target.file, NULL);
	char *users = file ? users_of(file, holder) : NULL;

	complain("%s: an earlier state of it is being read%s%s; nothing was "
		 "punched",
		 quote(store->name), users ? ": in use by " : "",
		 users ? users : "");
	free(users);
	free(file);
	return EXIT_FAILURE;
}

static const char *failure_text(int error)
{
	switch (-error) {
	case EMLINK:
		return "it has further names (hard links), which would go on "
		       "to mean the old file: remove them first";
	case ESTALE:
		return "it was moved or replaced; nothing was changed";
	case EACCES:
	case EPERM:
		return "no new file can be made in its directory: permission "
		       "denied";
	case EROFS:
		return "no new file can be made in its directory: read-only "
		       "file system";
	case EBUSY:
		return "it is a mount point (a bind mount) and cannot be "
		       "replaced: give the file that is mounted there";
	case ECANCELED:
		return "cancelled; nothing was changed";
	default:
		return file_text(error);
	}
}

static int fail_punch(const struct store *store, const struct outcome *o)
{
	if (o->error == -EBUSY)
		return fail_busy(store);
	if (o->error == -ECANCELED)
		complain("%s: %s; some of it may be punched, and nothing live "
			 "is lost",
			 quote(store->name),
			 interrupted() ? "interrupted" : "cancelled");
	else if (o->error == -EOPNOTSUPP)
		complain("%s: its file system cannot give space back in place",
			 quote(store->name));
	else
		return fail_file(store->name, o->error);
	return EXIT_FAILURE;
}

static int fail_vacuum(const struct store *store, const struct outcome *o)
{
	if (o->error == -ECANCELED && interrupted())
		complain("%s: interrupted; nothing was changed",
			 quote(store->name));
	else if (o->error == -ENOSPC || o->error == -EDQUOT)
		return fail_room(store->name, o->needed, o->room,
				 "--punch gives space back in place");
	else if (o->error == -EBADMSG || o->error == -EUCLEAN)
		return fail_file(store->name, o->error);
	else
		complain("%s: %s", quote(store->name), failure_text(o->error));
	return EXIT_FAILURE;
}

static int tell(const struct store *store, const struct choices *choices,
		const struct outcome *o)
{
	char before[64], after[64], saved[64];

	if (o->error)
		return choices->punch ? fail_punch(store, o) :
					fail_vacuum(store, o);
	format_bytes(o->before, before, sizeof(before));
	format_bytes(o->after, after, sizeof(after));
	format_bytes(o->before > o->after ? o->before - o->after : 0, saved,
		     sizeof(saved));
	printf("%s: %s before, %s after, %s reclaimed; freezes: %" PRIu64
	       " dropped, %" PRIu64 " kept\n",
	       quote(store->name), before, after, saved, o->dropped, o->kept);
	if (choices->punch)
		puts("Its size stays; earlier freezes are gone. Deleted bytes "
		     "may be left where\nthey share a block with live ones: "
		     "only a vacuum without --punch erases.");
	return EXIT_SUCCESS;
}

/* ---- with the library ------------------------------------------------- */

static void vacuum_here(const struct store *store,
			const struct choices *choices,
			struct progress *progress, struct outcome *o)
{
	const struct banyan_vacuum_options options = {
		.rate = choices->rate,
		.keep = choices->keep,
		.progress = progress_told,
		.arg = progress,
	};
	struct banyan_vacuum_result result = { 0 };

	struct banyan_vacuum_plan plan = { 0 };

	if (choices->punch)
		o->error = banyan_vacuum_punch(store->db, &options, &result);
	else
		o->error = banyan_vacuum(store->db, &options, &result);
	o->before = result.bytes_before;
	o->after = result.bytes_after;
	o->dropped = result.freezes_dropped;
	o->kept = result.freezes_kept;
	if (o->error == -ENOSPC &&
	    banyan_vacuum_plan(store->db, NULL, &options, &plan) == 0) {
		o->needed = plan.bytes_needed;
		o->room = plan.bytes_free;
	}
}

/* ---- by the daemon ---------------------------------------------------- */

static void root_path(const struct store *store, char path[40])
{
	snprintf(path, 40, "/proc/self/fd/%d", store->root);
}

static int give_order(const struct store *store, const char *order)
{
	char path[40];

	root_path(store, path);
	return setxattr(path, ATTRIBUTE, order, strlen(order), 0) ? -errno : 0;
}

/* Does the text begin with a word, and go on with so many numbers? */
static bool take_numbers(const char *text, const char *word, size_t count,
			 uint64_t *number)
{
	char *end;

	if (strncmp(text, word, strlen(word)) != 0)
		return false;
	text += strlen(word);
	for (size_t i = 0; i < count; i++, text = end) {
		number[i] = strtoull(text, &end, 10);
		if (end == text)
			return false;
	}
	return true;
}

/* 0 when it has ended, 1 while it runs, or an error */
static int ask_state(const struct store *store, struct progress *progress,
		     struct outcome *o)
{
	char path[40], text[100];
	uint64_t number[4];
	ssize_t n;

	root_path(store, path);
	n = getxattr(path, ATTRIBUTE, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (take_numbers(text, "running ", 2, number)) {
		progress->total = number[1];
		progress_show(progress, number[0], 0);
		return 1;
	}
	if (take_numbers(text, "done ", 4, number)) {
		o->before = number[0];
		o->after = number[1];
		o->dropped = number[2];
		o->kept = number[3];
		return 0;
	}
	if (!strcmp(text, "idle")) { /* the daemon was replaced meanwhile */
		o->error = -ECANCELED;
		return 0;
	}
	if (!take_numbers(text, "failed ", 3, number))
		return -EPROTO;
	o->error = -(int)number[0];
	o->needed = number[1];
	o->room = number[2];
	return 0;
}

static int fail_order(const struct store *store, int error)
{
	const char *mount = quote(store->target.mount);

	if (error == -EPERM)
		complain("%s is mounted on %s: only root and the user who has "
			 "mounted it can vacuum it",
			 quote(store->name), mount);
	else if (error == -EOPNOTSUPP || error == -ENODATA)
		complain("%s is mounted on %s by a version of Banyan that has "
			 "no vacuum",
			 quote(store->name), mount);
	else
		complain("%s is mounted on %s: %s", quote(store->name), mount,
			 file_text(error));
	return EXIT_FAILURE;
}

static void write_order(const struct choices *choices, char *order, size_t size)
{
	char rate[24] = "", keep[30] = "";

	if (choices->rate)
		snprintf(rate, sizeof(rate), " %" PRIu64, choices->rate);
	if (choices->has_keep)
		snprintf(keep, sizeof(keep), " keep=%" PRIu64, choices->keep);
	if (choices->punch)
		snprintf(order, size, "punch");
	else
		snprintf(order, size, "start%s%s", rate, keep);
}

/* Until the vacuum that runs has ended. 0, or an error. */
static int await_other(const struct store *store)
{
	struct outcome o = { 0 };
	struct progress progress;
	int rc = 1;

	progress_begin(&progress, "waiting for another vacuum", 0);
	progress.bytes = true;
	while (rc == 1 && !interrupted()) {
		rc = ask_state(store, &progress, &o);
		poll(NULL, 0, rc == 1 ? POLL_MS : NEXT_MS);
	}
	progress_clear(&progress);
	return interrupted() ? -ECANCELED : rc;
}

/* One that runs already may have begun before the last deletion, or not be what is
 * wanted: so it is no substitute for this one. 0, or an error. */
static int begin_there(const struct store *store, const char *order)
{
	int rc = give_order(store, order);

	while (rc == -EBUSY) {
		rc = await_other(store);
		if (!rc)
			rc = give_order(store, order);
	}
	return rc;
}

/* 0, or an error of the talk with the daemon */
static int vacuum_there(const struct store *store,
			const struct choices *choices,
			struct progress *progress, struct outcome *o)
{
	bool cancelled = false;
	char order[80];
	int rc;

	write_order(choices, order, sizeof(order));
	rc = begin_there(store, order);
	if (rc == -ECANCELED) {
		o->error = rc;
		return 0;
	}
	if (!rc)
		rc = ask_state(store, progress, o);
	while (rc == 1) {
		if (interrupted() && !cancelled) {
			rc = give_order(store, "cancel");
			if (rc)
				break;
			cancelled = true;
		}
		poll(NULL, 0, POLL_MS);
		rc = ask_state(store, progress, o);
	}
	return rc;
}

/* ---- the command ------------------------------------------------------ */

static int vacuum(const struct store *store, const struct choices *choices)
{
	struct outcome o = { 0 };
	struct progress progress;
	int rc = 0;

	progress_begin(&progress, choices->punch ? "punching" : "vacuuming", 0);
	progress.bytes = true;
	if (store->db)
		vacuum_here(store, choices, &progress, &o);
	else
		rc = vacuum_there(store, choices, &progress, &o);
	progress_clear(&progress);
	return rc ? fail_order(store, rc) : tell(store, choices, &o);
}

static int vacuum_into(const struct store *store, const struct choices *choices)
{
	const struct backup how = { choices->rate, choices->keep };

	return backup(store, &how, choices->into);
}

/* ---- looking ahead ---------------------------------------------------- */

/* A mount may have been told to keep freezes: its daemon says for how long */
static uint64_t usual_keep(const struct store *store)
{
	char text[24];
	ssize_t n = -1;

	if (store->target.point)
		n = getxattr(store->target.point, KEEP_ATTRIBUTE, text,
			     sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

static int print_loss(void *arg, const struct banyan_loss *loss)
{
	const struct choices *choices = arg;
	bool freeze = loss->kind == BANYAN_LOSS_FREEZE;
	char time[64], size[24] = "-";

	format_time(loss->time, time, sizeof(time));
	if (!freeze)
		snprintf(size, sizeof(size), "%" PRIu64, loss->size);
	printf("%-8s %-35s %14s  %-10s  ",
	       freeze			     ? "freeze" :
	       loss->kind == BANYAN_LOSS_KEY ? "key" :
					       "version",
	       time, size, freeze ? "-" : format_event(loss->event));
	if (freeze)
		printf("%" PRIu64, loss->freeze);
	else if (choices->null)
		fputs(loss->path, stdout);
	else
		quote_to(stdout, loss->path, strlen(loss->path));
	if (!freeze && S_ISDIR(loss->type))
		putchar('/');
	putchar(choices->null ? '\0' : '\n');
	return output_failed();
}

static void show(const char *label, const char *about, uint64_t bytes)
{
	char text[64];

	format_bytes(bytes, text, sizeof(text));
	printf("%-14s %s%s\n", label, about, text);
}

static void show_plan(const struct choices *choices,
		      const struct banyan_stat *stat,
		      const struct banyan_vacuum_plan *plan)
{
	const char *about = choices->punch ? "" : "about ";
	uint64_t saved = plan->bytes_before > plan->bytes_after ?
				 plan->bytes_before - plan->bytes_after :
				 0;

	show("size", "", stat->file_bytes);
	show("live", "", stat->live_bytes);
	if (!choices->into)
		show("reclaimable", about, saved);
	if (!choices->punch)
		show("new file", about, plan->bytes_after);
	if (plan->bytes_free != UINT64_MAX)
		show("free for it", "", plan->bytes_free);
	printf("%-14s %" PRIu64 " dropped, %" PRIu64 " kept\n", "freezes",
	       plan->freezes_dropped, plan->freezes_kept);
}

static int look_ahead(const struct store *store, struct choices *choices)
{
	struct banyan_stat stat = { 0 };
	struct banyan_vacuum_plan plan = { 0 };
	struct outcome o = { 0 };
	struct progress progress;
	const struct banyan_vacuum_options options = {
		.keep = choices->has_keep || choices->punch || choices->into ?
				choices->keep :
				usual_keep(store),
		.progress = progress_told,
		.arg = &progress,
	};
	int rc;

	progress_begin(&progress, "looking", 0);
	progress.bytes = true;
	if (choices->list)
		rc = banyan_vacuum_losses(store->db, &options, print_loss,
					  choices);
	else if (choices->punch)
		rc = banyan_vacuum_punch_plan(store->db, &options, &plan);
	else
		rc = banyan_vacuum_plan(store->db, choices->into, &options,
					&plan);
	if (rc >= 0 && !choices->list)
		rc = banyan_get_stat(store->db, &stat);
	progress_clear(&progress);
	if (rc >= 0 && !choices->list)
		show_plan(choices, &stat, &plan);
	if (rc >= 0)
		return EXIT_SUCCESS;
	o.error = rc;
	return choices->into ? fail_backup(store, choices->into, &options, rc) :
			       tell(store, choices, &o);
}

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	switch (key) {
	case 'r':
		return take_size("vacuum", argument,
				 "a rate: bytes a second, such as 50M", 1,
				 &choices->rate);
	case 'k':
		choices->has_keep = true;
		return take_duration("vacuum", argument, &choices->keep);
	case 'n':
		choices->dry_run = true;
		return 0;
	case 'l':
		choices->list = true;
		return 0;
	case '0':
		choices->null = true;
		return 0;
	case 'p':
		choices->punch = true;
		return 0;
	case 'i':
		choices->into = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool are_fit(const struct choices *choices)
{
	bool copies = choices->into || choices->rate || choices->has_keep;

	if (choices->punch && copies)
		complain("vacuum: --punch copies nothing: it does not go with "
			 "--into, --rate or --keep");
	else if (choices->list && !choices->dry_run)
		complain("vacuum: --list goes with --dry-run only");
	else if (choices->null && !choices->list)
		complain("vacuum: --null goes with --list only");
	else
		return true;
	return false;
}

static int do_it(const struct store *store, struct choices *choices)
{
	if (choices->dry_run)
		return look_ahead(store, choices);
	return choices->into ? vacuum_into(store, choices) :
			       vacuum(store, choices);
}

static int run(int argc, char **argv)
{
	struct choices choices = { 0 };
	struct store store;
	char **operands;
	int status;

	if (parse_arguments(&command_vacuum, argc, argv, &choices, &operands) <
	    0)
		return EXIT_MISUSE;
	if (!are_fit(&choices))
		return EXIT_MISUSE;
	if (!choices.dry_run || choices.punch)
		catch_interrupts();
	if (choices.dry_run)
		status = store_open_swept(&store, operands[0]);
	else if (choices.into)
		status = store_open_reading(&store, operands[0], NULL);
	else
		status = store_open_writing(&store, operands[0], 0);
	if (!status)
		status = store_close(&store, do_it(&store, &choices));
	end_if_interrupted();
	return status;
}

static const struct argp_option options[] = {
	{ "rate", 'r', "BYTES", 0,
	  "Write at most so many bytes a second (K, M, G, T)", 0 },
	{ "keep", 'k', "DURATION", 0,
	  "Keep the freezes of the last time: 30s, 5m, 2h, 7d, 1w (without it: "
	  "as the mount was told)",
	  0 },
	{ "into", 'i', "OUT", 0,
	  "Write the copy to the new file OUT, and leave FILE alone, as "
	  "'banyan "
	  "backup' does",
	  0 },
	{ "punch", 'p', NULL, 0,
	  "Give space back in place, without room for a new file", 0 },
	{ "dry-run", 'n', NULL, 0,
	  "Change nothing; only tell what would be given back: with --punch "
	  "exactly, after reading all keys; else about, one or two percent of "
	  "the file off (less than there is if values are shared by cp)",
	  0 },
	{ "list", 'l', NULL, 0,
	  "With --dry-run: list what would be gone for good", 0 },
	{ "null", '0', NULL, 0,
	  "With --list: a NUL behind each line, and names as they are", 0 },
	{ 0 },
};

const struct command command_vacuum = {
	.name = "vacuum",
	.operands = "FILE",
	.summary = "give back the space of what was deleted or replaced",
	.help = "Copy what is live into a new file, which takes the place of "
		"FILE. What was deleted or replaced before is gone for good "
		"then, unless a snapshot has it, and so are earlier freezes. A "
		"mounted database is "
		"vacuumed by its daemon, and can be used meanwhile. Needs room "
		"on the disk for the new file beside the old one. Ctrl-C ends "
		"it, and nothing is changed.\n\n"
		"With --punch the dead parts of the file become holes: nothing "
		"is copied, FILE keeps its size, and the disk has less for it. "
		"Deleted bytes that share a block with live ones stay, so it "
		"does not erase, and a copy of FILE that is being made "
		"meanwhile can be bad.\n\n"
		"With --dry-run --list one line for each thing that would be "
		"gone: 'freeze', 'key' (that was deleted) or 'version' (an "
		"earlier one of a key that exists); the time of the freeze, of "
		"the deletion, or from which on the version was there; the "
		"size; the event, as 'banyan log' has it; the path, or the "
		"number of the freeze. What a snapshot or --keep retains is "
		"not listed. Reads the log once.",
	.more = "  banyan vacuum --dry-run notes.banyan\n"
		"  banyan vacuum --dry-run --list notes.banyan | grep ^key\n"
		"  banyan vacuum --rate 50M notes.banyan",
	.least = 1,
	.most = 1,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};
