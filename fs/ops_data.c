/* SPDX-License-Identifier: MIT */
/*
 * Handlers for contents. There is no state of an open file: a request names
 * the node, which is all that is needed, so the kernel is told to do without
 * OPEN and RELEASE. FLUSH and the locks are not handled on purpose: writes are
 * in the database before they are answered, and the kernel keeps the locks of
 * a file system that nobody else uses.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "commit.h"
#include "fs.h"
#include "kernel.h"
#include "options.h"
#include "privileges.h"
#include "requests.h"
#include "stale.h"
#include "transport.h"

/* Most that one copy may say it has copied in 32 bits */
#define COPY_MAX ((size_t)0x7ffff000)

static void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (fs_of(req)->no_open) {
		fuse_reply_err(req, ENOSYS); /* and do not ask again */
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* Of the first CREATE the kernel does not know yet that none is needed */
static void fs_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

void fs_reply_read(fuse_req_t req, banyan_data *data, size_t size, off_t offset)
{
	char *buffer = transport_buffer(size);
	ssize_t n;

	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = banyan_read(data, buffer, size, (uint64_t)offset);
	if (n < 0)
		fs_reply_error(req, (int)n);
	else
		fuse_reply_buf(req, buffer, (size_t)n);
}

static void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	banyan_data *data = fs_data(fs, ino);

	(void)fi;
	if (!fs->options->read_only)
		stale_note(data); /* the kernel drops the atime */
	fs_reply_read(req, data, size, offset);
}

/* PATH_MAX bounds it; a longer one cannot be followed and is cut by the kernel
 */
void fs_reply_target(fuse_req_t req, banyan_data *data)
{
	char target[4096];
	ssize_t n = banyan_read(data, target, sizeof(target) - 1, 0);

	if (n < 0) {
		fs_reply_error(req, (int)n);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

static void fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
	fs_reply_target(req, fs_data(fs_of(req), ino));
}

/*
 * The offset is always the kernel's: it knows the size, and works out where an
 * O_APPEND begins while it holds the inode's lock. That set-id bits are to go the
 * request says in a flag that libfuse 3.14 does not hand on, hence the rule that
 * the kernel has it from: not root.
 */
static void fs_write(fuse_req_t req, fuse_ino_t ino, const char *buffer,
		     size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	banyan_data *data = fs_data(fs, ino);
	int rc = 0;

	if (!fi->writepage) /* else nobody's in particular */
		rc = privileges_drop(req, data);
	if (!rc)
		rc = banyan_write(data, buffer, size, (uint64_t)offset, 0,
				  NULL);
	if (rc) {
		fs_reply_error(req, rc);
		return;
	}
	commit_note_bytes(fs->commit, size);
	stale_note(data);
	fuse_reply_write(req, size);
}

static void fs_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		     struct fuse_file_info *fi)
{
	(void)ino;
	(void)data_only;
	(void)fi;
	commit_request(fs_of(req)->commit, req);
}

void fs_reply_seek(fuse_req_t req, banyan_data *data, off_t offset, int whence)
{
	int64_t at = -EINVAL;

	if (offset < 0)
		at = -ENXIO;
	else if (whence == SEEK_DATA)
		at = banyan_seek_data(data, (uint64_t)offset);
	else if (whence == SEEK_HOLE)
		at = banyan_seek_hole(data, (uint64_t)offset);
	if (at < 0)
		fs_reply_error(req, (int)at);
	else
		fuse_reply_lseek(req, at);
}

/*
 * SEEK_DATA and SEEK_HOLE. The kernel asks without writing first what programs
 * have changed in shared mappings, so a hole in the store may be data in the
 * kernel. Where nothing can be written there is no such data. Elsewhere the
 * answer ENOSYS makes the kernel say by itself, from then on, that all is data:
 * copies read the zeros (DESIGN.md has what that costs).
 */
static void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	(void)fi;
	if (!fs->options->read_only)
		fuse_reply_err(req, ENOSYS);
	else
		fs_reply_seek(req, fs_data(fs, ino), offset, whence);
}

/* How much of a range is holes; what lies behind the end is one */
static int count_holes(banyan_data *data, uint64_t at, uint64_t end,
		       uint64_t *bytes)
{
	*bytes = 0;
	while (at < end) {
		int64_t from = banyan_seek_hole(data, at), to;

		if (from == -ENXIO)
			from = (int64_t)at;
		if (from < 0)
			return (int)from;
		if ((uint64_t)from >= end)
			break;
		to = banyan_seek_data(data, (uint64_t)from);
		if (to == -ENXIO)
			to = (int64_t)end;
		if (to < 0)
			return (int)to;
		at = (uint64_t)to < end ? (uint64_t)to : end;
		*bytes += at - (uint64_t)from;
	}
	return 0;
}

