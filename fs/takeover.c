/* SPDX-License-Identifier: MIT */
/*
 * This may end at any point by the death of this worker, too, and is then done again
 * by the next one: each step can be repeated. A request is forgotten here only when it
 * is known whether it comes again.
 */
#include "takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit.h"
#include "counts.h"
#include "kernel.h"
#include "message.h"
#include "nodes.h"
#include "requests.h"
#include "steady.h"
#include "supervisor.h"
#include "transport.h"
#include "uring.h"

struct message {
	struct message *next;
	size_t size;
	char bytes[];
};

/* What has come again, in the order in which it came */
static struct message *first, **last = &first;

/* ---- what has no answer -------------------------------------------------- */

static void forget(struct lasting *l, struct lasting_request *r, uint64_t id,
		   uint64_t times, uint32_t at)
{
	if (at < r->forgotten || !nodes_is_counted(id))
		return;
	(void)counts_add(l->counts, id, -(int64_t)times, &r->forgotten, at + 1);
}

/* If a FORGET is in the buffer, what was not done of it. True: there was one. */
static bool finish_forget(struct lasting *l, struct lasting_request *r)
{
	const struct fuse_in_header *h = (const void *)r->buffer;
	const struct fuse_forget_in *one = (const void *)(h + 1);
	const struct fuse_batch_forget_in *many = (const void *)(h + 1);
	const struct fuse_forget_one *each = (const void *)(many + 1);

	if (!h->len)
		return false;
	if (h->opcode == FUSE_FORGET)
		forget(l, r, h->nodeid, one->nlookup, 0);
	else if (h->opcode != FUSE_BATCH_FORGET)
		return false;
	for (uint32_t i = 0; h->opcode == FUSE_BATCH_FORGET && i < many->count;
	     i++)
		forget(l, r, each[i].nodeid, each[i].nlookup, i);
	lasting_clear(r);
	return true;
}

/* ---- what comes again ---------------------------------------------------- */

static int resend(int device)
{
	const struct fuse_out_header h = { .len = sizeof(h),
					   .error = KERNEL_NOTIFY_RESEND };

	return write(device, &h, sizeof(h)) == (ssize_t)sizeof(h) ? 0 : -errno;
}

static int put_aside(const char *bytes, size_t size)
{
	struct message *m = malloc(sizeof(*m) + size);

	if (!m)
		return -ENOMEM;
	m->next = NULL;
	m->size = size;
	memcpy(m->bytes, bytes, size);
	*last = m;
	last = &m->next;
	return 0;
}

/* Read one message into the buffer. 0, 1 if there is none, or an error. */
static int read_one(int device, struct lasting_request *r, size_t *size)
{
	ssize_t n;

	lasting_clear(r);
	do
		n = read(device, r->buffer, sizeof(r->buffer));
	while (n < 0 && (errno == EINTR || errno == ENOENT));
	if (n < 0)
		return errno == EAGAIN ? 1 : -errno;
	*size = (size_t)n;
	return 0;
}

/* The kernel puts what comes again in front of what is new */
static int read_all(struct lasting *l, int device)
{
	struct lasting_request *r = &l->request[0];
	const struct fuse_in_header *h = (const void *)r->buffer;
	bool resent = true;
	int rc = 0;

	while (!rc && resent) {
		size_t size = 0;

		rc = read_one(device, r, &size);
		if (rc || finish_forget(l, r))
			continue;
		resent = (h->unique & KERNEL_RESENT) ||
			 h->opcode == FUSE_INTERRUPT;
		rc = put_aside(r->buffer, size);
	}
	lasting_clear(r);
	return rc > 0 ? 0 : rc;
}

static bool comes_again(const struct lasting *l, uint64_t unique)
{
	for (const struct message *m = first; m; m = m->next) {
		const struct fuse_in_header *h = (const void *)m->bytes;

		if (h->unique == (unique | KERNEL_RESENT))
			return true;
	}
	/* The kernel keeps what it has put into an entry */
	return l->rings && rings_has(l->rings, unique);
}

static void settle(struct lasting *l, struct lasting_request *r)
{
	uint64_t unique = atomic_load(&r->unique);

	if (unique && comes_again(l, unique)) {
		while (r->told)
			if (counts_add(l->counts, r->id[r->told - 1], -1,
				       &r->told, r->told - 1))
				break;
		if (r->note.made && !lasting_has_made(l, unique) &&
		    l->made.count < LASTING_MADE_MAX) {
			l->made.unique[l->made.count] = unique;
			atomic_signal_fence(memory_order_seq_cst);
			l->made.count++;
		}
	}
	lasting_end(r);
}

/* Of what the worker before knew to be made: what comes again once more */
static void settle_made(struct lasting *l)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < l->made.count; i++)
		if (comes_again(l, l->made.unique[i]))
			l->made.unique[count++] = l->made.unique[i];
	l->made.count = count;
}

