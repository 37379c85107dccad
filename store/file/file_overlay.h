/* SPDX-License-Identifier: MIT */
/*
 * file_overlay.h - two files that lie over another one.
 *
 * A *watched* file can only be read, and asks before each read whether to go
 * on: so whatever is done with it can be cancelled within one read, however
 * long it takes. Bytes that the disk does not give (EIO) read as zeros: they are
 * found damaged like others that are not what was written, and told apart by a
 * call. A *draft* can be written, but nothing of it is made durable or gets a
 * name; the file below does that when all is there.
 *
 * Both borrow the file below, and closing them leaves it open.
 */
#ifndef STORE_FILE_FILE_OVERLAY_H
#define STORE_FILE_FILE_OVERLAY_H

#include "file/file.h"

/*
 * watch is called in the thread that made the file, before its reads and
 * appends; if it returns non-zero that call fails with that value, and so do
 * all later ones of whatever thread. It and unreadable may be NULL. 0 or
 * -ENOMEM.
 */
int file_watched(struct file *below, int (*watch)(void *arg),
		 void (*unreadable)(void *arg, uint64_t offset, size_t size),
		 void *arg, struct file **f);
int file_deferred(struct file *below, int (*watch)(void *arg), void *arg,
		  struct file **f);

#endif
