/* SPDX-License-Identifier: MIT */
/* Handlers for names: finding, making, removing and moving keys */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h> /* RENAME_NOREPLACE, ... */
#include <string.h>

#include "acl.h"
#include "commit.h"
#include "fs.h"
#include "nodes.h"
#include "requests.h"
#include "xattrs.h"

/* The kernel hands over names that are too long as they are */
static int name_length(const char *name, size_t *len)
{
	*len = strlen(name);
	return *len > BANYAN_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* There is no such key; the kernel makes it known to itself when that changes
 */
void fs_reply_absent(fuse_req_t req)
{
	struct fuse_entry_param e = { .entry_timeout = FS_FOREVER };

	fuse_reply_entry(req, &e);
}

static void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e;
	struct banyan_attr attr;
	banyan_data *data;
	size_t len;
	int rc = name_length(name, &len);

	if (!rc)
		rc = banyan_search(fs_data(fs, parent), name, len, &data,
				   &attr);
	if (!rc)
		rc = fs_make_entry(fs, data, &attr, &e);
	if (!rc)
		fs_reply_entry(req, &e);
	else if (rc == -ENOENT)
		fs_reply_absent(req);
	else
		fs_reply_error(req, rc);
}

/*
 * Make the entry for a key that has just been made. If that fails the key has to
 * go again: the kernel may know the name as absent, and would for ever. If it
 * cannot go, the kernel is told that it exists, and forgets what it knows.
 */
static int make_new_entry(struct fs *fs, fuse_ino_t parent, const char *name,
			  banyan_data *data, const struct banyan_attr *attr,
			  struct fuse_entry_param *e)
{
	int rc = fs_make_entry(fs, data, attr, e);

	commit_note(fs->commit);
	if (rc &&
	    banyan_delete(fs_data(fs, parent), name, strlen(name), 0, NULL))
		return -EEXIST;
	return rc;
}

/*
 * Say whose a new Data is: the caller's. In a key space with the set-group-id bit
 * it belongs to the space's group, and a key space made there has the bit too.
 *
 * A space without the bit is marked NODES_PLAIN, which spares the next look. The kernel
 * holds the lock of the directory, so nobody sets the bit between the look and the
 * mark; it does not for TMPFILE.
 */
static int set_owner(fuse_req_t req, banyan_data *space, struct banyan_new *new)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct banyan_attr attr;
	int rc;

	new->uid = ctx->uid;
	new->gid = ctx->gid;
	if (nodes_is(space, NODES_PLAIN))
		return 0;
	rc = banyan_get_attr(space, &attr);
	if (rc)
		return rc;
	if (attr.mode & S_ISGID) {
		new->gid = attr.gid;
		if (S_ISDIR(new->mode))
			new->mode |= S_ISGID;
	} else if (requests_opcode() != FUSE_TMPFILE) {
		nodes_set(space, NODES_PLAIN, true);
	}
	return 0;
}

static int inherit(fuse_req_t req, banyan_data *space, struct banyan_new *new,
		   struct acl_room *room)
{
	struct fs *fs = fs_of(req);
	int rc = set_owner(req, space, new);

	if (!rc && fs->acl && !S_ISLNK(new->mode))
		rc = acl_inherit(fs, space, fuse_req_ctx(req)->umask, new,
				 room);
	return rc;
}

/* Make a key with a new Data */
static int make(fuse_req_t req, fuse_ino_t parent, const char *name,
		struct banyan_new *new, struct fuse_entry_param *e)
{
	struct fs *fs = fs_of(req);
	banyan_data *space = fs_data(fs, parent);
	unsigned count = xattrs_count();
	struct banyan_attr attr;
	struct acl_room room;
	banyan_data *data;
	size_t len;
	int rc = name_length(name, &len);

	if (!rc && requests_was_made() &&
	    !banyan_search(space, name, len, &data, &attr))
		return fs_make_entry(fs, data, &attr, e);
	if (!rc)
		rc = inherit(req, space, new, &room);
	if (!rc)
		rc = banyan_insert(space, name, len, new, &data, &attr);
	if (rc)
		return rc;
	if (!new->xattr_count)
		xattrs_none(data, count);
	return make_new_entry(fs, parent, name, data, &attr, e);
}

/* Make a Data without a key, in the space that parent is (O_TMPFILE). LINK may
 * give it one. */
static int make_unnamed(fuse_req_t req, fuse_ino_t parent,
			struct banyan_new *new, struct fuse_entry_param *e)
{
	struct fs *fs = fs_of(req);
	struct banyan_attr attr;
	struct acl_room room;
	banyan_data *data;
	int rc = inherit(req, fs_data(fs, parent), new, &room);

	if (!rc)
		rc = banyan_insert_unnamed(fs->db, new, &data, &attr);
	if (rc)
		return rc;
	commit_note(fs->commit);
	return fs_make_entry(fs, data, &attr, e);
}

