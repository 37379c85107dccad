/* SPDX-License-Identifier: MIT */
/*
 * A request goes to the handlers of the node that it names. One with a name in
 * the root is looked at once more: .banyan is not in the database. Of two nodes
 * a hidden one decides, as requests between the past and now are refused.
 */
#include "route.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "hidden.h"
#include "lasting.h"
#include "nodes.h"
#include "requests.h"

static const struct fuse_lowlevel_ops *of_node(fuse_req_t req, fuse_ino_t ino)
{
	return hidden_is(ino) ? hidden_node(ino)->ops : &fs_of(req)->live;
}

static bool is_gate(fuse_ino_t parent, const char *name)
{
	return parent == FUSE_ROOT_ID && !strcmp(name, HIDDEN_NAME);
}

static const struct fuse_lowlevel_ops *
of_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	return is_gate(parent, name) ? hidden_gate(fs_of(req)->hidden) :
				       of_node(req, parent);
}

static void route_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (nodes_is_handle(name))
		nodes_lookup_handle(req, parent, name);
	else
		of_name(req, parent, name)->lookup(req, parent, name);
}

/* ---- by name ----------------------------------------------------------- */

#define BY_NAME(call, parameters, ...)                         \
	static void route_##call parameters                    \
	{                                                      \
		of_name(req, parent, name)->call(__VA_ARGS__); \
	}

/* Where the answer says no more than that it was made */
#define BY_NAME_ONCE(call, parameters, ...)                            \
	static void route_##call parameters                            \
	{                                                              \
		if (requests_was_made())                               \
			fuse_reply_err(req, 0);                        \
		else                                                   \
			of_name(req, parent, name)->call(__VA_ARGS__); \
	}

BY_NAME(mknod,
	(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	 dev_t rdev),
	req, parent, name, mode, rdev)
BY_NAME(mkdir,
	(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode), req,
	parent, name, mode)
BY_NAME_ONCE(unlink, (fuse_req_t req, fuse_ino_t parent, const char *name), req,
	     parent, name)
BY_NAME_ONCE(rmdir, (fuse_req_t req, fuse_ino_t parent, const char *name), req,
	     parent, name)
BY_NAME(symlink,
	(fuse_req_t req, const char *target, fuse_ino_t parent,
	 const char *name),
	req, target, parent, name)
BY_NAME(create,
	(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	 struct fuse_file_info *fi),
	req, parent, name, mode, fi)

static void route_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
			 fuse_ino_t new_parent, const char *new_name,
			 unsigned flags)
{
	const struct fuse_lowlevel_ops *ops = of_name(req, parent, name);

	if (requests_was_made()) {
		fuse_reply_err(req, 0);
		return;
	}
	if (is_gate(new_parent, new_name) ||
	    (hidden_is(new_parent) && !hidden_is(parent)))
		ops = of_name(req, new_parent, new_name);
	ops->rename(req, parent, name, new_parent, new_name, flags);
}

static void route_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		       const char *name)
{
	if (hidden_is(ino) && !hidden_is(parent) && !is_gate(parent, name))
		fuse_reply_err(req, EXDEV);
	else
		of_name(req, parent, name)->link(req, ino, parent, name);
}

/* ---- by node ----------------------------------------------------------- */

#define BY_NODE(call, parameters, ...)                \
	static void route_##call parameters           \
	{                                             \
		of_node(req, ino)->call(__VA_ARGS__); \
	}

BY_NODE(getattr, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
	req, ino, fi)
BY_NODE(setattr,
	(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
	 struct fuse_file_info *fi),
	req, ino, st, to_set, fi)
BY_NODE(readlink, (fuse_req_t req, fuse_ino_t ino), req, ino)
BY_NODE(open, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), req,
	ino, fi)
BY_NODE(read,
	(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	 struct fuse_file_info *fi),
	req, ino, size, offset, fi)
BY_NODE(write,
	(fuse_req_t req, fuse_ino_t ino, const char *buffer, size_t size,
	 off_t offset, struct fuse_file_info *fi),
	req, ino, buffer, size, offset, fi)
BY_NODE(release, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
	req, ino, fi)
BY_NODE(fsync,
	(fuse_req_t req, fuse_ino_t ino, int data_only,
	 struct fuse_file_info *fi),
	req, ino, data_only, fi)
