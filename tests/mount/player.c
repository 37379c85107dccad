/* SPDX-License-Identifier: MIT */
/*
 * player.c - programs that know what each call has to say, in a mount whose daemon
 * dies all the time.
 *
 *   cc -O2 -o player player.c
 *   player DIR PROCESSES SECONDS SEED
 *
 * Each process makes random calls in a directory of its own, and keeps a model of it:
 * an operation that was done twice, or never, shows as an error that the model does
 * not expect, or as other contents. All of them append to one file, count in one file
 * below a lock, and list one directory in which names come and go. Each holds locks
 * the whole time. It prints how many calls there were, and exits with 1 if one was
 * wrong; DIR stays as it is then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES_MAX 64
#define DIRS 2
#define NAMES 24 /* in each */
#define SLOTS (DIRS * NAMES)
#define KEPT 4 /* descriptors */
#define INODES (SLOTS + KEPT + 2)
#define XATTRS 4
#define BYTES (96 * 1024) /* the largest file */
#define STAYING 300 /* names in the directory that all list */
#define GOING 40 /* of each process there */

enum type { NONE, FILE_, DIRECTORY, SYMLINK };

struct inode {
	enum type type;
	unsigned links, opens;
	mode_t mode;
	ino_t number;
	size_t size;
	int full; /* a directory with a name in it */
	unsigned target; /* of a symlink */
	unsigned xattr[XATTRS]; /* 0: there is none */
	unsigned char *bytes;
};

static struct {
	_Atomic unsigned ready;
	_Atomic unsigned long calls, appended[PROCESSES_MAX];
	_Atomic unsigned long counted;
	_Atomic int wrong;
} * all; /* shared by the processes */

static const char *top;
static unsigned me, processes;
static uint64_t random_state;
static unsigned long step;
static const char *doing = "starting";
static struct inode inodes[INODES];
static struct inode *slot[SLOTS];
static struct {
	struct inode *inode;
	int fd;
} kept[KEPT];
static unsigned going_first, going_last; /* names of ours that all list */
static int held_fd = -1;

/* ---- what is wrong -------------------------------------------------------- */

static void wrong(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
static void wrong(const char *format, ...)
{
	char text[600];
	int n = snprintf(text, sizeof(text), "process %u, step %lu, %s: ", me,
			 step, doing);
	va_list args;

	va_start(args, format);
	n += vsnprintf(text + n, sizeof(text) - (size_t)n - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	text[n++] = '\n';
	if (write(STDOUT_FILENO, text, (size_t)n) < 0)
		_exit(2);
	atomic_store(&all->wrong, 1);
	_exit(1);
}

/* A call returned rc; errno is to be expected, or 0 */
static long called(const char *what, long rc, int expected)
{
	int error = rc < 0 ? errno : 0;

	atomic_fetch_add(&all->calls, 1);
	if (error != expected)
		wrong("%s: expected %s, found %s", what,
		      expected ? strerrorname_np(expected) : "success",
		      error ? strerrorname_np(error) : "success");
	return rc;
}

/* One that is to succeed */
#define MUST(call) called(#call, (long)(call), 0)

/* ---- choices --------------------------------------------------------------- */

static unsigned below(unsigned n)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)(((z ^ (z >> 31)) >> 32) % n);
}

static unsigned any_slot(void)
{
	return below(SLOTS);
}

/* A slot with such a thing, or SLOTS */
static unsigned slot_with(enum type type)
{
	unsigned from = any_slot();

	for (unsigned i = 0; i < SLOTS; i++)
		if (slot[(from + i) % SLOTS] &&
		    slot[(from + i) % SLOTS]->type == type)
			return (from + i) % SLOTS;
	return SLOTS;
}

/* Valid for some calls */
static const char *path_of(unsigned s)
{
	static char paths[4][300];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, 300, "%s/%u/d%u/n%u", top, me, s / NAMES, s % NAMES);
	return path;
}

static const char *path_in(const char *name)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%u/%s", top, me, name);
	return path;
}

/* ---- the model ------------------------------------------------------------- */

