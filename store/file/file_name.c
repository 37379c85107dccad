/* SPDX-License-Identifier: MIT */
/*
 * file_name.c - the name of a local file: how it is found, locked, and given to
 * a new one.
 *
 * Where it is. The path is resolved once, symbolic links and all, to a
 * descriptor of the directory and a name in it. Everything afterwards is
 * relative to that descriptor, so chdir() and renamed parents do no harm.
 *
 * The locks. Whoever writes holds an OFD lock on a byte far beyond the end of
 * the file: it belongs to the open file description, survives fork(), and is
 * not lost when another descriptor of the file is closed. It says nothing about
 * who holds it, so a POSIX lock on the next byte carries the pid, as a hint and
 * no more: it is lost when the process closes any other descriptor of this file
 * (as in file_holder(), or an open that ends with -EBUSY), and is not inherited
 * by a child. On a third byte those who read hold an OFD lock that they share, which
 * keeps a punch away; where there are no locks they do without. The file may be
 * replaced between open() and lock, so name and
 * descriptor are compared under the lock.
 *
 * A process may be given a descriptor that has the lock already, by one that has
 * died (struct banyan_keeper): locking it once more changes nothing.
 *
 * A new file starts as a hidden temporary in the same directory,
 * ".NAME.banyan-" and eight hex digits, locked at once. So a temporary that is
 * not locked was left by a crash, and the next writable open of NAME, or the next
 * that makes a temporary for it, removes it. That may come between creating and
 * locking a temporary: so the creator checks that its file still has its name, and
 * takes another name if not.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/limits.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "file/file_posix.h"

#define LOCK_BYTE ((off_t)1 << 62)
#define HINT_BYTE (LOCK_BYTE + 1)
#define READER_BYTE (LOCK_BYTE + 2)
#define TRIES 100
#define OPEN_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

#define TEMP_MARK ".banyan-"
#define TEMP_DIGITS 8
/* A dot, the mark and the digits; what is left of NAME_MAX is for the name */
#define TEMP_NAME_MAX (NAME_MAX - 1 - (sizeof(TEMP_MARK) - 1) - TEMP_DIGITS)

/* ---- locks ------------------------------------------------------------ */

static struct flock byte_lock(off_t byte)
{
	struct flock l = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};
	return l;
}

/* command: F_OFD_SETLK or F_SETLK */
static int lock(int fd, int command, off_t byte)
{
	struct flock l = byte_lock(byte);
	while (fcntl(fd, command, &l)) {
		if (errno == EAGAIN || errno == EACCES)
			return -EBUSY;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

void posix_unlock(struct file *f)
{
	struct flock hint = byte_lock(HINT_BYTE);
	struct flock l = byte_lock(LOCK_BYTE);
	hint.l_type = F_UNLCK;
	l.l_type = F_UNLCK;
	(void)fcntl(posix_of(f)->fd, F_SETLK, &hint);
	(void)fcntl(posix_of(f)->fd, F_OFD_SETLK, &l);
}

int posix_exclude(struct file *f, bool on)
{
	struct flock l = byte_lock(READER_BYTE);
	if (on)
		return lock(posix_of(f)->fd, F_OFD_SETLK, READER_BYTE);
	l.l_type = F_UNLCK;
	return fcntl(posix_of(f)->fd, F_OFD_SETLK, &l) ? -errno : 0;
}

/* While it is punched, wait. Without locks nobody can say that one reads. */
static void lock_to_read(int fd)
{
	struct flock l = byte_lock(READER_BYTE);
	l.l_type = F_RDLCK;
	while (fcntl(fd, F_OFD_SETLKW, &l) && errno == EINTR)
		;
}

/* 1 and the pid (-1 without a name) if the byte is locked, else 0 */
static int find_lock(int fd, off_t byte, pid_t *pid)
{
	struct flock l = byte_lock(byte);
	/* Unlike F_GETLK it sees the locks of this very process as well */
	while (fcntl(fd, F_OFD_GETLK, &l))
		if (errno != EINTR)
			return -errno;
	if (l.l_type == F_UNLCK)
		return 0;
	/* 0: in a pid namespace that we cannot see into */
	*pid = l.l_pid > 0 ? l.l_pid : -1;
	return 1;
}

/* Does the name in the directory still mean the file of the descriptor? */
static int is_still_named(int dir, const char *name, int fd, bool *same)
{
	struct stat named, opened;
	if (fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) ||
	    fstat(fd, &opened))
		return -errno;
	*same = named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
	return 0;
}

/* ---- opening ---------------------------------------------------------- */

static int check_type(mode_t mode)
{
	if (S_ISDIR(mode))
		return -EISDIR;
	return S_ISREG(mode) ? 0 : -EINVAL;
}

/*
 * A descriptor of a regular file. The type is looked at before as well, because
 * opening a device may do something.
 */
static int open_regular(int dir, const char *name, bool writable, int *out)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	/* resolve() could not follow it */
	int rc = S_ISLNK(st.st_mode) ? -ELOOP : check_type(st.st_mode);
	if (rc)
		return rc;
	int access = writable ? O_RDWR : O_RDONLY;
	int fd = openat(dir, name, access | OPEN_FLAGS);
	if (fd < 0)
		return -errno;
	rc = fstat(fd, &st) ? -errno : check_type(st.st_mode);
	if (rc)
		close(fd);
	else
		*out = fd;
	return rc;
}

