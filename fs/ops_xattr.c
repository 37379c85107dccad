/* SPDX-License-Identifier: MIT */
/*
 * Handlers for extended attributes: those of users, of root (trusted) and of
 * security modules are kept, and access control lists. Other kinds, which no copy
 * could keep, are refused: the kernel hands over any name.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "acl.h"
#include "commit.h"
#include "common/mounted.h"
#include "fs.h"
#include "lasting.h"
#include "nodes.h"
#include "options.h"
#include "transport.h"
#include "undelete.h"
#include "vacuum.h"
#include "xattrs.h"

#define TRUSTED "trusted."
#define LABEL "security.selinux"

static bool begins(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* 0 if names like this are kept, or an error */
static int check_kind(const char *name)
{
	static const char *const kinds[] = { "user.", TRUSTED, "security." };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (begins(name, kinds[i]))
			return name[strlen(kinds[i])] ? 0 : -EINVAL;
	return -EOPNOTSUPP;
}

/* As getxattr(2) answers: with size 0 only the length */
static ssize_t give(const char *text, size_t len, char *value, size_t size)
{
	if (size && len > size)
		return -ERANGE;
	if (size)
		memcpy(value, text, len);
	return (ssize_t)len;
}

/*
 * The name that the database file has now, which may have been moved since it
 * was mounted. Not in the list of names: cp -a would copy it.
 */
static ssize_t file_name(const struct fs *fs, char *name, size_t size)
{
	char link[32], path[PATH_MAX];
	int file = banyan_file(fs->db);
	struct stat st;
	ssize_t n = -ENODATA; /* in memory, or deleted */

	if (file < 0)
		return file == -EOPNOTSUPP ? n : file;
	if (!fstat(file, &st) && st.st_nlink) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
		n = readlink(link, path, sizeof(path));
		if (n < 0)
			n = -errno;
	}
	close(file);
	return n < 0 ? n : give(path, (size_t)n, name, size);
}

static ssize_t vacuum_state(const struct fs *fs, char *value, size_t size)
{
	char text[100];

	if (!fs->vacuum)
		return -EROFS;
	return give(text, vacuum_tell(fs->vacuum, text, sizeof(text)), value,
		    size);
}

static ssize_t keep_seconds(const struct fs *fs, char *value, size_t size)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64,
			 fs->options->keep_seconds);

	return give(text, (size_t)n, value, size);
}

static ssize_t undelete_state(const struct fs *fs, char *value, size_t size)
{
	if (!fs->undelete)
		return -EROFS;
	return give(undelete_is_busy(fs->undelete) ? "busy" : "idle", 4, value,
		    size);
}

static ssize_t daemons(const struct fs *fs, char *value, size_t size)
{
	const struct lasting *l = fs->lasting;
	char text[40];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "%s",
			 1 + l->restarts + l->replaced + l->kept,
			 l->last_kept ? " kept" : "");

	return give(text, (size_t)n, value, size);
}

/* Answers */
static void order_restart(fuse_req_t req)
{
	struct fs *fs = fs_of(req);
	bool can = atomic_load(&fs->lasting->survives);

	if (!fs_is_owner(req) || !can) {
		fs_reply_error(req, can ? -EPERM : -EOPNOTSUPP);
		return;
	}
	fs_reply_error(req, 0);
	atomic_store(&fs->restart, true);
	fs->end(fs->end_arg);
}

/* Answers */
static void order_undelete(fuse_req_t req, const char *order, size_t size)
{
	const struct fs *fs = fs_of(req);

	if (!fs_is_owner(req))
		fs_reply_error(req, -EPERM);
	else if (!fs->undelete)
		fs_reply_error(req, -EROFS);
	else
		undelete_order(fs->undelete, req, order, size);
}

static int order_vacuum(const struct fs *fs, const char *order, size_t size)
{
	return fs->vacuum ? vacuum_order(fs->vacuum, order, size) : -EROFS;
}

/* Those of the root that are not in the database. False: it is none of them. */
static bool get_special(fuse_req_t req, fuse_ino_t ino, const char *name,
			void *value, size_t size, ssize_t *n)
{
	const struct fs *fs = fs_of(req);

	if (ino != FUSE_ROOT_ID)
		return false;
	if (!strcmp(name, FS_XATTR_VACUUM))
		*n = fs_is_owner(req) ? vacuum_state(fs, value, size) : -EPERM;
	else if (!strcmp(name, FS_XATTR_UNDELETE))
		*n = fs_is_owner(req) ? undelete_state(fs, value, size) :
					-EPERM;
	else if (!strcmp(name, FS_XATTR_RESTART))
		*n = daemons(fs, value, size);
	else if (!strcmp(name, FS_XATTR_KEEP))
		*n = keep_seconds(fs, value, size);
	else if (!strcmp(name, MOUNTED_XATTR_FILE))
		*n = file_name(fs, value, size);
	else
		return false;
	return true;
}

static ssize_t get_value(fuse_req_t req, banyan_data *data, const char *name,
			 void *value, size_t size)
{
	ssize_t n;

	if (fs_of(req)->acl && acl_is_name(name))
		return acl_get(req, data, name, value, size);
	n = check_kind(name);
	n = n ? n : xattrs_get(data, name, value, size);
	if (n == -ENODATA && !strcmp(name, LABEL))
		n = -EOPNOTSUPP; /* and ls -l does not ask for each file */
	return n;
}

