/* SPDX-License-Identifier: MIT */
/* IOCTL: FITRIM, which is asked of the file system as a whole; the flags of a file */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "flags.h"
#include "fs.h"
#include "hidden.h"
#include "vacuum.h"

bool fs_is_owner(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return ctx->uid == 0 || ctx->uid == geteuid();
}

int fs_host(const struct fs *fs, struct statvfs *host)
{
	int file = banyan_file(fs->db);
	int rc = 0;

	if (file < 0)
		return file;
	if (fstatvfs(file, host))
		rc = -errno;
	close(file);
	return rc;
}

/* As other file systems see it: does the range lie in this one, and is it a block? */
static int check_range(const struct fs *fs, const struct fstrim_range *range)
{
	struct statvfs host;
	int rc = fs_host(fs, &host);

	if (rc)
		return rc == -EOPNOTSUPP ? 0 : rc; /* in memory */
	return range->len < host.f_frsize ||
			       range->start / host.f_frsize >= host.f_blocks ?
		       -EINVAL :
		       0;
}

/*
 * fstrim(8): a vacuum is of all, whatever the range. It reaches us on whatever
 * directory of the mount was opened, from anybody who can open it, so the
 * caller is checked here.
 */
static void trim(fuse_req_t req, const void *in, size_t in_size,
		 size_t out_size)
{
	const struct fs *fs = fs_of(req);
	int rc;

	if (in_size != sizeof(struct fstrim_range) ||
	    out_size != sizeof(struct fstrim_range))
		fuse_reply_err(req, EINVAL);
	else if (!fs_is_owner(req))
		fuse_reply_err(req, EPERM);
	else if (!fs->vacuum)
		fuse_reply_err(req, EROFS);
	else if ((rc = check_range(fs, in)))
		fs_reply_error(req, rc);
	else
		vacuum_trim(fs->vacuum, req, in);
}

static void fs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd,
		     void *arg, struct fuse_file_info *fi, unsigned flags,
		     const void *in, size_t in_size, size_t out_size)
{
	struct fs *fs = fs_of(req);

	(void)arg;
	(void)fi;
	(void)flags;
	if (cmd == FITRIM)
		trim(req, in, in_size, out_size);
	else if (flags_is_get(cmd) && !hidden_is(ino))
		flags_reply(req, fs_data(fs, ino), cmd, out_size);
	else if (flags_is_set(cmd) && hidden_is(ino))
		fuse_reply_err(req, hidden_node(ino)->refusal);
	else if (flags_is_set(cmd))
		flags_set(req, fs_data(fs, ino), cmd, in, in_size);
	else
		fuse_reply_err(req, ENOTTY);
}

void fs_ops_control(struct fuse_lowlevel_ops *ops)
{
	ops->ioctl = fs_ioctl;
}
