/* SPDX-License-Identifier: MIT */
/*
 * store_mount.c - the operations of store.h with file calls through a mount.
 *
 * A key is looked up name by name from the root directory, so that it may be
 * longer than a path can be, no symlink is followed, and nothing is reached
 * that is mounted on a directory of the mount.
 *
 * How a value is put. A single write(2) of up to PUT_MAX bytes, and a single
 * copy_file_range(2), is one operation of the daemon: readers, and a crash, see
 * all of it or nothing. A new key gets its value under a temporary name first.
 * A key that exists keeps its file, whose aliases show the new value, so the
 * bytes are written over the old ones. If the old value was longer it is cut by
 * a second call: there is none that does both. In this order a full disk
 * changes nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keys.h"
#include "store.h"

#define DIRECTORY (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define TRIES 10 /* at a key that others make and remove meanwhile */

/* The error of the last call. EBUSY: another file system is mounted there. */
static int last_error(void)
{
	return errno == EBUSY ? -EXDEV : -errno;
}

/* ---- the way to a key ------------------------------------------------- */

/* The directory that a key lies in, to be closed, and the key's last name */
struct place {
	int dir;
	char name[BANYAN_NAME_MAX + 1];
};

static void copy_name(char *to, const char *name, size_t len)
{
	if (len > BANYAN_NAME_MAX)
		len = BANYAN_NAME_MAX; /* check_key() has seen to that */
	memcpy(to, name, len);
	to[len] = '\0';
}

static int check_device(const struct store *store, int fd)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return last_error();
	return info.st_dev == store->target.device ? 0 : -EXDEV;
}

/* A directory in another, made if it is to be. Closes the other. */
static int enter(const struct store *store, int dir, const char *name,
		 bool make)
{
	int below = openat(dir, name, O_PATH | DIRECTORY), rc = 0;

	if (below < 0 && errno == ENOENT && make) {
		if (mkdirat(dir, name, 0777) != 0 && errno != EEXIST)
			rc = last_error();
		else
			below = openat(dir, name, O_PATH | DIRECTORY);
	}
	if (below < 0 && !rc)
		rc = last_error();
	if (!rc)
		rc = check_device(store, below);
	if (rc && below >= 0)
		close(below);
	close(dir);
	return rc ? rc : below;
}

static int open_root(const struct store *store)
{
	int dir = fcntl(store->root, F_DUPFD_CLOEXEC, 0);

	return dir < 0 ? last_error() : dir;
}

/* The place of a key that is not the root; make: the key spaces that it lacks */
static int locate(const struct store *store, const char *key, bool make,
		  struct place *place)
{
	const char *path = key, *name;
	int dir = open_root(store);
	size_t len;

	next_name(&path, &name, &len);
	copy_name(place->name, name, len);
	while (dir >= 0 && next_name(&path, &name, &len)) {
		dir = enter(store, dir, place->name, make);
		copy_name(place->name, name, len);
	}
	place->dir = dir;
	return dir < 0 ? dir : 0;
}

static bool is_root(const char *key)
{
	return key[strspn(key, "/")] == '\0';
}

/* The directory that a key points to, which may be the root */
static int open_space(const struct store *store, const char *key)
{
	struct place place;
	int rc;

	if (is_root(key))
		return open_root(store);
	rc = locate(store, key, false, &place);
	return rc ? rc : enter(store, place.dir, place.name, false);
}

static int find(const struct store *store, const char *key,
		struct key_info *info)
{
	struct place place = { .name = "" };
	struct stat status;
	int rc = 0;