static bool is_same_file(int a, int b)
{
	struct stat st, other;
	return !fstat(a, &st) && !fstat(b, &other) &&
	       st.st_dev == other.st_dev && st.st_ino == other.st_ino;
}

/* If one of the descriptors that were kept is of the file of fd, a copy of it in
 * the place of fd */
static int use_kept(struct posix_file *p, int *fd)
{
	const struct banyan_keeper *keeper = &p->keeper;
	uint32_t unsure = keeper->unsure ? __atomic_load_n(keeper->unsure,
							   __ATOMIC_SEQ_CST) :
					   1;
	if (keeper->file_count && (unsure & BANYAN_SYNC_FAILED))
		return -EIO;
	for (size_t i = 0; i < keeper->file_count; i++) {
		if (!is_same_file(*fd, keeper->files[i]))
			continue;
		int kept = fcntl(keeper->files[i], F_DUPFD_CLOEXEC, 0);
		if (kept < 0)
			return -errno;
		close(*fd);
		*fd = kept;
		/* Of two, a vacuum may have put one in place and not synced that */
		p->file.trusted = keeper->file_count == 1 && !unsure;
		return 0;
	}
	return 0;
}

/* The same, locked if writable; *same tells whether it still has the name */
static int open_locked(struct posix_file *p, bool *same)
{
	int fd = -1;
	int rc = open_regular(p->dir, p->name, p->writable, &fd);
	if (!rc && p->writable)
		rc = use_kept(p, &fd);
	if (rc) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*same = true;
	if (p->writable)
		rc = lock(fd, F_OFD_SETLK, LOCK_BYTE);
	if (!rc && p->writable)
		rc = is_still_named(p->dir, p->name, fd, same);
	if (rc || !*same) {
		close(fd);
		return rc;
	}
	p->fd = fd;
	uint64_t size = 0;
	rc = posix_size(&p->file, &size);
	atomic_init(&p->end, size);
	return rc;
}

static int open_named(struct posix_file *p)
{
	for (int i = 0; i < TRIES; i++) {
		bool same = false;
		int rc = open_locked(p, &same);
		if (rc || same)
			return rc;
	}
	return -EBUSY;
}

/* The directory that a path without its last component means */
static char *resolve_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return realpath(".", NULL);
	/* With the slash, so that the root is no special case */
	char *parent = strndup(path, (size_t)(slash - path) + 1);
	char *full = parent ? realpath(parent, NULL) : NULL;
	free(parent);
	return full;
}

/*
 * Split path into a directory and a name: of what it leads to if that exists,
 * else of itself.
 */
static int resolve(const char *path, char **parent, char **name)
{
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	char *full = realpath(path, NULL);
	if (full) {
		slash = strrchr(full, '/');
		last = slash ? slash + 1 : full;
		*parent = resolve_parent(full);
	} else if (errno == ENOENT && *path) {
		*parent = resolve_parent(path);
	}
	int rc = *parent ? 0 : -errno;
	if (!rc && (!*last || !strcmp(last, ".") || !strcmp(last, "..")))
		rc = -EISDIR;
	*name = rc ? NULL : strdup(last);
	if (!rc && !*name)
		rc = -ENOMEM;
	free(full);
	return rc;
}