static int restore_holds(struct fs *fs)
{
	struct banyan_holds *holds = NULL;
	size_t count = 0;
	int rc = counts_all(fs->lasting->counts, &holds, &count);

	if (!rc)
		rc = banyan_restore_holds(fs->db, holds, count);
	free(holds);
	return rc;
}

void takeover_forget(struct lasting *l)
{
	for (unsigned i = 0; i < l->requests; i++)
		finish_forget(l, &l->request[i]);
}

static int ask_again(struct lasting *l, int device)
{
	int flags = fcntl(device, F_GETFL);
	int rc;

	/* The lasting request 0 is needed to read: so those first */
	takeover_forget(l);
	if (flags < 0 || fcntl(device, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	rc = resend(device);
	if (!rc)
		rc = read_all(l, device);
	if (fcntl(device, F_SETFL, flags) && !rc)
		rc = -errno;
	return rc;
}

int takeover_begin(struct fs *fs)
{
	struct lasting *l = fs->lasting;
	int rc;

	atomic_store(&l->notifier[0], 0);
	atomic_store(&l->notifier[1], 0);
	counts_repair(l->counts);
	rc = ask_again(l, supervisor_device());
	if (!rc) {
		settle_made(l);
		for (unsigned i = 0; i < l->requests; i++)
			settle(l, &l->request[i]);
		rc = restore_holds(fs);
	}
	if (rc)
		message("cannot go on after the death of the daemon: %s",
			strerror(-rc));
	return rc;
}

/* ---- serving ------------------------------------------------------------- */

/* Not by somebody else's kill(2), nor for want of memory: by what it did */
static bool was_its_own_doing(const struct lasting *l)
{
	int signal = l->signal;

	return l->hung || signal == SIGSEGV || signal == SIGBUS ||
	       signal == SIGABRT || signal == SIGILL || signal == SIGFPE ||
	       signal == SIGSYS || signal == SIGTRAP;
}

/* The one before died of the request that it served alone */
static void suspect(struct lasting *l)
{
	uint64_t unique = l->suspect.serving;

	if (!unique)
		return;
	if (!was_its_own_doing(l)) {
		l->suspect.deaths = 0;
		return;
	}
	if (l->suspect.unique != unique)
		l->suspect.deaths = 1; /* there was another one that began it */
	l->suspect.unique = unique;
	l->suspect.deaths++;
}

static bool is_fatal(const struct lasting *l, uint64_t unique)
{
	return l->suspect.unique == unique &&
	       l->suspect.deaths >= TAKEOVER_DEATHS;
}

static void say_fatal(const struct fuse_in_header *h)
{
	message("%d daemons died of one request (operation %u on inode %llu); "
		"answered EIO",
		TAKEOVER_DEATHS, h->opcode, (unsigned long long)h->nodeid);
}

static void refuse(const struct fs *fs, const struct fuse_in_header *h)
{
	const struct fuse_out_header out = {
		.len = sizeof(out),
		.error = -EIO,
		.unique = h->unique,
	};

	say_fatal(h);
	if (write(fuse_session_fd(fs->session), &out, sizeof(out)) < 0)
		message("cannot answer: %s", strerror(errno));
}

static void serve(struct fs *fs, struct lasting_request *r,
		  const struct message *m)
{
	struct fuse_buf buf = { .mem = r->buffer, .size = m->size };
	const struct fuse_in_header *h = (const void *)m->bytes;
	uint64_t unique = h->unique & ~KERNEL_RESENT;

	if (is_fatal(fs->lasting, unique)) {
		refuse(fs, h);
		return;
	}
	lasting_clear(r);
	memcpy(r->buffer, m->bytes, m->size);
	fs->lasting->suspect.serving = unique;
	requests_process(fs->session, r, &buf, false);
	fs->lasting->suspect.serving = 0;
}

static void serve_entries(struct fs *fs, struct uring *u,
			  struct lasting_request *r)
{
	struct lasting *l = fs->lasting;

	for (unsigned i = 0; i < uring_entries(u); i++) {
		const struct fuse_in_header *h = uring_asked(u, i);
		bool fatal = h && is_fatal(l, h->unique);

		if (!h)
			continue;
		if (fatal)
			say_fatal(h);
		l->suspect.serving = h->unique;
		uring_serve_again(u, i, r, fatal);
		l->suspect.serving = 0;
	}
}

void takeover_serve(struct fs *fs)
{
	struct uring *u = transport_uring(fs->transport);
	struct lasting *l = fs->lasting;

	suspect(l);
	l->suspect.serving = 0;
	l->hung = false;
	lasting_use(l, &l->request[0]);
	while (first) {
		struct message *m = first;

		first = m->next;
		serve(fs, &l->request[0], m);
		free(m);
	}
	last = &first;
	if (u)
		serve_entries(fs, u, &l->request[0]);
	lasting_use(l, NULL);
}

void takeover_end(struct fs *fs)
{
	struct lasting *l = fs->lasting;

	commit_note(
		fs->commit); /* what the one before did is not durable yet */
	l->pause_ns = (uint64_t)steady_ns() - l->died_ns;
}
