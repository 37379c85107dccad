/* SPDX-License-Identifier: MIT */
/*
 * The part of the transport that is the same whichever way requests come: the
 * INIT request, and the functions by which libfuse reads and writes.
 *
 * Those are ours so that features can be had which libfuse 3.14 does not ask
 * for: the answer to INIT is amended on its way out. PARALLEL_DIROPS lets lookups
 * and listings in one directory run beside each other. HANDLE_KILLPRIV_V2 lets us
 * clear set-id bits, instead of the kernel asking for a file's capabilities before
 * each write. OVER_IO_URING brings requests by rings (uring.h): those are made
 * before the kernel is told, as it holds requests back until all are registered.
 */
#include "transport.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel.h"
#include "lasting.h"
#include "message.h"
#include "options.h"
#include "takeover.h"
#include "uring.h"
#include "workers.h"

struct transport {
	struct fs *fs;
	enum transport_wish wish;
	struct workers *_Atomic workers; /* set when rings may serve already */
	struct uring *uring; /* NULL: all comes by /dev/fuse */
	int uring_error; /* why not, if the kernel offers it */
	bool negotiated;
	bool resends; /* the kernel, what a daemon that dies has not answered */
	bool lost; /* rings by which requests come, and which we cannot use */
	bool refused; /* by libfuse: its answer to INIT was an error */
	uint64_t init_unique; /* of the INIT request that is being answered */
	uint32_t init_flags, init_flags2; /* what the kernel offers in it */
};

/* ---- INIT ------------------------------------------------------------- */

static void want(struct fuse_conn_info *conn, unsigned what, bool on)
{
	if (on && (conn->capable & what))
		conn->want |= what;
	else
		conn->want &= ~what;
}

static void fs_init(void *arg, struct fuse_conn_info *conn)
{
	struct fs *fs = arg;

	/* The kernel's caches are right without asking us */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	/* With it the kernel drops pages of the range before an asynchronous
	 * O_DIRECT write, but not those that a reader fetches meanwhile, which
	 * then stay old for ever */
	want(conn, FUSE_CAP_ASYNC_DIO, false);
	/* A listing brings the attributes along, whatever it is for */
	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_IOCTL_DIR, true);
	/* File handles of what the kernel has forgotten: see nodes.h */
	want(conn, FUSE_CAP_EXPORT_SUPPORT, true);
	/* Without OPEN nobody would tell us of O_TRUNC; SETATTR does */
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, false);
	/* One copy is cheaper than three system calls */
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	want(conn, FUSE_CAP_SPLICE_MOVE, false);
	fs->acl = fs->acl && (conn->capable & FUSE_CAP_POSIX_ACL);
	want(conn, FUSE_CAP_POSIX_ACL, fs->acl);
	want(conn, FUSE_CAP_DONT_MASK, fs->acl);
	fs->no_open = conn->capable & FUSE_CAP_NO_OPEN_SUPPORT;
	conn->max_write = FS_MAX_TRANSFER;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
}

void transport_ops(struct fuse_lowlevel_ops *ops)
{
	ops->init = fs_init;
}

/* ---- reading and writing for libfuse ---------------------------------- */

static void look_at_request(struct transport *t, const void *buffer, size_t n)
{
	const struct fuse_in_header *h = buffer;
	const struct fuse_init_in *in = (const void *)(h + 1);

	if (n < sizeof(*h) + offsetof(struct fuse_init_in, flags) + 4 ||
	    h->opcode != FUSE_INIT)
		return;
	t->init_unique = h->unique;
	t->init_flags = in->flags;
	if ((in->flags & FUSE_INIT_EXT) &&
	    n >= sizeof(*h) + offsetof(struct fuse_init_in, flags2) + 4)
		t->init_flags2 = in->flags2;
}

/* INIT comes once in a mount: a daemon that takes over is given it again */
static ssize_t read_init(struct lasting *l, int fd, void *buffer, size_t size)
{
	ssize_t n;

	if (takeover_is_one(l)) {
		memcpy(buffer, l->init.bytes, l->init.size);
		return (ssize_t)l->init.size;
	}
	n = read(fd, buffer, size);
	if (n > 0 && (size_t)n <= sizeof(l->init.bytes)) {
		memcpy(l->init.bytes, buffer, (size_t)n);
		l->init.size = (size_t)n;
	}
	return n;
}

static ssize_t read_request(int fd, void *buffer, size_t size, void *arg)
{
	struct fs *fs = arg;
	ssize_t n;

	if (fs->transport->negotiated)
		return read(fd, buffer,
			    size < LASTING_BUFFER ? size : LASTING_BUFFER);
	n = read_init(fs->lasting, fd, buffer, size);
	if (n > 0)
		look_at_request(fs->transport, buffer, (size_t)n);
	return n;
}

