/* SPDX-License-Identifier: MIT */
#include "common/mounted.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "banyan.h"
#include "common/process.h"

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

/* Is the file open in a daemon that may write to it? True if in doubt. */
static bool is_held(const char *file)
{
	pid_t holder = banyan_holder(file);

	if (holder <= 0)
		return holder != 0 && holder != -ENOENT;
	return is_daemon(holder);
}

char *mounted_ask(const struct mount *mount)
{
	char path[PATH_MAX];
	ssize_t len = getxattr(mount->point, MOUNTED_XATTR_FILE, path,
			       sizeof(path) - 1);

	if (len < 0)
		return NULL;
	path[len] = '\0';
	return strdup(path);
}

static bool same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* Is this file what is mounted there, as its daemon says? */
static bool shows(const struct mount *mount, const char *file)
{
	char *now = mounted_ask(mount);
	bool same = now && same_file(now, file);

	free(now);
	return same;
}

/*
 * Its daemon has it locked, unless the mount is read-only. So if several mounts
 * have one source, the file had been moved away before the last of them was made.
 */
bool mounted_has_source(const struct mounts *mounts, const struct mount *mount)
{
	const struct mount *end = mounts->list + mounts->count;

	if (mount->source[0] != '/') /* mounted with fsname= */
		return false;
	if (mount->read_only)
		return access(mount->source, F_OK) == 0;
	if (!is_held(mount->source))
		return access(mount->source, F_OK) == 0 &&
		       mount_is_dead(mount->point);
	for (const struct mount *later = mount + 1; later < end; later++)
		if (later->database && !later->read_only &&
		    later->device != mount->device &&
		    strcmp(later->source, mount->source) == 0)
			return false;
	return true;
}

/* moved: only those that are not of the file at their source, as their daemons
 * say */
static const struct mount *find(const struct mounts *mounts, const char *file,
				bool moved)
{
	const struct mount *found = NULL;

	for (size_t i = 0; i < mounts->count; i++) {
		const struct mount *mount = &mounts->list[i];

		if (!mount->database || (moved && mount->read_only) ||
		    (found && !found->read_only && mount->read_only))
			continue;
		if (moved ? !mounted_has_source(mounts, mount) &&
				    shows(mount, file) :
			    same_file(mount->source, file) &&
				    mounted_has_source(mounts, mount))
			found = mount;
	}
	return found;
}

const struct mount *mounted_find(const struct mounts *mounts, const char *file)
{
	const struct mount *found = find(mounts, file, false);

	return found || !is_held(file) ? found : find(mounts, file, true);
}
