/* SPDX-License-Identifier: MIT */
/*
 * killer.c - a library for LD_PRELOAD that kills a daemon where it matters.
 *
 *   cc -shared -fPIC -O2 -o killer.so killer.c -ldl
 *   KILLER_FILE=FILE LD_PRELOAD=killer.so banyanfs ...
 *
 * At each of its points the process kills itself (SIGKILL) with a probability. Only
 * children of the process that was started do so: the workers of a supervisor, and not
 * the process that holds the rings. FILE
 * holds a struct state, which is mapped: whoever tests says at any time how often and
 * where it is to happen, and finds in it how often it did.
 *
 * The points: after a message was read of /dev/fuse, or a request was waited for that
 * comes by a ring; when a part of an append to the
 * database is in the file; after an append; before and after an answer; before and
 * after a sync.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

enum point {
	READ, /* a message */
	APPEND_PART,
	APPENDED,
	ANSWER,
	ANSWERED,
	SYNC,
	SYNCED,
	POINTS,
};

/* All in the machine's order of bytes */
struct state {
	_Atomic uint64_t probability; /* in a million, at each point */
	_Atomic uint64_t points; /* a bit for each at which it may happen */
	_Atomic uint64_t left; /* so often */
	_Atomic uint64_t seed; /* of the next worker; each takes one */
	_Atomic uint64_t met[POINTS]; /* how often a point was come to */
	_Atomic uint64_t deaths[POINTS];
};

static struct {
	struct state *state;
	_Atomic uint64_t random; /* 0: not a worker */
} self;

/* The one that this library stands in front of */
static long (*next(void))(long number, ...)
{
	static long (*_Atomic found)(long number, ...);
	long (*f)(long number, ...) = atomic_load(&found);

	if (!f) {
		*(void **)&f = dlsym(RTLD_NEXT, "syscall");
		atomic_store(&found, f);
	}
	return f;
}

/* ---- where it dies ------------------------------------------------------- */

static uint64_t next_random(void)
{
	uint64_t z =
		atomic_fetch_add(&self.random, UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int is_time(enum point point)
{
	struct state *s = self.state;
	uint64_t left;

	if (!s || !atomic_load(&self.random))
		return 0;
	atomic_fetch_add(&s->met[point], 1);
	if (!(atomic_load(&s->points) >> point & 1) ||
	    next_random() % 1000000 >= atomic_load(&s->probability))
		return 0;
	left = atomic_load(&s->left);
	while (left &&
	       !atomic_compare_exchange_strong(&s->left, &left, left - 1))
		;
	return left != 0;
}

static void die(enum point point)
{
	atomic_fetch_add(&self.state->deaths[point], 1);
	for (;;)
		next()(SYS_kill, (pid_t)next()(SYS_getpid), SIGKILL);
}

static void maybe_die(enum point point)
{
	if (is_time(point))
		die(point);
}

static void in_child(void)
{
	if (!self.state)
		return;
	atomic_store(&self.random,
		     atomic_fetch_add(&self.state->seed, 1) *
				     UINT64_C(0xd1342543de82ef95) |
			     1);
}

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("KILLER_FILE");
	int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof(struct state)))
		abort();
	p = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		abort();
	self.state = p;
	pthread_atfork(NULL, NULL, in_child);
}

/* ---- the calls ------------------------------------------------------------ */

static int is_device(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(10, 229);
}

static ssize_t reads(int fd, void *buffer, size_t size)
{
	ssize_t n = next()(SYS_read, fd, buffer, size);

	if (n > 0 && atomic_load(&self.random) && is_device(fd))
		maybe_die(READ);
	return n;
}

ssize_t read(int fd, void *buffer, size_t size);
ssize_t read(int fd, void *buffer, size_t size)
{
	return reads(fd, buffer, size);
}

ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
	if (size > room)
		abort();
	return reads(fd, buffer, size);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	int answers = atomic_load(&self.random) && is_device(fd);
	ssize_t n;

	if (answers)
		maybe_die(ANSWER);
	n = next()(SYS_writev, fd, iov, count);
	if (answers)
		maybe_die(ANSWERED);
	return n;
}

/* The process that holds the rings gives itself a name */
int prctl(int option, ...)
{
	unsigned long a[4];
	va_list args;

	va_start(args, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_NAME && strstr((const char *)a[0], "rings"))
		atomic_store(&self.random, 0);
	return (int)next()(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}

/* By futexes requests come from that process and answers go to it */
long syscall(long number, ...)
{
	int wakes, waits;
	long a[6], rc;
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	wakes = number == SYS_futex && (int)a[1] == FUTEX_WAKE;
	waits = number == SYS_futex && (int)a[1] == FUTEX_WAIT;
	if (wakes)
		maybe_die(ANSWER);
	rc = next()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (wakes)
		maybe_die(ANSWERED);
	if (waits)
		maybe_die(READ);
	return rc;
}

static ssize_t append(int fd, const struct iovec *iov, int count, off_t at)
{
	return next()(SYS_pwritev, fd, iov, count, (long)at, 0L);
}

/* Of all bytes so many that not all are there */
static void append_part(int fd, const struct iovec *iov, int count, off_t at)
{
	size_t size = 0, part;

	for (int i = 0; i < count; i++)
		size += iov[i].iov_len;
	part = size ? next_random() % size : 0;
	for (int i = 0; i < count && part; i++) {
		struct iovec one = iov[i];

		if (one.iov_len > part)
			one.iov_len = part;
		if (append(fd, &one, 1, at) != (ssize_t)one.iov_len)
			return;
		at += (off_t)one.iov_len;
		part -= one.iov_len;
	}
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t at)
{
	ssize_t n;

	if (is_time(APPEND_PART)) {
		append_part(fd, iov, count, at);
		die(APPEND_PART);
	}
	n = append(fd, iov, count, at);
	maybe_die(APPENDED);
	return n;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	return pwritev64(fd, iov, count, at);
}

int fdatasync(int fd)
{
	int rc;

	maybe_die(SYNC);
	rc = (int)next()(SYS_fdatasync, fd);
	maybe_die(SYNCED);
	return rc;
}

int fsync(int fd)
{
	int rc;

	maybe_die(SYNC);
	rc = (int)next()(SYS_fsync, fd);
	maybe_die(SYNCED);
	return rc;
}
