/* SPDX-License-Identifier: MIT */
/*
 * once.c - each operation, with the death of the daemon at each of its points.
 *
 *   cc -O2 -o once once.c
 *   once DIR KILLER_FILE
 *
 * Each operation is made in a directory that was made anew, first without a death;
 * with one, or several, the call says the same, and the directory looks the same then.
 * DIR is the root of the mount. It exits with 1 if anything was different.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* As killer.c has it */
static struct {
	_Atomic uint64_t probability, points, left;
} * killer;

static char *top;

/* ---- the operations ------------------------------------------------------- */

static int make_directory(void)
{
	return mkdir("new", 0700);
}

static int make_node(void)
{
	return mknod("new", S_IFIFO | 0600, 0);
}

static int make_symlink(void)
{
	return symlink("there", "new");
}

static int make_link(void)
{
	return link("file", "new");
}

static int make_file(void)
{
	int fd = open("new", O_CREAT | O_EXCL | O_WRONLY, 0600);

	return fd < 0 ? fd : close(fd);
}

static int make_unnamed(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600), rc;
	char name[40];

	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	rc = write(fd, "unnamed", 7) == 7 ? 0 : -1;
	if (!rc)
		rc = linkat(AT_FDCWD, name, AT_FDCWD, "new", AT_SYMLINK_FOLLOW);
	close(fd);
	return rc;
}

static int remove_file(void)
{
	return unlink("file");
}

static int remove_alias(void)
{
	return unlink("alias");
}

static int remove_directory(void)
{
	return rmdir("empty");
}

static int move(void)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, "new", RENAME_NOREPLACE);
}

static int move_to_other(void)
{
	return rename("file", "other");
}

static int move_directory(void)
{
	return rename("full", "empty");
}

static int exchange(void)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, "full", RENAME_EXCHANGE);
}

static int white_out(void)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, "new", RENAME_WHITEOUT);
}

static int make_attribute(void)
{
	return setxattr("file", "user.new", "1", 1, XATTR_CREATE);
}

static int replace_attribute(void)
{
	return setxattr("file", "user.old", "another", 7, XATTR_REPLACE);
}

static int remove_attribute(void)
{
	return removexattr("file", "user.old");
}

/* The first in the database has another operation before it */
static int make_acl(void)
{
	static const unsigned char acl[] = {
		2,   0,	  0,   0,   1,	 0,   6,   0,
		255, 255, 255, 255, /* user:: */
		2,   0,	  4,   0,   1,	 0,   0,   0, /* user:1: */
		4,   0,	  4,   0,   255, 255, 255, 255, /* group:: */
		16,  0,	  4,   0,   255, 255, 255, 255, /* mask:: */
		32,  0,	  4,   0,   255, 255, 255, 255, /* other:: */
	};

	return setxattr("file", "system.posix_acl_access", acl, sizeof(acl), 0);
}

static int change_mode(void)
{
	return chmod("file", 0640);
}

static int change_owner(void)
{
	return chown("set-id", 1, 1);
}

/* The kernel has to be told that the bits are gone: before it executes the file it asks
 * only if it knows that something has changed */
static int write_by_another(void)
{
	pid_t child = fork();
	struct statx known;
	int status;

	if (!child) {
		int fd = open("set-id", O_WRONLY);

		_exit(fd < 0 || setgid(65534) || setuid(65534) ||
		      write(fd, "x", 1) != 1);
	}
	if (waitpid(child, &status, 0) != child || status)
		return -1;
	if (access("set-id", X_OK) ||
	    statx(AT_FDCWD, "set-id", AT_STATX_DONT_SYNC, STATX_MODE, &known))
		return -1;
	errno = ESTALE;
	return known.stx_mode & S_ISUID ? -1 : 0;
}

static int set_time(void)
{
	const struct timespec t[] = { { 1, 2 }, { 3, 4 } };

	return utimensat(AT_FDCWD, "file", t, 0);
}

static int set_flags(void)
{
	int fd = open("file", O_RDONLY), flags = FS_NODUMP_FL;
	int rc = fd < 0 ? -1 : ioctl(fd, FS_IOC_SETFLAGS, &flags);

	close(fd);
	return rc;
}

static int append(void)
{
	int fd = open("file", O_WRONLY | O_APPEND);
	int rc = fd >= 0 && write(fd, "more", 4) == 4 ? 0 : -1;

	close(fd);
	return rc;
}

