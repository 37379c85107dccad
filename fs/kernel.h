/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - parts of the kernel's FUSE protocol that the header of Debian 12
 * (protocol 7.38) does not have yet, after include/uapi/linux/fuse.h.
 */
#ifndef FS_KERNEL_H
#define FS_KERNEL_H

#include <linux/fuse.h>
#include <linux/stat.h>
#include <stdint.h>

enum {
	KERNEL_STATX = 52, /* protocol 7.39 */
	KERNEL_COPY_FILE_RANGE_64 = 53, /* protocol 7.45 */
};

/* ---- STATX -------------------------------------------------------------- */

/* The request begins as struct fuse_getattr_in does */

struct kernel_statx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct kernel_statx {
	uint32_t mask; /* STATX_...: what is filled in */
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t padding;
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct kernel_statx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor;
	uint32_t dev_major, dev_minor;
	uint64_t reserved[14];
};

struct kernel_statx_out {
	uint64_t attr_valid; /* seconds for which the kernel may keep it */
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t reserved[2];
	struct kernel_statx stat;
};

/* ---- COPY_FILE_RANGE_64 -------------------------------------------------- */

/* The request is a struct fuse_copy_file_range_in */

struct kernel_copy_file_range_out {
	uint64_t bytes_copied;
};

/* ---- requests that are sent again (protocol 7.40, Linux 6.9) -------------- */

/* In flags2 of INIT: the kernel can do it */
#define KERNEL_HAS_RESEND (UINT32_C(1) << 7)
/* A notification: send again what was read and has no answer */
#define KERNEL_NOTIFY_RESEND 7
/* Set in the number of a request that is sent again, and to be set in the answer */
#define KERNEL_RESENT (UINT64_C(1) << 63)

/* ---- rings (protocol 7.42) ----------------------------------------------- */

/* In flags2 of INIT, valid with FUSE_INIT_EXT in flags */
#define KERNEL_OVER_IO_URING (UINT32_C(1) << 9)

/* What the kernel and the daemon share of a request that comes by a ring, beside
 * its payload */
struct kernel_uring_header {
	char in_out[128]; /* struct fuse_in_header; fuse_out_header */
	char op_in[128]; /* the first argument */
	uint64_t flags;
	uint64_t commit_id; /* of the request, to be given back */
	uint32_t payload_size; /* of the other arguments; of the answer */
	uint32_t padding;
	uint64_t reserved;
};

/* The commands, and what they have in the second half of their entry */
enum {
	KERNEL_URING_REGISTER = 1,
	KERNEL_URING_COMMIT_AND_FETCH = 2,
};

struct kernel_uring_command {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t queue;
	uint8_t padding[6];
};

#endif
