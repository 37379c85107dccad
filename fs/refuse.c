/* SPDX-License-Identifier: MIT */
/*
 * Handlers of nodes below .banyan for what cannot be done there, and for what a
 * kind of node does not have unless it brings a handler of its own.
 */
#include <errno.h>

#include "hidden.h"

/* ---- what cannot be done -------------------------------------------------- */

static void refuse(fuse_req_t req, fuse_ino_t ino)
{
	fuse_reply_err(req, hidden_is(ino) ? hidden_node(ino)->refusal : EPERM);
}

static void refuse_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
			   int to_set, struct fuse_file_info *fi)
{
	(void)st;
	(void)to_set;
	(void)fi;
	refuse(req, ino);
}

static void refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
			 mode_t mode, dev_t rdev)
{
	(void)name;
	(void)mode;
	(void)rdev;
	refuse(req, parent);
}

static void refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
			 mode_t mode)
{
	(void)name;
	(void)mode;
	refuse(req, parent);
}

static void refuse_name(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)name;
	refuse(req, ino);
}

static void refuse_symlink(fuse_req_t req, const char *target,
			   fuse_ino_t parent, const char *name)
{
	(void)target;
	(void)name;
	refuse(req, parent);
}

static void refuse_create(fuse_req_t req, fuse_ino_t parent, const char *name,
			  mode_t mode, struct fuse_file_info *fi)
{
	(void)name;
	(void)mode;
	(void)fi;
	refuse(req, parent);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
			  fuse_ino_t new_parent, const char *new_name,
			  unsigned flags)
{
	(void)name;
	(void)new_name;
	(void)flags;
	refuse(req, hidden_is(parent) ? parent : new_parent);
}

static void refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
			const char *name)
{
	(void)ino;
	(void)name;
	refuse(req, parent);
}

static void refuse_write(fuse_req_t req, fuse_ino_t ino, const char *buffer,
			 size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)buffer;
	(void)size;
	(void)offset;
	(void)fi;
	refuse(req, ino);
}

static void refuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			    const char *value, size_t size, int flags)
{
	(void)name;
	(void)value;
	(void)size;
	(void)flags;
	refuse(req, ino);
}

static void refuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode,
			     off_t offset, off_t length,
			     struct fuse_file_info *fi)
{
	(void)mode;
	(void)offset;
	(void)length;
	(void)fi;
	refuse(req, ino);
}

/* ---- what a node does not have ------------------------------------------- */

static void no_data(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	(void)ino;
	(void)size;
	(void)offset;
	(void)fi;
	fuse_reply_err(req, EISDIR);
}

static void no_listing(fuse_req_t req, fuse_ino_t ino, size_t size,
		       off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)size;
	(void)offset;
	(void)fi;
	fuse_reply_err(req, ENOTDIR);
}

static void no_names(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino;
	(void)name;
	fuse_reply_err(req, ENOTDIR);
}

static void no_target(fuse_req_t req, fuse_ino_t ino)
{
	(void)ino;
	fuse_reply_err(req, EINVAL);
}

static void no_seek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		    struct fuse_file_info *fi)
{
	(void)ino;
	(void)offset;
	(void)whence;
	(void)fi;
	fuse_reply_err(req, EINVAL);
}

static void no_xattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		     size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	fuse_reply_err(req, ENODATA);
}

static void no_xattrs(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

static void no_copy(fuse_req_t req, fuse_ino_t from, off_t from_at,
		    struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_at,
		    struct fuse_file_info *to_fi, size_t size, int flags)
{
	(void)from_at;
	(void)from_fi;
	(void)to_at;
	(void)to_fi;
	(void)size;
	(void)flags;
	if (hidden_is(to))
		refuse(req, to);
	else
		fuse_reply_err(req, hidden_is(from) ? EXDEV : EINVAL);
}

void hidden_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops)
{
	*ops = (struct fuse_lowlevel_ops){
		.open = fs->live.open,
		.release = fs->live.release,
		.fsync = fs->live.fsync,
		.opendir = fs->live.opendir,
		.releasedir = fs->live.releasedir,
		.fsyncdir = fs->live.fsyncdir,
		.statfs = fs->live.statfs,
		.ioctl = fs->live.ioctl,
		.setattr = refuse_setattr,
		.mknod = refuse_mknod,
		.mkdir = refuse_mkdir,
		.unlink = refuse_name,
		.rmdir = refuse_name,
		.symlink = refuse_symlink,
		.create = refuse_create,
		.rename = refuse_rename,
		.link = refuse_link,
		.write = refuse_write,
		.setxattr = refuse_setxattr,
		.removexattr = refuse_name,
		.fallocate = refuse_fallocate,
		.lookup = no_names,
		.readlink = no_target,
		.read = no_data,
		.readdir = no_listing,
		.readdirplus = no_listing,
		.lseek = no_seek,
		.getxattr = no_xattr,
		.listxattr = no_xattrs,
		.copy_file_range = no_copy,
	};
}
