/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "banyan.h"
#include "common.h"

#define DAEMON "banyanfs"
#define DEVICE "/dev/fuse"
#define TRIES 10 /* while others change the root */

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

/* ---- by what it looks like -------------------------------------------- */

static bool same_time(const struct timespec *a, const struct banyan_time *b)
{
	return a->tv_sec == b->sec && (uint64_t)a->tv_nsec == b->nsec;
}

/* ctime never repeats: two databases share it only if one is a copy */
static bool same_root(const struct stat *a, const struct banyan_attr *b)
{
	return same_time(&a->st_ctim, &b->ctime) &&
	       same_time(&a->st_mtim, &b->mtime) && a->st_nlink == b->nlink;
}

static bool read_root(const char *file, struct banyan_attr *attr)
{
	const struct banyan_options options = { .flags = BANYAN_READ_ONLY };
	banyan *db;
	int rc;

	if (banyan_open(file, &options, &db))
		return false;
	rc = banyan_get_attr(banyan_root(db), attr);
	banyan_close(db);
	return rc == 0;
}

bool daemon_shows(const struct mount *mount, const char *file)
{
	struct banyan_attr attr;
	struct stat before, after;

	if (stat(mount->point, &after) != 0)
		return false;
	for (int i = 0; i < TRIES; i++) {
		before = after;
		if (!read_root(file, &attr) || stat(mount->point, &after) != 0)
			return false;
		if (same_root(&before, &attr) || same_root(&after, &attr))
			return true;
		if (memcmp(&before.st_ctim, &after.st_ctim,
			   sizeof(before.st_ctim)) == 0)
			return false;
	}
	return false;
}

/* ---- among open files ------------------------------------------------- */

/* link: of an open file in /proc. The path of malloc if this is the file, else NULL. */
static char *match_file(const struct mount *mount, const char *link)
{
	char path[PATH_MAX];
	struct stat info;
	ssize_t len;

	if (stat(link, &info) != 0 || !S_ISREG(info.st_mode))
		return NULL;
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return NULL;
	path[len] = '\0';
	return daemon_shows(mount, path) ? strdup(path) : NULL;
}

static char *search_process(const struct mount *mount, pid_t pid)
{
	char *found = NULL;
	glob_t files;

	if (!is_daemon(pid) || !list_files(pid, &files))
		return NULL;
	for (size_t i = 0; i < files.gl_pathc && !found; i++)
		found = match_file(mount, files.gl_pathv[i]);
	globfree(&files);
	return found;
}

char *daemon_find_file(const struct mount *mount)
{
	char *found = NULL;
	glob_t processes;
	long pid;

	if (glob("/proc/[0-9]*", 0, NULL, &processes) != 0)
		return NULL;
	for (size_t i = 0; i < processes.gl_pathc && !found; i++) {
		pid = strtol(processes.gl_pathv[i] + strlen("/proc/"), NULL,
			     10);
		found = search_process(mount, (pid_t)pid);
	}
	globfree(&processes);
	return found;
}