/* ---- temporaries ------------------------------------------------------ */

/* ".NAME.banyan-", the name shortened, at the end of a whole character */
static int temporary_prefix(const char *name, char prefix[NAME_MAX + 1])
{
	size_t n = strlen(name);
	if (n > TEMP_NAME_MAX) {
		n = TEMP_NAME_MAX;
		while (n && ((unsigned char)name[n] & 0xc0) == 0x80)
			n--;
	}
	return snprintf(prefix, NAME_MAX + 1, ".%.*s" TEMP_MARK, (int)n, name);
}

static bool is_temporary(const char *entry, const char *prefix, size_t n)
{
	return strncmp(entry, prefix, n) == 0 &&
	       strlen(entry) == n + TEMP_DIGITS &&
	       strspn(entry + n, "0123456789abcdef") == TEMP_DIGITS;
}

static void remove_if_stale(struct posix_file *p, const char *entry)
{
	bool ours = false;
	int fd = -1;
	/* A crash between link and unlink leaves a second name of our file */
	if (p->fd >= 0 && is_still_named(p->dir, entry, p->fd, &ours))
		return;
	if (!ours && open_regular(p->dir, entry, true, &fd))
		return;
	if (ours || lock(fd, F_OFD_SETLK, LOCK_BYTE) == 0)
		(void)unlinkat(p->dir, entry, 0);
	if (fd >= 0)
		close(fd);
}

