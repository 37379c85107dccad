/* SPDX-License-Identifier: MIT */
/*
 * uring.h - FUSE over io_uring: requests come by rings (rings.h) instead of by reading
 * /dev/fuse. A round trip takes 4 to 5 microseconds instead of 13 to 16, as a request is
 * served on the CPU that it was made on.
 *
 * The rings are this process's own, and the mount ends with it; or, where the options
 * survive and transport=uring are given, they are held by another one (holder.h), which
 * costs 5 microseconds a round trip.
 *
 * The kernel offers the feature where its owner has set the parameter enable_uring of
 * the module fuse. The steps: uring_new() while INIT is being answered, since
 * what can fail should fail before the kernel is told that rings will be used;
 * the answer to INIT; uring_start(). FORGET and INTERRUPT requests, and our
 * notifications, stay on /dev/fuse (workers.h).
 */
#ifndef FS_URING_H
#define FS_URING_H

#include <sys/uio.h>

#include "fs.h"
#include "lasting.h"
#include "rings.h"

struct uring;

/*
 * Make the rings and the threads, which wait. A negative errno if that is not
 * possible here: no io_uring, too few descriptors, not known how many CPUs there
 * can be.
 */
int uring_new(struct fs *fs, struct uring **out);

/*
 * The kernel has agreed: register with every queue, and serve. After an error
 * the kernel may hold all requests for ever: the session is of no use any more.
 * failed(arg) is called, from one of the threads, if a ring fails later while the
 * mount stands.
 */
int uring_start(struct uring *u, void (*failed)(void *arg), void *arg);

/*
 * If this is the answer to a request that came by a ring, give it to the kernel.
 * From any thread; false: it is not.
 */
bool uring_answer(struct uring *u, const struct iovec *iov, int count);

/*
 * Where the answer to the request that the calling thread serves may be written
 * to, so that it need not be copied there. NULL: that request came in another
 * way, or is still needed, or size is too large.
 */
void *uring_room(size_t size);

/* See transport_may_wait() */
bool uring_may_wait(void);

/* Do the rings outlive us? */
bool uring_lasts(const struct uring *u);

/* ---- of rings that are held, before uring_start() ------------------------ */

/* Rings for another process to hold; NULL: errno says why there are none */
struct rings *uring_rings_to_hold(const struct options *o);

/*
 * The entries, and the request in one of them that the daemon before has not answered
 * (NULL: none). That is served by the calling thread, with r for what is to
 * outlive us; fatal: it is refused.
 */
unsigned uring_entries(const struct uring *u);
const struct fuse_in_header *uring_asked(const struct uring *u, unsigned entry);
void uring_serve_again(struct uring *u, unsigned entry,
		       struct lasting_request *r, bool fatal);

/* How many requests came in */
uint64_t uring_served(const struct uring *u);

/* End all threads, each after the request that it is at */
void uring_stop(struct uring *u);

/* NULL is fine. Stops first. No thread may answer requests any more. */
void uring_free(struct uring *u);

#endif
