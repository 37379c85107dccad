/* SPDX-License-Identifier: MIT */
#include "common/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOUNT_LIST "/proc/self/mountinfo"
#define MOUNT_TYPE "fuse.banyanfs"
#define FUSE_TYPE "fuse."

/* How each database begins: see docs/FORMAT.md */
#define MAGIC "\211BANYAN\n"

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

/* "rw,user_id=1000,group_id=1000": the user; -1 if there is none */
static uid_t owner_of(char *options)
{
	const char *option;

	while ((option = strsep(&options, ",")))
		if (strncmp(option, "user_id=", 8) == 0)
			return (uid_t)strtoul(option + 8, NULL, 10);
	return (uid_t)-1;
}

/* With subtype= a database looks like another file system whose source is a file */
static bool is_database(const char *type, const char *source)
{
	char begin[sizeof(MAGIC) - 1];
	struct stat st;
	bool is;
	int fd;

	if (strcmp(type, MOUNT_TYPE) == 0)
		return true;
	if (strncmp(type, FUSE_TYPE, strlen(FUSE_TYPE)) != 0 ||
	    source[0] != '/' || stat(source, &st) || !S_ISREG(st.st_mode))
		return false;
	fd = open(source, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	is = read(fd, begin, sizeof(begin)) == sizeof(begin) &&
	     memcmp(begin, MAGIC, sizeof(begin)) == 0;
	close(fd);
	return is;
}

/*
 * "36 35 98:0 /root /point rw,nodev shared:1 - type source rw,...": a field of
 * a single '-' ends a list of optional ones. /root is what of the mounted tree:
 * "/" is all of it.
 */
static bool cut_line(char *line, struct mount *mount)
{
	char *rest = line, *field, *type, *options, *end;
	unsigned long major, minor;
	char *fields[6];

	for (size_t i = 0; i < 6; i++) {
		fields[i] = strsep(&rest, " ");
		if (!rest)
			return false;
	}
	do {
		field = strsep(&rest, " ");
	} while (field && strcmp(field, "-") != 0);
	type = strsep(&rest, " ");
	mount->source = strsep(&rest, " ");
	options = strsep(&rest, " ,");
	if (!options)
		return false;
	major = strtoul(fields[2], &end, 10);
	minor = strtoul(end + (*end == ':'), NULL, 10);
	mount->device = makedev((unsigned)major, (unsigned)minor);
	mount->point = fields[4];
	mount->read_only = strcmp(options, "ro") == 0;
	mount->owner = owner_of(rest);
	unescape(mount->point);
	unescape(mount->source);
	mount->database = strcmp(fields[3], "/") == 0 &&
			  is_database(type, mount->source);
	return true;
}

/* All of it, as a string of malloc; NULL without memory */
static char *read_list(void)
{
	FILE *file = fopen(MOUNT_LIST, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		return strdup("");
	if (getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = ferror(file) || feof(file) ? strdup("") : NULL;
	}
	fclose(file);
	return text;
}

int mounts_read(struct mounts *mounts)
{
	char *rest, *line;
	size_t lines = 1;

	*mounts = (struct mounts){ .text = read_list() };
	if (!mounts->text)
		return -ENOMEM;
	for (const char *at = mounts->text; *at; at++)
		lines += *at == '\n';
	mounts->list = calloc(lines, sizeof(*mounts->list));
	if (!mounts->list) {
		mounts_free(mounts);
		return -ENOMEM;
	}
	rest = mounts->text;
	while ((line = strsep(&rest, "\n")))
		if (cut_line(line, &mounts->list[mounts->count]))
			mounts->count++;
	return 0;
}

void mounts_free(struct mounts *mounts)
{
	free(mounts->list);
	free(mounts->text);
	*mounts = (struct mounts){ 0 };
}

bool mount_is_dead(const char *point)
{
	struct statfs info;

	return statfs(point, &info) != 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

const struct mount *mounts_at(const struct mounts *mounts,
			      const char *directory)
{
	for (size_t i = mounts->count; i-- > 0;)
		if (strcmp(mounts->list[i].point, directory) == 0)
			return &mounts->list[i];
	return NULL;
}
