/* SPDX-License-Identifier: MIT */
/*
 * memory_fs [-d] workers|uring DIR - files in memory, through FUSE: what a daemon
 * costs that does nothing
 *
 * It asks the kernel for the same as banyanfs by the same code (fs/transport.h), over
 * threads that read /dev/fuse or over io_uring, and keeps names in a search tree and
 * contents in one block a file. So its figures are a bound for any daemon over that
 * transport; bench_mount.sh compares with it. In the foreground, until it is unmounted;
 * with -d libfuse shows each request. Not a file system to use: no permissions are kept
 * from one process to another, there are no extended attributes, and a file that is
 * deleted stays in memory.
 */
#include "fs/transport.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>

#include "engine.h"
#include "fs/lasting.h"
#include "fs/message.h"

#define FOREVER 86400.0
#define THREADS 10u

struct node;

/* A name in a directory; the names of one are a list, in the order of creation */
struct name {
	struct node *directory;
	struct node *node;
	struct name *next, *before;
	uint64_t number; /* grows along the list: what a listing goes on from */
	char text[];
};

struct node {
	struct stat st;
	char *data;
	size_t room;
	struct name *first, *last;
	struct node *parent;
};

static struct node root;
static void *names; /* entries, by directory and name */
static uint64_t numbers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- nodes and names --------------------------------------------------- */

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)ino;
}

static fuse_ino_t ino_of(const struct node *n)
{
	return n == &root ? FUSE_ROOT_ID : (fuse_ino_t)n;
}

static void touch(struct node *n)
{
	clock_gettime(CLOCK_REALTIME, &n->st.st_mtim);
	n->st.st_ctim = n->st.st_mtim;
}

static void init_node(struct node *n, mode_t mode, const struct fuse_ctx *ctx)
{
	n->st.st_ino = ino_of(n);
	n->st.st_mode = mode;
	n->st.st_nlink = S_ISDIR(mode) ? 2 : 1;
	n->st.st_uid = ctx ? ctx->uid : 0;
	n->st.st_gid = ctx ? ctx->gid : 0;
	n->st.st_blksize = 4096;
	touch(n);
	n->st.st_atim = n->st.st_mtim;
}

static int compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->directory != y->directory)
		return x->directory < y->directory ? -1 : 1;
	return strcmp(x->text, y->text);
}

static struct name *new_entry(struct node *directory, const char *name)
{
	size_t size = strlen(name) + 1;
	struct name *e = calloc(1, sizeof(*e) + size);

	if (!e)
		die("no memory");
	e->directory = directory;
	memcpy(e->text, name, size);
	return e;
}

static struct name *find(struct node *directory, const char *name)
{
	/* On the stack: this is asked for at every request */
	union {
		struct name entry;
		char room[sizeof(struct name) + 256];
	} key;
	struct name **found;
	size_t size = strlen(name) + 1;

	if (size > 256)
		return NULL;
	key.entry.directory = directory;
	memcpy(key.entry.text, name, size);
	found = tfind(&key, &names, compare);
	return found ? *found : NULL;
}

static void insert(struct node *directory, const char *name, struct node *n)
{
	struct name *e = new_entry(directory, name);

	e->node = n;
	e->number = ++numbers;
	e->before = directory->last;
	*(e->before ? &e->before->next : &directory->first) = e;
	directory->last = e;
	if (!tsearch(e, &names, compare))
		die("no memory");
	touch(directory);
}

static void drop(struct name *e)
{
	struct node *directory = e->directory;

	*(e->before ? &e->before->next : &directory->first) = e->next;
	*(e->next ? &e->next->before : &directory->last) = e->before;
	tdelete(e, &names, compare);
	e->node->st.st_nlink--;
	touch(directory);
	free(e);
}

static void resize(struct node *n, size_t size)
{
	if (size > n->room) {
		size_t room = size + size / 8;

		n->data = realloc(n->data, room);
		if (!n->data)
			die("no memory");
		n->room = room;
	}
	if (size > (size_t)n->st.st_size)
		memset(n->data + n->st.st_size, 0,
		       size - (size_t)n->st.st_size);
	n->st.st_size = (off_t)size;
	n->st.st_blocks = (blkcnt_t)((size + 511) / 512);
}

