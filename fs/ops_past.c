/* SPDX-License-Identifier: MIT */
/*
 * Handlers for nodes of the past: as those for the database, but that nothing
 * can be changed, and inode numbers are others. All may be cached for ever.
 */
#include <errno.h>
#include <string.h>

#include "flags.h"
#include "past.h"

/* Begin with the node of a request, or answer with the error. NULL: answered. */
static banyan_data *begin(fuse_req_t req, fuse_ino_t ino)
{
	banyan_data *data;
	int rc = past_get(past_node(ino), &data);

	if (!rc)
		return data;
	fs_reply_error(req, rc);
	return NULL;
}

static void end(fuse_ino_t ino)
{
	past_put(past_node(ino));
}

static int look_up(banyan_data *space, fuse_ino_t parent, const char *name,
		   struct fuse_entry_param *e)
{
	size_t len = strlen(name);
	struct banyan_attr attr;
	banyan_data *data;
	int rc = len > BANYAN_NAME_MAX ? -ENAMETOOLONG : 0;

	if (!rc)
		rc = banyan_search(space, name, len, &data, &attr);
	return rc ? rc : past_add(past_node(parent), name, data, &attr, e);
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	banyan_data *space = begin(req, parent);
	struct fuse_entry_param e;
	int rc;

	if (!space)
		return;
	rc = look_up(space, parent, name, &e);
	end(parent);
	if (rc == -ENOENT)
		fs_reply_absent(req);
	else if (rc)
		fs_reply_error(req, rc);
	else if (fuse_reply_entry(req, &e))
		past_drop(past_node(e.ino));
}

static void get_attr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	banyan_data *data = begin(req, ino);
	struct banyan_attr attr;
	struct stat st;
	int rc;

	(void)fi;
	if (!data)
		return;
	rc = banyan_get_attr(data, &attr);
	end(ino);
	if (rc) {
		fs_reply_error(req, rc);
		return;
	}
	fs_fill_stat(fs_of(req), &attr, &st);
	st.st_ino = hidden_node(ino)->ino;
	fs_reply_stat(req, &st, &attr.birth);
}

static void read_link(fuse_req_t req, fuse_ino_t ino)
{
	banyan_data *data = begin(req, ino);

	if (!data)
		return;
	fs_reply_target(req, data);
	end(ino);
}

static void read_data(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	banyan_data *data = begin(req, ino);

	(void)fi;
	if (!data)
		return;
	fs_reply_read(req, data, size, offset);
	end(ino);
}

static void seek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		 struct fuse_file_info *fi)
{
	banyan_data *data = begin(req, ino);

	(void)fi;
	if (!data)
		return;
	fs_reply_seek(req, data, offset, whence);
	end(ino);
}

static void get_xattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		      size_t size)
{
	banyan_data *data = begin(req, ino);

	if (!data)
		return;
	fs_reply_xattr(req, data, name, size);
	end(ino);
}

static void list_xattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	banyan_data *data = begin(req, ino);

	if (!data)
		return;
	fs_reply_xattrs(req, data, size);
	end(ino);
}

static void ioctl_past(fuse_req_t req, fuse_ino_t ino, unsigned int command,
		       void *arg, struct fuse_file_info *fi, unsigned flags,
		       const void *in, size_t in_size, size_t out_size)
{
	banyan_data *data;

	if (!flags_is_get(command)) {
		fs_of(req)->live.ioctl(req, ino, command, arg, fi, flags, in,
				       in_size, out_size);
		return;
	}
	data = begin(req, ino);
	if (!data)
		return;
	flags_reply(req, data, command, out_size);
	end(ino);
}

/*
 * Into the database; the router has seen that the target is there. The kernel
 * copies by reading and writing where the library says that it cannot (EXDEV).
 */
static void copy(fuse_req_t req, fuse_ino_t from, off_t from_at,
		 struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_at,
		 struct fuse_file_info *to_fi, size_t size, int flags)
{
	banyan_data *source;

	(void)from_fi;
	(void)to_fi;
	if (hidden_is(to)) {
		fuse_reply_err(req, hidden_node(to)->refusal);
		return;
	}
	source = begin(req, from);
	if (!source)
		return;
	fs_reply_copy(req, source, from_at, fs_data(fs_of(req), to), to_at,
		      size, flags);
	end(from);
}

/* ---- listings ------------------------------------------------------------ */

static int list_parent(const struct fs_space *space, uint64_t *ino)
{
	*ino = past_parent_ino(space->arg);
	return 0;
}

static int list_fill(const struct fs_space *space, banyan_cursor *cursor,
		     const struct banyan_entry *entry,
		     struct fuse_entry_param *e)
{
	banyan_data *data;
	int rc;

	if (!cursor) {
		fs_fill_entry(space->fs, &entry->attr, e);
		e->attr.st_ino = hidden_ino(&entry->attr);
		return 0;
	}
	rc = banyan_entry_data(cursor, &data);
	return rc ? rc :
		    past_add(space->arg, entry->name, data, &entry->attr, e);
}

static void list_drop(const struct fs_space *space, fuse_ino_t ino)
{
	(void)space;
	past_drop(past_node(ino));
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 struct fuse_file_info *fi, bool plus)
{
	struct fs_space space = {
		.fs = fs_of(req),
		.data = begin(req, ino),
		.ino = hidden_node(ino)->ino,
		.arg = past_node(ino),
		.parent = list_parent,
		.fill = list_fill,
		.drop = list_drop,
	};

	if (!space.data)
		return;
	fs_list(req, &space, size, offset, fi, plus);
	end(ino);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, false);
}

static void read_dir_plus(fuse_req_t req, fuse_ino_t ino, size_t size,
			  off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, true);
}

void past_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops)
{
	hidden_ops(fs, ops);
	ops->lookup = lookup;
	ops->getattr = get_attr;
	ops->readlink = read_link;
	ops->read = read_data;
	ops->lseek = seek;
	ops->getxattr = get_xattr;
	ops->listxattr = list_xattr;
	ops->copy_file_range = copy;
	ops->ioctl = ioctl_past;
	ops->readdir = read_dir;
	ops->readdirplus = read_dir_plus;
}