static struct inode *inode_new(enum type type, mode_t mode)
{
	for (unsigned i = 0; i < INODES; i++) {
		struct inode *n = &inodes[i];
		unsigned char *bytes = n->bytes;

		if (n->type != NONE)
			continue;
		*n = (struct inode){ .type = type, .mode = mode };
		n->bytes = bytes ? bytes : malloc(BYTES);
		memset(n->bytes, 0, BYTES);
		return n;
	}
	wrong("too many inodes");
}

static void drop_link(unsigned s)
{
	struct inode *n = slot[s];

	slot[s] = NULL;
	if (!n)
		return;
	n->links--;
	if (!n->links && !n->opens)
		n->type = NONE;
}

static void put_link(unsigned s, struct inode *n)
{
	slot[s] = n;
	n->links++;
}

static mode_t type_bits(const struct inode *n)
{
	return n->type == FILE_	    ? S_IFREG :
	       n->type == DIRECTORY ? S_IFDIR :
				      S_IFLNK;
}

static void check_stat(struct inode *n, const struct stat *st)
{
	if (!n->number)
		n->number = st->st_ino;
	if (st->st_ino != n->number)
		wrong("inode %lu, not %lu", (unsigned long)st->st_ino,
		      (unsigned long)n->number);
	if (st->st_mode != (type_bits(n) | n->mode))
		wrong("mode %o, not %o", st->st_mode, type_bits(n) | n->mode);
	if (n->type == FILE_ && (size_t)st->st_size != n->size)
		wrong("size %ld, not %zu", (long)st->st_size, n->size);
	if (n->type != DIRECTORY && st->st_nlink != n->links)
		wrong("%lu links, not %u", (unsigned long)st->st_nlink,
		      n->links);
}

static void check_bytes(struct inode *n, int fd, size_t from, size_t size)
{
	static unsigned char found[BYTES + 1];
	ssize_t expected = from >= n->size	 ? 0 :
			   size > n->size - from ? (ssize_t)(n->size - from) :
						   (ssize_t)size;
	ssize_t got;

	if (below(2))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	got = MUST(pread(fd, found, size, (off_t)from));
	if (got != expected)
		wrong("read %zd bytes, not %zd", got, expected);
	for (ssize_t i = 0; i < got; i++)
		if (found[i] != n->bytes[from + (size_t)i])
			wrong("byte %zd of %zu is %02x, not %02x",
			      (ssize_t)from + i, n->size, found[i],
			      n->bytes[from + (size_t)i]);
}

static void check_all(struct inode *n, int fd)
{
	struct stat st;

	MUST(fstat(fd, &st));
	check_stat(n, &st);
	check_bytes(n, fd, 0, BYTES + 1);
}

/* ---- names ----------------------------------------------------------------- */

static void make_file(void)
{
	unsigned s = any_slot();
	int exclusive = below(4) ? O_EXCL : 0;
	int fd, refused = slot[s] && exclusive ? EEXIST : 0;
	struct stat st;

	if (slot[s] && !exclusive)
		return;
	fd = (int)called("open O_CREAT",
			 open(path_of(s), O_RDWR | O_CREAT | exclusive, 0640),
			 refused);
	if (refused)
		return;
	put_link(s, inode_new(FILE_, 0640));
	MUST(fstat(fd, &st));
	check_stat(slot[s], &st);
	MUST(close(fd));
}

static void make_directory(void)
{
	unsigned s = any_slot();

	called("mkdir", mkdir(path_of(s), 0750), slot[s] ? EEXIST : 0);
	if (!slot[s])
		put_link(s, inode_new(DIRECTORY, 0750));
}

static void make_symlink(void)
{
	unsigned s = any_slot(), target = below(1000000);
	char text[32];

	snprintf(text, sizeof(text), "to/%u", target);
	called("symlink", symlink(text, path_of(s)), slot[s] ? EEXIST : 0);
	if (!slot[s]) {
		put_link(s, inode_new(SYMLINK, 0777));
		slot[s]->target = target;
	}
}

