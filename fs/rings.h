/* SPDX-License-Identifier: MIT */
/*
 * rings.h - the memory of FUSE over io_uring.
 *
 * The kernel has a *queue* of requests for each CPU that the machine could have. An
 * *entry* belongs to a queue: memory for one request and its answer, which the kernel
 * fills and empties. A *fetcher* (fetchers.h) is a thread that gives an entry to the
 * kernel and gets it back with a request.
 *
 * This memory is the daemon's own; or it is *held*: shared by the process whose threads
 * are the fetchers (holder.h) and the daemons that serve one after another, which may
 * have it at different addresses. Then the state of an entry says whose turn it is:
 *
 *   idle       the kernel's, or the fetcher's
 *   asked      it has a request: the daemon's
 *   answered   it has the answer: the fetcher's
 *
 * and beside the entry is kept what the answer is written over, so that the next daemon
 * finds the request as it came.
 */
#ifndef FS_RINGS_H
#define FS_RINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "kernel.h"

/* An answer that goes in the place of a request with a payload is small: an entry, an
 * attribute; or the request is, a name */
#define RINGS_SAVED_MAX 2048u

/* Of a queue, at most */
#define RINGS_THREADS_MAX 128u

struct rings_queue {
	unsigned threads; /* fetchers; protected by the fetchers' lock */
	atomic_uint registered; /* of these, each with one entry */
	atomic_uint idle; /* of these: the kernel has the entry */
	atomic_uint waiting; /* of these: in uring_may_wait(), or were let wait */
	atomic_uint starting;
	/* Entries were registered that did not fetch what waits in the kernel. When
	 * nothing waited there last, `drained` were. */
	atomic_uint dry, drained;
	atomic_bool full; /* or one could not be started, and none will be */
};

enum rings_state { RINGS_IDLE, RINGS_ASKED, RINGS_ANSWERED };

struct rings_entry {
	unsigned index, queue;
	_Atomic uint32_t state; /* if it is held; see above */

	/* What was there when the request came. The header is `saved` before anything
	 * is written to it; of the payload as much as the answer takes. */
	bool saved;
	uint32_t saved_bytes;
	struct kernel_uring_header saved_header;
	char saved_payload[RINGS_SAVED_MAX];
};

/* How far the fetchers are, in another process */
enum rings_stage {
	RINGS_NONE,
	RINGS_MADE,
	RINGS_GO,
	RINGS_SERVED,
	RINGS_FAILED
};

/* Of what is here, for a program that goes on with the memory of another one: to be
 * changed with it */
#define RINGS_LAYOUT 1u

struct rings {
	uint32_t layout;
	bool held;
	int fd; /* of the memory, if it is held */
	size_t size;
	_Atomic uint32_t stage; /* only if it is held */
	_Atomic int error; /* a negative errno: why it has failed */
	unsigned queues;
	unsigned most; /* entries */
	unsigned wanted; /* at the start, of all queues */
	_Atomic uint32_t entries; /* that have a fetcher, the first ones */
	struct rings_queue queue[];
};

/*
 * Memory for `most` entries of so many queues, which takes room only where it is used.
 * held: in a file that has no name. NULL: no memory, and errno says why.
 */
struct rings *rings_new(unsigned queues, unsigned most, bool held);
/* What another program has made. NULL: errno says why; EPROTO: in another way. */
struct rings *rings_map(int fd);
void rings_free(struct rings *r); /* NULL is fine */

/* How many entries could be used, of so many queues: a fetcher takes one descriptor, and
 * half of them are for all else. Raises the limit as far as it can be. */
unsigned rings_affordable(unsigned queues);

/* Before an entry is used. 0 or a negative errno. */
int rings_open_entry(struct rings *r, unsigned index, unsigned queue);

struct rings_entry *rings_entry(const struct rings *r, unsigned index);

/* Of an entry: what the kernel is given. In front of the payload there is room for a
 * request whose parts are put together. */
struct kernel_uring_header *rings_header(struct rings_entry *e);
char *rings_payload(struct rings_entry *e);

/* Give back the memory of a payload that nobody needs */
void rings_drop_payload(const struct rings *r, struct rings_entry *e);

/* ---- between processes --------------------------------------------------- */

/* The stage is reached, or, with an error, none any more */
void rings_reach(struct rings *r, enum rings_stage stage, int rc);

/* Keep the request as it came, and get it back */
void rings_save(struct rings_entry *e);
void rings_save_payload(struct rings_entry *e, size_t bytes);
void rings_restore(struct rings_entry *e);

/* The request that has no answer, as it came; NULL: there is none */
const struct fuse_in_header *rings_asked(struct rings_entry *e);
/* Is a request of this number without an answer? */
bool rings_has(const struct rings *r, uint64_t unique);

/* Wait while *word is value, at most so long (NULL: without end), and wake who does. A
 * wait may end for no reason. */
void rings_wait(_Atomic uint32_t *word, uint32_t value,
		const struct timespec *limit);
void rings_wake(_Atomic uint32_t *word);

#endif
