/* SPDX-License-Identifier: MIT */
/*
 * .banyan itself and the two directories in it. Their listings are collected when
 * they are opened or rewound, and the kernel keeps nothing of them: freezes come
 * and go without its doing.
 */
#include "hidden.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commit.h"
#include "common/iso_time.h"
#include "options.h"
#include "past.h"
#include "requests.h"
#include "status.h"
#include "transport.h"

/* At least one tick of the clock, with a margin */
#define CLOCK_LATE_MS 50

struct name {
	uint64_t ino;
	mode_t mode;
	char text[BANYAN_NAME_MAX + 1];
};

/* An open directory; hidden->lock protects it */
struct names {
	struct numbered numbered;
	struct names *before, *after; /* in the list of all */
	struct name *name;
	size_t count, room;
	bool collected;
	int error; /* that comes behind the names */
};

struct directory {
	struct hidden_node head;
	uint64_t parent_ino;
	int (*collect)(struct fs *fs, struct names *names);
};

struct hidden {
	struct fs *fs;
	struct timespec began;
	struct fuse_lowlevel_ops gate, root_ops, at_ops, snapshots_ops;
	struct fuse_lowlevel_ops text_ops, gone_ops;
	struct directory root, at, snapshots;
	pthread_mutex_t lock;
	struct names *open; /* as at an unmount the kernel closes none */
};

/* ---- inode numbers ------------------------------------------------------- */

/* The finalizer of splitmix64: each bit of the result depends on all bits */
static uint64_t spread(uint64_t h)
{
	h += UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	return h ^ (h >> 31);
}

uint64_t hidden_mix(uint64_t a, uint64_t b)
{
	uint64_t h = spread(spread(a) ^ b) | hidden_fixed_ino(0);

	return h < hidden_fixed_ino(HIDDEN_FIXED) ? h + HIDDEN_FIXED : h;
}

uint64_t hidden_ino(const struct banyan_attr *attr)
{
	return hidden_mix(attr->id, (uint64_t)attr->ctime.sec * 1000000000 +
					    attr->ctime.nsec);
}

/* ---- nodes of a daemon that has died --------------------------------------- */

/* The root of the mount is no such node: it is not the only one that is read from it */
static struct hidden_node gone = { .refusal = ESTALE };

struct hidden_node *hidden_node(fuse_ino_t ino)
{
	struct numbered *n = numbers_find(ino & ~HIDDEN_BIT);

	return n ? (struct hidden_node *)n : &gone;
}

static void stale(fuse_req_t req)
{
	fuse_reply_err(req, ESTALE);
}

static void stale_getattr(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	stale(req);
}

static void stale_name(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino;
	(void)name;
	stale(req);
}

static void stale_readlink(fuse_req_t req, fuse_ino_t ino)
{
	(void)ino;
	stale(req);
}

static void stale_read(fuse_req_t req, fuse_ino_t ino, size_t size,
		       off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)size;
	(void)offset;
	(void)fi;
	stale(req);
}

static void stale_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops)
{
	hidden_ops(fs, ops);
	ops->getattr = stale_getattr;
	ops->lookup = stale_name;
	ops->readlink = stale_readlink;
	ops->read = stale_read;
	ops->readdir = stale_read;
	ops->readdirplus = stale_read;
}

/* ---- what the directories are --------------------------------------------- */

static struct hidden *hidden_of(fuse_req_t req)
{
	return fs_of(req)->hidden;
}

static struct directory *directory(fuse_ino_t ino)
{
	return (struct directory *)hidden_node(ino);
}

static void fill_stat(const struct hidden *h, const struct directory *d,
		      struct stat *st)
{
	const struct options *o = h->fs->options;

	*st = (struct stat){
		.st_ino = d->head.ino,
		.st_mode = S_IFDIR | 0700,
		.st_nlink = d == &h->root ? 4 : 2,
		.st_uid = o->has_uid ? o->uid : geteuid(),
		.st_gid = o->has_gid ? o->gid : getegid(),
		.st_blksize = 4096,
		.st_atim = h->began,
		.st_mtim = h->began,
		.st_ctim = h->began,
	};
}

static void get_attr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	fill_stat(hidden_of(req), directory(ino), &st);
	fs_reply_stat(req, &st, NULL);
}

/* These are always there, so nobody counts holds */
static void reply_directory(fuse_req_t req, const struct directory *d)
{
	struct fuse_entry_param e = {
		.ino = hidden_id(&d->head),
		.attr_timeout = FS_FOREVER,
		.entry_timeout = FS_FOREVER,
	};

	fill_stat(hidden_of(req), d, &e.attr);
	fuse_reply_entry(req, &e);
}