static void make_unnamed(void)
{
	unsigned s = any_slot();
	char dir[300], link[40];
	struct inode *n = inode_new(FILE_, 0600);
	int fd;

	snprintf(dir, sizeof(dir), "%s/%u/d%u", top, me, s / NAMES);
	fd = (int)MUST(open(dir, O_TMPFILE | O_RDWR, 0600));
	n->size = below(3000) + 1;
	memset(n->bytes, (int)step, n->size);
	if (MUST(write(fd, n->bytes, n->size)) != (long)n->size)
		wrong("short write");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	called("linkat of O_TMPFILE",
	       linkat(AT_FDCWD, link, AT_FDCWD, path_of(s), AT_SYMLINK_FOLLOW),
	       slot[s] ? EEXIST : 0);
	if (slot[s])
		n->type = NONE;
	else
		put_link(s, n);
	if (n->type != NONE)
		check_all(n, fd);
	MUST(close(fd));
}

/* A name in a directory, so that it cannot be removed */
static void fill_directory(void)
{
	unsigned s = slot_with(DIRECTORY);
	char path[320];

	if (s == SLOTS)
		return;
	snprintf(path, sizeof(path), "%s/x", path_of(s));
	if (slot[s]->full)
		MUST(unlink(path));
	else
		MUST(mknod(path, S_IFREG | 0600, 0));
	slot[s]->full = !slot[s]->full;
}

static void remove_directory(void)
{
	unsigned s = below(3) ? slot_with(DIRECTORY) : any_slot();
	int expected;

	if (s == SLOTS)
		return;
	expected = !slot[s]		      ? ENOENT :
		   slot[s]->type != DIRECTORY ? ENOTDIR :
		   slot[s]->full	      ? ENOTEMPTY :
						0;
	called("rmdir", rmdir(path_of(s)), expected);
	if (!expected)
		drop_link(s);
}

static void remove_name(void)
{
	unsigned s = any_slot();
	int expected = !slot[s]			  ? ENOENT :
		       slot[s]->type == DIRECTORY ? EISDIR :
						    0;

	called("unlink", unlink(path_of(s)), expected);
	if (!expected)
		drop_link(s);
}

static void make_link(void)
{
	unsigned from = any_slot(), to = any_slot();
	int expected = !slot[from]		     ? ENOENT :
		       slot[to]			     ? EEXIST :
		       slot[from]->type == DIRECTORY ? EPERM :
						       0;
	struct stat st;

	called("link", link(path_of(from), path_of(to)), expected);
	if (expected)
		return;
	put_link(to, slot[from]);
	MUST(lstat(path_of(to), &st));
	check_stat(slot[to], &st);
}

static int refusal_of_rename(const struct inode *from, const struct inode *to,
			     unsigned flags)
{
	if (!from || (!to && (flags & RENAME_EXCHANGE)))
		return ENOENT;
	if (to && (flags & RENAME_NOREPLACE))
		return EEXIST;
	if (!to || from == to || (flags & RENAME_EXCHANGE))
		return 0;
	if (from->type == DIRECTORY && to->type != DIRECTORY)
		return ENOTDIR;
	if (from->type != DIRECTORY && to->type == DIRECTORY)
		return EISDIR;
	return to->full ? ENOTEMPTY : 0;
}

static void move(unsigned from, unsigned to, unsigned flags)
{
	int expected = refusal_of_rename(slot[from], slot[to], flags);
	struct inode *n = slot[to];

	called(flags & RENAME_EXCHANGE	? "rename EXCHANGE" :
	       flags & RENAME_NOREPLACE ? "rename NOREPLACE" :
					  "rename",
	       renameat2(AT_FDCWD, path_of(from), AT_FDCWD, path_of(to), flags),
	       expected);
	if (expected || slot[from] == n)
		return;
	if (flags & RENAME_EXCHANGE) {
		slot[to] = slot[from];
		slot[from] = n;
		return;
	}
	drop_link(to);
	slot[to] = slot[from];
	slot[from] = NULL;
}

static void move_one(void)
{
	static const unsigned flags[] = { 0, 0, RENAME_NOREPLACE,
					  RENAME_EXCHANGE };
	unsigned from = any_slot(), to = any_slot();

	if (from != to)
		move(from, to, flags[below(4)]);
}