BY_NODE(opendir, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
	req, ino, fi)
BY_NODE(readdir,
	(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	 struct fuse_file_info *fi),
	req, ino, size, offset, fi)
BY_NODE(readdirplus,
	(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	 struct fuse_file_info *fi),
	req, ino, size, offset, fi)
BY_NODE(releasedir, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi),
	req, ino, fi)
BY_NODE(fsyncdir,
	(fuse_req_t req, fuse_ino_t ino, int data_only,
	 struct fuse_file_info *fi),
	req, ino, data_only, fi)
BY_NODE(statfs, (fuse_req_t req, fuse_ino_t ino), req, ino)
BY_NODE(getxattr,
	(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size), req,
	ino, name, size)
BY_NODE(listxattr, (fuse_req_t req, fuse_ino_t ino, size_t size), req, ino,
	size)
BY_NODE(ioctl,
	(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *arg,
	 struct fuse_file_info *fi, unsigned flags, const void *in,
	 size_t in_size, size_t out_size),
	req, ino, command, arg, fi, flags, in, in_size, out_size)
BY_NODE(fallocate,
	(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	 struct fuse_file_info *fi),
	req, ino, mode, offset, length, fi)
BY_NODE(lseek,
	(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	 struct fuse_file_info *fi),
	req, ino, offset, whence, fi)

/* It may be set again, but not created again */
static void route_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			   const char *value, size_t size, int flags)
{
	if (requests_was_made())
		flags &= ~XATTR_CREATE;
	of_node(req, ino)->setxattr(req, ino, name, value, size, flags);
}

static void route_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (requests_was_made())
		fuse_reply_err(req, 0);
	else
		of_node(req, ino)->removexattr(req, ino, name);
}

static void route_copy_file_range(fuse_req_t req, fuse_ino_t from,
				  off_t from_at, struct fuse_file_info *from_fi,
				  fuse_ino_t to, off_t to_at,
				  struct fuse_file_info *to_fi, size_t size,
				  int flags)
{
	of_node(req, hidden_is(to) ? to : from)
		->copy_file_range(req, from, from_at, from_fi, to, to_at, to_fi,
				  size, flags);
}

/* ---- what the kernel forgets -------------------------------------------- */

static void forget(struct fs *fs, fuse_ino_t ino, uint64_t times)
{
	lasting_forget(nodes_is_counted(ino) ? ino : 0, times);
	if (!hidden_is(ino))
		nodes_forget(fs, ino, times);
	else if (hidden_node(ino)->forget)
		hidden_node(ino)->forget(hidden_node(ino), times);
}

static void route_forget(fuse_req_t req, fuse_ino_t ino, uint64_t times)
{
	forget(fs_of(req), ino, times);
	fuse_reply_none(req);
}

static void route_forget_multi(fuse_req_t req, size_t count,
			       struct fuse_forget_data *what)
{
	for (size_t i = 0; i < count; i++)
		forget(fs_of(req), what[i].ino, what[i].nlookup);
	fuse_reply_none(req);
}

void route_ops(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = route_lookup;
	ops->forget = route_forget;
	ops->forget_multi = route_forget_multi;
	ops->mknod = route_mknod;
	ops->mkdir = route_mkdir;
	ops->unlink = route_unlink;
	ops->rmdir = route_rmdir;
	ops->symlink = route_symlink;
	ops->create = route_create;
	ops->rename = route_rename;
	ops->link = route_link;
	ops->getattr = route_getattr;
	ops->setattr = route_setattr;
	ops->readlink = route_readlink;
	ops->open = route_open;
	ops->read = route_read;
	ops->write = route_write;
	ops->release = route_release;
	ops->fsync = route_fsync;
	ops->opendir = route_opendir;
	ops->readdir = route_readdir;
	ops->readdirplus = route_readdirplus;
	ops->releasedir = route_releasedir;
	ops->fsyncdir = route_fsyncdir;
	ops->statfs = route_statfs;
	ops->setxattr = route_setxattr;
	ops->getxattr = route_getxattr;
	ops->listxattr = route_listxattr;
	ops->removexattr = route_removexattr;
	ops->ioctl = route_ioctl;
	ops->fallocate = route_fallocate;
	ops->lseek = route_lseek;
	ops->copy_file_range = route_copy_file_range;
}
