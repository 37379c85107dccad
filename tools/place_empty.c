/* SPDX-License-Identifier: MIT */
/* place_empty(): a tree of directories is removed, as deep as it may be */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place.h"

/*
 * Only the directory at hand is open, however deep it lies. Back to the one
 * above leads "..", which must still be the one that we came from.
 */
struct level {
	struct level *above;
	ino_t from; /* the directory above */
	char name[BANYAN_NAME_MAX + 1]; /* in it */
};

/*
 * Remove all entries but directories that are not empty: 0 if none is left, 1
 * and the name of the first if there are some.
 */
static int unlink_entries(int dir, char name[BANYAN_NAME_MAX + 1])
{
	int fd = openat(dir, ".", O_RDONLY | PLACE_DIRECTORY), rc = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!list) {
		rc = place_error();
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc) {
		errno = 0;
		entry = readdir(list);
		if (!entry) {
			rc = place_error();
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		rc = place_unlink(dir, entry->d_name);
		if (rc == -ENOENT)
			rc = 0; /* somebody else was faster */
		if (rc == -ENOTEMPTY) {
			place_copy_name(name, entry->d_name,
					strlen(entry->d_name));
			rc = 1;
		}
	}
	closedir(list);
	return rc;
}

static int go_down(const struct store *store, int *dir, struct level **top,
		   const char *name)
{
	struct level *level;
	struct stat info;

	if (fstat(*dir, &info) != 0)
		return place_error();
	level = malloc(sizeof(*level));
	if (!level)
		return -ENOMEM;
	level->above = *top;
	level->from = info.st_ino;
	place_copy_name(level->name, name, strlen(name));
	*top = level;
	*dir = place_enter(store, *dir, name, false);
	return *dir < 0 ? *dir : 0;
}

static int go_up(const struct store *store, int *dir, struct level **top)
{
	struct level *level = *top;
	struct stat info;
	int rc = 0;

	*dir = place_enter(store, *dir, "..", false);
	if (*dir < 0)
		return *dir;
	if (fstat(*dir, &info) != 0)
		rc = place_error();
	else if (info.st_ino != level->from)
		rc = -ESTALE; /* moved meanwhile */
	if (!rc)
		rc = place_unlink(*dir, level->name);
	*top = level->above;
	free(level);
	return rc == -ENOTEMPTY || rc == -ENOENT ? 0 : rc;
}

int place_empty(const struct store *store, const char *key)
{
	char name[BANYAN_NAME_MAX + 1];
	struct level *top = NULL, *above;
	int dir = place_open_space(store, key);
	int rc = dir < 0 ? dir : 0;

	while (!rc) {
		rc = unlink_entries(dir, name);
		if (rc == 1)
			rc = go_down(store, &dir, &top, name);
		else if (!rc && top)
			rc = go_up(store, &dir, &top);
		else
			break;
	}
	for (; top; top = above) {
		above = top->above;
		free(top);
	}
	if (dir >= 0)
		close(dir);
	return rc;
}