static void move_in_a_circle(void)
{
	unsigned a = any_slot(), b = any_slot(), c = any_slot();
	unsigned flags = below(2) ? RENAME_NOREPLACE : 0;
	struct inode *n = slot[a];

	if (a == b || b == c || a == c || !slot[a] || !slot[b] || !slot[c])
		return;
	MUST(rename(path_of(a), path_in("aside")));
	slot[a] = NULL;
	move(b, a, flags);
	move(c, b, flags);
	MUST(renameat2(AT_FDCWD, path_in("aside"), AT_FDCWD, path_of(c),
		       flags));
	slot[c] = n;
}

static void look(void)
{
	unsigned s = any_slot();
	struct stat st;

	called("lstat", lstat(path_of(s), &st), slot[s] ? 0 : ENOENT);
	if (slot[s])
		check_stat(slot[s], &st);
}

static void read_symlink(void)
{
	unsigned s = below(3) ? slot_with(SYMLINK) : any_slot();
	char text[64], expected[64];
	int refused;
	long n;

	if (s == SLOTS)
		return;
	refused = !slot[s] ? ENOENT : slot[s]->type != SYMLINK ? EINVAL : 0;
	n = called("readlink", readlink(path_of(s), text, sizeof(text) - 1),
		   refused);
	if (refused)
		return;
	text[n] = '\0';
	snprintf(expected, sizeof(expected), "to/%u", slot[s]->target);
	if (strcmp(text, expected))
		wrong("points to %s, not %s", text, expected);
}

/* A directory of ours has just the names that it is to have */
static void list(void)
{
	unsigned d = below(DIRS), found[NAMES] = { 0 }, i;
	struct dirent *e;
	char path[300];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%u/d%u", top, me, d);
	dir = opendir(path);
	called("opendir", dir ? 0 : -1, 0);
	errno = 0;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (sscanf(e->d_name, "n%u", &i) != 1 || i >= NAMES)
			wrong("lists %s", e->d_name);
		found[i]++;
	}
	called("readdir", errno ? -1 : 0, 0);
	closedir(dir);
	for (i = 0; i < NAMES; i++)
		if (found[i] != (slot[d * NAMES + i] ? 1 : 0))
			wrong("lists n%u %u times", i, found[i]);
}

/* ---- contents -------------------------------------------------------------- */

/* A file, open: by a name, or one that is kept open. NULL: there is none. */
static struct inode *open_any(int flags, int *fd)
{
	unsigned k = below(2 * KEPT), s;

	if (k < KEPT && kept[k].inode && !flags) {
		*fd = (int)MUST(fcntl(kept[k].fd, F_DUPFD_CLOEXEC, 0));
		return kept[k].inode;
	}
	s = slot_with(FILE_);
	if (s == SLOTS)
		return NULL;
	*fd = (int)MUST(open(path_of(s), O_RDWR | O_CLOEXEC | flags));
	return slot[s];
}

static void fill_random(unsigned char *bytes, size_t size)
{
	unsigned word = below(UINT32_MAX) | 1;

	for (size_t i = 0; i < size; i++)
		bytes[i] =
			(unsigned char)((word = word * 1664525 + 1013904223) >>
					24);
}

static size_t some_bytes(size_t at)
{
	size_t size = (below(4) ? below(5000) : below(60000)) + 1;

	return size < BYTES - at ? size : BYTES - at;
}

static void write_some(void)
{
	int fd, append = below(3) ? 0 : O_APPEND;
	struct inode *n = open_any(append, &fd);
	size_t at, size;

	if (!n)
		return;
	at = append ? n->size : below(BYTES - 1);
	size = some_bytes(at);
	if (size) {
		fill_random(n->bytes + at, size);
		if (n->size < at + size)
			n->size = at + size;
		if (MUST(append ? write(fd, n->bytes + at, size) :
				  pwrite(fd, n->bytes + at, size, (off_t)at)) !=
		    (long)size)
			wrong("short write");
	}
	if (!below(40))
		MUST(below(2) ? fsync(fd) : fdatasync(fd));
	check_bytes(n, fd, at, size + 1);
	MUST(close(fd));
}

static void read_some(void)
{
	int fd;
	struct inode *n = open_any(0, &fd);

	if (!n)
		return;
	check_all(n, fd);
	MUST(close(fd));
}

