/* SPDX-License-Identifier: MIT */
/*
 * privileges.h - what a file loses when its contents or its owner change: its
 * capabilities, and the set-id bits of its mode. Otherwise whoever may write to a
 * program could run code of their own with the rights of its owner.
 *
 * The kernel leaves this to the daemon (FUSE_HANDLE_KILLPRIV_V2) and holds the
 * inode's lock meanwhile. After an answer to a change of contents it still has the
 * old mode in its cache and would run the file by it, so the mode is invalidated
 * before the answer.
 *
 * A Data that has neither is *plain* (nodes.h), which spares the look at each
 * write.
 */
#ifndef FS_PRIVILEGES_H
#define FS_PRIVILEGES_H

#include "fs.h"

/*
 * Before the contents change by write(2), fallocate(2) or copy_file_range(2) of
 * the caller. The set-id bits stay if that is root. 0, or an error.
 */
int privileges_drop(fuse_req_t req, banyan_data *data);

/* The capabilities only, of a Data with this mode */
int privileges_drop_capabilities(banyan_data *data, uint32_t mode);

/* Is the caller the owner that is shown of the file? */
bool privileges_of_owner(fuse_req_t req, const struct banyan_attr *attr);

/* Is the caller privileged, or in the group of the file? */
bool privileges_of_group(fuse_req_t req, const struct banyan_attr *attr);

/*
 * The mode less the set-id bits that go: the set-group-id bit of a file without
 * group execution, which has another meaning, goes only if the caller is neither
 * root nor in the file's group (setattr_should_drop_sgid() in the kernel).
 */
uint32_t privileges_less(fuse_req_t req, const struct banyan_attr *attr);

/* The Data has another mode now; or is new, and has this one */
void privileges_note_mode(banyan_data *data, uint32_t mode);
void privileges_note_new(banyan_data *data, uint32_t mode);

#endif