static int write_much(void)
{
	size_t size = 3 << 20;
	char *bytes = malloc(size);
	int fd = open("file", O_WRONLY);
	int rc;

	memset(bytes, 'm', size);
	rc = fd >= 0 && write(fd, bytes, size) == (ssize_t)size ? 0 : -1;
	close(fd);
	free(bytes);
	return rc;
}

static int shorten(void)
{
	return truncate("large", 100001);
}

static int lengthen(void)
{
	return truncate("file", 1 << 30);
}

static int punch(void)
{
	int fd = open("large", O_WRONLY);
	int rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000,
			   200000);

	close(fd);
	return rc;
}

static int copy(void)
{
	int from = open("large", O_RDONLY), to = open("file", O_WRONLY);
	int rc = copy_file_range(from, NULL, to, NULL, 200000, 0) == 200000 ?
			 0 :
			 -1;

	close(from);
	close(to);
	return rc;
}

static int sync_all(void)
{
	int fd = open("file", O_WRONLY);
	int rc = fsync(fd);

	close(fd);
	return rc;
}

static int make_snapshot(void)
{
	return mkdir("../.banyan/snapshots/new", 0700);
}

static int rename_snapshot(void)
{
	return rename("../.banyan/snapshots/old", "../.banyan/snapshots/new");
}

static int drop_snapshot(void)
{
	return rmdir("../.banyan/snapshots/old");
}

static int undelete(void)
{
	return setxattr(top, "system.banyan.undelete", "once/gone", 9, 0);
}

static int undelete_several(void)
{
	static const char keys[] = "\0once/gone\0once/lost";

	return setxattr(top, "system.banyan.undelete", keys, sizeof(keys) - 1,
			0);
}

static const struct {
	const char *name;
	int (*make)(void);
} operations[] = {
	{ "mkdir", make_directory },
	{ "mknod", make_node },
	{ "symlink", make_symlink },
	{ "link", make_link },
	{ "create", make_file },
	{ "O_TMPFILE and linkat", make_unnamed },
	{ "unlink", remove_file },
	{ "unlink of an alias", remove_alias },
	{ "rmdir", remove_directory },
	{ "rename", move },
	{ "rename to another", move_to_other },
	{ "rename of a directory", move_directory },
	{ "exchange", exchange },
	{ "rename with a whiteout", white_out },
	{ "setxattr", make_attribute },
	{ "setxattr again", replace_attribute },
	{ "removexattr", remove_attribute },
	{ "setfacl", make_acl },
	{ "chmod", change_mode },
	{ "chown", change_owner },
	{ "write by another", write_by_another },
	{ "utimensat", set_time },
	{ "chattr", set_flags },
	{ "append", append },
	{ "write", write_much },
	{ "truncate", shorten },
	{ "truncate beyond the end", lengthen },
	{ "punch", punch },
	{ "copy_file_range", copy },
	{ "fsync", sync_all },
	{ "snapshot", make_snapshot },
	{ "rename of a snapshot", rename_snapshot },
	{ "drop of a snapshot", drop_snapshot },
	{ "undelete", undelete },
	{ "undelete of several", undelete_several },
};

/* ---- the directory --------------------------------------------------------- */

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void make(const char *name, char c, size_t size)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	char *bytes = malloc(size);

	memset(bytes, c, size);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd))
		fail(name);
	free(bytes);
}

/* Ask for what the operations name, so that they ask for nothing else */
static void look(const char *name)
{
	struct stat st;

	if (lstat(name, &st) && errno != ENOENT)
		fail(name);
}

static void prepare(void)
{
	static const char *const names[] = { "new",  "file",  "other",
					     "full", "empty", "set-id",
					     ".",    "large", "alias" };

	if (chdir(top) ||
	    (nftw("once", remove_one, 8, FTW_DEPTH | FTW_PHYS) &&
	     errno != ENOENT) ||
	    mkdir("once", 0700) || chdir("once"))
		fail("once");
	rmdir("../.banyan/snapshots/new");
	if (mkdir("../.banyan/snapshots/old", 0700) && errno != EEXIST)
		fail("snapshot");
	make("file", 'f', 10);
	make("other", 'o', 20);
	make("large", 'l', 300000);
	make("set-id", 's', 1);
	make("gone", 'g', 40);
	make("lost", 'l', 50);
	if (link("file", "alias") ||
	    setxattr("file", "user.old", "old", 3, 0) ||
	    chmod("set-id", 04755) || mkdir("empty", 0700) ||
	    mkdir("full", 0700) || mkdir("full/x", 0700) || unlink("gone") ||
	    unlink("lost"))
		fail("prepare");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		look(names[i]);
}

/* ---- what it looks like ------------------------------------------------------ */

