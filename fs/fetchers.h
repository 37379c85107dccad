/* SPDX-License-Identifier: MIT */
/*
 * fetchers.h - threads that fetch requests from the kernel by rings.
 *
 * A fetcher has a ring of its own with one entry (rings.h). What the kernel does for an
 * entry it does in the thread that submitted it. So with two entries a thread that
 * waits for the disk would stop the caller whose request came by the other.
 *
 * Each queue of the kernel has several fetchers, bound to its CPU. The kernel gives a
 * request to the entry that became free last, so one thread does all the work as long as
 * it can. Where fewer than SPARE of a queue are idle, one more is started. It stays
 * until the end, since the kernel never gives an entry back: a queue has as many
 * threads as it once served requests at a time, and SPARE.
 */
#ifndef FS_FETCHERS_H
#define FS_FETCHERS_H

#include "rings.h"

struct fetchers;

/* All are called in the fetcher's thread */
struct fetchers_calls {
	/* Serve the request in the entry. Returns when the answer is there. */
	void (*serve)(void *arg, struct rings_entry *entry);
	void (*leave)(void *arg); /* the thread ends; NULL: nothing to do */
	void (*failed)(void *arg, int rc); /* a ring, while the mount stands */
	void *arg;
};

/*
 * Make rings and threads, which wait, for the connection that the device belongs to.
 * A negative errno if that is not possible here.
 */
int fetchers_new(struct rings *rings, int device,
		 const struct fetchers_calls *calls, struct fetchers **out);

/* The kernel has agreed: register with every queue, and fetch. After an error the kernel
 * may hold all requests for ever. */
int fetchers_start(struct fetchers *f);

/* Until all have ended by themselves, as the mount has */
void fetchers_join(struct fetchers *f);

/* End all, each after the request that it is at */
void fetchers_stop(struct fetchers *f);

/* NULL is fine. Stops first. */
void fetchers_free(struct fetchers *f);

#endif
