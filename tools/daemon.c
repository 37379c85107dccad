/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "banyan.h"
#include "common.h"

#define DAEMON "banyanfs"
#define DEVICE "/dev/fuse"

/* link: of an open file in /proc */
static bool is_device(const char *link)
{
	char path[sizeof(DEVICE)];

	return readlink(link, path, sizeof(path)) == strlen(DEVICE) &&
	       memcmp(path, DEVICE, strlen(DEVICE)) == 0;
}

/* The open files of a process, to be freed with globfree() */
static bool list_files(pid_t pid, glob_t *files)
{
	char pattern[40];

	snprintf(pattern, sizeof(pattern), "/proc/%ld/fd/*", (long)pid);
	return glob(pattern, 0, NULL, files) == 0;
}

/*
 * By its name, or, as it may run below another program (valgrind), by the device
 * that it has open. True if nobody knows its name.
 */
static bool is_daemon(pid_t pid)
{
	char name[32];
	bool found = !process_name(pid, name, sizeof(name)) ||
		     strcmp(name, DAEMON) == 0;
	glob_t files;

	if (found || !list_files(pid, &files))
		return found;
	for (size_t i = 0; i < files.gl_pathc && !found; i++)
		found = is_device(files.gl_pathv[i]);
	globfree(&files);
	return found;
}

bool daemon_holds(const char *file)
{
	pid_t holder = banyan_holder(file);

	if (holder <= 0)
		return holder != 0 && holder != -ENOENT;
	return is_daemon(holder);
}

char *daemon_find_file(const struct mount *mount)
{
	char path[PATH_MAX];
	ssize_t len = getxattr(mount->point, "system.banyan.file", path,
			       sizeof(path) - 1);

	if (len < 0)
		return NULL;
	path[len] = '\0';
	return strdup(path);
}

bool daemon_shows(const struct mount *mount, const char *file)
{
	char *now = daemon_find_file(mount);
	bool same = now && same_file(now, file);

	free(now);
	return same;
}