static struct {
	char text[65536];
	size_t size;
} found;

static void tell_contents(const char *path)
{
	static char bytes[1 << 16];
	int fd = open(path, O_RDONLY);
	unsigned sum = 1;
	ssize_t n, total = 0;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	while (total < 4 << 20 && (n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)bytes[i];
		total += n;
	}
	close(fd);
	found.size += (size_t)snprintf(found.text + found.size,
				       sizeof(found.text) - found.size,
				       " sum %u", sum);
}

static int tell_one(const char *path, const struct stat *st, int type,
		    struct FTW *ftw)
{
	char names[200], value[200];
	ssize_t n = llistxattr(path, names, sizeof(names));
	char *end = found.text + sizeof(found.text);

	(void)ftw;
	found.size += (size_t)sprintf(found.text + found.size,
				      "\n%s %o %u.%u links %lu size %ld", path,
				      st->st_mode, st->st_uid, st->st_gid,
				      S_ISDIR(st->st_mode) ? 0 : st->st_nlink,
				      S_ISREG(st->st_mode) ? st->st_size : 0);
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t len = lgetxattr(path, names + at, value, sizeof(value));

		found.size += (size_t)snprintf(
			found.text + found.size,
			(size_t)(end - found.text) - found.size, " %s %.*s",
			names + at, (int)len, value);
	}
	if (S_ISREG(st->st_mode))
		tell_contents(path);
	return type == FTW_NS || type == FTW_DNR;
}

static void tell_names(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		found.size += (size_t)sprintf(found.text + found.size,
					      "\n%s/%s", path, e->d_name);
	if (!dir || closedir(dir))
		fail(path);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of the names */
static char *what_is_there(void)
{
	char *lines[200], *sorted = malloc(sizeof(found.text)), *rest = NULL;
	size_t count = 0, at = 0;

	found.size = 0;
	if (nftw(".", tell_one, 8, FTW_PHYS))
		fail("nftw");
	tell_names("../.banyan/snapshots");
	for (char *line = strtok_r(found.text, "\n", &rest);
	     line && count < 200; line = strtok_r(NULL, "\n", &rest))
		lines[count++] = line;
	qsort(lines, count, sizeof(lines[0]), by_name);
	for (size_t i = 0; i < count; i++)
		at += (size_t)sprintf(sorted + at, "%s\n", lines[i]);
	return sorted;
}

/* ---- deaths ---------------------------------------------------------------- */

enum { READ, APPEND_PART, APPENDED, ANSWER, ANSWERED, SYNC, SYNCED };

static const struct {
	const char *name;
	unsigned points, times;
} deaths[] = {
	{ "no death", 0, 0 },
	{ "a death while it is written", 1 << APPEND_PART, 1 },
	{ "a death when it is written and one before the answer",
	  1 << APPENDED | 1 << ANSWER, 2 },
	{ "a death before the answer", 1 << ANSWER, 1 },
};
#define DEATHS (sizeof(deaths) / sizeof(deaths[0]))

static int check(size_t op)
{
	char *expected = NULL;
	int rc, expected_rc = 0, wrong = 0;

	for (size_t d = 0; d < DEATHS; d++) {
		char *now;

		prepare();
		atomic_store(&killer->points, deaths[d].points);
		atomic_store(&killer->left, deaths[d].times);
		atomic_store(&killer->probability, 1000000);
		rc = operations[op].make() ? errno : 0;
		atomic_store(&killer->probability, 0);
		now = what_is_there();
		if (!expected) {
			expected = now;
			expected_rc = rc;
			if (rc)
				printf("%s: %s\n", operations[op].name,
				       strerror(rc));
			wrong |= rc;
			continue;
		}
		if (rc != expected_rc)
			printf("%s, %s: says %s\n", operations[op].name,
			       deaths[d].name, rc ? strerror(rc) : "success");
		if (strcmp(expected, now))
			printf("%s, %s: expected\n%s\nfound\n%s\n",
			       operations[op].name, deaths[d].name, expected,
			       now);
		wrong |= rc != expected_rc || strcmp(expected, now);
		free(now);
	}
	free(expected);
	return wrong;
}

int main(int argc, char **argv)
{
	int fd = argc >= 3 ? open(argv[2], O_RDWR) : -1;
	int wrong = 0;

	if (fd < 0)
		return 2;
	top = argv[1];
	killer = mmap(NULL, sizeof(*killer), PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	if (killer == MAP_FAILED)
		return 2;
	umask(022);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (argc < 4 || !strcmp(argv[3], operations[i].name))
			wrong |= check(i);
	return wrong;
}
