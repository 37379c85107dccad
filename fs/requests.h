/* SPDX-License-Identifier: MIT */
/*
 * requests.h - requests that an old libfuse does not know.
 *
 * libfuse 3.14, that of Debian 12, answers ENOSYS to TMPFILE, STATX and
 * COPY_FILE_RANGE_64. Each of them begins like an older request, so libfuse is
 * given that one, and its handler asks here which one the kernel has sent:
 *
 *   TMPFILE             CREATE
 *   STATX               GETATTR
 *   COPY_FILE_RANGE_64  COPY_FILE_RANGE
 */
#ifndef FS_REQUESTS_H
#define FS_REQUESTS_H

#include "fs.h"
#include "lasting.h"

/*
 * The request has come to this daemon since the one before died, and that one had made
 * its operation: it is to be answered, not to be made again. Only what cannot be made
 * twice has to ask.
 */
bool requests_was_made(void);

/* The number of the request that the calling thread serves, the same if it comes again:
 * for another thread that makes its operation */
uint64_t requests_number(void);

/*
 * Serve a request. Each form of transport hands over its requests here. The buffer
 * holds the request itself (no FUSE_BUF_IS_FD) and is changed. open: it is that of this
 * one; NULL: nothing of it is to outlive us. again: a daemon that has died had it, even if
 * the kernel does not say so.
 */
void requests_process(struct fuse_session *session,
		      struct lasting_request *open, struct fuse_buf *buf,
		      bool again);

/* The operation code of the request that the calling thread serves, as the kernel
 * has sent it: FUSE_TMPFILE, KERNEL_STATX (kernel.h), ... */
uint32_t requests_opcode(void);

#endif
