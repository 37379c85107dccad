/* SPDX-License-Identifier: MIT */
/*
 * Handlers for attributes. ACCESS is not here: the kernel checks permissions
 * itself (default_permissions) and never asks.
 */
#include <errno.h>
#include <sys/statvfs.h>

#include "acl.h"
#include "commit.h"
#include "fs.h"
#include "nodes.h"
#include "options.h"
#include "privileges.h"
#include "stale.h"

void fs_reply_attr(fuse_req_t req, const struct banyan_attr *attr)
{
	struct stat st;

	fs_fill_stat(fs_of(req), attr, &st);
	fs_reply_stat(req, &st, &attr->birth);
}

static void fs_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	banyan_data *data = fs_data(fs_of(req), ino);
	struct banyan_attr attr;
	int rc = banyan_get_attr(data, &attr);

	(void)fi;
	if (rc) {
		fs_reply_error(req, rc);
		return;
	}
	stale_told(data);
	fs_reply_attr(req, &attr);
}

static struct banyan_time time_of(struct timespec t)
{
	return (struct banyan_time){ t.tv_sec, (uint64_t)t.tv_nsec };
}

/* What the kernel asks for in the library's words */
static unsigned translate(const struct stat *st, int to_set,
			  struct banyan_attr *attr)
{
	static const struct {
		int theirs;
		unsigned ours;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, BANYAN_SET_MODE },
		{ FUSE_SET_ATTR_UID, BANYAN_SET_UID },
		{ FUSE_SET_ATTR_GID, BANYAN_SET_GID },
		{ FUSE_SET_ATTR_SIZE, BANYAN_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, BANYAN_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, BANYAN_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, BANYAN_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, BANYAN_SET_MTIME_NOW },
	};
	unsigned which = 0;

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (to_set & bits[i].theirs)
			which |= bits[i].ours;
	/* The kernel sets the plain bit too when it means now */
	if (which & BANYAN_SET_ATIME_NOW)
		which &= ~(unsigned)BANYAN_SET_ATIME;
	if (which & BANYAN_SET_MTIME_NOW)
		which &= ~(unsigned)BANYAN_SET_MTIME;
	*attr = (struct banyan_attr){
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime = time_of(st->st_atim),
		.mtime = time_of(st->st_mtim),
	};
	return which;
}

/*
 * With one owner shown for all, giving things away cannot work, and setting the
 * owner that is shown is nothing to do.
 */
static int shown_owner(const struct options *o, const struct banyan_attr *attr,
		       unsigned *which)
{
	if (o->has_uid && (*which & BANYAN_SET_UID)) {
		if (attr->uid != o->uid)
			return -EPERM;
		*which &= ~(unsigned)BANYAN_SET_UID;
	}
	if (o->has_gid && (*which & BANYAN_SET_GID)) {
		if (attr->gid != o->gid)
			return -EPERM;
		*which &= ~(unsigned)BANYAN_SET_GID;
	}
	return 0;
}

/*
 * Root changes a file of root's that has no name. The kernel does so by itself where
 * it copies a file to the upper directory of an overlay: first it sets capabilities,
 * then the size, the mode, and the owner, and all are to stay. Its requests are the
 * same as those of chown(2) and truncate(2). Nobody but root can have put set-id bits
 * there, or contents since.
 */
static bool is_copied_up(fuse_req_t req, const struct banyan_attr *attr)
{
	return attr->nlink == 0 && attr->uid == 0 &&
	       fuse_req_ctx(req)->uid == 0;
}

/*
 * A new owner, or a new size set by somebody who is not root, takes the set-id
 * bits away (privileges.h). The answer tells the kernel the new mode.
 */
static int drop_set_id(fuse_req_t req, banyan_data *data, int to_set,
		       struct banyan_attr *attr, unsigned *which)
{
	bool owner = *which & (BANYAN_SET_UID | BANYAN_SET_GID);
	bool size = *which & BANYAN_SET_SIZE;
	struct banyan_attr old;
	uint32_t mode;
	int rc;

	if (!owner && !size)
		return 0;
	rc = banyan_get_attr(data, &old);
	if (rc || S_ISDIR(old.mode) || is_copied_up(req, &old))
		return rc;
	rc = privileges_drop_capabilities(data, old.mode);
	if (rc)
		return rc;
	if (!owner && !(to_set & FUSE_SET_ATTR_KILL_SUID))
		return 0; /* root may */
	mode = privileges_less(req, &old);
	if (mode != old.mode && !(*which & BANYAN_SET_MODE)) {
		attr->mode = mode & 07777;
		*which |= BANYAN_SET_MODE;
	}
	return 0;
}

static void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
		       int to_set, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	banyan_data *data = fs_data(fs, ino);
	struct banyan_attr attr, after;
	unsigned which = translate(st, to_set, &attr);
	int rc = shown_owner(fs->options, &attr, &which);

	(void)fi;
	if (!rc)
		rc = drop_set_id(req, data, to_set, &attr, &which);
	if (!rc)
		rc = which ? acl_set_attr(fs, data, &attr, which, &after) :
			     banyan_get_attr(data, &after);
	if (rc) {
		fs_reply_error(req, rc);
		return;
	}
	privileges_note_mode(data, after.mode);
	stale_told(data);
	commit_note(fs->commit);
	fs_reply_attr(req, &after);
}

/*
 * Space is that of the file system which the database file lies on. Free is
 * what a vacuum would give back, too; available is what can be written now.
 */
static void fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct banyan_stat stat = { 0 };
	struct statvfs host = { .f_bsize = 4096, .f_frsize = 4096 };
	int rc = banyan_get_stat(fs->db, &stat);

	(void)ino;
	if (!rc)
		rc = fs_host(fs, &host);
	if (rc && rc != -EOPNOTSUPP) {
		fs_reply_error(req, rc);
		return;
	}
	host.f_bfree += stat.reclaimable_bytes / host.f_frsize;
	if (host.f_bfree > host.f_blocks)
		host.f_bfree = host.f_blocks;
	host.f_namemax = BANYAN_NAME_MAX;
	/* As many more names as there is room for a small one */
	host.f_ffree = host.f_bavail * (host.f_frsize / 512);
	host.f_favail = host.f_ffree;
	host.f_files = stat.keys + 1 + host.f_ffree;
	fuse_reply_statfs(req, &host);
}

void fs_ops_attr(struct fuse_lowlevel_ops *ops)
{
	ops->getattr = fs_getattr;
	ops->setattr = fs_setattr;
	ops->statfs = fs_statfs;
}
