/* SPDX-License-Identifier: MIT */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys.h"

int place_error(void)
{
	return errno == EBUSY ? -EXDEV : -errno;
}

void place_copy_name(char *to, const char *name, size_t len)
{
	if (len > BANYAN_NAME_MAX)
		len = BANYAN_NAME_MAX; /* check_key() has seen to that */
	memcpy(to, name, len);
	to[len] = '\0';
}

int place_check_device(const struct store *store, int fd)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return place_error();
	return info.st_dev == store->target.device ? 0 : -EXDEV;
}

int place_enter(const struct store *store, int dir, const char *name, bool make)
{
	int below = openat(dir, name, O_PATH | PLACE_DIRECTORY), rc = 0;

	if (below < 0 && errno == ENOENT && make) {
		if (mkdirat(dir, name, 0777) != 0 && errno != EEXIST)
			rc = place_error();
		else
			below = openat(dir, name, O_PATH | PLACE_DIRECTORY);
	}
	if (below < 0 && !rc)
		rc = place_error();
	if (!rc)
		rc = place_check_device(store, below);
	if (rc && below >= 0)
		close(below);
	close(dir);
	return rc ? rc : below;
}

int place_open_root(const struct store *store)
{
	int dir = fcntl(store->root, F_DUPFD_CLOEXEC, 0);

	return dir < 0 ? place_error() : dir;
}

int place_find(const struct store *store, const char *key, bool make,
	       struct place *place)
{
	const char *path = key, *name;
	int dir = place_open_root(store);
	size_t len;

	next_name(&path, &name, &len);
	place_copy_name(place->name, name, len);
	while (dir >= 0 && next_name(&path, &name, &len)) {
		dir = place_enter(store, dir, place->name, make);
		place_copy_name(place->name, name, len);
	}
	place->dir = dir;
	return dir < 0 ? dir : 0;
}

bool place_is_root(const char *key)
{
	return key[strspn(key, "/")] == '\0';
}

int place_open_space(const struct store *store, const char *key)
{
	struct place place;
	int rc;

	if (place_is_root(key))
		return place_open_root(store);
	rc = place_find(store, key, false, &place);
	return rc ? rc : place_enter(store, place.dir, place.name, false);
}

int place_unlink(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0)
		return 0;
	if (errno == EISDIR && unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	return place_error();
}
