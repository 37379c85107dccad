/* SPDX-License-Identifier: MIT */
/*
 * file_posix.c - the bytes of a local file.
 *
 * Reservation. Space beyond the end is allocated without changing the size, in
 * steps, and `reserved` remembers how far: nearly every call is a comparison.
 */
#include "file/file_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_STEP (UINT64_C(4) << 20)
/* No page is larger: the kernel drops whole pages only */
#define DROP_ALIGN (UINT64_C(64) << 10)
#define IOV_AT_ONCE 1024
/*
 * The kernel takes as large a piece of memory for the page cache as a call
 * writes. Those of 1 MiB and more are rare, and where a hypervisor takes free
 * memory back they are the ones that it has taken: measured there, 2.3 GiB were
 * written in 0.6 s by calls of 128 KiB, and in 1.2 to 5 s by calls of 1 or 4 MiB.
 */
#define BYTES_AT_ONCE (128u << 10)

/* ---- bytes ------------------------------------------------------------ */

static int posix_read(struct file *f, void *buffer, size_t size,
		      uint64_t offset)
{
	char *to = buffer;
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -ENODATA;
	while (size) {
		ssize_t n = pread(posix_of(f)->fd, to, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		to += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* Step over the first n bytes, and over whatever is empty behind them */
static void advance(struct iovec **iov, int *count, size_t n)
{
	while (*count && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (n) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

/* How many of the first ones to write with one call; the first may be cut */
static int bytes_at_once(struct iovec *iov, int count)
{
	size_t bytes = 0;
	int n = 0;
	if (iov->iov_len > BYTES_AT_ONCE) {
		iov->iov_len = BYTES_AT_ONCE;
		return 1;
	}
	while (n < count && n < IOV_AT_ONCE &&
	       iov[n].iov_len <= BYTES_AT_ONCE - bytes)
		bytes += iov[n++].iov_len;
	return n;
}

static int posix_append(struct file *f, struct iovec *iov, int count,
			uint64_t offset, size_t *written)
{
	struct posix_file *p = posix_of(f);
	*written = 0;
	advance(&iov, &count, 0);
	int rc = p->writable ? posix_check_end(p) : -EBADF;
	if (rc)
		return rc;
	while (count) {
		size_t first = iov->iov_len;
		int batch = bytes_at_once(iov, count);
		if (offset > INT64_MAX)
			return -EFBIG;
		ssize_t n = pwritev(p->fd, iov, batch, (off_t)offset);
		iov->iov_len = first;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) /* there was something to write */
			return -EIO;
		*written += (size_t)n;
		offset += (uint64_t)n;
		atomic_store(&p->end, offset);
		advance(&iov, &count, (size_t)n);
	}
	return 0;
}

void posix_sync_begins(struct posix_file *p)
{
	if (p->keeper.unsure)
		__atomic_fetch_add(p->keeper.unsure, 1, __ATOMIC_SEQ_CST);
}

void posix_sync_ends(struct posix_file *p)
{
	if (p->keeper.unsure)
		__atomic_fetch_sub(p->keeper.unsure, 1, __ATOMIC_SEQ_CST);
}

void posix_sync_failed(struct posix_file *p)
{
	if (p->keeper.unsure)
		__atomic_fetch_or(p->keeper.unsure, BANYAN_SYNC_FAILED,
				  __ATOMIC_SEQ_CST);
}

static void posix_trust(struct file *f)
{
	const struct posix_file *p = posix_of(f);
	if (p->keeper.unsure)
		__atomic_store_n(p->keeper.unsure, 0, __ATOMIC_SEQ_CST);
}

static int posix_sync(struct file *f)
{
	struct posix_file *p = posix_of(f);
	posix_sync_begins(p);
	/* No second try, not even after EINTR: it might find clean pages */
	if (fdatasync(p->fd)) {
		int rc = -errno;
		posix_sync_failed(p);
		return rc;
	}
	posix_sync_ends(p);
	return posix_verify(f);
}

int posix_size(struct file *f, uint64_t *size)
{
	struct stat st;
	if (fstat(posix_of(f)->fd, &st))
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

/* What another process keeps allocated beyond the end cannot be told apart from
 * what the file needs */
static int posix_allocated(struct file *f, uint64_t *bytes)
{
	uint64_t reserved = atomic_load(&posix_of(f)->reserved);
	struct stat st;
	if (fstat(posix_of(f)->fd, &st))
		return -errno;
	uint64_t size = (uint64_t)st.st_size;
	uint64_t all = (uint64_t)st.st_blocks * 512;
	uint64_t beyond = reserved > size ? reserved - size : 0;
	all = all > beyond ? all - beyond : 0;
	*bytes = all < size ? all : size;
	return 0;
}

static void posix_will_need(struct file *f, uint64_t from, uint64_t to)
{
	if (to <= INT64_MAX)
		posix_fadvise(posix_of(f)->fd, (off_t)from, (off_t)(to - from),
			      POSIX_FADV_WILLNEED);
}

/* Without waiting, no error is reported, and none is forgotten for that: see
 * sync_file_range(2) */
static void posix_write_out(struct file *f, uint64_t from, uint64_t to)
{
	if (to <= INT64_MAX)
		(void)sync_file_range(posix_of(f)->fd, (off_t)from,
				      (off_t)(to - from),
				      SYNC_FILE_RANGE_WRITE);
}

static int posix_drop_cache(struct file *f, uint64_t offset)
{
	offset -= offset % DROP_ALIGN;
	if (offset > INT64_MAX)
		return -EINVAL;
	return -posix_fadvise(posix_of(f)->fd, (off_t)offset, 0,
			      POSIX_FADV_DONTNEED);
}

/* ---- reservation ------------------------------------------------------ */

static int allocate(struct posix_file *p, uint64_t from, uint64_t to)
{
	int rc;
	do
		rc = fallocate(p->fd, FALLOC_FL_KEEP_SIZE, (off_t)from,
			       (off_t)(to - from)) ?
			     -errno :
			     0;
	while (rc == -EINTR);
	if (rc == -ENOSYS)
		rc = -EOPNOTSUPP;
	if (!rc)
		p->reserved = to;
	return rc;
}

static int give_back(struct posix_file *p, uint64_t size)
{
	int rc;
	if (size != atomic_load(&p->end)) /* what is there is not ours */
		return -EIO;
	/* Without a look at `reserved`: a process that crashed may have left
	 * reserved space, too */
	do
		rc = ftruncate(p->fd, (off_t)size) ? -errno : 0;
	while (rc == -EINTR);
	if (!rc)
		p->reserved = 0;
	return rc;
}

/* Writing beyond it raises SIGXFSZ; on some file systems reserving does, too */
static uint64_t size_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur > INT64_MAX)
		return INT64_MAX;
	return limit.rlim_cur;
}

static int posix_reserve(struct file *f, uint64_t to)
{
	struct posix_file *p = posix_of(f);
	uint64_t size = 0;
	if (to && to <= p->reserved)
		return 0;
	uint64_t limit = size_limit();
	if (to > limit)
		return -EFBIG;
	if (to && p->cannot_reserve)
		return -EOPNOTSUPP;
	int rc = posix_size(f, &size);
	if (rc)
		return rc;
	if (to == 0)
		return give_back(p, size);
	/* Nothing below the end is ever written again */
	uint64_t from = p->reserved > size ? p->reserved : size;
	if (to <= from)
		return 0;
	uint64_t more = to - from + RESERVE_STEP - 1;
	more -= more % RESERVE_STEP;
	rc = allocate(p, from, more < limit - from ? from + more : limit);
	if (rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG)
		rc = allocate(p, from, to);
	p->cannot_reserve = rc == -EOPNOTSUPP;
	return rc;
}

static int posix_punch(struct file *f, uint64_t from, uint64_t to)
{
	int rc;
	do
		rc = fallocate(posix_of(f)->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       (off_t)from, (off_t)(to - from)) ?
			     -errno :
			     0;
	while (rc == -EINTR);
	return rc == -ENOSYS ? -EOPNOTSUPP : rc;
}

/* By its descriptor, as it may have been moved. A close of what comes back
 * drops no lock, unlike that of a file opened to be read. */
static int posix_describe(struct file *f)
{
	char link[32];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", posix_of(f)->fd);
	int fd = open(link, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- the outside ------------------------------------------------------ */

static void posix_close(struct file *f)
{
	struct posix_file *p = posix_of(f);
	/* A child of the process that opened it closes its copy, and no more */
	bool owner = p->owner == getpid();
	if (owner && p->temporary)
		(void)unlinkat(p->dir, p->temporary, 0);
	if (owner && p->writable && p->fd >= 0)
		posix_unlock(f);
	/* close() closes even if interrupted: a second call could close another
	 * thread's file */
	if (p->fd >= 0)
		close(p->fd);
	if (p->dir >= 0)
		close(p->dir);
	free(p->temporary);
	free(p->name);
	free(p);
}

const struct file_ops posix_ops = {
	.read = posix_read,
	.append = posix_append,
	.sync = posix_sync,
	.verify = posix_verify,
	.size = posix_size,
	.allocated = posix_allocated,
	.reserve = posix_reserve,
	.drop_cache = posix_drop_cache,
	.publish = posix_publish,
	.sync_name = posix_sync_name,
	.exclude = posix_exclude,
	.punch = posix_punch,
	.will_need = posix_will_need,
	.write_out = posix_write_out,
	.beside = posix_beside,
	.describe = posix_describe,
	.unlock = posix_unlock,
	.trust = posix_trust,
	.close = posix_close,
};