static struct fuse_entry_param param_of(const struct node *n)
{
	return (struct fuse_entry_param){
		.ino = ino_of(n),
		.attr = n->st,
		.attr_timeout = FOREVER,
		.entry_timeout = FOREVER,
	};
}

static void reply_entry(fuse_req_t req, const struct node *n)
{
	struct fuse_entry_param e = param_of(n);

	fuse_reply_entry(req, &e);
}

/* ---- requests ---------------------------------------------------------- */

static void mem_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .entry_timeout = FOREVER };
	struct name *found;

	pthread_mutex_lock(&lock);
	found = find(node_of(parent), name);
	if (found)
		e = param_of(found->node);
	pthread_mutex_unlock(&lock);
	fuse_reply_entry(req, &e);
}

static void mem_getattr(fuse_req_t req, fuse_ino_t ino,
			struct fuse_file_info *fi)
{
	(void)fi;
	fs_reply_stat(req, &node_of(ino)->st, NULL); /* GETATTR or STATX */
}

static void set_times(struct node *n, const struct stat *to, int what)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (what & FUSE_SET_ATTR_ATIME)
		n->st.st_atim = what & FUSE_SET_ATTR_ATIME_NOW ? now :
								 to->st_atim;
	if (what & FUSE_SET_ATTR_MTIME)
		n->st.st_mtim = what & FUSE_SET_ATTR_MTIME_NOW ? now :
								 to->st_mtim;
	n->st.st_ctim = now;
}

static void mem_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to,
			int what, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	(void)fi;
	pthread_mutex_lock(&lock);
	if (what & FUSE_SET_ATTR_MODE)
		n->st.st_mode = (n->st.st_mode & S_IFMT) |
				(to->st_mode & ~(mode_t)S_IFMT);
	if (what & FUSE_SET_ATTR_UID)
		n->st.st_uid = to->st_uid;
	if (what & FUSE_SET_ATTR_GID)
		n->st.st_gid = to->st_gid;
	if (what & FUSE_SET_ATTR_SIZE)
		resize(n, (size_t)to->st_size);
	set_times(n, to, what);
	pthread_mutex_unlock(&lock);
	fuse_reply_attr(req, &n->st, FOREVER);
}

static struct node *make(fuse_req_t req, fuse_ino_t parent, const char *name,
			 mode_t mode)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		die("no memory");
	init_node(n, mode, fuse_req_ctx(req));
	n->parent = node_of(parent);
	pthread_mutex_lock(&lock);
	insert(n->parent, name, n);
	if (S_ISDIR(mode))
		n->parent->st.st_nlink++;
	pthread_mutex_unlock(&lock);
	return n;
}

static void mem_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		       mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e = param_of(make(req, parent, name, mode));

	fi->keep_cache = 1;
	fuse_reply_create(req, &e, fi);
}

static void mem_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, dev_t dev)
{
	struct node *n = make(req, parent, name, mode);

	n->st.st_rdev = dev;
	reply_entry(req, n);
}

static void mem_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode)
{
	reply_entry(req, make(req, parent, name, mode | S_IFDIR));
}

static void mem_symlink(fuse_req_t req, const char *to, fuse_ino_t parent,
			const char *name)
{
	struct node *n = make(req, parent, name, S_IFLNK | 0777);

	pthread_mutex_lock(&lock);
	resize(n, strlen(to));
	memcpy(n->data, to, strlen(to));
	pthread_mutex_unlock(&lock);
	reply_entry(req, n);
}

static void mem_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct node *n = node_of(ino);
	char *text;

	pthread_mutex_lock(&lock);
	text = strndup(n->data ? n->data : "", (size_t)n->st.st_size);
	pthread_mutex_unlock(&lock);
	if (!text)
		die("no memory");
	fuse_reply_readlink(req, text);
	free(text);
}

static void mem_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		     const char *name)
{
	struct node *n = node_of(ino);

	pthread_mutex_lock(&lock);
	insert(node_of(parent), name, n);
	n->st.st_nlink++;
	pthread_mutex_unlock(&lock);
	reply_entry(req, n);
}

