/* SPDX-License-Identifier: MIT */
/*
 * transport.h - how requests come in and answers go out.
 *
 * The transport owns the threads that run the handlers. It has two forms:
 * workers that read /dev/fuse (workers.h), and rings (uring.h) where the kernel
 * offers them and the option transport= does not say otherwise.
 */
#ifndef FS_TRANSPORT_H
#define FS_TRANSPORT_H

#include "fs.h"
#include "options.h"

/* Where requests come by rings, /dev/fuse brings only what nobody waits for */
#define WORKERS_BESIDE_RINGS 2u

struct transport;

/* Handlers of the transport's own: the negotiation with the kernel */
void transport_ops(struct fuse_lowlevel_ops *ops);

/* For a session that is mounted, by /dev/fuse as it was opened for that. Makes it the
 * transport of fs. */
int transport_new(struct fs *fs, int device, enum transport_wish wish);

/* Come to terms with the kernel. From then on it sends requests. */
int transport_negotiate(struct transport *t);

/*
 * Start serving, up to threads requests at a time by /dev/fuse. ended(arg) is
 * called, from one of the threads, when the last of them has ended: after an
 * unmount. -ESTALE: the kernel was promised rings, and they failed; it may never
 * send a request on this session. -EOPNOTSUPP: rings are asked for and cannot be
 * had.
 */
int transport_start(struct transport *t, unsigned threads,
		    void (*ended)(void *arg), void *arg);

/* The rings by which requests come; NULL: none */
struct uring *transport_uring(const struct transport *t);

/* Why there are no rings, if they could be used: a negative errno */
int transport_uring_error(const struct transport *t);

/* For people and programs: by which form requests come, and how many came */
const char *transport_name(const struct transport *t);
uint64_t transport_served(const struct transport *t);

/* Let each thread answer what it is at, and end them. */
void transport_stop(struct transport *t);

void transport_free(struct transport *t); /* NULL is fine */

/*
 * May the request that the calling thread serves stay without an answer for as long
 * as it takes? If not, other callers would have to wait for it. (A sync ends soon, and
 * need not ask.) This call itself may sleep for seconds until the answer is yes: call
 * it with no lock held.
 */
bool transport_may_wait(void);

/*
 * Room for an answer of so many bytes, valid until the handler returns; the
 * next call in the same handler may give the same. NULL: no memory.
 */
void *transport_buffer(size_t size);

/* The calling thread will serve no more: free its room */
void transport_buffer_free(void);

#endif
