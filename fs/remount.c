/* SPDX-License-Identifier: MIT */
#include "remount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "common/mounts.h"
#include "message.h"

/*
 * The kernel replaces all flags: those that are not to be changed have to be said again.
 * MS_BIND: of this mount, not of the file system, since what tells whether the daemon
 * has the file for writing is whether the file system is read-only (common/mounts.h).
 */
static unsigned long flags_of(const struct options *o,
			      const struct statvfs *now)
{
	unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOATIME;

	if (o->read_only)
		flags |= MS_RDONLY;
	if (o->no_suid || (now->f_flag & ST_NOSUID))
		flags |= MS_NOSUID;
	if (o->no_dev || (now->f_flag & ST_NODEV))
		flags |= MS_NODEV;
	if (o->no_exec || (now->f_flag & ST_NOEXEC))
		flags |= MS_NOEXEC;
	return flags;
}

static int change(const struct options *o, const struct mount *at)
{
	struct statvfs now;

	if (!o->read_only && at->read_only) {
		message_about(o->dir, "it was mounted with -o ro; unmount it, "
				      "then mount it for writing");
		return -EROFS;
	}
	if (statvfs(o->dir, &now) ||
	    mount(NULL, o->dir, NULL, flags_of(o, &now), NULL)) {
		message_about(o->dir, "cannot remount: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

int remount(const struct options *o)
{
	char *dir = realpath(o->dir, NULL);
	const struct mount *at = NULL;
	struct mounts mounts = { 0 };
	int rc = dir ? mounts_read(&mounts) : -errno;
	int status = 1;

	if (!rc)
		at = mounts_at(&mounts, dir);
	if (rc)
		message_about(o->dir, "cannot remount: %s", strerror(-rc));
	else if (!at || !at->database)
		message_about(o->dir, "no database is mounted here");
	else
		status = change(o, at) != 0;
	free(dir);
	mounts_free(&mounts);
	return status;
}