static void cut(void)
{
	int fd;
	struct inode *n = open_any(0, &fd);
	size_t size = below(BYTES);

	if (!n)
		return;
	MUST(ftruncate(fd, (off_t)size));
	if (size < n->size)
		memset(n->bytes + size, 0, n->size - size);
	n->size = size;
	check_all(n, fd);
	MUST(close(fd));
}

static void allocate(void)
{
	static const int modes[] = {
		0,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	int fd, mode = modes[below(4)];
	struct inode *n = open_any(0, &fd);
	size_t at = below(BYTES - 1), size = some_bytes(at), end = at + size;

	if (!n)
		return;
	MUST(fallocate(fd, mode, (off_t)at, (off_t)size));
	if (mode && at < n->size)
		memset(n->bytes + at, 0, (end < n->size ? end : n->size) - at);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && n->size < end)
		n->size = end;
	check_all(n, fd);
	MUST(close(fd));
}

static void copy_range(void)
{
	int from_fd, to_fd;
	struct inode *from = open_any(0, &from_fd), *to;
	loff_t from_at, to_at;
	size_t size;
	long n;

	if (!from)
		return;
	to = open_any(0, &to_fd);
	if (!to) {
		MUST(close(from_fd));
		return;
	}
	if (from != to && from->size) {
		from_at = below((unsigned)from->size);
		to_at = below(BYTES - 1);
		size = some_bytes((size_t)to_at);
		if (size > from->size - (size_t)from_at)
			size = from->size - (size_t)from_at;
		memcpy(to->bytes + to_at, from->bytes + from_at, size);
		if (to->size < (size_t)to_at + size)
			to->size = (size_t)to_at + size;
		n = MUST(copy_file_range(from_fd, &from_at, to_fd, &to_at, size,
					 0));
		if (n != (long)size)
			wrong("copied %ld bytes, not %zu", n, size);
		check_all(to, to_fd);
	}
	MUST(close(from_fd));
	MUST(close(to_fd));
}

static void change_mapped(void)
{
	int fd;
	struct inode *n = open_any(0, &fd);
	unsigned char *map;
	size_t at, size;

	if (n && n->size) {
		at = below((unsigned)n->size);
		size = some_bytes(at);
		if (size > n->size - at)
			size = n->size - at;
		map = mmap(NULL, n->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, 0);
		called("mmap", map == MAP_FAILED ? -1 : 0, 0);
		fill_random(n->bytes + at, size);
		memcpy(map + at, n->bytes + at, size);
		MUST(msync(map, n->size, MS_SYNC));
		if (memcmp(map, n->bytes, n->size))
			wrong("another mapping");
		MUST(munmap(map, n->size));
		check_all(n, fd);
	}
	if (n)
		MUST(close(fd));
}

/* Open one, which may lose its names then; or close one */
static void keep_open(void)
{
	unsigned k = below(KEPT), s;
	struct inode *n = kept[k].inode;

	if (n) {
		check_all(n, kept[k].fd);
		MUST(close(kept[k].fd));
		kept[k].inode = NULL;
		if (!--n->opens && !n->links)
			n->type = NONE;
		return;
	}
	s = slot_with(FILE_);
	if (s == SLOTS)
		return;
	kept[k].fd = (int)MUST(open(path_of(s), O_RDWR | O_CLOEXEC));
	kept[k].inode = slot[s];
	slot[s]->opens++;
}

/* ---- attributes ------------------------------------------------------------ */

static unsigned file_or_directory(void)
{
	unsigned s = slot_with(below(3) ? FILE_ : DIRECTORY);

	return s < SLOTS ? s : slot_with(FILE_);
}

static void check_xattr(unsigned s, unsigned x, const char *name)
{
	char value[32], expected[32];
	long n = called("getxattr",
			getxattr(path_of(s), name, value, sizeof(value)),
			slot[s]->xattr[x] ? 0 : ENODATA);
	int len = snprintf(expected, sizeof(expected), "%u", slot[s]->xattr[x]);

	if (slot[s]->xattr[x] && (n != len || memcmp(value, expected, len)))
		wrong("%s is %.*s, not %s", name, (int)n, value, expected);
}