static void make_and_reply(fuse_req_t req, fuse_ino_t parent, const char *name,
			   struct banyan_new *new)
{
	struct fuse_entry_param e;
	int rc = make(req, parent, name, new, &e);

	if (rc)
		fs_reply_error(req, rc);
	else
		fs_reply_entry(req, &e);
}

static void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	struct banyan_new new = { .mode = mode, .rdev = rdev };

	make_and_reply(req, parent, name, &new);
}

static void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	struct banyan_new new = { .mode = S_IFDIR | (mode & 07777) };

	make_and_reply(req, parent, name, &new);
}

static void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	struct banyan_new new = {
		.mode = S_IFLNK | 0777,
		.value = target,
		.size = strlen(target),
	};

	make_and_reply(req, parent, name, &new);
}

/* Opens too, but nothing is allocated for that: no RELEASE may follow */
static void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	struct banyan_new new = { .mode = S_IFREG | (mode & 07777) };
	struct fuse_entry_param e;
	int rc = requests_opcode() == FUSE_TMPFILE ?
			 make_unnamed(req, parent, &new, &e) :
			 make(req, parent, name, &new, &e);

	fi->keep_cache = 1;
	if (rc)
		fs_reply_error(req, rc);
	else
		fs_reply_create(req, &e, fi);
}

static void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		    const char *name)
{
	struct fs *fs = fs_of(req);
	banyan_data *data = fs_data(fs, ino);
	struct fuse_entry_param e;
	size_t len;
	int rc = name_length(name, &len);

	if (!rc && !requests_was_made())
		rc = banyan_insert_data(fs_data(fs, parent), name, len, data);
	if (!rc) {
		banyan_hold(data);
		rc = make_new_entry(fs, parent, name, data, NULL, &e);
	}
	if (rc)
		fs_reply_error(req, rc);
	else
		fs_reply_entry(req, &e);
}

static void delete_and_reply(fuse_req_t req, fuse_ino_t parent,
			     const char *name, unsigned flags)
{
	struct fs *fs = fs_of(req);
	size_t len;
	int rc = name_length(name, &len);

	if (!rc)
		rc = banyan_delete(fs_data(fs, parent), name, len, flags, NULL);
	if (!rc)
		commit_note(fs->commit);
	fs_reply_error(req, rc);
}

static void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	delete_and_reply(req, parent, name, BANYAN_NOT_SPACE);
}

static void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	delete_and_reply(req, parent, name, BANYAN_ONLY_SPACE);
}

/*
 * Move a key and leave a whiteout in its place, in one operation: a device with the
 * number 0, by which an overlay knows that the name does not exist.
 */
static int move_and_white_out(fuse_req_t req, banyan_data *space,
			      const char *name, banyan_data *new_space,
			      const char *new_name, unsigned how)
{
	struct banyan_new whiteout = { .mode = S_IFCHR };
	banyan_data *from = NULL, *to = NULL;
	banyan *batch;
	int rc = set_owner(req, space, &whiteout);

	if (!rc)
		rc = banyan_begin(fs_of(req)->db, &batch);
	if (rc)
		return rc;
	rc = banyan_hold_in(batch, space, &from);
	if (!rc)
		rc = banyan_hold_in(batch, new_space, &to);
	if (!rc)
		rc = banyan_move(from, name, strlen(name), to, new_name,
				 strlen(new_name), how);
	if (!rc)
		rc = banyan_insert(from, name, strlen(name), &whiteout, NULL,
				   NULL);
	banyan_release(from, 1);
	banyan_release(to, 1);
	if (!rc)
		return banyan_commit(batch);
	banyan_abort(batch);
	return rc;
}

static void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name,
		      unsigned flags)
{
	const unsigned known = RENAME_NOREPLACE | RENAME_EXCHANGE |
			       RENAME_WHITEOUT;
	struct fs *fs = fs_of(req);
	banyan_data *space = fs_data(fs, parent);
	banyan_data *new_space = fs_data(fs, new_parent);
	unsigned how = 0;
	size_t len, new_len;
	int rc;

	if (flags & ~known) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (flags & RENAME_NOREPLACE)
		how |= BANYAN_NO_REPLACE;
	if (flags & RENAME_EXCHANGE)
		how |= BANYAN_EXCHANGE;
	rc = name_length(name, &len);
	if (!rc)
		rc = name_length(new_name, &new_len);
	if (!rc && (flags & RENAME_WHITEOUT))
		rc = move_and_white_out(req, space, name, new_space, new_name,
					how);
	else if (!rc)
		rc = banyan_move(space, name, len, new_space, new_name, new_len,
				 how);
	if (!rc)
		commit_note(fs->commit);
	fs_reply_error(req, rc);
}

void fs_ops_name(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = fs_lookup;
	ops->mknod = fs_mknod;
	ops->mkdir = fs_mkdir;
	ops->symlink = fs_symlink;
	ops->create = fs_create;
	ops->link = fs_link;
	ops->unlink = fs_unlink;
	ops->rmdir = fs_rmdir;
	ops->rename = fs_rename;
}
