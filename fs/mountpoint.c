/* SPDX-License-Identifier: MIT */
#include "fs.h"
#include "mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mounted.h"
#include "message.h"

#define DEVICE "/dev/fuse"

extern char **environ;

char *mountpoint_of(const char *file)
{
	const struct mount *found;
	struct mounts mounts;
	char *dir = NULL;

	if (mounts_read(&mounts))
		return NULL;
	found = mounted_find(&mounts, file);
	if (found && !found->read_only)
		dir = strdup(found->point);
	mounts_free(&mounts);
	return dir;
}

void mountpoint_tune(const char *dir)
{
	char path[128];
	struct statx st;
	int fd;

	/* Without asking the daemon, which would be this process */
	if (statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC, 0, &st))
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 st.stx_dev_major, st.stx_dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* not root: it stays as it is */
	dprintf(fd, "%u", FS_MAX_TRANSFER / 1024);
	close(fd);
}

/* ---- unmount ---------------------------------------------------------- */

/* Users may unmount what they have mounted through a helper that is setuid */
static int run_fusermount(const char *dir)
{
	char name[] = "fusermount3", how[] = "-uzq", end[] = "--";
	char *copy = strdup(dir);
	char *argv[] = { name, how, end, copy, NULL };
	pid_t pid;
	int status, rc;

	if (!copy)
		return -ENOMEM;
	rc = -posix_spawnp(&pid, name, NULL, NULL, argv, environ);
	free(copy);
	if (rc)
		return rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EPERM;
}

int mountpoint_detach(const char *dir)
{
	if (!umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW))
		return 0;
	return errno == EPERM ? run_fusermount(dir) : -errno;
}

/* ---- is it fit -------------------------------------------------------- */

static bool is_below(const char *file, const char *dir)
{
	size_t n = strlen(dir);

	if (n && dir[n - 1] == '/')
		n--; /* the root */
	return !strncmp(file, dir, n) && file[n] == '/';
}

/* A daemon that died leaves a directory on which everything fails */
static int detach_dead(const char *dir)
{
	int rc = mountpoint_detach(dir);

	if (rc)
		message_about(dir,
			      "a daemon died here and its mount cannot be "
			      "detached: %s; run umount -l on it as root",
			      strerror(-rc));
	else
		message_about(dir, "detached the mount of a daemon that died");
	return rc;
}

static int stat_directory(const char *dir)
{
	struct stat st;
	int rc = stat(dir, &st) ? -errno : 0;

	/* There may be several; one may die just now, which is said in three
	 * ways */
	while (rc == -ENOTCONN || rc == -ECONNABORTED || rc == -ECANCELED) {
		if (detach_dead(dir))
			return -ENOTCONN;
		rc = stat(dir, &st) ? -errno : 0;
	}
	if (!rc && !S_ISDIR(st.st_mode))
		rc = -ENOTDIR;
	if (rc == -ENOENT)
		message_about(dir, "no such directory; make it with mkdir");
	else if (rc == -ENOTDIR)
		message_about(dir, "not a directory; give one to mount on");
	else if (rc)
		message_about(dir, "%s; give a directory to mount on",
			      strerror(-rc));
	return rc;
}

char *mountpoint_prepare(const char *dir, const char *file)
{
	char *path;

	if (stat_directory(dir))
		return NULL;
	path = realpath(dir, NULL);
	if (!path) {
		message_about(dir, "%s; give a directory to mount on",
			      strerror(errno));
		return NULL;
	}
	if (is_below(file, path)) {
		message_about(dir,
			      "contains %s: the database would hide itself; "
			      "mount on another directory",
			      file);
		free(path);
		return NULL;
	}
	return path;
}

/* ---- mount ------------------------------------------------------------ */

static int check_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		message_about(DEVICE,
			      "there is no FUSE here; run modprobe fuse "
			      "as root, or give the container this device");
		return -ENODEV;
	case EACCES:
	case EPERM:
		message_about(DEVICE,
			      "you may not use FUSE here; ask root to make "
			      "it readable and writable for you");
		return -EACCES;
	default:
		message_about(DEVICE, "%s", strerror(errno));
		return -ENODEV;
	}
}

/* The last line in a file that was standard error for a while */
static void last_line(int fd, char *line, size_t size)
{
	ssize_t n = pread(fd, line, size - 1, 0);
	char *at;

	line[n > 0 ? n : 0] = '\0';
	while (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	at = strrchr(line, '\n');
	if (at)
		memmove(line, at + 1, strlen(at + 1) + 1);
}

int mountpoint_attach(struct fuse_session *session, const char *dir)
{
	int heard = memfd_create("stderr", MFD_CLOEXEC);
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	char line[512] = "";
	int rc = check_device();

	if (rc)
		goto out;
	/* libfuse and its helper write there what belongs into our one line */
	if (heard >= 0 && saved >= 0)
		dup2(heard, STDERR_FILENO);
	if (fuse_session_mount(session, dir))
		rc = -EPERM;
	if (heard >= 0 && saved >= 0) {
		dup2(saved, STDERR_FILENO);
		last_line(heard, line, sizeof(line));
	}
	if (rc)
		message_about(dir, "cannot mount here: %s",
			      *line		      ? line :
			      *message_libfuse_said() ? message_libfuse_said() :
							"not permitted");
out:
	if (heard >= 0)
		close(heard);
	if (saved >= 0)
		close(saved);
	return rc;
}
