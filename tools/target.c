/* SPDX-License-Identifier: MIT */
/*
 * target.c - from an argument to a database file and its mount.
 *
 * The kernel's list of mounts is what counts: it also knows mounts whose
 * daemon has died, and answers without asking any daemon. banyanfs mounts with
 * the type fuse.banyanfs and the absolute path of the database as the source.
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
#include "quote.h"

#define MOUNT_LIST "/proc/self/mountinfo"
#define MOUNT_TYPE "fuse.banyanfs"

/* A line of the list, cut into the fields that matter; they point into it */
struct mount_line {
	char *root; /* what of the mounted tree: "/" is all of it */
	char *point;
	char *type;
	char *source;
	char *super_options;
};

/* Blanks, newlines and backslashes are written there as \ooo */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' &&
		    from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
		    from[3] <= '7') {
			*to = (char)((from[1] - '0') << 6 |
				     (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/*
 * "36 35 98:0 /root /point rw,nodev shared:1 - type source rw,...": a field of
 * a single '-' ends a list of optional ones.
 */
static bool cut_line(char *line, struct mount_line *mount)
{
	char *rest = line, *field = NULL;
	char *fields[6];

	for (size_t i = 0; i < 6; i++) {
		fields[i] = strsep(&rest, " \n");
		if (!rest)
			return false;
	}
	do {
		field = strsep(&rest, " \n");
	} while (field && strcmp(field, "-") != 0);

	mount->root = fields[3];
	mount->point = fields[4];
	mount->type = strsep(&rest, " \n");
	mount->source = strsep(&rest, " \n");
	mount->super_options = strsep(&rest, " \n");
	if (!mount->super_options)
		return false;
	unescape(mount->root);
	unescape(mount->point);
	unescape(mount->source);
	return true;
}

static bool same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
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

static bool is_read_only(const struct mount_line *mount)
{
	return strncmp(mount->super_options, "ro", 2) == 0 &&
	       (mount->super_options[2] == ',' ||
		mount->super_options[2] == '\0');
}

/* Take over from a line that is about the target. by_mount is set before. */
static void adopt(struct target *target, const struct mount_line *mount,
		  const char *argument)
{
	free(target->point);
	free(target->mount);
	target->point = strdup(mount->point);
	target->read_only = is_read_only(mount);
	if (!target->by_mount) {
		target->mount = relative(mount->point);
		return;
	}
	free(target->file);
	free(target->shown);
	target->file = strdup(mount->source);
	target->shown = relative(mount->source);
	target->mount = strdup(argument);
}

static void forget(struct target *target)
{
	target_free(target);
	memset(target, 0, sizeof(*target));
}

/*
 * Is the argument a directory that a database is mounted on? Of several mounts
 * on one directory the last is the one that is seen.
 */
static void find_by_mount(struct target *target, const char *argument,
			  const char *real, FILE *list)
{
	struct mount_line mount;
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, list) > 0) {
		if (!cut_line(line, &mount) || strcmp(mount.point, real) != 0)
			continue;
		forget(target);
		if (strcmp(mount.type, MOUNT_TYPE) == 0 &&
		    strcmp(mount.root, "/") == 0) {
			target->by_mount = true;
			adopt(target, &mount, argument);
		}
	}
	free(line);
}

/*
 * Is the argument a file that is mounted somewhere? A mount that can be written
 * counts before read-only ones beside it, then the last.
 */
static void find_by_file(struct target *target, const char *argument,
			 const char *real, FILE *list)
{
	struct mount_line mount;
	char *line = NULL;
	size_t size = 0;

	rewind(list);
	while (getline(&line, &size, list) > 0) {
		if (!cut_line(line, &mount) ||
		    strcmp(mount.type, MOUNT_TYPE) != 0)
			continue;
		if (target->mount && !target->read_only && is_read_only(&mount))
			continue;
		if (strcmp(mount.source, real) == 0 ||
		    same_file(mount.source, real))
			adopt(target, &mount, argument);
	}
	free(line);
}

/* ":memory:" would not be a file for the library */
static char *as_file(const char *argument)
{
	return strdup(strcmp(argument, ":memory:") ? argument : "./:memory:");
}

static int find_mounts(struct target *target, const char *argument,
		       const char *real, FILE *list)
{
	struct stat info;

	if (list)
		find_by_mount(target, argument, real, list);
	if (target->by_mount)
		return 0;
	if (stat(argument, &info) == 0 && S_ISDIR(info.st_mode)) {
		complain("%s is a directory, not a database (none is mounted "
			 "there)",
			 quote(argument));
		return EXIT_FAILURE;
	}
	target->file = as_file(argument);
	target->shown = strdup(argument);
	if (list)
		find_by_file(target, argument, real, list);
	return 0;
}

int target_find(struct target *target, const char *argument)
{
	char *real = resolve(argument);
	FILE *list = fopen(MOUNT_LIST, "re");
	int status = EXIT_FAILURE;

	memset(target, 0, sizeof(*target));
	if (*argument == '\0') {
		complain("the name of the database is empty");
		goto out;
	}
	if (!real) {
		fail_file(argument, -ENOMEM);
		goto out;
	}
	status = find_mounts(target, argument, real, list);
	if (!status && (!target->file || !target->shown))
		status = fail_file(argument, -ENOMEM);
out:
	if (status)
		forget(target);
	if (list)
		fclose(list);
	free(real);
	return status;
}

void target_free(struct target *target)
{
	free(target->file);
	free(target->shown);
	free(target->mount);
	free(target->point);
}