static void mem_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct name *e;

	pthread_mutex_lock(&lock);
	e = find(node_of(parent), name);
	if (e)
		drop(e);
	pthread_mutex_unlock(&lock);
	fuse_reply_err(req, e ? 0 : ENOENT);
}

static void mem_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct name *e;
	int error = 0;

	pthread_mutex_lock(&lock);
	e = find(node_of(parent), name);
	if (!e)
		error = ENOENT;
	else if (e->node->first)
		error = ENOTEMPTY;
	else {
		e->directory->st.st_nlink--;
		drop(e);
	}
	pthread_mutex_unlock(&lock);
	fuse_reply_err(req, error);
}

static void mem_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		       fuse_ino_t new_parent, const char *new_name,
		       unsigned flags)
{
	struct name *e, *target;
	struct node *n;

	if (flags) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	pthread_mutex_lock(&lock);
	e = find(node_of(parent), name);
	target = find(node_of(new_parent), new_name);
	if (e && e != target) {
		n = e->node;
		if (target)
			drop(target);
		drop(e);
		insert(node_of(new_parent), new_name, n);
		n->st.st_nlink++;
		n->parent = node_of(new_parent);
	}
	pthread_mutex_unlock(&lock);
	fuse_reply_err(req, e ? 0 : ENOENT);
}

/* The kernel then asks for no OPEN and no RELEASE any more */
static void mem_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

static void mem_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	(void)fi;
	/* No other one writes while the benchmark reads */
	if (offset >= n->st.st_size)
		size = 0;
	else if (size > (size_t)(n->st.st_size - offset))
		size = (size_t)(n->st.st_size - offset);
	fuse_reply_buf(req, size ? n->data + offset : NULL, size);
}

static void mem_write(fuse_req_t req, fuse_ino_t ino, const char *data,
		      size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	(void)fi;
	pthread_mutex_lock(&lock);
	if ((size_t)offset + size > (size_t)n->st.st_size)
		resize(n, (size_t)offset + size);
	memcpy(n->data + offset, data, size);
	touch(n);
	pthread_mutex_unlock(&lock);
	fuse_reply_write(req, size);
}

static void mem_copy_file_range(fuse_req_t req, fuse_ino_t from,
				off_t from_offset, struct fuse_file_info *fi,
				fuse_ino_t to, off_t to_offset,
				struct fuse_file_info *to_fi, size_t size,
				int flags)
{
	struct node *a = node_of(from), *b = node_of(to);

	(void)fi;
	(void)to_fi;
	(void)flags;
	pthread_mutex_lock(&lock);
	if (from_offset >= a->st.st_size)
		size = 0;
	else if (size > (size_t)(a->st.st_size - from_offset))
		size = (size_t)(a->st.st_size - from_offset);
	if ((size_t)to_offset + size > (size_t)b->st.st_size)
		resize(b, (size_t)to_offset + size);
	if (size)
		memmove(b->data + to_offset, a->data + from_offset, size);
	touch(b);
	pthread_mutex_unlock(&lock);
	fuse_reply_write(req, size);
}

static void mem_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			    off_t offset, struct fuse_file_info *fi)
{
	char *out = malloc(size);
	size_t used = 0;

	(void)fi;
	if (!out)
		die("no memory");
	pthread_mutex_lock(&lock);
	for (const struct name *e = node_of(ino)->first; e; e = e->next) {
		struct fuse_entry_param param;
		size_t n;

		if (e->number <= (uint64_t)offset)
			continue;
		param = param_of(e->node);
		n = fuse_add_direntry_plus(req, out + used, size - used,
					   e->text, &param, (off_t)e->number);
		if (n > size - used)
			break;
		used += n;
	}
	pthread_mutex_unlock(&lock);
	fuse_reply_buf(req, out, used);
	free(out);
}