static void set_xattr(void)
{
	static const int all_flags[] = { 0, XATTR_CREATE, XATTR_REPLACE };
	unsigned s = file_or_directory(), x = below(XATTRS);
	int flags = all_flags[below(3)], expected = 0;
	unsigned value = below(1000000000) + 1;
	char name[16], text[32];

	if (s == SLOTS)
		return;
	if (flags == XATTR_CREATE && slot[s]->xattr[x])
		expected = EEXIST;
	if (flags == XATTR_REPLACE && !slot[s]->xattr[x])
		expected = ENODATA;
	snprintf(name, sizeof(name), "user.x%u", x);
	snprintf(text, sizeof(text), "%u", value);
	called(flags == XATTR_CREATE  ? "setxattr CREATE" :
	       flags == XATTR_REPLACE ? "setxattr REPLACE" :
					"setxattr",
	       setxattr(path_of(s), name, text, strlen(text), flags), expected);
	if (!expected)
		slot[s]->xattr[x] = value;
	check_xattr(s, x, name);
}

static void remove_xattr(void)
{
	unsigned s = file_or_directory(), x = below(XATTRS);
	char name[16];

	if (s == SLOTS)
		return;
	snprintf(name, sizeof(name), "user.x%u", x);
	called("removexattr", removexattr(path_of(s), name),
	       slot[s]->xattr[x] ? 0 : ENODATA);
	slot[s]->xattr[x] = 0;
	check_xattr(s, x, name);
}

static void change_mode(void)
{
	unsigned s = file_or_directory();
	mode_t mode = 0600 | below(64);
	struct stat st;

	if (s == SLOTS)
		return;
	MUST(chmod(path_of(s), mode));
	slot[s]->mode = mode;
	MUST(lstat(path_of(s), &st));
	check_stat(slot[s], &st);
}

static void set_times(void)
{
	unsigned s = file_or_directory();
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
				 { below(1000000000), below(1000000000) } };
	struct stat st;

	if (s == SLOTS)
		return;
	MUST(utimensat(AT_FDCWD, path_of(s), t, 0));
	MUST(lstat(path_of(s), &st));
	if (st.st_mtim.tv_sec != t[1].tv_sec ||
	    st.st_mtim.tv_nsec != t[1].tv_nsec)
		wrong("another time");
	check_stat(slot[s], &st);
}

static void ask_for_space(void)
{
	struct statvfs st;

	MUST(statvfs(top, &st));
	if (!st.f_blocks || st.f_namemax < 255)
		wrong("%lu blocks, names of %lu", (unsigned long)st.f_blocks,
		      st.f_namemax);
}

/* ---- what all do ----------------------------------------------------------- */

static const char *shared(const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/all/%s", top, name);
	return path;
}

#define RECORD 24

static void append_a_record(void)
{
	unsigned long n = atomic_load(&all->appended[me]);
	char record[RECORD + 1];
	int fd = (int)MUST(open(shared("log"), O_WRONLY | O_APPEND));

	snprintf(record, sizeof(record), "%8u %14lu\n", me, n);
	if (MUST(write(fd, record, RECORD)) != RECORD)
		wrong("short write");
	atomic_store(&all->appended[me], n + 1);
	MUST(close(fd));
}

static void count_one(void)
{
	unsigned long n = 0;
	int fd = (int)MUST(open(shared("count"), O_RDWR));

	MUST(flock(fd, LOCK_EX));
	if (MUST(pread(fd, &n, sizeof(n), 0)) != sizeof(n))
		wrong("short read");
	if (n != atomic_load(&all->counted))
		wrong("%lu, not %lu", n, atomic_load(&all->counted));
	n++;
	if (MUST(pwrite(fd, &n, sizeof(n), 0)) != sizeof(n))
		wrong("short write");
	atomic_store(&all->counted, n);
	MUST(flock(fd, LOCK_UN));
	MUST(close(fd));
}