	if (is_root(key))
		place.dir = open_root(store);
	else
		rc = locate(store, key, false, &place);
	if (rc || place.dir < 0)
		return rc ? rc : place.dir;
	if (fstatat(place.dir, place.name, &status,
		    AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
		rc = last_error();
	else if (status.st_dev != store->target.device)
		rc = -EXDEV;
	else
		*info = (struct key_info){ .id = status.st_ino,
					   .mode = status.st_mode };
	close(place.dir);
	return rc;
}

/* ---- values ----------------------------------------------------------- */

static int write_all(int fd, const char *bytes, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t done = pwrite(fd, bytes, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return last_error();
		bytes += done;
		size -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

/* Cut off what is left of a longer value */
static int cut(int fd, off_t size)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return last_error();
	if (info.st_size > size && ftruncate(fd, size) != 0)
		return last_error();
	return 0;
}

static int overwrite(int fd, const void *value, size_t size)
{
	int rc = write_all(fd, value, size, 0);

	return rc ? rc : cut(fd, (off_t)size);
}

/* The value of one file to another. More than 2 GiB take several calls. */
static int copy(int from, int to)
{
	loff_t read_at = 0, write_at = 0;
	struct stat info;
	ssize_t done;

	if (fstat(from, &info) != 0)
		return last_error();
	while (read_at < info.st_size) {
		done = copy_file_range(from, &read_at, to, &write_at,
				       (size_t)(info.st_size - read_at), 0);
		if (done < 0 && errno != EINTR)
			return last_error();
		if (done == 0)
			return -EIO;
	}
	return cut(to, info.st_size);
}

/*
 * The file whose value is to be set, open for writing. Only regular files have
 * one, and opening a fifo would wait for a reader.
 */
static int open_value(int dir, const char *name, unsigned flags)
{
	struct stat info;
	int fd;

	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return last_error();
	if (flags & BANYAN_NEW_ONLY)
		return -EEXIST;
	if (S_ISDIR(info.st_mode))
		return -EISDIR;
	if (!S_ISREG(info.st_mode))
		return -EINVAL;
	fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? last_error() : fd;
}

static int open_draft(int dir, struct draft *draft)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(draft->name, sizeof(draft->name), ".put-%ld-%09ld",
		 (long)getpid(), now.tv_nsec);
	draft->dir = dir;
	draft->fd = openat(dir, draft->name,
			   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return draft->fd < 0 ? last_error() : 0;
}

static int draft_write(struct draft *draft, const void *bytes, size_t size,
		       uint64_t offset)
{
	return write_all(draft->fd, bytes, size, offset);
}

/* Let it be the value of name in its directory */
static int publish(struct draft *draft, const char *name, unsigned flags)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = open_value(draft->dir, name, flags), rc;

		if (fd >= 0) {
			rc = copy(draft->fd, fd);
			close(fd);
			return rc;
		}
		if (fd != -ENOENT)
			return fd;
		if (renameat2(draft->dir, draft->name, draft->dir, name,
			      RENAME_NOREPLACE) == 0) {
			draft->name[0] = '\0';
			return 0;
		}
		if (errno != EEXIST)
			return last_error();
	}
	return -EAGAIN;
}

static void draft_end(struct draft *draft)
{
	if (draft->name[0])
		unlinkat(draft->dir, draft->name, 0);
	close(draft->fd);
	close(draft->dir);
}

static int draft_begin(const struct store *store, const char *key,
		       unsigned flags, struct draft *draft)
{
	struct place place;
	int rc = locate(store, key, flags & BANYAN_PARENTS, &place);

	if (rc)
		return rc;
	rc = open_draft(place.dir, draft);
	if (rc)
		close(place.dir);
	return rc;
}

static int draft_put(const struct store *store, struct draft *draft,
		     const char *key, unsigned flags)
{
	char copied[BANYAN_NAME_MAX + 1];
	const char *name;
	size_t len;

	(void)store;
	last_name(key, &name, &len);
	copy_name(copied, name, len);
	return publish(draft, copied, flags);
}

static int put_new(const struct store *store, const char *key,
		   const void *value, size_t size, unsigned flags)
{
	struct draft draft;
	int rc = draft_begin(store, key, flags, &draft);

	if (rc)
		return rc;
	rc = draft_write(&draft, value, size, 0);
	if (!rc)
		rc = draft_put(store, &draft, key, flags);
	draft_end(&draft);
	return rc;
}

static int put(const struct store *store, const char *key, const void *value,
	       size_t size, unsigned flags)
{
	struct place place;
	int rc = locate(store, key, flags & BANYAN_PARENTS, &place), fd;

	if (rc)
		return rc;
	fd = open_value(place.dir, place.name, flags);
	close(place.dir);
	if (fd == -ENOENT)
		return put_new(store, key, value, size, flags);
	if (fd < 0)
		return fd;
	rc = overwrite(fd, value, size);
	close(fd);
	return rc;
}

/* ---- keys ------------------------------------------------------------- */

/* What takes two places: link, or else rename */
static int call_with_two(const struct store *store, const char *key,
			 const char *other, bool link, unsigned flags)
{
	struct place from, to;
	int rc = locate(store, key, false, &from);

	if (rc)
		return rc;
	rc = locate(store, other, false, &to);
	if (rc)
		goto out;
	if (link)
		rc = linkat(from.dir, from.name, to.dir, to.name, 0);
	else
		rc = renameat2(from.dir, from.name, to.dir, to.name, flags);
	if (rc)
		rc = last_error();
	close(to.dir);
out:
	close(from.dir);
	return rc;
}

static int alias(const struct store *store, const char *key,
		 const char *new_alias)
{
	return call_with_two(store, key, new_alias, true, 0);
}

static int rename_key(const struct store *store, const char *key,
		      const char *new_key, unsigned flags)
{
	return call_with_two(store, key, new_key, false,
			     flags & BANYAN_NO_REPLACE ? RENAME_NOREPLACE : 0);
}

static int make_space(const struct store *store, const char *key,
		      unsigned flags)
{
	struct place place;
	int rc = locate(store, key, flags & BANYAN_PARENTS, &place);

	if (rc)
		return rc;
	rc = mkdirat(place.dir, place.name, 0777) ? last_error() : 0;
	close(place.dir);
	return rc;
}

/* Whatever it is: only the kernel can tell without a race */
static int unlink_any(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0)
		return 0;
	if (errno == EISDIR && unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	return last_error();
}

static int remove_key(const struct store *store, const char *key)
{
	struct place place;
	int rc = locate(store, key, false, &place);

	if (rc)
		return rc;
	rc = unlink_any(place.dir, place.name);
	close(place.dir);
	return rc;
}

/* ---- emptying a key space --------------------------------------------- */

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
	int fd = openat(dir, ".", O_RDONLY | DIRECTORY), rc = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!list) {
		rc = last_error();
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc) {
		errno = 0;
		entry = readdir(list);
		if (!entry) {
			rc = last_error();
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		rc = unlink_any(dir, entry->d_name);
		if (rc == -ENOENT)
			rc = 0; /* somebody else was faster */
		if (rc == -ENOTEMPTY) {
			copy_name(name, entry->d_name, strlen(entry->d_name));
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
		return last_error();
	level = malloc(sizeof(*level));
	if (!level)
		return -ENOMEM;
	level->above = *top;
	level->from = info.st_ino;
	copy_name(level->name, name, strlen(name));
	*top = level;
	*dir = enter(store, *dir, name, false);
	return *dir < 0 ? *dir : 0;
}

static int go_up(const struct store *store, int *dir, struct level **top)
{
	struct level *level = *top;
	struct stat info;
	int rc = 0;

	*dir = enter(store, *dir, "..", false);
	if (*dir < 0)
		return *dir;
	if (fstat(*dir, &info) != 0)
		rc = last_error();
	else if (info.st_ino != level->from)
		rc = -ESTALE; /* moved meanwhile */
	if (!rc)
		rc = unlink_any(*dir, level->name);
	*top = level->above;
	free(level);
	return rc == -ENOTEMPTY || rc == -ENOENT ? 0 : rc;
}

static int empty(const struct store *store, const char *key)
{
	char name[BANYAN_NAME_MAX + 1];
	struct level *top = NULL, *above;
	int dir = open_space(store, key);
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

/* ---- batches ---------------------------------------------------------- */

static int batch_begin(const struct store *store, const char *key,
		       struct batch *batch)
{
	batch->dir = open_space(store, key);
	return batch->dir < 0 ? batch->dir : 0;
}

static int batch_insert(struct batch *batch, const char *name, size_t len,
			const void *value, size_t size)
{
	char copied[BANYAN_NAME_MAX + 1];
	int fd, rc;

	copy_name(copied, name, len);
	fd = openat(batch->dir, copied, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0666);
	if (fd < 0)
		return last_error();
	rc = write_all(fd, value, size, 0);
	if (rc)
		unlinkat(batch->dir, copied, 0);
	close(fd);
	return rc;
}

static int batch_delete(struct batch *batch, const char *name, size_t len)
{
	char copied[BANYAN_NAME_MAX + 1];

	copy_name(copied, name, len);
	return unlink_any(batch->dir, copied);
}

static int batch_commit(struct batch *batch)
{
	close(batch->dir);
	return 0;
}

static bool batch_abort(struct batch *batch)
{
	close(batch->dir);
	return true;
}

/* ---- opening and closing ---------------------------------------------- */

int store_open_mount(struct store *store)
{
	int root = open(store->target.point, O_PATH | DIRECTORY), rc = 0;

	if (root < 0)
		return errno == ENOENT ? -EAGAIN : last_error();
	rc = check_device(store, root);
	if (rc) {
		close(root);
		return rc == -EXDEV ? -EAGAIN : rc;
	}
	store->root = root;
	store->ops = &store_mount;
	return 0;
}

/* A sync through any descriptor makes the whole database durable */
static int close_store(struct store *store)
{
	int dir = openat(store->root, ".", O_RDONLY | DIRECTORY), rc = 0;

	/* Without permission to read the root the daemon's timer will do it */
	if (dir < 0 && errno != EACCES)
		rc = last_error();
	if (dir >= 0 && fsync(dir) != 0)
		rc = last_error();
	if (dir >= 0)
		close(dir);
	close(store->root);
	return rc;
}

/* ---- snapshots -------------------------------------------------------- */

#define SNAPSHOTS ".banyan/snapshots"

/*
 * The directory that has them, in which mkdir(2) takes one, rmdir(2) drops one
 * and rename(2) renames one; or an error. A name that is none would be a path to
 * the kernel.
 */
static int open_snapshots(const struct store *store, const char *name)
{
	size_t len = strlen(name);
	int dir;

	if (len == 0 || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return -EINVAL;
	if (len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	dir = openat(store->root, SNAPSHOTS, O_PATH | DIRECTORY);
	if (dir >= 0)
		return dir;
	return errno == ENOENT ? -EOPNOTSUPP : last_error();
}

static int take_snapshot(const struct store *store, const char *name)
{
	int dir = open_snapshots(store, name), rc;

	if (dir < 0)
		return dir;
	rc = mkdirat(dir, name, 0777) == 0 ? 0 : last_error();
	close(dir);
	return rc;
}

static int drop_snapshot(const struct store *store, const char *name)
{
	int dir = open_snapshots(store, name), rc;

	if (dir < 0)
		return dir;
	rc = unlinkat(dir, name, AT_REMOVEDIR) == 0 ? 0 : last_error();
	close(dir);
	return rc;
}

static int rename_snapshot(const struct store *store, const char *name,
			   const char *new_name)
{
	int dir = open_snapshots(store, new_name), rc;

	if (dir >= 0)
		close(dir);
	if (dir >= 0)
		dir = open_snapshots(store, name);
	if (dir < 0)
		return dir;
	if (strcmp(name, new_name) == 0)
		/* The kernel would say that it is in its own way */
		rc = faccessat(dir, name, F_OK, 0) == 0 ? 0 : last_error();
	else
		rc = renameat2(dir, name, dir, new_name, RENAME_NOREPLACE) ?
			     last_error() :
			     0;
	close(dir);
	return rc;
}

const struct store_ops store_mount = {
	.find = find,
	.put = put,
	.draft_begin = draft_begin,
	.draft_write = draft_write,
	.draft_put = draft_put,
	.draft_end = draft_end,
	.alias = alias,
	.rename = rename_key,
	.make_space = make_space,
	.remove = remove_key,
	.empty = empty,
	.batch_begin = batch_begin,
	.batch_insert = batch_insert,
	.batch_delete = batch_delete,
	.batch_commit = batch_commit,
	.batch_abort = batch_abort,
	.snapshot = take_snapshot,
	.snapshot_drop = drop_snapshot,
	.snapshot_rename = rename_snapshot,
	.close = close_store,
};
