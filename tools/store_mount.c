/* SPDX-License-Identifier: MIT */
/*
 * store_mount.c - the operations of store.h with file calls through a mount.
 *
 * How a value is put. A single write(2) of up to PUT_MAX bytes, and a single
 * copy_file_range(2), is one operation of the daemon: readers, and a crash, see
 * all of it or nothing. A new key gets its value under a temporary name first.
 * A key that exists keeps its file, whose aliases show the new value, so the
 * bytes are written over the old ones. If the old value was longer it is cut by
 * a second call: there is none that does both. In this order a full disk
 * changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keys.h"
#include "place.h"

#define TRIES 10 /* at a key that others make and remove meanwhile */

static int find(const struct store *store, const char *key,
		struct key_info *info)
{
	struct place place = { .name = "" };
	struct stat status;
	int rc = 0;

	if (place_is_root(key))
		place.dir = place_open_root(store);
	else
		rc = place_find(store, key, false, &place);
	if (rc || place.dir < 0)
		return rc ? rc : place.dir;
	if (fstatat(place.dir, place.name, &status,
		    AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
		rc = place_error();
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
			return place_error();
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
		return place_error();
	if (info.st_size > size && ftruncate(fd, size) != 0)
		return place_error();
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
		return place_error();
	while (read_at < info.st_size) {
		done = copy_file_range(from, &read_at, to, &write_at,
				       (size_t)(info.st_size - read_at), 0);
		if (done < 0 && errno != EINTR)
			return place_error();
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
		return place_error();
	if (flags & BANYAN_NEW_ONLY)
		return -EEXIST;
	if (S_ISDIR(info.st_mode))
		return -EISDIR;
	if (!S_ISREG(info.st_mode))
		return -EINVAL;
	fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? place_error() : fd;
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
	return draft->fd < 0 ? place_error() : 0;
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
			return place_error();
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
	int rc = place_find(store, key, flags & BANYAN_PARENTS, &place);

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
	place_copy_name(copied, name, len);
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
	int rc = place_find(store, key, flags & BANYAN_PARENTS, &place), fd;

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
	int rc = place_find(store, key, false, &from);

	if (rc)
		return rc;
	rc = place_find(store, other, false, &to);
	if (rc)
		goto out;
	if (link)
		rc = linkat(from.dir, from.name, to.dir, to.name, 0);
	else
		rc = renameat2(from.dir, from.name, to.dir, to.name, flags);
	if (rc)
		rc = place_error();
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
	int rc = place_find(store, key, flags & BANYAN_PARENTS, &place);

	if (rc)
		return rc;
	rc = mkdirat(place.dir, place.name, 0777) ? place_error() : 0;
	close(place.dir);
	return rc;
}

static int remove_key(const struct store *store, const char *key)
{
	struct place place;
	int rc = place_find(store, key, false, &place);

	if (rc)
		return rc;
	rc = place_unlink(place.dir, place.name);
	close(place.dir);
	return rc;
}

/* ---- batches ---------------------------------------------------------- */

static int batch_begin(const struct store *store, const char *key,
		       struct batch *batch)
{
	batch->dir = place_open_space(store, key);
	return batch->dir < 0 ? batch->dir : 0;
}

static int batch_insert(struct batch *batch, const char *name, size_t len,
			const void *value, size_t size)
{
	char copied[BANYAN_NAME_MAX + 1];
	int fd, rc;

	place_copy_name(copied, name, len);
	fd = openat(batch->dir, copied, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0666);
	if (fd < 0)
		return place_error();
	rc = write_all(fd, value, size, 0);
	if (rc)
		unlinkat(batch->dir, copied, 0);
	close(fd);
	return rc;
}

static int batch_delete(struct batch *batch, const char *name, size_t len)
{
	char copied[BANYAN_NAME_MAX + 1];

	place_copy_name(copied, name, len);
	return place_unlink(batch->dir, copied);
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
	int root = open(store->target.point, O_PATH | PLACE_DIRECTORY), rc = 0;

	if (root < 0)
		return errno == ENOENT ? -EAGAIN : place_error();
	rc = place_check_device(store, root);
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
	int dir = openat(store->root, ".", O_RDONLY | PLACE_DIRECTORY), rc = 0;

	/* Without permission to read the root the daemon's timer will do it */
	if (dir < 0 && errno != EACCES)
		rc = place_error();
	if (dir >= 0 && fsync(dir) != 0)
		rc = place_error();
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
	dir = openat(store->root, SNAPSHOTS, O_PATH | PLACE_DIRECTORY);
	if (dir >= 0)
		return dir;
	return errno == ENOENT ? -EOPNOTSUPP : place_error();
}

static int take_snapshot(const struct store *store, const char *name)
{
	int dir = open_snapshots(store, name), rc;

	if (dir < 0)
		return dir;
	rc = mkdirat(dir, name, 0777) == 0 ? 0 : place_error();
	close(dir);
	return rc;
}

static int drop_snapshot(const struct store *store, const char *name)
{
	int dir = open_snapshots(store, name), rc;

	if (dir < 0)
		return dir;
	rc = unlinkat(dir, name, AT_REMOVEDIR) == 0 ? 0 : place_error();
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
		rc = faccessat(dir, name, F_OK, 0) == 0 ? 0 : place_error();
	else
		rc = renameat2(dir, name, dir, new_name, RENAME_NOREPLACE) ?
			     place_error() :
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
	.empty = place_empty,
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
