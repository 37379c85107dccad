/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "banyan.h"
#include "common.h"

#define DAEMON "banyanfs"

static bool is_daemon(pid_t pid)
{
	char name[32];

	return !process_name(pid, name, sizeof(name)) ||
	       strcmp(name, DAEMON) == 0;
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