/* Make the rings, if the kernel can and the options let us use them */
static bool want_rings(struct transport *t)
{
	const struct lasting *l = t->fs->lasting;
	bool held = l->rings && atomic_load(&l->rings->stage) == RINGS_SERVED;

	/* A mount that goes on has none if they are not held */
	if (t->wish == TRANSPORT_WORKERS || (takeover_is_one(l) && !held))
		return false;
	if (!(t->init_flags2 & KERNEL_OVER_IO_URING))
		t->uring_error = -EOPNOTSUPP;
	else if (l->requests && t->fs->options->survive && !l->rings)
		t->uring_error = -ENOMEM;
	else
		t->uring_error = uring_new(t->fs, &t->uring);
	t->lost = t->uring_error && held;
	return !t->uring_error;
}

/* Ask for more, where this is the answer to INIT */
static bool amend(struct transport *t, struct iovec *iov, int count)
{
	const struct fuse_out_header *h = iov[0].iov_base;
	struct fuse_init_out *out;

	if (h->unique != t->init_unique)
		return false;
	t->refused = h->error;
	if (h->error || count < 2 ||
	    iov[1].iov_len < offsetof(struct fuse_init_out, flags) + 4)
		return false;
	out = iov[1].iov_base;
	out->flags |= t->init_flags &
		      (FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2);
	if (iov[1].iov_len >= offsetof(struct fuse_init_out, flags2) + 4 &&
	    want_rings(t)) {
		out->flags |= FUSE_INIT_EXT;
		out->flags2 |= KERNEL_OVER_IO_URING;
	}
	if ((!t->uring || uring_lasts(t->uring)) &&
	    (t->init_flags2 & KERNEL_HAS_RESEND)) {
		out->flags |= FUSE_INIT_EXT;
		out->flags2 |= KERNEL_HAS_RESEND;
		t->resends = true;
	}
	return true;
}

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *arg)
{
	struct transport *t = ((struct fs *)arg)->transport;
	const struct fuse_out_header *h = iov[0].iov_base;
	bool last;
	ssize_t n;

	if (t->negotiated && t->uring && uring_answer(t->uring, iov, count))
		return h->len;
	last = !t->negotiated && amend(t, iov, count);
	if (last && takeover_is_one(t->fs->lasting))
		n = h->len; /* the kernel has it from the daemon before */
	else
		n = writev(fd, iov, count);
	if (last && n >= 0)
		t->negotiated = true;
	return n;
}

/* ---- life ------------------------------------------------------------- */

int transport_new(struct fs *fs, int device, enum transport_wish wish)
{
	static const struct fuse_custom_io io = {
		.read = read_request,
		.writev = write_answer,
	};
	struct transport *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->fs = fs;
	t->wish = wish;
	rc = fuse_session_custom_io(fs->session, &io, device);
	if (rc) {
		free(t);
		return rc;
	}
	fs->transport = t;
	return 0;
}

int transport_negotiate(struct transport *t)
{
	struct fuse_buf buf = { 0 };
	int n = 1;

	while (!t->negotiated && !t->refused && (n > 0 || n == -EINTR)) {
		n = fuse_session_receive_buf(t->fs->session, &buf);
		if (n > 0)
			fuse_session_process_buf(t->fs->session, &buf);
	}
	free(buf.mem);
	if (t->refused)
		return -EPROTO;
	return t->negotiated ? 0 : n < 0 ? n : -ENOTCONN;
}

int transport_start(struct transport *t, unsigned threads,
		    void (*ended)(void *arg), void *arg)
{
	if (t->lost)
		return t->uring_error;
	if (t->uring) {
		t->uring_error = uring_start(t->uring, ended, arg);
		if (t->uring_error)
			return -ESTALE;
		threads = WORKERS_BESIDE_RINGS;
	} else if (t->wish == TRANSPORT_URING)
		return -EOPNOTSUPP;
	/* As soon as something is served it has to be known to the next daemon */
	t->fs->lasting->filled = t->fs->lasting->requests && t->resends;
	return workers_start(t->fs, threads, ended, arg, &t->workers);
}

struct uring *transport_uring(const struct transport *t)
{
	return t->uring;
}

int transport_uring_error(const struct transport *t)
{
	return t->uring_error;
}

const char *transport_name(const struct transport *t)
{
	return t->uring ? "io_uring" : "/dev/fuse";
}

uint64_t transport_served(const struct transport *t)
{
	const struct workers *workers = t->workers;

	return (workers ? workers_served(workers) : 0) +
	       (t->uring ? uring_served(t->uring) : 0);
}

void transport_stop(struct transport *t)
{
	if (t->uring)
		uring_stop(t->uring);
	workers_stop(t->workers);
	t->workers = NULL;
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	transport_stop(t);
	uring_free(t->uring);
	free(t);
}

bool transport_may_wait(void)
{
	return uring_may_wait();
}

/* ---- room for answers ------------------------------------------------- */

static _Thread_local struct {
	void *mem;
	size_t size;
} room;

void *transport_buffer(size_t size)
{
	size_t n = room.size ? room.size : 4096;
	void *in_place = uring_room(size);

	if (in_place)
		return in_place;
	if (size <= room.size)
		return room.mem;
	while (n < size)
		n *= 2;
	transport_buffer_free();
	room.mem = malloc(n);
	if (room.mem)
		room.size = n;
	return room.mem;
}

void transport_buffer_free(void)
{
	free(room.mem);
	room.mem = NULL;
	room.size = 0;
}
