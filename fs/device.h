/* SPDX-License-Identifier: MIT */
/*
 * device.h - /dev/fuse as it was opened for a mount.
 */
#ifndef FS_DEVICE_H
#define FS_DEVICE_H

#include <poll.h>
#include <stdbool.h>

/* Has the kernel ended the connection? -1: no. */
static inline bool device_is_unmounted(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

#endif
