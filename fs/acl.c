/* SPDX-License-Identifier: MIT */
#include "acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <string.h>

#include "privileges.h"
#include "xattrs.h"

#define PERMISSIONS 0777u

/* ---- a list --------------------------------------------------------------- */

static size_t acl_size(const struct acl *acl)
{
	return sizeof(acl->header) + acl->count * sizeof(acl->entry[0]);
}

/* Of so many bytes that are in place, the header first */
static int acl_parse(struct acl *acl, size_t size)
{
	if (size < sizeof(acl->header) ||
	    (size - sizeof(acl->header)) % sizeof(acl->entry[0]) ||
	    le32toh(acl->header.a_version) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	acl->count = (size - sizeof(acl->header)) / sizeof(acl->entry[0]);
	return 0;
}

/* The list of a Data: 1. 0: it has none. */
static int acl_load(banyan_data *data, const char *name, struct acl *acl)
{
	ssize_t n = xattrs_get(data, name, &acl->header,
			       sizeof(acl->header) + sizeof(acl->entry));

	if (n == -ENODATA)
		return 0;
	if (n < 0)
		return (int)n;
	return acl_parse(acl, (size_t)n) ? -EUCLEAN : 1;
}

/* By how much the permissions that an entry speaks for are shifted in a mode */
static unsigned shift_of(uint16_t tag)
{
	return tag == ACL_USER_OBJ ? 6 : tag == ACL_OTHER ? 0 : 3;
}

static bool is_named(uint16_t tag)
{
	return tag == ACL_USER || tag == ACL_GROUP;
}

/* The entry is the one of its class that the mode shows: that of a group gives way to
 * a mask */
static bool is_shown(uint16_t tag, bool masked)
{
	return !is_named(tag) && !(tag == ACL_GROUP_OBJ && masked);
}

static bool is_masked(const struct acl *acl)
{
	for (size_t i = 0; i < acl->count; i++)
		if (le16toh(acl->entry[i].e_tag) == ACL_MASK)
			return true;
	return false;
}

/* The permissions that the mode shows */
static uint32_t acl_mode(const struct acl *acl)
{
	bool masked = is_masked(acl);
	uint32_t mode = 0;

	for (size_t i = 0; i < acl->count; i++) {
		uint16_t tag = le16toh(acl->entry[i].e_tag);

		if (is_shown(tag, masked))
			mode |= (le16toh(acl->entry[i].e_perm) & 7u)
				<< shift_of(tag);
	}
	return mode;
}

/* Let what the mode shows be these permissions, or at most these */
static void acl_change(struct acl *acl, uint32_t mode, bool at_most)
{
	bool masked = is_masked(acl);

	for (size_t i = 0; i < acl->count; i++) {
		struct posix_acl_xattr_entry *e = &acl->entry[i];
		uint16_t tag = le16toh(e->e_tag);
		uint32_t bits = (mode >> shift_of(tag)) & 7;

		if (at_most)
			bits &= le16toh(e->e_perm);
		if (is_shown(tag, masked))
			e->e_perm = htole16((uint16_t)bits);
	}
}

/* A mode says as much: nobody is named, and there is no mask */
static bool acl_is_mode(const struct acl *acl)
{
	for (size_t i = 0; i < acl->count; i++)
		if (is_named(le16toh(acl->entry[i].e_tag)))
			return false;
	return !is_masked(acl);
}

bool acl_is_name(const char *name)
{
	return !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT);
}

/* ---- are there any -------------------------------------------------------- */

void acl_start(struct fs *fs)
{
	ssize_t n =
		banyan_get_xattr(banyan_root(fs->db), FS_XATTR_ACLS, NULL, 0);

	atomic_init(&fs->may_have_acls, n >= 0);
}

/* Before there is one */
static int note_acls(struct fs *fs)
{
	int rc;

	if (atomic_load(&fs->may_have_acls))
		return 0;
	rc = xattrs_set(banyan_root(fs->db), FS_XATTR_ACLS, "", 0, 0);
	if (rc && rc != -EPERM) /* that is an immutable root */
		return rc;
	atomic_store(&fs->may_have_acls, true);
	/* The ctime of the root; this waits for nobody */
	fuse_lowlevel_notify_inval_inode(fs->session, FUSE_ROOT_ID, -1, 0);
	return 0;
}

static bool is_space(banyan_data *data)
{
	struct banyan_attr attr;

	return !banyan_get_attr(data, &attr) && S_ISDIR(attr.mode);
}

static bool is_owner(fuse_req_t req, banyan_data *data)
{
	struct banyan_attr attr;

	return !banyan_get_attr(data, &attr) && privileges_of_owner(req, &attr);
}

ssize_t acl_get(fuse_req_t req, banyan_data *data, const char *name,
		void *value, size_t size)
{
	struct fs *fs = fs_of(req);
	ssize_t n = xattrs_get(data, name, value, size);
	int asker = fuse_req_ctx(req)->pid;

	if (n >= 0) {
		atomic_store(&fs->may_have_acls, true);
		return n;
	}
	if (n == -ENODATA && !atomic_load(&fs->may_have_acls) &&
	    !strcmp(name, ACL_ACCESS) &&
	    atomic_exchange(&fs->acl_asker, asker) == asker &&
	    is_owner(req, data))
		n = -EOPNOTSUPP;
	return n;
}