/* Is there room on the host for what other file systems would allocate? */
static int check_room(const struct fs *fs, banyan_data *data, uint64_t at,
		      uint64_t size)
{
	struct statvfs host;
	uint64_t needed;
	int rc = fs_host(fs, &host);

	if (rc)
		return rc == -EOPNOTSUPP ? 0 : rc; /* in memory */
	rc = count_holes(data, at, at + size, &needed);
	if (!rc && needed > host.f_bavail * host.f_frsize)
		rc = -ENOSPC;
	return rc;
}

/* Space is not reserved: there is nothing to do but to grow the file */
static int grow(banyan_data *data, uint64_t size)
{
	struct banyan_attr attr;
	int rc = banyan_get_attr(data, &attr);

	if (!rc && (attr.flags & BANYAN_IMMUTABLE))
		rc = -EPERM;
	if (rc || attr.size >= size)
		return rc;
	attr.size = size;
	return banyan_set_attr(data, &attr, BANYAN_SET_SIZE, NULL);
}

static int allocate(banyan_data *data, int mode, uint64_t at, uint64_t size)
{
	switch (mode) {
	case 0:
		return grow(data, at + size);
	case FALLOC_FL_KEEP_SIZE:
		return grow(data, 0);
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return banyan_punch(data, at, size, true);
	case FALLOC_FL_ZERO_RANGE:
		return banyan_punch(data, at, size, false);
	default:
		return -EOPNOTSUPP;
	}
}

static void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
			 off_t length, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	banyan_data *data = fs_data(fs, ino);
	uint64_t at = (uint64_t)offset, size = (uint64_t)length;
	int rc = 0;

	(void)fi;
	if (offset < 0 || length <= 0)
		rc = -EINVAL;
	else if (at + size > BANYAN_VALUE_MAX)
		rc = -EFBIG;
	if (!rc && !(mode & FALLOC_FL_PUNCH_HOLE))
		rc = check_room(fs, data, at, size);
	if (!rc)
		rc = privileges_drop(req, data);
	if (!rc)
		rc = allocate(data, mode, at, size);
	if (!rc)
		commit_note(fs->commit);
	fs_reply_error(req, rc);
}

static void reply_copied(fuse_req_t req, uint64_t n)
{
	struct kernel_copy_file_range_out out = { .bytes_copied = n };

	if (requests_opcode() == KERNEL_COPY_FILE_RANGE_64)
		fuse_reply_buf(req, (const char *)&out, sizeof(out));
	else
		fuse_reply_write(req, n);
}

void fs_reply_copy(fuse_req_t req, banyan_data *source, off_t from,
		   banyan_data *target, off_t to, size_t size, int flags)
{
	int64_t n;

	if (flags || from < 0 || to < 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (size > COPY_MAX && requests_opcode() != KERNEL_COPY_FILE_RANGE_64)
		size = COPY_MAX;
	n = privileges_drop(req, target);
	if (!n)
		n = banyan_clone(source, (uint64_t)from, target, (uint64_t)to,
				 size);
	if (n < 0) {
		fs_reply_error(req, (int)n);
		return;
	}
	commit_note(fs_of(req)->commit);
	stale_note(target);
	reply_copied(req, (uint64_t)n);
}

static void fs_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_at,
			       struct fuse_file_info *from_fi, fuse_ino_t to,
			       off_t to_at, struct fuse_file_info *to_fi,
			       size_t size, int flags)
{
	struct fs *fs = fs_of(req);

	(void)from_fi;
	(void)to_fi;
	fs_reply_copy(req, fs_data(fs, from), from_at, fs_data(fs, to), to_at,
		      size, flags);
}

void fs_ops_data(struct fuse_lowlevel_ops *ops)
{
	ops->open = fs_open;
	ops->release = fs_release;
	ops->read = fs_read;
	ops->readlink = fs_readlink;
	ops->write = fs_write;
	ops->fsync = fs_fsync;
	ops->lseek = fs_lseek;
	ops->fallocate = fs_fallocate;
	ops->copy_file_range = fs_copy_file_range;
}
