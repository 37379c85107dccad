/* SPDX-License-Identifier: MIT */
#include "flags.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commit.h"
#include "privileges.h"

static const struct {
	uint32_t ours;
	uint32_t flag; /* of FS_IOC_GETFLAGS */
	uint32_t xflag; /* of FS_IOC_FSGETXATTR */
} all[] = {
	{ BANYAN_IMMUTABLE, FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE },
	{ BANYAN_APPEND_ONLY, FS_APPEND_FL, FS_XFLAG_APPEND },
	{ BANYAN_NO_DUMP, FS_NODUMP_FL, FS_XFLAG_NODUMP },
};

bool flags_is_get(unsigned command)
{
	return command == FS_IOC_GETFLAGS || command == FS_IOC_FSGETXATTR;
}

bool flags_is_set(unsigned command)
{
	return command == FS_IOC_SETFLAGS || command == FS_IOC_FSSETXATTR;
}

static uint32_t theirs(uint32_t flags, bool extended)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (flags & all[i].ours)
			bits |= extended ? all[i].xflag : all[i].flag;
	return bits;
}

/* -EOPNOTSUPP if there are others among them */
static int ours(uint32_t bits, bool extended, uint32_t *flags)
{
	*flags = 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		uint32_t bit = extended ? all[i].xflag : all[i].flag;

		if (bits & bit)
			*flags |= all[i].ours;
		bits &= ~bit;
	}
	return bits ? -EOPNOTSUPP : 0;
}

void flags_reply(fuse_req_t req, banyan_data *data, unsigned command,
		 size_t out_size)
{
	struct fsxattr extended = { 0 };
	struct banyan_attr attr;
	uint32_t bits;
	int rc = banyan_get_attr(data, &attr);

	if (rc) {
		fs_reply_error(req, rc);
	} else if (command == FS_IOC_FSGETXATTR &&
		   out_size == sizeof(extended)) {
		extended.fsx_xflags = theirs(attr.flags, true);
		fuse_reply_ioctl(req, 0, &extended, sizeof(extended));
	} else if (command == FS_IOC_GETFLAGS && out_size >= sizeof(bits)) {
		bits = theirs(attr.flags, false);
		fuse_reply_ioctl(req, 0, &bits, sizeof(bits));
	} else {
		fuse_reply_err(req, EINVAL);
	}
}

static int parse(unsigned command, const void *in, size_t in_size,
		 uint32_t *flags)
{
	struct fsxattr extended;
	uint32_t bits;

	if (command == FS_IOC_SETFLAGS) {
		if (in_size < sizeof(bits))
			return -EINVAL;
		memcpy(&bits, in, sizeof(bits));
		return ours(bits, false, flags);
	}
	if (in_size != sizeof(extended))
		return -EINVAL;
	memcpy(&extended, in, sizeof(extended));
	if (extended.fsx_extsize || extended.fsx_projid ||
	    extended.fsx_cowextsize)
		return -EOPNOTSUPP;
	return ours(extended.fsx_xflags, true, flags);
}

static bool has_capability(fuse_req_t req, unsigned which)
{
	char path[40], line[128];
	uint64_t effective = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status",
		 (int)fuse_req_ctx(req)->pid);
	f = fopen(path, "re");
	if (!f)
		return fuse_req_ctx(req)->uid == 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "CapEff:", 7))
			effective = strtoull(line + 7, NULL, 16);
	fclose(f);
	return effective >> which & 1;
}

/* The kernel checks as much from Linux 5.13 on */
static int may_set(fuse_req_t req, const struct banyan_attr *attr,
		   uint32_t flags)
{
	if (fuse_req_ctx(req)->uid != 0 && !privileges_of_owner(req, attr))
		return -EPERM;
	if (((attr->flags ^ flags) & (BANYAN_IMMUTABLE | BANYAN_APPEND_ONLY)) &&
	    !has_capability(req, CAP_LINUX_IMMUTABLE))
		return -EPERM;
	return 0;
}

void flags_set(fuse_req_t req, banyan_data *data, unsigned command,
	       const void *in, size_t in_size)
{
	struct fs *fs = fs_of(req);
	struct banyan_attr attr;
	uint32_t flags;
	int rc = parse(command, in, in_size, &flags);

	if (!rc)
		rc = banyan_get_attr(data, &attr);
	if (!rc)
		rc = may_set(req, &attr, flags);
	if (!rc && flags != attr.flags) {
		attr.flags = flags;
		rc = banyan_set_attr(data, &attr, BANYAN_SET_FLAGS, NULL);
		commit_note(fs->commit);
	}
	if (rc) {
		fs_reply_error(req, rc);
		return;
	}
	/* The ctime; this waits for nobody */
	fuse_lowlevel_notify_inval_inode(fs->session, banyan_id(data), -1, 0);
	fuse_reply_ioctl(req, 0, NULL, 0);
}
