/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "common/process.h"

#define NAMED_MAX 4

/* Does a link in an open directory of /proc lead to or below a directory? */
static bool leads_below(int proc, const char *link, const char *directory)
{
	char path[PATH_MAX];
	size_t len = strlen(directory);
	ssize_t got = readlinkat(proc, link, path, sizeof(path) - 1);

	if (got < 0)
		return false;
	path[got] = '\0';
	return strncmp(path, directory, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}

static bool has_file_below(int proc, const char *directory)
{
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *files = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *file;
	bool found = false;

	if (!files) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (file = readdir(files)))
		found = leads_below(fd, file->d_name, directory);
	closedir(files);
	return found;
}

static bool is_user(int proc, const char *directory)
{
	return leads_below(proc, "cwd", directory) ||
	       leads_below(proc, "root", directory) ||
	       has_file_below(proc, directory);
}

/* 0: it has none */
static pid_t supervisor_of(pid_t daemon)
{
	pid_t parent = daemon > 0 ? process_parent(daemon) : 0;
	char name[32], of_parent[32];

	return parent > 0 && process_name(daemon, name, sizeof(name)) &&
			       process_name(parent, of_parent,
					    sizeof(of_parent)) &&
			       !strcmp(name, of_parent) ?
		       parent :
		       0;
}

static void collect(DIR *list, const char *directory, pid_t daemon, FILE *text)
{
	pid_t supervisor = supervisor_of(daemon);
	const struct dirent *entry;
	int named = 0;

	while ((entry = readdir(list))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		int proc;
		bool user;

		if (pid <= 0 || pid == getpid() || pid == daemon ||
		    pid == supervisor)
			continue;
		proc = openat(dirfd(list), entry->d_name,
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			continue;
		user = is_user(proc, directory);
		close(proc);
		if (!user)
			continue;
		if (named++ == NAMED_MAX) {
			fputs(", ...", text);
			return;
		}
		fprintf(text, "%s%s", named > 1 ? ", " : "", process_text(pid));
	}
}

char *users_of(const char *directory, pid_t daemon)
{
	char *users = NULL;
	size_t size = 0;
	FILE *text = open_memstream(&users, &size);
	DIR *list = opendir("/proc");

	if (text && list)
		collect(list, directory, daemon, text);
	if (list)
		closedir(list);
	if (!text || fclose(text) != 0 || size == 0) {
		free(users);
		return NULL;
	}
	return users;
}
