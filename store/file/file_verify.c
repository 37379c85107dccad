/* SPDX-License-Identifier: MIT */
/*
 * file_verify.c - has another program changed a local file, or taken it away?
 *
 * The lock keeps other Banyan processes out, and nobody else. A file that was
 * cut, overwritten (`cp other FILE`, which cuts it first), appended to, deleted
 * or replaced is not written any more.
 *
 * A file that its owner moves stays good: it has a name, and whatever is
 * written to it is found there. So a path that leads nowhere does not matter as
 * long as the file has a link. If the path leads to another file, the kernel
 * knows whether ours was moved away before (/proc/self/fd then says where) or
 * lost this name to the other one. Where /proc does not tell, it counts as
 * replaced. A file that a vacuum of this process has replaced has lost nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "file/file_posix.h"

/* Where the file is now, with " (deleted)" behind it if it is nowhere; its name
 * if that cannot be told */
static void find_path(const struct posix_file *p, char path[PATH_MAX + 1])
{
	char link[40];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", p->fd);
	ssize_t n = readlink(link, path, PATH_MAX);
	if (n < 0)
		n = snprintf(path, PATH_MAX + 1, "%s", p->name);
	path[n] = '\0';
}

/* Report once what has happened, and what can be done about it: -EIO */
__attribute__((format(printf, 2, 3))) static int lost(struct posix_file *p,
						      const char *format, ...)
{
	char path[PATH_MAX + 1];
	char line[PATH_MAX + 400];
	va_list args;
	if (atomic_exchange(&p->reported, true) || !p->file.report)
		return -EIO;
	find_path(p, path);
	int n = snprintf(line, sizeof(line), "%s ", path);
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	p->file.report(p->file.report_arg, line);
	return -EIO;
}

static int other_size(struct posix_file *p, uint64_t size, uint64_t end)
{
	return lost(p,
		    "was changed by another program: it has %llu bytes, where "
		    "%llu bytes were written. Nothing more is written to it. "
		    "Close it, then check or restore it",
		    (unsigned long long)size, (unsigned long long)end);
}

/*
 * Before each append, at 0.2 us: one append later a part that was cut off would
 * be a hole, and the size as it should be.
 */
int posix_check_end(struct posix_file *p)
{
	uint64_t end = atomic_load(&p->end);
	off_t size = lseek(p->fd, 0, SEEK_END);
	if (size < 0)
		return -errno;
	return (uint64_t)size == end ? 0 : other_size(p, (uint64_t)size, end);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool was_moved(const struct posix_file *p, const struct stat *opened)
{
	char path[PATH_MAX + 1];
	struct stat found;
	find_path(p, path);
	return *path == '/' && stat(path, &found) == 0 &&
	       same_file(&found, opened);
}

int posix_verify(struct file *f)
{
	struct posix_file *p = posix_of(f);
	struct stat opened, named;
	/* An append may be under way: the file has this or more */
	uint64_t end = atomic_load(&p->end);
	if (fstat(p->fd, &opened))
		return -errno;
	if ((uint64_t)opened.st_size < end)
		return other_size(p, (uint64_t)opened.st_size, end);
	if (p->temporary || atomic_load(&p->superseded))
		return 0;
	/* What cannot be looked at proves nothing */
	bool replaced = fstatat(p->dir, p->name, &named, AT_SYMLINK_NOFOLLOW) ==
				0 &&
			!same_file(&named, &opened) && !was_moved(p, &opened);
	if (opened.st_nlink && !replaced)
		return 0;
	return lost(p,
		    "was deleted, or replaced by another file. Nothing more is "
		    "written to it. Copy it from /proc/%ld/fd/%d while process "
		    "%ld has it open",
		    (long)getpid(), p->fd, (long)getpid());
}