static void look_up_gate(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	reply_directory(req, &hidden_of(req)->root);
}

static void look_up_in_root(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct hidden *h = hidden_of(req);

	(void)parent;
	if (!strcmp(name, "at"))
		reply_directory(req, &h->at);
	else if (!strcmp(name, "snapshots"))
		reply_directory(req, &h->snapshots);
	else if (!strcmp(name, STATUS_NAME))
		status_reply(req, false);
	else if (!strcmp(name, STATUS_JSON_NAME))
		status_reply(req, true);
	else
		fuse_reply_err(req, ENOENT);
}

/* ---- listings ------------------------------------------------------------ */

static int add_name(struct names *l, uint64_t ino, mode_t type,
		    const char *text, size_t len)
{
	size_t room = l->room ? 2 * l->room : 32;
	struct name *name = l->name;

	if (len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	if (l->count == l->room) {
		name = realloc(name, room * sizeof(*name));
		if (!name)
			return -ENOMEM;
		l->name = name;
		l->room = room;
	}
	name += l->count++;
	name->ino = ino;
	name->mode = type;
	memcpy(name->text, text, len);
	name->text[len] = '\0';
	return 0;
}

static int collect_root(struct fs *fs, struct names *l)
{
	static const struct {
		enum hidden_fixed ino;
		mode_t type;
		const char *name;
	} all[] = {
		{ HIDDEN_AT, S_IFDIR, "at" },
		{ HIDDEN_SNAPSHOTS, S_IFDIR, "snapshots" },
		{ HIDDEN_STATUS, S_IFREG, STATUS_NAME },
		{ HIDDEN_STATUS_JSON, S_IFREG, STATUS_JSON_NAME },
	};
	int rc = 0;

	(void)fs;
	for (size_t i = 0; !rc && i < sizeof(all) / sizeof(all[0]); i++)
		rc = add_name(l, hidden_fixed_ino(all[i].ino), all[i].type,
			      all[i].name, strlen(all[i].name));
	return rc;
}

static int add_freeze(void *arg, const struct banyan_freeze_info *f)
{
	const struct moment moment = { .freeze = f->number };
	char text[24];
	int len = snprintf(text, sizeof(text), "%llu",
			   (unsigned long long)f->number);

	return add_name(arg, past_root_ino(&moment), S_IFDIR, text,
			(size_t)len);
}

/* Newest first, as the library has them */
static int collect_at(struct fs *fs, struct names *l)
{
	return banyan_freezes(fs->db, add_freeze, l);
}

static int add_snapshot(void *arg, const struct banyan_snapshot_info *snapshot)
{
	const struct moment moment = { .freeze = snapshot->freeze.number };

	return add_name(arg, past_root_ino(&moment), S_IFDIR, snapshot->name,
			snapshot->len);
}

static int collect_snapshots(struct fs *fs, struct names *l)
{
	return banyan_snapshots(fs->db, add_snapshot, l);
}

/* One that is in no list yet: NULL for no memory */
static struct names *names_new(struct hidden *h)
{
	struct names *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->after = h->open;
	if (h->open)
		h->open->before = l;
	h->open = l;
	return l;
}

static void open_names(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct hidden *h = hidden_of(req);
	struct names *l;

	(void)ino;
	pthread_mutex_lock(&h->lock);
	l = names_new(h);
	pthread_mutex_unlock(&h->lock);
	if (!l) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	numbers_add(&l->numbered);
	fi->fh = l->numbered.number;
	fuse_reply_open(req, fi); /* if lost, hidden_free() has it */
}

/* With the lock held. One that a daemon before this one has opened is made anew. NULL:
 * no memory. */
static struct names *names_of(struct hidden *h, const struct fuse_file_info *fi)
{
	struct names *l = (struct names *)numbers_find(fi->fh);

	if (l)
		return l;
	l = names_new(h);
	if (l)
		numbers_add_as(&l->numbered, fi->fh);
	return l;
}

/* With the lock held */
static void names_free(struct hidden *h, struct names *l)
{
	if (l->before)
		l->before->after = l->after;
	else
		h->open = l->after;
	if (l->after)
		l->after->before = l->before;
	numbers_remove(&l->numbered);
	free(l->name);
	free(l);
}

static void close_names(fuse_req_t req, fuse_ino_t ino,
			struct fuse_file_info *fi)
{
	struct hidden *h = hidden_of(req);
	struct names *l;

	(void)ino;
	pthread_mutex_lock(&h->lock);
	l = (struct names *)numbers_find(fi->fh);
	if (l)
		names_free(h, l);
	pthread_mutex_unlock(&h->lock);
	fuse_reply_err(req, 0);
}

/*
 * Put entry number `at` into a reply: the dots, then the names. Node ids are not
 * told, which the kernel takes for a listing without attributes. The bytes that
 * it takes; more than room: it is not there. 0: there is none.
 */
static size_t put(fuse_req_t req, const struct directory *d,
		  const struct names *l, uint64_t at, char *to, size_t room,
		  bool plus)
{
	struct fuse_entry_param e = { .attr.st_mode = S_IFDIR };
	const char *text;

	if (at < 2) {
		text = at ? ".." : ".";
		e.attr.st_ino = at ? d->parent_ino : d->head.ino;
	} else if (at - 2 < l->count) {
		text = l->name[at - 2].text;
		e.attr.st_ino = l->name[at - 2].ino;
		e.attr.st_mode = l->name[at - 2].mode;
	} else {
		return 0;
	}
	return plus ? fuse_add_direntry_plus(req, to, room, text, &e,
					     (off_t)at + 1) :
		      fuse_add_direntry(req, to, room, text, &e.attr,
					(off_t)at + 1);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 struct fuse_file_info *fi, bool plus)
{
	struct hidden *h = hidden_of(req);
	const struct directory *d = directory(ino);
	struct names *l;
	char *buffer = transport_buffer(size);
	uint64_t at = (uint64_t)offset;
	size_t used = 0, n;
	int rc;

	pthread_mutex_lock(&h->lock);
	l = names_of(h, fi);
	rc = buffer && l ? 0 : -ENOMEM;
	if (!rc && (!offset || !l->collected)) {
		l->count = 0;
		l->error = d->collect(h->fs, l);
		l->collected = true;
	}
	while (!rc &&
	       (n = put(req, d, l, at, buffer + used, size - used, plus)) &&
	       n <= size - used) {
		used += n;
		at++;
	}
	if (!rc && !used && size)
		rc = l->error;
	pthread_mutex_unlock(&h->lock);
	if (rc)
		fs_reply_error(req, rc);
	else
		fuse_reply_buf(req, buffer, used);
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

/* ---- at -------------------------------------------------------------------- */

static bool is_before(const struct banyan_time *t, clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return t->sec < (int64_t)now.tv_sec ||
	       (t->sec == (int64_t)now.tv_sec &&
		t->nsec < (uint64_t)now.tv_nsec);
}

/*
 * A time in the past. No operation to come may have it: one that has may be on its
 * way into the log, so some milliseconds must have gone by.
 */
static bool is_past(const struct banyan_time *t)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	if (!is_before(t, CLOCK_REALTIME))
		return false;
	for (int i = 0; i < CLOCK_LATE_MS; i++) {
		if (is_before(t, CLOCK_REALTIME_COARSE))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int resolve_at(struct fs *fs, const char *name, struct moment *m)
{
	size_t digits = strspn(name, "0123456789");

	(void)fs;
	*m = (struct moment){ 0 };
	if (digits && !name[digits])
		return options_number(name, UINT64_MAX, &m->freeze) &&
				       m->freeze ?
			       0 :
			       -ENOENT;
	return iso_time_parse(name, &m->time) && is_past(&m->time) ? 0 :
								     -ENOENT;
}

static void enter(fuse_req_t req, fuse_ino_t dir, const char *name,
		  past_resolve *resolve)
{
	struct fuse_entry_param e;
	int rc = past_enter(fs_of(req)->past, hidden_node(dir), name, resolve,
			    &e);

	if (rc)
		fs_reply_error(req, rc);
	else if (fuse_reply_entry(req, &e))
		past_drop(past_node(e.ino));
}

static void look_up_at(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	enter(req, parent, name, resolve_at);
}

/* ---- snapshots ------------------------------------------------------------- */

/* Of a view of a freeze the library tells that freeze first */
static int resolve_snapshot(struct fs *fs, const char *name, struct moment *m)
{
	banyan *view;
	int rc = banyan_view_snapshot(fs->db, name, strlen(name), &view);

	if (rc)
		return rc;
	*m = (struct moment){ .snapshot = true };
	rc = banyan_freezes(view, view_take_number, &m->freeze);
	banyan_close(view);
	return rc < 0 ? rc : m->freeze ? 0 : -ENOENT;
}

static void look_up_snapshot(fuse_req_t req, fuse_ino_t parent,
			     const char *name)
{
	if (strlen(name) > BANYAN_NAME_MAX)
		fuse_reply_err(req, ENAMETOOLONG);
	else
		enter(req, parent, name, resolve_snapshot);
}

static void make_snapshot(fuse_req_t req, fuse_ino_t parent, const char *name,
			  mode_t mode)
{
	struct fs *fs = fs_of(req);
	int rc = banyan_snapshot(fs->db, name, strlen(name));

	(void)mode;
	/* Some of its operations were made; here the last one was */
	if (rc == -EEXIST && requests_was_made())
		rc = 0;
	if (rc) {
		fs_reply_error(req, rc);
		return;
	}
	commit_note(fs->commit);
	enter(req, parent, name, resolve_snapshot);
}

/* Although to the kernel it is a directory that is not empty */
static void drop_snapshot(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	int rc = banyan_snapshot_drop(fs->db, name, strlen(name));

	if (!rc) {
		past_leave(fs->past, hidden_node(parent), name);
		commit_note(fs->commit);
	}
	fs_reply_error(req, rc);
}

static void rename_snapshot(fuse_req_t req, fuse_ino_t parent, const char *name,
			    fuse_ino_t new_parent, const char *new_name,
			    unsigned flags)
{
	struct fs *fs = fs_of(req);
	int rc = 0;

	if (parent != new_parent)
		rc = -EROFS;
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		rc = -EINVAL;
	if (!rc)
		rc = banyan_snapshot_rename(fs->db, name, strlen(name),
					    new_name, strlen(new_name));
	if (!rc) {
		past_rename(fs->past, hidden_node(parent), name, new_name);
		commit_note(fs->commit);
	}
	fs_reply_error(req, rc);
}

/* ---- life -------------------------------------------------------------------- */

static void directory_init(struct directory *d, enum hidden_fixed which,
			   uint64_t parent_ino, int refusal,
			   int (*collect)(struct fs *fs, struct names *names),
			   const struct fuse_lowlevel_ops *ops)
{
	d->head.ops = ops;
	d->head.ino = hidden_fixed_ino(which);
	/* 0 is no number */
	numbers_add_as(&d->head.numbered, (uint64_t)which + 1);
	d->head.refusal = refusal;
	d->parent_ino = parent_ino;
	d->collect = collect;
}

static void directory_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops)
{
	hidden_ops(fs, ops);
	ops->getattr = get_attr;
	ops->opendir = open_names;
	ops->readdir = read_dir;
	ops->readdirplus = read_dir_plus;
	ops->releasedir = close_names;
}

int hidden_new(struct fs *fs, struct hidden **hidden)
{
	struct hidden *h = calloc(1, sizeof(*h));
	uint64_t root = hidden_fixed_ino(HIDDEN_ROOT);

	if (!h)
		return -ENOMEM;
	h->fs = fs;
	clock_gettime(CLOCK_REALTIME, &h->began);
	pthread_mutex_init(&h->lock, NULL);
	stale_ops(fs, &h->gone_ops);
	gone.ops = &h->gone_ops;
	hidden_ops(fs, &h->gate);
	h->gate.lookup = look_up_gate;
	status_ops(fs, &h->text_ops);
	directory_ops(fs, &h->root_ops);
	h->root_ops.lookup = look_up_in_root;
	directory_ops(fs, &h->at_ops);
	h->at_ops.lookup = look_up_at;
	directory_ops(fs, &h->snapshots_ops);
	h->snapshots_ops.lookup = look_up_snapshot;
	h->snapshots_ops.mkdir = make_snapshot;
	h->snapshots_ops.rmdir = drop_snapshot;
	h->snapshots_ops.rename = rename_snapshot;
	directory_init(&h->root, HIDDEN_ROOT, BANYAN_ROOT_ID, EPERM,
		       collect_root, &h->root_ops);
	directory_init(&h->at, HIDDEN_AT, root, EROFS, collect_at, &h->at_ops);
	directory_init(&h->snapshots, HIDDEN_SNAPSHOTS, root, EPERM,
		       collect_snapshots, &h->snapshots_ops);
	*hidden = h;
	return 0;
}

void hidden_free(struct hidden *h)
{
	if (!h)
		return;
	for (struct names *l = h->open, *after; l; l = after) {
		after = l->after;
		numbers_remove(&l->numbered);
		free(l->name);
		free(l);
	}
	numbers_remove(&h->root.head.numbered);
	numbers_remove(&h->at.head.numbered);
	numbers_remove(&h->snapshots.head.numbered);
	status_free();
	pthread_mutex_destroy(&h->lock);
	free(h);
}

const struct fuse_lowlevel_ops *hidden_gate(const struct hidden *h)
{
	return &h->gate;
}

void hidden_text(const struct hidden *h, struct hidden_node *node)
{
	node->ops = &h->text_ops;
	node->refusal = EPERM;
}
