/* SPDX-License-Identifier: MIT */
/* Answers that several handlers give */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs.h"
#include "kernel.h"
#include "nodes.h"
#include "options.h"
#include "privileges.h"
#include "requests.h"
#include "stale.h"

/*
 * What stat(2) says is a good size for a transfer. Programs size their buffers
 * by it: ls asks for so many bytes of a listing at a time.
 */
#define PREFERRED_TRANSFER (128 * 1024)

static struct timespec timespec_of(struct banyan_time t)
{
	return (struct timespec){ .tv_sec = (time_t)t.sec, .tv_nsec = t.nsec };
}

void fs_reply_error(fuse_req_t req, int error)
{
	fuse_reply_err(req, -error);
}

void fs_fill_stat(const struct fs *fs, const struct banyan_attr *attr,
		  struct stat *st)
{
	const struct options *o = fs->options;

	memset(st, 0, sizeof(*st));
	st->st_ino = attr->id;
	st->st_mode = attr->mode;
	st->st_nlink = attr->nlink;
	st->st_uid = o->has_uid ? o->uid : attr->uid;
	st->st_gid = o->has_gid ? o->gid : attr->gid;
	st->st_rdev = attr->rdev;
	st->st_size = (off_t)attr->size;
	st->st_blocks = (blkcnt_t)(attr->stored / 512 + !!(attr->stored % 512));
	st->st_blksize = PREFERRED_TRANSFER;
	st->st_atim = timespec_of(attr->atime);
	st->st_mtim = timespec_of(attr->mtime);
	st->st_ctim = timespec_of(attr->ctime);
}

void fs_fill_entry(const struct fs *fs, const struct banyan_attr *attr,
		   struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = attr->id;
	e->generation = fs->generation;
	e->attr_timeout = FS_FOREVER;
	e->entry_timeout = FS_FOREVER;
	fs_fill_stat(fs, attr, &e->attr);
}

static struct kernel_statx_time statx_time(struct timespec t)
{
	return (struct kernel_statx_time){ t.tv_sec, (uint32_t)t.tv_nsec, 0 };
}

static void reply_statx(fuse_req_t req, const struct stat *st,
			const struct banyan_time *birth)
{
	struct kernel_statx_out out = {
		.attr_valid = (uint64_t)FS_FOREVER,
		.stat = {
			.mask = STATX_BASIC_STATS | (birth ? STATX_BTIME : 0u),
			.blksize = (uint32_t)st->st_blksize,
			.nlink = (uint32_t)st->st_nlink,
			.uid = st->st_uid,
			.gid = st->st_gid,
			.mode = (uint16_t)st->st_mode,
			.ino = st->st_ino,
			.size = (uint64_t)st->st_size,
			.blocks = (uint64_t)st->st_blocks,
			.atime = statx_time(st->st_atim),
			.ctime = statx_time(st->st_ctim),
			.mtime = statx_time(st->st_mtim),
			.rdev_major = major(st->st_rdev),
			.rdev_minor = minor(st->st_rdev),
		},
	};

	if (birth)
		out.stat.btime = statx_time(timespec_of(*birth));
	fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

void fs_reply_stat(fuse_req_t req, const struct stat *st,
		   const struct banyan_time *birth)
{
	if (requests_opcode() == KERNEL_STATX)
		reply_statx(req, st, birth);
	else
		fuse_reply_attr(req, st, FS_FOREVER);
}

int fs_make_entry(struct fs *fs, banyan_data *data,
		  const struct banyan_attr *attr, struct fuse_entry_param *e)
{
	struct banyan_attr now;
	int rc = attr ? 0 : banyan_get_attr(data, &now);

	if (!rc && data == banyan_root(fs->db))
		rc = -EUCLEAN; /* the root has no name; this would be a loop */
	if (rc) {
		banyan_release(data, 1);
		return rc;
	}
	fs_fill_entry(fs, attr ? attr : &now, e);
	stale_told(data);
	return 0;
}

/* fi: of CREATE; else NULL */
static void reply_entry(fuse_req_t req, const struct fuse_entry_param *e,
			const struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	if (nodes_tell(e->ino)) {
		fuse_reply_err(req, ENOMEM);
		nodes_drop(fs, e->ino, 1);
	} else if (fi ? fuse_reply_create(req, e, fi) :
			fuse_reply_entry(req, e)) {
		nodes_untell(e->ino);
		nodes_drop(fs, e->ino, 1);
	}
}

void fs_reply_entry(fuse_req_t req, const struct fuse_entry_param *e)
{
	reply_entry(req, e, NULL);
}

void fs_reply_create(fuse_req_t req, const struct fuse_entry_param *e,
		     struct fuse_file_info *fi)
{
	privileges_note_new(fs_data(fs_of(req), e->ino), e->attr.st_mode);
	reply_entry(req, e, fi);
}