/* ---- new Data ------------------------------------------------------------- */

static void add_xattr(struct banyan_new *new, struct acl_room *room,
		      const char *name, const struct acl *acl)
{
	room->xattrs[new->xattr_count++] = (struct banyan_xattr){
		.name = name,
		.value = &acl->header,
		.size = acl_size(acl),
	};
	new->xattrs = room->xattrs;
}

int acl_inherit(struct fs *fs, banyan_data *space, mode_t umask,
		struct banyan_new *new, struct acl_room *room)
{
	struct acl *access = &room->access;
	int rc = acl_load(space, ACL_DEFAULT, &room->inherited);

	if (rc < 0)
		return rc;
	if (rc == 0) {
		new->mode &= ~(uint32_t)umask;
		return 0;
	}
	atomic_store(&fs->may_have_acls, true);
	memcpy(access, &room->inherited,
	       offsetof(struct acl, entry) +
		       room->inherited.count * sizeof(access->entry[0]));
	acl_change(access, new->mode, true);
	new->mode = (new->mode & ~PERMISSIONS) | acl_mode(access);
	if (!acl_is_mode(access))
		add_xattr(new, room, ACL_ACCESS, access);
	if (S_ISDIR(new->mode))
		add_xattr(new, room, ACL_DEFAULT, &room->inherited);
	return 0;
}

/* ---- changes -------------------------------------------------------------- */

static int set_both(banyan *batch, banyan_data *data, const struct acl *acl,
		    const struct banyan_attr *attr, unsigned which,
		    struct banyan_attr *after)
{
	banyan_data *held = NULL;
	int rc = banyan_hold_in(batch, data, &held);

	if (!rc && acl)
		rc = banyan_set_xattr(held, ACL_ACCESS, &acl->header,
				      acl_size(acl), 0);
	else if (!rc)
		rc = banyan_remove_xattr(held, ACL_ACCESS);
	if (!rc)
		rc = banyan_set_attr(held, attr, which, after);
	banyan_release(held, 1);
	return rc;
}

/* Set the list of access (NULL: none) and attributes in one operation */
static int change(struct fs *fs, banyan_data *data, const struct acl *acl,
		  const struct banyan_attr *attr, unsigned which,
		  struct banyan_attr *after)
{
	banyan *batch;
	int rc;

	if (!acl && xattrs_get(data, ACL_ACCESS, NULL, 0) == -ENODATA)
		return banyan_set_attr(data, attr, which, after);
	rc = note_acls(fs);
	if (!rc)
		rc = banyan_begin(fs->db, &batch);
	if (rc)
		return rc;
	rc = set_both(batch, data, acl, attr, which, after);
	if (rc)
		banyan_abort(batch);
	else
		rc = banyan_commit(batch);
	xattrs_changed(data);
	return rc;
}

int acl_set_attr(struct fs *fs, banyan_data *data,
		 const struct banyan_attr *attr, unsigned which,
		 struct banyan_attr *after)
{
	struct acl acl;
	int rc = 0;

	if (fs->acl && (which & BANYAN_SET_MODE))
		rc = acl_load(data, ACL_ACCESS, &acl);
	if (rc < 0)
		return rc;
	if (!rc || acl_mode(&acl) == (attr->mode & PERMISSIONS))
		return banyan_set_attr(data, attr, which, after);
	acl_change(&acl, attr->mode, false);
	return change(fs, data, &acl, attr, which, after);
}

static int set_default(struct fs *fs, banyan_data *data, const struct acl *acl)
{
	int rc = is_space(data) ? note_acls(fs) : -EACCES;

	return rc ? rc :
		    xattrs_set(data, ACL_DEFAULT, &acl->header, acl_size(acl),
			       0);
}

static int set_access(fuse_req_t req, banyan_data *data, const struct acl *acl)
{
	struct banyan_attr attr;
	int rc = banyan_get_attr(data, &attr);

	if (rc)
		return rc;
	if ((attr.mode & S_ISGID) && !privileges_of_group(req, &attr))
		attr.mode &= ~(uint32_t)S_ISGID;
	attr.mode = (attr.mode & 07000) | acl_mode(acl);
	return change(fs_of(req), data, acl_is_mode(acl) ? NULL : acl, &attr,
		      BANYAN_SET_MODE, NULL);
}

int acl_set(fuse_req_t req, banyan_data *data, const char *name,
	    const void *value, size_t size)
{
	struct acl acl = { 0 };

	if (size > sizeof(acl.header) + sizeof(acl.entry))
		return -E2BIG;
	memcpy(&acl.header, value, size);
	if (acl_parse(&acl, size))
		return -EINVAL;
	if (!acl.count)
		return acl_remove(data, name);
	return strcmp(name, ACL_DEFAULT) ? set_access(req, data, &acl) :
					   set_default(fs_of(req), data, &acl);
}

int acl_remove(banyan_data *data, const char *name)
{
	int rc = banyan_remove_xattr(data, name);

	return rc == -ENODATA ? 0 : rc;
}
