/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common.h"
#include "common/mounts.h"
#include "interrupt.h"
#include "quote.h"
#include "wait.h"

/* How a database is opened */
struct opening {
	const char *argument;
	unsigned flags; /* of banyan_open() */
	struct when when;
	bool swept; /* a daemon is asked for figures first */
	bool unmounted; /* what is done does not go through a mount */
	uint64_t waits; /* seconds at most */
};

static uint64_t wait_seconds = WAIT_DEFAULT;

void store_wait(uint64_t seconds)
{
	wait_seconds = seconds;
}

/* ---- opening ---------------------------------------------------------- */

/* To the view of the moment that is asked for */
static int go_back(struct store *store, const struct opening *opening)
{
	int rc;

	store->present = store->db;
	rc = when_open(store->present, &opening->when, &store->db);
	if (rc)
		banyan_close(store->present);
	return rc;
}

static int open_library(struct store *store, const struct opening *opening)
{
	struct banyan_options options = {
		.flags = opening->flags,
		.freeze = opening->when.freeze,
		.report = keep_report,
		.report_arg = store->target.shown,
	};
	bool back = opening->when.by_time || opening->when.snapshot;
	int rc;

	store->ops = &store_library;
	rc = banyan_open(store->target.file, &options, &store->db);
	if (rc == -ENOENT && options.freeze) {
		/* It may be a snapshot to which no later freeze leads */
		options.freeze = 0;
		back = true;
		rc = banyan_open(store->target.file, &options, &store->db);
	}
	return rc || !back ? rc : go_back(store, opening);
}

/* 0 or a negative errno value */
static int open_target(struct store *store, const struct opening *opening)
{
	struct statvfs figures;

	if (opening->swept && store->target.point)
		(void)statvfs(store->target.point, &figures);
	if ((opening->flags & BANYAN_READ_ONLY) || !store->target.mount)
		return open_library(store, opening);
	if (opening->flags & BANYAN_EXCLUSIVE)
		return -EEXIST;
	if (store->target.read_only)
		return -EROFS;
	return opening->unmounted ? -EBUSY : store_open_mount(store);
}

static int fail_mounted(const struct target *target, int error)
{
	const char *file = quote(target->shown), *mount = quote(target->mount);

	if (error == -EEXIST)
		return fail_file(target->shown, error);
	if (mount_is_dead(target->point))
		complain("%s is mounted on %s, but its daemon has died: "
			 "'banyan umount %s' first",
			 file, mount, mount);
	else if (error == -EROFS)
		complain("%s is mounted read-only on %s: 'banyan umount %s' "
			 "first",
			 file, mount, mount);
	else if (error == -EBUSY)
		complain("%s is mounted on %s: 'banyan umount %s' first", file,
			 mount, mount);
	else if (error == -EAGAIN)
		complain("%s is mounted on %s, below another mount: it cannot "
			 "be reached",
			 file, mount);
	else
		complain("%s is mounted on %s: %s", file, mount,
			 file_text(error));
	return EXIT_FAILURE;
}

int fail_freeze(const struct target *target, uint64_t freeze, int error)
{
	/* Of the file it would say the same */
	if (error != -ENOENT || !freeze || access(target->file, F_OK) != 0)
		return fail_file(target->shown, error);
	complain("%s: has no freeze %" PRIu64 " ('banyan freezes' lists them)",
		 quote(target->shown), freeze);
	return EXIT_FAILURE;
}

int fail_no_snapshot(const char *file, const char *name)
{
	complain("%s: has no snapshot '%s' ('banyan snapshots' lists them)",
		 quote(file), quote(name));
	return EXIT_FAILURE;
}

int fail_when(const struct target *target, const struct when *when, int error)
{
	if (when->snapshot && error == -ENOENT &&
	    access(target->file, F_OK) == 0)
		return fail_no_snapshot(target->shown, when->snapshot);
	if (!when->by_time || error != -ENOENT ||
	    access(target->file, F_OK) != 0)
		return fail_freeze(target, when->freeze, error);
	complain("%s: has nothing of that time ('banyan freezes' lists what "
		 "there is)",
		 quote(target->shown));
	return EXIT_FAILURE;
}

static int fail_open(const struct target *target, const struct opening *opening,
		     int error)
{
	char waited[60] = "";

	if (opening->waits && error == -EBUSY)
		snprintf(waited, sizeof(waited),
			 ", still after %" PRIu64 " s (see --wait)",
			 opening->waits);
	if (target->mount && !(opening->flags & BANYAN_READ_ONLY))
		return fail_mounted(target, error);
	if (error == -EBUSY) {
		complain("%s: is open in %s%s", quote(target->shown),
			 process_text(banyan_holder(target->file)), waited);
		return EXIT_FAILURE;
	}
	return opening->flags & BANYAN_CREATE ?
		       fail_create(target->shown, error) :
		       fail_when(target, &opening->when, error);
}

/*
 * What is in the way may be a command that is about to end, a daemon that is
 * about to close the database, or to mount it: look for the mount each time.
 */
static int open_store(struct store *store, const struct opening *opening)
{
	struct wait wait;
	int rc, status;

	wait_begin(&wait, opening->waits);
	for (;;) {
		memset(store, 0, sizeof(*store));
		status = target_find(&store->target, opening->argument);
		if (!status && (opening->flags & BANYAN_READ_ONLY))
			status = target_has_file(&store->target);
		if (status) {
			target_free(&store->target);
			return status;
		}
		rc = open_target(store, opening);
		if ((rc != -EBUSY && rc != -EAGAIN) ||
		    (rc == -EBUSY && store->target.mount) || !wait_more(&wait))
			break;
		target_free(&store->target);
	}
	store->name = store->target.shown;
	if (!rc) {
		say_kept(store->name); /* what recovery did */
		return 0;
	}
	if (!interrupted())
		fail_open(&store->target, opening, rc);
	target_free(&store->target);
	return EXIT_FAILURE;
}

int store_open_reading(struct store *store, const char *argument,
		       const struct when *when)
{
	struct opening opening = { .argument = argument,
				   .flags = BANYAN_READ_ONLY };

	if (when)
		opening.when = *when;

	return open_store(store, &opening);
}

int store_open_swept(struct store *store, const char *argument)
{
	const struct opening opening = { .argument = argument,
					 .flags = BANYAN_READ_ONLY,
					 .swept = true };

	return open_store(store, &opening);
}

int store_open_writing(struct store *store, const char *argument,
		       unsigned flags)
{
	const struct opening opening = { .argument = argument,
					 .flags = flags,
					 .waits = wait_seconds };

	return open_store(store, &opening);
}

int store_open_unmounted(struct store *store, const char *argument,
			 unsigned flags)
{
	const struct opening opening = { .argument = argument,
					 .flags = flags,
					 .unmounted = true,
					 .waits = wait_seconds };

	return open_store(store, &opening);
}

/* ---- closing ---------------------------------------------------------- */

int store_close(struct store *store, int status)
{
	int rc = store->ops->close(store);

	say_kept(store->name);
	/* Of what has failed for this very reason all has been said */
	if (rc && !(status && has_complained(rc)))
		status = fail_close(store->name, rc);
	target_free(&store->target);
	return status;
}