/* Room for a value of so many bytes; with size 0 there is none. False: it has
 * been answered that there is no memory. */
static bool make_room(fuse_req_t req, size_t size, char **value)
{
	*value = size ? transport_buffer(size) : NULL;
	if (!size || *value)
		return true;
	fuse_reply_err(req, ENOMEM);
	return false;
}

static void reply_value(fuse_req_t req, const char *value, ssize_t n,
			size_t size)
{
	if (n < 0)
		fs_reply_error(req, (int)n);
	else if (size)
		fuse_reply_buf(req, value, (size_t)n);
	else
		fuse_reply_xattr(req, (size_t)n);
}

void fs_reply_xattr(fuse_req_t req, banyan_data *data, const char *name,
		    size_t size)
{
	char *value;

	if (make_room(req, size, &value))
		reply_value(req, value, get_value(req, data, name, value, size),
			    size);
}

static void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	char *value;
	ssize_t n;

	if (!make_room(req, size, &value))
		return;
	if (!get_special(req, ino, name, value, size, &n))
		n = get_value(req, fs_data(fs_of(req), ino), name, value, size);
	reply_value(req, value, n, size);
}

/* Not for the caller: what only root may see, and what cannot be asked for */
static bool is_unseen(fuse_req_t req, const char *name)
{
	if (begins(name, "system."))
		return !fs_of(req)->acl || !acl_is_name(name);
	return begins(name, TRUSTED) && fuse_req_ctx(req)->uid != 0;
}

/* Leave that out. The length of what is left. */
static size_t leave_out(fuse_req_t req, char *names, size_t len)
{
	size_t kept = 0;

	for (size_t at = 0; at < len;) {
		size_t n = strnlen(names + at, len - at - 1) + 1;

		if (!is_unseen(req, names + at)) {
			memmove(names + kept, names + at, n);
			kept += n;
		}
		at += n;
	}
	return kept;
}

void fs_reply_xattrs(fuse_req_t req, banyan_data *data, size_t size)
{
	ssize_t n = xattrs_list(data, NULL, 0);
	char *names = NULL;

	/* The whole list, whatever was asked for: some may be left out */
	if (n > 0) {
		names = transport_buffer((size_t)n);
		n = names ? xattrs_list(data, names, (size_t)n) : -ENOMEM;
	}
	if (n > 0)
		n = (ssize_t)leave_out(req, names, (size_t)n);
	if (n < 0)
		fs_reply_error(req, (int)n);
	else if (!size)
		fuse_reply_xattr(req, (size_t)n);
	else if ((size_t)n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, names, (size_t)n);
}

static void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	fs_reply_xattrs(req, fs_data(fs_of(req), ino), size);
}

/* One that is kept in the database */
static int set_value(fuse_req_t req, banyan_data *data, const char *name,
		     const char *value, size_t size, int flags)
{
	struct fs *fs = fs_of(req);
	unsigned how = 0;
	int rc;

	if (fs->acl && acl_is_name(name))
		return acl_set(req, data, name, value, size);
	rc = check_kind(name);
	if (rc)
		return rc;
	if (flags & XATTR_CREATE)
		how |= BANYAN_XATTR_CREATE;
	if (flags & XATTR_REPLACE)
		how |= BANYAN_XATTR_REPLACE;
	if (!strcmp(name, FS_XATTR_CAPABILITY))
		nodes_set(data, NODES_PLAIN, false);
	return xattrs_set(data, name, value, size, how);
}

static void fs_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	struct fs *fs = fs_of(req);
	int rc;

	if (ino == FUSE_ROOT_ID && !strcmp(name, FS_XATTR_VACUUM)) {
		rc = fs_is_owner(req) ? order_vacuum(fs, value, size) : -EPERM;
		fs_reply_error(req, rc);
		return;
	}
	if (ino == FUSE_ROOT_ID && !strcmp(name, FS_XATTR_UNDELETE)) {
		order_undelete(req, value, size);
		return;
	}
	if (ino == FUSE_ROOT_ID && !strcmp(name, FS_XATTR_RESTART)) {
		order_restart(req);
		return;
	}
	rc = set_value(req, fs_data(fs, ino), name, value, size, flags);
	if (!rc)
		commit_note(fs->commit);
	fs_reply_error(req, rc);
}

static void fs_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fs *fs = fs_of(req);
	banyan_data *data = fs_data(fs, ino);
	bool is_acl = fs->acl && acl_is_name(name);
	int rc = is_acl ? 0 : check_kind(name);

	if (!rc)
		rc = is_acl ? acl_remove(data, name) :
			      banyan_remove_xattr(data, name);
	if (!rc)
		commit_note(fs->commit);
	fs_reply_error(req, rc);
}

void fs_ops_xattr(struct fuse_lowlevel_ops *ops)
{
	ops->getxattr = fs_getxattr;
	ops->listxattr = fs_listxattr;
	ops->setxattr = fs_setxattr;
	ops->removexattr = fs_removexattr;
}