static void mem_fsync(fuse_req_t req, fuse_ino_t ino, int only_data,
		      struct fuse_file_info *fi)
{
	(void)ino;
	(void)only_data;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* Like a daemon that has such attributes, and none of this file */
static void mem_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			 size_t size)
{
	(void)ino;
	(void)size;
	fuse_reply_err(req, strncmp(name, "system.", 7) ? ENODATA : EOPNOTSUPP);
}

static void mem_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

static void mem_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			 const char *value, size_t size, int flags)
{
	(void)ino;
	(void)name;
	(void)value;
	(void)size;
	(void)flags;
	fuse_reply_err(req, 0);
}

static void mem_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino;
	(void)name;
	fuse_reply_err(req, ENODATA);
}

static void mem_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1 << 24,
		.f_bfree = 1 << 24,
		.f_bavail = 1 << 24,
		.f_namemax = 255,
	};

	(void)ino;
	fuse_reply_statfs(req, &st);
}

static void mem_ops(struct fuse_lowlevel_ops *ops)
{
	transport_ops(ops); /* what banyanfs asks for in INIT */
	ops->lookup = mem_lookup;
	ops->getattr = mem_getattr;
	ops->setattr = mem_setattr;
	ops->create = mem_create;
	ops->mknod = mem_mknod;
	ops->mkdir = mem_mkdir;
	ops->symlink = mem_symlink;
	ops->readlink = mem_readlink;
	ops->link = mem_link;
	ops->unlink = mem_unlink;
	ops->rmdir = mem_rmdir;
	ops->rename = mem_rename;
	ops->open = mem_open;
	ops->read = mem_read;
	ops->write = mem_write;
	ops->copy_file_range = mem_copy_file_range;
	ops->readdirplus = mem_readdirplus;
	ops->fsync = mem_fsync;
	ops->fsyncdir = mem_fsync;
	ops->statfs = mem_statfs;
	ops->getxattr = mem_getxattr;
	ops->listxattr = mem_listxattr;
	ops->setxattr = mem_setxattr;
	ops->removexattr = mem_removexattr;
}

static void note_end(void *arg)
{
	sem_post(arg);
}

static void serve(struct fs *fs, enum transport_wish wish)
{
	sem_t ended;
	int rc;

	sem_init(&ended, 0, 0);
	rc = transport_new(fs, fuse_session_fd(fs->session), wish);
	if (!rc)
		rc = transport_negotiate(fs->transport);
	if (!rc)
		rc = transport_start(fs->transport, THREADS, note_end, &ended);
	if (rc)
		die("cannot serve: %s", strerror(-rc));
	while (sem_wait(&ended))
		;
	transport_free(fs->transport);
	sem_destroy(&ended);
}

int main(int argc, char **argv)
{
	char program[] = "memory_fs", dash_o[] = "-o", debug[] = "-d";
	char options[] = "default_permissions,fsname=memory";
	char *words[] = { program, dash_o, options, debug };
	const struct options o = { .threads = THREADS };
	struct fs fs = { .options = &o };
	struct fuse_lowlevel_ops ops = { 0 };
	bool verbose = argc > 1 && !strcmp(argv[1], debug);
	struct fuse_args args = FUSE_ARGS_INIT(verbose ? 4 : 3, words);
	bool rings;

	argc -= verbose;
	argv += verbose;
	rings = argc == 3 && !strcmp(argv[1], "uring");
	if (argc != 3 || (!rings && strcmp(argv[1], "workers") != 0)) {
		fputs("usage: memory_fs [-d] workers|uring DIR\n", stderr);
		return 2;
	}
	message_start(NULL);
	message_libfuse_free();
	init_node(&root, S_IFDIR | 0755, NULL);
	mem_ops(&ops);
	fs.lasting = lasting_new(0, NULL);
	if (!fs.lasting)
		die("no memory");
	fs.session = fuse_session_new(&args, &ops, sizeof(ops), &fs);
	if (!fs.session || fuse_session_mount(fs.session, argv[2]))
		return 1;
	serve(&fs, rings ? TRANSPORT_URING : TRANSPORT_WORKERS);
	fuse_session_unmount(fs.session);
	fuse_session_destroy(fs.session);
	lasting_free(fs.lasting);
	return 0;
}