/* Our own lock excludes another descriptor of ours, and that of our neighbour us */
static void meet_locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 10 };
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "lock%u", (me + 1) % processes);
	fd = (int)MUST(open(shared(name), O_RDWR));
	called("flock of another", flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	if (processes > 1) {
		called("lock of another", fcntl(fd, F_SETLK, &lock), EAGAIN);
		MUST(fcntl(fd, F_GETLK, &lock));
		if (lock.l_type != F_WRLCK || lock.l_start != 0)
			wrong("another lock");
	}
	MUST(close(fd));
}

static void come_and_go(void)
{
	char name[40];

	if (going_last - going_first < GOING || below(2)) {
		snprintf(name, sizeof(name), "list/%c%u.%u",
			 (int)('a' + below(26)), me, going_last++);
		MUST(mknod(shared(name), S_IFREG | 0600, 0));
		MUST(unlink(shared(name)));
	}
}

struct entry {
	uint64_t ino;
	int64_t off;
	unsigned short size;
	unsigned char type;
	char name[];
};

/* One batch of names that go */
static unsigned note_entry(const struct entry *e, unsigned char *seen)
{
	unsigned i;

	if (sscanf(e->name, "stays%u", &i) != 1)
		return 0;
	if (i >= STAYING || seen[i])
		wrong("lists %s %s", e->name, i < STAYING ? "twice" : "");
	return seen[i] = 1;
}

/* In small pieces, between which names go and the daemon dies */
static void list_what_stays(void)
{
	unsigned char seen[STAYING] = { 0 };
	unsigned found = 0;
	char buffer[1024];
	int fd = (int)MUST(open(shared("list"), O_RDONLY | O_DIRECTORY));
	long n;

	while ((n = MUST(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)))) >
	       0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (void *)(buffer + at);

			found += note_entry(e, seen);
			at += e->size;
		}
		if (!below(8))
			usleep(below(2000));
	}
	if (found != STAYING)
		wrong("lists %u of %d names", found, STAYING);
	MUST(close(fd));
}

/* ---- the play -------------------------------------------------------------- */

static const struct {
	void (*play)(void);
	const char *name;
	unsigned often;
} plays[] = {
	{ make_file, "create", 14 },
	{ make_directory, "mkdir", 8 },
	{ make_symlink, "symlink", 6 },
	{ make_unnamed, "O_TMPFILE", 4 },
	{ fill_directory, "mknod or unlink", 4 },
	{ remove_directory, "rmdir", 8 },
	{ remove_name, "unlink", 14 },
	{ make_link, "link", 8 },
	{ move_one, "rename", 16 },
	{ move_in_a_circle, "circle", 4 },
	{ look, "stat", 8 },
	{ read_symlink, "readlink", 4 },
	{ list, "readdir", 4 },
	{ write_some, "write", 12 },
	{ read_some, "read", 6 },
	{ cut, "truncate", 6 },
	{ allocate, "fallocate", 6 },
	{ copy_range, "copy_file_range", 6 },
	{ change_mapped, "mmap", 4 },
	{ keep_open, "open or close", 8 },
	{ set_xattr, "setxattr", 8 },
	{ remove_xattr, "removexattr", 6 },
	{ change_mode, "chmod", 4 },
	{ set_times, "utimens", 4 },
	{ ask_for_space, "statvfs", 2 },
	{ append_a_record, "append", 14 },
	{ count_one, "count", 6 },
	{ meet_locks, "locks", 2 },
	{ come_and_go, "come and go", 12 },
	{ list_what_stays, "list", 2 },
};
#define PLAYS (sizeof(plays) / sizeof(plays[0]))

static void play_one(void)
{
	unsigned sum = 0, at;

	for (unsigned i = 0; i < PLAYS; i++)
		sum += plays[i].often;
	at = below(sum);
	for (unsigned i = 0; i < PLAYS; i++) {
		if (at < plays[i].often) {
			doing = plays[i].name;
			plays[i].play();
			return;
		}
		at -= plays[i].often;
	}
}

static void hold_locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 0, .l_len = 100 };
	char name[32];

	snprintf(name, sizeof(name), "lock%u", me);
	held_fd =
		(int)MUST(open(shared(name), O_RDWR | O_CREAT | O_EXCL, 0600));
	MUST(flock(held_fd, LOCK_EX));
	MUST(fcntl(held_fd, F_SETLK, &lock));
}

