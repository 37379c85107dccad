/* SPDX-License-Identifier: MIT */
/*
 * flags.h - the flags of a file that chattr(1) sets and lsattr(1) shows: immutable,
 * append-only and no dump. They are attributes of the Data, and the library enforces
 * them.
 *
 * The kernel asks by ioctl: FS_IOC_GETFLAGS and FS_IOC_SETFLAGS, or FS_IOC_FSGETXATTR
 * and FS_IOC_FSSETXATTR, which have more in them.
 */
#ifndef FS_FLAGS_H
#define FS_FLAGS_H

#include "fs.h"

bool flags_is_get(unsigned command);
bool flags_is_set(unsigned command);

/* Answer to one that gets them: data is of now or of the past */
void flags_reply(fuse_req_t req, banyan_data *data, unsigned command,
		 size_t out_size);

/* Answer to one that sets them */
void flags_set(fuse_req_t req, banyan_data *data, unsigned command,
	       const void *in, size_t in_size);

#endif
