/* SPDX-License-Identifier: MIT */
#include "privileges.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "nodes.h"
#include "options.h"
#include "requests.h"

#define SET_ID ((uint32_t)(S_ISUID | S_ISGID))

/* Groups that are asked for at first; a caller may have 65536 */
#define GROUPS 64

static bool is_in_group(fuse_req_t req, uint32_t gid)
{
	gid_t some[GROUPS], *list = some;
	bool found = fuse_req_ctx(req)->gid == gid;
	int n = found ? 0 : fuse_req_getgroups(req, GROUPS, list);

	if (n > GROUPS) {
		list = malloc((size_t)n * sizeof(*list));
		n = list ? fuse_req_getgroups(req, n, list) : 0;
	}
	/* Not known, as /proc tells nothing of the caller: not in it */
	for (int i = 0; i < n && !found; i++)
		found = list[i] == gid;
	if (list != some)
		free(list);
	return found;
}

bool privileges_of_group(fuse_req_t req, const struct banyan_attr *attr)
{
	const struct options *o = fs_of(req)->options;

	return fuse_req_ctx(req)->uid == 0 ||
	       is_in_group(req, o->has_gid ? o->gid : attr->gid);
}

bool privileges_of_owner(fuse_req_t req, const struct banyan_attr *attr)
{
	const struct options *o = fs_of(req)->options;

	return fuse_req_ctx(req)->uid == (o->has_uid ? o->uid : attr->uid);
}

uint32_t privileges_less(fuse_req_t req, const struct banyan_attr *attr)
{
	uint32_t drop = attr->mode & SET_ID;

	if ((drop & S_ISGID) && !(attr->mode & S_IXGRP) &&
	    privileges_of_group(req, attr))
		drop &= ~(uint32_t)S_ISGID;
	return attr->mode & ~drop;
}

int privileges_drop_capabilities(banyan_data *data, uint32_t mode)
{
	int rc;

	if (nodes_is(data, NODES_PLAIN))
		return 0;
	rc = nodes_is(data, NODES_BARE) ?
		     -ENODATA :
		     banyan_remove_xattr(data, FS_XATTR_CAPABILITY);
	if (rc && rc != -ENODATA)
		return rc;
	nodes_set(data, NODES_PLAIN, !(mode & SET_ID));
	return 0;
}

static int drop_set_id(fuse_req_t req, banyan_data *data,
		       struct banyan_attr *attr)
{
	uint32_t mode = privileges_less(req, attr);
	int rc = 0;

	/* A daemon that died may have dropped them and told nobody */
	if (mode == attr->mode && !requests_was_made())
		return 0;
	if (mode != attr->mode) {
		attr->mode = mode & 07777;
		rc = banyan_set_attr(data, attr, BANYAN_SET_MODE, attr);
	}
	/* Attributes only: that waits for nobody, and an inode that somebody
	 * writes to is not about to go. Where the kernel does not know it, it has
	 * not cached the mode either. */
	if (!rc)
		fuse_lowlevel_notify_inval_inode(fs_of(req)->session,
						 banyan_id(data), -1, 0);
	return rc;
}

int privileges_drop(fuse_req_t req, banyan_data *data)
{
	struct banyan_attr attr;
	int rc;

	if (nodes_is(data, NODES_PLAIN))
		return 0;
	rc = banyan_get_attr(data, &attr);
	if (!rc && fuse_req_ctx(req)->uid != 0)
		rc = drop_set_id(req, data, &attr);
	return rc ? rc : privileges_drop_capabilities(data, attr.mode);
}

void privileges_note_mode(banyan_data *data, uint32_t mode)
{
	if (mode & SET_ID)
		nodes_set(data, NODES_PLAIN, false);
}

void privileges_note_new(banyan_data *data, uint32_t mode)
{
	nodes_set(data, NODES_PLAIN, !(mode & SET_ID));
}