static void check_everything(void)
{
	struct stat st;

	doing = "the end";
	for (unsigned s = 0; s < SLOTS; s++) {
		called("lstat", lstat(path_of(s), &st), slot[s] ? 0 : ENOENT);
		if (!slot[s])
			continue;
		check_stat(slot[s], &st);
		if (slot[s]->type == FILE_) {
			int fd = (int)MUST(open(path_of(s), O_RDONLY));

			check_all(slot[s], fd);
			MUST(close(fd));
		}
		for (unsigned x = 0; x < XATTRS; x++) {
			char name[16];

			snprintf(name, sizeof(name), "user.x%u", x);
			if (slot[s]->type != SYMLINK)
				check_xattr(s, x, name);
		}
	}
	for (unsigned k = 0; k < KEPT; k++)
		if (kept[k].inode)
			check_all(kept[k].inode, kept[k].fd);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void process(double until, uint64_t seed)
{
	char path[300];

	random_state = seed * 1000003 + me;
	MUST(mkdir(path_in(""), 0700));
	for (unsigned d = 0; d < DIRS; d++) {
		snprintf(path, sizeof(path), "%s/%u/d%u", top, me, d);
		MUST(mkdir(path, 0700));
	}
	hold_locks();
	atomic_fetch_add(&all->ready, 1);
	while (atomic_load(&all->ready) < processes &&
	       !atomic_load(&all->wrong))
		usleep(1000);
	for (; now() < until && !atomic_load(&all->wrong); step++)
		play_one();
	if (!atomic_load(&all->wrong))
		check_everything();
	/* Others may still look at the locks */
	atomic_fetch_sub(&all->ready, 1);
	while (atomic_load(&all->ready) && !atomic_load(&all->wrong))
		usleep(1000);
	_exit(0);
}

static void begin(void)
{
	unsigned long zero = 0;
	char name[40];
	int fd;

	MUST(mkdir(shared(""), 0700));
	MUST(mkdir(shared("list"), 0700));
	MUST(mknod(shared("log"), S_IFREG | 0600, 0));
	fd = (int)MUST(open(shared("count"), O_WRONLY | O_CREAT, 0600));
	MUST(write(fd, &zero, sizeof(zero)));
	MUST(close(fd));
	for (unsigned i = 0; i < STAYING; i++) {
		/* all over, so that what goes lies in between */
		snprintf(name, sizeof(name), "list/stays%u", i);
		MUST(mknod(shared(name), S_IFREG | 0600, 0));
	}
}

/* Each record is there once, those of a process in their order */
static void check_log(void)
{
	unsigned long next[PROCESSES_MAX] = { 0 }, n;
	unsigned p;
	FILE *f = fopen(shared("log"), "r");

	doing = "the log";
	called("fopen", f ? 0 : -1, 0);
	while (fscanf(f, "%u %lu\n", &p, &n) == 2) {
		if (p >= processes || n != next[p])
			wrong("record %lu of process %u, not %lu", n, p,
			      p < processes ? next[p] : 0);
		next[p]++;
	}
	fclose(f);
	for (p = 0; p < processes; p++)
		if (next[p] != atomic_load(&all->appended[p]))
			wrong("%lu records of process %u, not %lu", next[p], p,
			      atomic_load(&all->appended[p]));
}

int main(int argc, char **argv)
{
	double seconds;
	uint64_t seed;

	if (argc != 5)
		return 2;
	top = argv[1];
	processes = (unsigned)atoi(argv[2]);
	seconds = atof(argv[3]);
	seed = strtoull(argv[4], NULL, 10);
	if (processes < 1 || processes > PROCESSES_MAX)
		return 2;
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return 2;
	umask(0);
	begin();
	for (me = 0; me < processes; me++)
		if (!fork())
			process(now() + seconds, seed);
	for (int status; wait(&status) > 0;) {
		if (WIFSIGNALED(status))
			printf("a player died: %s\n",
			       strsignal(WTERMSIG(status)));
		if (status)
			atomic_store(&all->wrong, 1);
	}
	if (!atomic_load(&all->wrong))
		check_log();
	printf("%lu calls\n", atomic_load(&all->calls));
	return atomic_load(&all->wrong);
}
