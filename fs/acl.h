/* SPDX-License-Identifier: MIT */
/*
 * acl.h - POSIX access control lists: that of access, and the default one of a
 * directory, which new files and directories in it get.
 *
 * They are kept as extended attributes in the kernel's form (linux/
 * posix_acl_xattr.h), under the kernel's names. The kernel checks permissions by them
 * (FUSE_POSIX_ACL). The daemon's part is to keep list and mode in step, whichever is
 * set, in one operation, and to let new files inherit; it then applies the umask,
 * too, where there is no default list. A list that says no more than a mode is not
 * kept.
 *
 * All of this only if fs->acl is set.
 */
#ifndef FS_ACL_H
#define FS_ACL_H

#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>

#include "fs.h"

#define ACL_ACCESS XATTR_NAME_POSIX_ACL_ACCESS
#define ACL_DEFAULT XATTR_NAME_POSIX_ACL_DEFAULT

/* As many entries as the kernel passes on, if it has pages of 4 KiB */
#define ACL_ENTRIES 511u

struct acl {
	size_t count;
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entry[ACL_ENTRIES];
};

bool acl_is_name(const char *name); /* ACL_ACCESS or ACL_DEFAULT */

/* Room for the lists of a new Data, for as long as its struct banyan_new is used */
struct acl_room {
	struct acl access, inherited;
	struct banyan_xattr xattrs[2];
};

/*
 * Let a Data that is to be made in a key space inherit: its mode, from which nobody
 * has taken the umask yet, and its extended attributes. Not of a symlink.
 */
int acl_inherit(struct fs *fs, banyan_data *space, mode_t umask,
		struct banyan_new *new, struct acl_room *room);

/* As banyan_set_attr(); where the mode is among them the list follows */
int acl_set_attr(struct fs *fs, banyan_data *data,
		 const struct banyan_attr *attr, unsigned which,
		 struct banyan_attr *after);

/* SETXATTR and REMOVEXATTR of a list; the mode follows the one that is set */
int acl_set(fuse_req_t req, banyan_data *data, const char *name,
	    const void *value, size_t size);
int acl_remove(banyan_data *data, const char *name);

/*
 * GETXATTR of a list, now or in the past. -ENODATA: there is none.
 *
 * `ls -l` asks for the list of each file, which is a request a file, unless it gets
 * the answer -EOPNOTSUPP, which it takes for the whole mount. Where the kernel checks
 * permissions it wants another answer; but it never asks on behalf of the owner. So
 * -EOPNOTSUPP is the answer to a process that owns the file and has asked of another
 * one just before, as long as there has never been a list in the database:
 * fs->may_have_acls, which the attribute FS_XATTR_ACLS of the root keeps.
 */
ssize_t acl_get(fuse_req_t req, banyan_data *data, const char *name,
		void *value, size_t size);

/* When the database is open: set fs->may_have_acls */
void acl_start(struct fs *fs);

#endif
