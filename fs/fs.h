/* SPDX-License-Identifier: MIT */
/*
 * fs.h - what the parts of the daemon share.
 *
 * The id of a Data is its inode number, which people see (st_ino), and its node id,
 * by which the kernel names it in requests (nodes.h).
 *
 * A handler gets its Data, calls the store once or twice, and replies exactly
 * once. It replies after the store has returned, never before: what the kernel
 * has been told survives kill -9.
 *
 * The kernel may cache for ever whatever it was told, since nobody but this
 * daemon changes the database, and then only at the kernel's own request.
 */
#ifndef FS_FS_H
#define FS_FS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif

#include <fuse_lowlevel.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "banyan.h"

struct commit;
struct hidden;
struct lasting;
struct options;
struct past;
struct statvfs;
struct transport;
struct undelete;
struct vacuum;
struct views;

struct fs {
	const struct options *options;
	banyan *db;
	struct lasting *lasting;
	struct fuse_session *session;
	struct commit *commit; /* syncs */
	void (*end)(void *arg); /* wakes who waits for the end */
	void *end_arg;
	atomic_bool restart; /* the end is to be one for another program */
	struct transport *transport; /* where requests come from */
	uint32_t generation; /* of nodes: see nodes.h */
	struct {
		atomic_uint served; /* FORGETs */
		_Atomic uint64_t most; /* Data held since memory was trimmed */
	} forget;
	struct vacuum *vacuum; /* NULL: the mount is read-only */
	struct undelete *undelete; /* likewise */
	bool no_open; /* the kernel can do without OPEN and RELEASE */
	bool acl; /* the kernel checks access control lists; see acl.h */
	atomic_bool may_have_acls;
	atomic_int acl_asker; /* the last process that asked for one */
	struct fuse_lowlevel_ops live; /* handlers of what is in the database */
	struct views *views; /* of the past */
	struct past *past; /* their trees */
	struct hidden *hidden; /* .banyan */
};

/* The kernel may keep what it was told: seconds, three decades */
#define FS_FOREVER 1e9

/* Most bytes in one READ or WRITE; what the kernel can do at most (256 pages)
 */
#define FS_MAX_TRANSFER (1u << 20)

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* What a node id of the database means. The kernel remembers it, so it is held. */
static inline banyan_data *fs_data(const struct fs *fs, fuse_ino_t ino)
{
	return banyan_held(fs->db, ino);
}

/* ---- the whole (control.c) -------------------------------------------- */

/* May the caller rule over the mount? The user whose daemon it is, and root */
bool fs_is_owner(fuse_req_t req);

/* The file system that the database file lies on; -EOPNOTSUPP: in memory */
int fs_host(const struct fs *fs, struct statvfs *host);

/* ---- answers (reply.c) ------------------------------------------------ */

/* Answer with an error of the library (negative), or success (0) */
void fs_reply_error(fuse_req_t req, int error);

/* The attributes in the form that stat(2) shows, owners as the options say */
void fs_fill_stat(const struct fs *fs, const struct banyan_attr *attr,
		  struct stat *st);

/* Fill in an answer that the kernel may keep for ever */
void fs_fill_entry(const struct fs *fs, const struct banyan_attr *attr,
		   struct fuse_entry_param *e);

/*
 * Fill in an entry that is to be answered for data, with its attributes (NULL:
 * those of now). One hold of the caller's becomes the kernel's; on an error it is
 * released.
 */
int fs_make_entry(struct fs *fs, banyan_data *data,
		  const struct banyan_attr *attr, struct fuse_entry_param *e);

/* Answer with it. The hold is released if the answer does not get through. */
void fs_reply_entry(fuse_req_t req, const struct fuse_entry_param *e);

/* Likewise for CREATE */
void fs_reply_create(fuse_req_t req, const struct fuse_entry_param *e,
		     struct fuse_file_info *fi);

/* The capabilities of a file; see privileges.h */
#define FS_XATTR_CAPABILITY "security.capability"

/* An attribute of the root, of the owner's: the state of a vacuum, and orders; see
 * vacuum.h */
#define FS_XATTR_VACUUM "system.banyan.vacuum"

/* Another: for how many seconds a vacuum keeps freezes without being told */
#define FS_XATTR_KEEP "system.banyan.keep"

/* Another: how many daemons have served the mount, and "kept" if the program could not
 * be replaced the last time. Setting it lets another program, the one that is installed
 * now, go on: see restart.h. */
#define FS_XATTR_RESTART "system.banyan.restart"

/* Likewise: an order, and "busy" or "idle"; see undelete.h */
#define FS_XATTR_UNDELETE "system.banyan.undelete"

/* Another, which nobody sees: there may be access control lists; see acl.h */
#define FS_XATTR_ACLS "system.banyan.acls"

/* The name that is asked for does not exist, until the kernel changes that */
void fs_reply_absent(fuse_req_t req);

/* Answer GETATTR, STATX or SETATTR. birth NULL: not known. */
void fs_reply_stat(fuse_req_t req, const struct stat *st,
		   const struct banyan_time *birth);

/* What requests about one Data are answered with, now or in the past */
void fs_reply_attr(fuse_req_t req, const struct banyan_attr *attr);
void fs_reply_read(fuse_req_t req, banyan_data *data, size_t size,
		   off_t offset);
void fs_reply_target(fuse_req_t req, banyan_data *data);
void fs_reply_seek(fuse_req_t req, banyan_data *data, off_t offset, int whence);
void fs_reply_xattr(fuse_req_t req, banyan_data *data, const char *name,
		    size_t size);
void fs_reply_xattrs(fuse_req_t req, banyan_data *data, size_t size);
/* Into a Data of now */
void fs_reply_copy(fuse_req_t req, banyan_data *source, off_t from,
		   banyan_data *target, off_t to, size_t size, int flags);

/* A key space that is listed, now or in the past */
struct fs_space {
	struct fs *fs;
	banyan_data *data;
	uint64_t ino; /* the inode number of "." */
	bool names_only; /* an id and a type are enough for fill() */
	void *arg; /* of the functions */
	int (*parent)(const struct fs_space *space, uint64_t *ino);
	/* Fill in the answer for an entry. With a cursor, which is at the entry:
	 * also the node id, with a hold for the kernel. -ESTALE: leave it out. */
	int (*fill)(const struct fs_space *space, banyan_cursor *cursor,
		    const struct banyan_entry *entry,
		    struct fuse_entry_param *e);
	void (*drop)(const struct fs_space *space, fuse_ino_t ino);
};

/* Answer READDIR or READDIRPLUS; the directory was opened by fs_ops_dir()'s */
void fs_list(fuse_req_t req, const struct fs_space *space, size_t size,
	     off_t offset, struct fuse_file_info *fi, bool plus);

/* ---- handlers by area: each fills in its part of the table ------------ */

/* But for FORGET, which the router has: see route.h */
void fs_ops_name(struct fuse_lowlevel_ops *ops);
void fs_ops_attr(struct fuse_lowlevel_ops *ops);
void fs_ops_xattr(struct fuse_lowlevel_ops *ops);
void fs_ops_data(struct fuse_lowlevel_ops *ops);
void fs_ops_dir(struct fuse_lowlevel_ops *ops);
/* At the end, when no request is served any more: of directories still open */
void fs_free_listings(void);
void fs_ops_control(struct fuse_lowlevel_ops *ops);

#endif