static int open_directory(int dir)
{
	return openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void remove_stale_temporaries(struct posix_file *p)
{
	char prefix[NAME_MAX + 1];
	size_t n = (size_t)temporary_prefix(p->name, prefix);
	int fd = open_directory(p->dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (is_temporary(e->d_name, prefix, n))
			remove_if_stale(p, e->d_name);
	closedir(d);
}

/* One try: *owned stays false if the name is taken, or taken away at once */
static int try_temporary(struct posix_file *p, const char *name, bool *owned)
{
	int fd = openat(p->dir, name, O_CREAT | O_EXCL | O_RDWR | OPEN_FLAGS,
			0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	int rc = lock(fd, F_OFD_SETLK, LOCK_BYTE);
	bool swept = rc == -EBUSY;
	if (!rc) {
		rc = is_still_named(p->dir, name, fd, owned);
		swept = rc == -ENOENT;
	}
	if (!rc && *owned) {
		p->fd = fd;
		return 0;
	}
	if (rc && !swept)
		(void)unlinkat(p->dir, name, 0);
	close(fd);
	return swept ? 0 : rc;
}

static int make_temporary(struct posix_file *p)
{
	char name[NAME_MAX + 1];
	size_t n = (size_t)temporary_prefix(p->name, name);
	for (int i = 0; i < TRIES; i++) {
		uint32_t random = 0;
		bool owned = false;
		if (getrandom(&random, sizeof(random), 0) !=
		    (ssize_t)sizeof(random))
			return -EIO;
		snprintf(name + n, sizeof(name) - n, "%08x", random);
		int rc = try_temporary(p, name, &owned);
		if (rc)
			return rc;
		if (!owned)
			continue;
		p->temporary = strdup(name);
		if (p->temporary)
			return 0;
		(void)unlinkat(p->dir, name, 0);
		return -ENOMEM;
	}
	return -EBUSY;
}

/* ---- publishing ------------------------------------------------------- */

/* Give the temporary its name unless there is such a file */
static int rename_if_free(struct posix_file *p)
{
	if (!renameat2(p->dir, p->temporary, p->dir, p->name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(p->dir, p->temporary, p->dir, p->name, 0))
		return -errno;
	/* If this fails, the next open removes the second name */
	(void)unlinkat(p->dir, p->temporary, 0);
	return 0;
}

static int sync_directory(struct posix_file *p)
{
	int fd = open_directory(p->dir);
	int rc = fd < 0 || fsync(fd) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	/* One may write to a directory and not read it; some cannot be
	 * synced */
	if (rc == -EACCES || rc == -EINVAL)
		rc = syncfs(p->fd) ? -errno : 0;
	return rc;
}

int posix_sync_name(struct file *f)
{
	return sync_directory(posix_of(f));
}

/* Is the file whose place it is to take still there, and nowhere else? */
static int check_replaced(const struct posix_file *p)
{
	struct stat st;
	if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? -ESTALE : -errno;
	if (st.st_dev != p->replaces_dev || st.st_ino != p->replaces_ino)
		return -ESTALE;
	return st.st_nlink == 1 ? 0 : -EMLINK;
}

/* Rename over whatever is there. Who syncs the old file meanwhile must not take
 * it for deleted. */
static int rename_over(struct posix_file *p)
{
	if (p->replaces)
		atomic_store(&p->replaces->superseded, true);
	if (!renameat(p->dir, p->temporary, p->dir, p->name))
		return 0;
	int rc = -errno;
	if (p->replaces)
		atomic_store(&p->replaces->superseded, false);
	return rc;
}

static void keep(const struct posix_file *p, bool settled)
{
	if (p->keeper.keep)
		p->keeper.keep(p->keeper.arg, p->fd, settled);
}

int posix_publish(struct file *f, bool replace)
{
	struct posix_file *p = posix_of(f);
	int rc = 0;
	if (!p->temporary)
		return 0;
	posix_sync_begins(p);
	rc = fsync(p->fd) ? -errno : 0;
	/* If it has failed the other file goes on, which is as it was */
	posix_sync_ends(p);
	if (rc)
		return rc;
	if (replace && p->replaces)
		rc = check_replaced(p);
	if (!rc)
		keep(p, false);
	if (!rc && replace)
		rc = rename_over(p);
	else if (!rc)
		rc = rename_if_free(p);
	if (rc) {
		if (p->replaces)
			keep(p->replaces, true);
		return rc;
	}
	free(p->temporary);
	p->temporary = NULL;
	p->replaces = NULL;
	f->published = true;
	rc = sync_directory(p);
	if (!rc)
		keep(p, true);
	return rc;
}

/* ---- the outside ------------------------------------------------------ */

/* A file with directory and name, not yet opened */
static int locate(const char *path, bool writable,
		  const struct banyan_keeper *keeper, struct posix_file **out)
{
	char *parent = NULL;
	struct posix_file *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->file.ops = &posix_ops;
	p->fd = -1;
	p->dir = -1;
	p->writable = writable;
	p->owner = getpid();
	if (keeper)
		p->keeper = *keeper;
	int rc = resolve(path, &parent, &p->name);
	if (!rc) {
		assert(parent);
		p->dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		rc = p->dir < 0 ? -errno : 0;
	}
	free(parent);
	if (rc)
		file_close(&p->file);
	else
		*out = p;
	return rc;
}

int file_open(const char *path, bool writable,
	      const struct banyan_keeper *keeper, struct file **f)
{
	struct posix_file *p = NULL;
	int rc = locate(path, writable, keeper, &p);
	if (rc)
		return rc;
	rc = open_named(p);
	/* They are the caller's */
	p->keeper.files = NULL;
	p->keeper.file_count = 0;
	if (rc) {
		file_close(&p->file);
		return rc;
	}
	if (writable) {
		keep(p, true);
		remove_stale_temporaries(p);
	} else {
		lock_to_read(p->fd);
	}
	*f = &p->file;
	return 0;
}

int file_create(const char *path, mode_t mode,
		const struct banyan_keeper *keeper, struct file **f)
{
	struct posix_file *p = NULL;
	int rc = locate(path, true, keeper, &p);
	if (rc)
		return rc;
	/* Of a file that was never made nobody else will */
	remove_stale_temporaries(p);
	rc = make_temporary(p);
	/* Not through open(): the umask would have its say */
	if (!rc && fchmod(p->fd, mode & 07777))
		rc = -errno;
	if (rc)
		file_close(&p->file);
	else
		*f = &p->file;
	return rc;
}

/* ---- in the place of another ------------------------------------------ */

/* One attribute; ACLs are attributes, too. Those that the kernel makes, or
 * keeps for itself, cannot be set: then the new file has its own. */
static int copy_attribute(int from, int to, const char *name)
{
	char small[256];
	char *value = small;
	ssize_t n = fgetxattr(from, name, small, sizeof(small));
	if (n < 0 && errno == ERANGE) {
		value = malloc(XATTR_SIZE_MAX);
		if (!value)
			return -ENOMEM;
		n = fgetxattr(from, name, value, XATTR_SIZE_MAX);
	}
	int rc = n < 0 || fsetxattr(to, name, value, (size_t)n, 0) ? -errno : 0;
	if (value != small)
		free(value);
	return rc == -ENOSPC || rc == -EDQUOT || rc == -ENOMEM ? rc : 0;
}

static int copy_attributes(int from, int to)
{
	ssize_t n = flistxattr(from, NULL, 0);
	if (n <= 0)
		return 0; /* there are none, or cannot be any */
	char *names = malloc((size_t)n);
	if (!names)
		return -ENOMEM;
	n = flistxattr(from, names, (size_t)n);
	int rc = 0;
	for (char *name = names; !rc && n > 0 && name < names + n;
	     name += strlen(name) + 1)
		rc = copy_attribute(from, to, name);
	free(names);
	return rc;
}

/* What belongs to a file beside its bytes. The mode comes after the owner,
 * whose change would take its set-id bits, and before the ACL, of which it is a
 * part. */
static int copy_metadata(const struct posix_file *from,
			 const struct posix_file *to)
{
	struct stat st, made;
	if (fstat(from->fd, &st) || fstat(to->fd, &made))
		return -errno;
	if ((st.st_uid != made.st_uid || st.st_gid != made.st_gid) &&
	    fchown(to->fd, st.st_uid, st.st_gid))
		return -errno;
	if (fchmod(to->fd, st.st_mode & 07777))
		return -errno;
	return copy_attributes(from->fd, to->fd);
}

static struct posix_file *new_beside(const struct posix_file *old)
{
	struct posix_file *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->file.ops = &posix_ops;
	p->file.report = old->file.report;
	p->file.report_arg = old->file.report_arg;
	p->fd = -1;
	p->writable = true;
	p->owner = old->owner;
	p->keeper = old->keeper;
	p->dir = fcntl(old->dir, F_DUPFD_CLOEXEC, 0);
	p->name = strdup(old->name);
	if (p->dir < 0 || !p->name) {
		file_close(&p->file);
		return NULL;
	}
	return p;
}

int posix_beside(struct file *f, struct file **fresh)
{
	struct posix_file *old = posix_of(f);
	struct stat st;
	if (fstat(old->fd, &st))
		return -errno;
	struct posix_file *p = new_beside(old);
	if (!p)
		return -ENOMEM;
	p->replaces = old;
	p->replaces_dev = st.st_dev;
	p->replaces_ino = st.st_ino;
	int rc = check_replaced(p);
	if (!rc)
		rc = make_temporary(p);
	if (!rc)
		rc = copy_metadata(old, p);
	if (rc)
		file_close(&p->file);
	else
		*fresh = &p->file;
	return rc;
}

int file_scratch(struct file *beside, struct file **fresh)
{
	char path[PATH_MAX];
	int rc = file_beside(beside, fresh);
	if (rc) {
		const char *dir = secure_getenv("TMPDIR");
		int n = snprintf(path, sizeof(path), "%s/banyan",
				 dir ? dir : "/tmp");
		if (n < 0 || (size_t)n >= sizeof(path) ||
		    file_create(path, 0600, NULL, fresh))
			return rc;
	}
	(*fresh)->temporary = true;
	return 0;
}

pid_t file_holder(const char *path)
{
	struct posix_file *p = NULL;
	pid_t pid = 0, hint = -1;
	int rc = locate(path, false, NULL, &p);
	if (!rc)
		rc = open_named(p);
	if (!rc)
		rc = find_lock(p->fd, LOCK_BYTE, &pid);
	if (p && rc > 0)
		rc = find_lock(p->fd, HINT_BYTE, &hint) < 0 ? -1 : hint;
	else if (rc == -EPERM)
		rc = -EACCES; /* -EPERM is -1, which means something else */
	file_close(p ? &p->file : NULL);
	return rc;
}

int file_claim(struct file *f)
{
	if (f->ops != &posix_ops || !posix_of(f)->writable)
		return 0;
	return lock(posix_of(f)->fd, F_SETLK, HINT_BYTE);
}
