/* SPDX-License-Identifier: MIT */
/*
 * target.c - from an argument to a database file and its mount. banyanfs mounts
 * with the absolute path of the database as the source.
 */
#include "target.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "common/mounted.h"
#include "quote.h"

static bool is_directory(const char *argument)
{
	struct stat info;

	return stat(argument, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The argument, absolute and with links resolved, as far as that is possible */
static char *resolve(const char *argument)
{
	char *real = realpath(argument, NULL);
	char *copy, *parent, *joined = NULL;

	if (real)
		return real;
	/* No such file yet, or a mount that does not answer */
	copy = strdup(argument);
	parent = copy ? realpath(dirname(copy), NULL) : NULL;
	free(copy);
	copy = strdup(argument);
	if (parent && copy &&
	    asprintf(&joined, "%s/%s", strcmp(parent, "/") ? parent : "",
		     basename(copy)) < 0)
		joined = NULL;
	free(parent);
	free(copy);
	return joined ? joined : strdup(argument);
}

/* An absolute path as somebody in the working directory would write it */
static char *relative(const char *path)
{
	char cwd[PATH_MAX];
	size_t len;

	if (!getcwd(cwd, sizeof(cwd)))
		return strdup(path);
	len = strlen(cwd);
	if (strcmp(path, cwd) == 0)
		return strdup(".");
	if (len > 1 && strncmp(path, cwd, len) == 0 && path[len] == '/')
		return strdup(path + len + 1);
	return strdup(path);
}

/* ":memory:" would not be a file for the library */
static char *as_file(const char *argument)
{
	return strdup(strcmp(argument, ":memory:") ? argument : "./:memory:");
}

/* ---- from an argument ------------------------------------------------- */

static void adopt(struct target *target, const struct mount *mount,
		  const char *shown)
{
	free(target->point);
	free(target->mount);
	target->point = strdup(mount->point);
	target->mount = strdup(shown);
	target->device = mount->device;
	target->owner = mount->owner;
	target->read_only = mount->read_only;
}

/* The table of mounts need not tell, if subtype= and fsname= were given */
static bool is_database(const struct mount *mount)
{
	char *file = mount->database ? NULL : mounted_ask(mount);
	bool is = mount->database || file;

	free(file);
	return is;
}

static void take_point(struct target *target, const struct mounts *mounts,
		       const struct mount *mount, const char *argument)
{
	target->by_mount = true;
	adopt(target, mount, argument);
	if (mounted_has_source(mounts, mount)) {
		target->file = strdup(mount->source);
	} else {
		target->file = mounted_ask(mount);
		target->lost = !target->file;
	}
	if (target->lost)
		target->file = strdup("");
	if (target->file)
		target->shown =
			relative(target->lost ? mount->source : target->file);
}

static void take_file(struct target *target, const struct mounts *mounts,
		      const char *argument)
{
	const struct mount *mount;
	char *shown;

	target->file = as_file(argument);
	target->shown = strdup(argument);
	if (!target->file)
		return;
	mount = mounted_find(mounts, target->file);
	shown = mount ? relative(mount->point) : NULL;
	if (shown)
		adopt(target, mount, shown);
	free(shown);
}

int target_find(struct target *target, const char *argument)
{
	char *real = resolve(argument);
	struct mounts mounts;
	const struct mount *mount;
	int status = EXIT_FAILURE;

	*target = (struct target){ 0 };
	if (mounts_read(&mounts) != 0 || !real) {
		fail_file(argument, -ENOMEM);
		goto out;
	}
	if (*argument == '\0') {
		complain("the name of the database is empty");
		goto out;
	}
	mount = mounts_at(&mounts, real);
	if (mount && !is_database(mount))
		mount = NULL;
	if (!mount && is_directory(argument)) {
		complain("%s is a directory, not a database (none is mounted "
			 "there)",
			 quote(argument));
		goto out;
	}
	if (mount)
		take_point(target, &mounts, mount, argument);
	else
		take_file(target, &mounts, argument);
	status = target->file && target->shown ? 0 :
						 fail_file(argument, -ENOMEM);
out:
	if (status)
		target_free(target);
	mounts_free(&mounts);
	free(real);
	return status;
}

int target_has_file(const struct target *target)
{
	if (!target->lost)
		return 0;
	complain("%s: the database that is mounted there was %s, and has been "
		 "moved or removed",
		 quote(target->mount), quote(target->shown));
	return EXIT_FAILURE;
}

void target_free(struct target *target)
{
	free(target->file);
	free(target->shown);
	free(target->mount);
	free(target->point);
	*target = (struct target){ 0 };
}
