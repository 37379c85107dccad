/* SPDX-License-Identifier: MIT */
/* What is asked of the file system as a whole, not of a file: FITRIM */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fs.h"

/*
 * fstrim(8). It reaches us on whatever directory of the mount was opened, from
 * anybody who can open it, so the caller is checked here.
 */
static int trim(const struct fuse_ctx *ctx, size_t in_size, size_t out_size)
{
	if (in_size != sizeof(struct fstrim_range) ||
	    out_size != sizeof(struct fstrim_range))
		return -EINVAL;
	if (ctx->uid != 0 && ctx->uid != geteuid())
		return -EPERM;
	return -EOPNOTSUPP; /* there is no vacuum yet */
}

static void fs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd,
		     void *arg, struct fuse_file_info *fi, unsigned flags,
		     const void *in, size_t in_size, size_t out_size)
{
	int rc = -ENOTTY;

	(void)ino;
	(void)arg;
	(void)fi;
	(void)flags;
	(void)in;
	if (cmd == FITRIM)
		rc = trim(fuse_req_ctx(req), in_size, out_size);
	fs_reply_error(req, rc);
}

void fs_ops_control(struct fuse_lowlevel_ops *ops)
{
	ops->ioctl = fs_ioctl;
}
