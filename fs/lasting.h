/* SPDX-License-Identifier: MIT */
/*
 * lasting.h - what outlives a worker: memory that the supervisor (supervisor.h) shares
 * with one worker after another.
 *
 * The next worker finds in it how the kernel introduced itself (INIT), of which Data
 * the kernel has been told (counts.h), and, for each thread of the one that has died,
 * the request that it was serving.
 *
 * A request is *open* from the moment at which a thread begins to read it until it has
 * been answered. What comes again to the next worker (the kernel sends what has no
 * answer once more) is told by its number. If it had made its operation already, it is
 * not made again: see `note` and `made`.
 */
#ifndef FS_LASTING_H
#define FS_LASTING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"
#include "fs.h"
#include "rings.h"
#include "vacuum.h"

/* Node ids that one answer can tell: READDIRPLUS of FS_MAX_TRANSFER has the most, as
 * an entry takes 160 bytes */
#define LASTING_TOLD_MAX (FS_MAX_TRANSFER / 160)

/* The buffer of a thread: as much as libfuse reads at once */
#define LASTING_BUFFER (FS_MAX_TRANSFER + 4096)

#define LASTING_THREADS_MAX 256u
/* Entries of rings; each takes an address space of 2 MiB, here and in rings.h */
#define LASTING_ENTRIES_MAX 1024u
#define LASTING_REQUESTS_MAX (LASTING_THREADS_MAX + LASTING_ENTRIES_MAX + 1)

/* Requests that made their operation and were not answered: at most one a thread and
 * worker, of which few can die before one of them answers */
#define LASTING_MADE_MAX 4096u

/* Names that listings remember for each other, the last ones */
#define LASTING_NAMES 8192u

/* A name that a listing has handed out. If it was being written when the worker died,
 * the cookie is not that of the name. */
struct lasting_name {
	uint64_t cookie;
	size_t len;
	char bytes[BANYAN_NAME_MAX];
};

struct lasting_request {
	_Atomic uint64_t unique; /* the number of the request; 0: none */
	_Atomic int64_t
		began; /* when, by the steady clock; if somebody watches */
	struct banyan_note note;
	uint32_t told; /* node ids that its answer tells, counted already */
	uint32_t forgotten; /* of a FORGET: those that were dealt with */
	uint64_t id[LASTING_TOLD_MAX];
	/* As it was read: a FORGET has no answer, so it comes only once. The first
	 * field, len, is 0 if there is none. */
	_Alignas(4096) char buffer[LASTING_BUFFER];
};

struct lasting {
	bool filled; /* what the next worker has to know is written here */
	/* The mount, if the worker dies now: once all who wait for the start know that
	 * it has succeeded. A worker that dies before has mounted in vain. */
	_Atomic bool survives;
	_Atomic bool ending;
	bool hung; /* the worker: the watchdog has ended it */
	unsigned watchdog; /* seconds that a request may take; 0: nobody watches */
	bool served; /* there has been a worker that did */
	struct {
		size_t size; /* 0: none has come */
		char bytes[256];
	} init;
	uint32_t unsure; /* see struct banyan_keeper */
	uint64_t seed; /* of the cookies of listings; 0: none yet */
	_Atomic uint64_t number; /* the last that numbers.h has given */

	/* For people */
	uint64_t restarts; /* after deaths */
	uint64_t replaced; /* the program, as somebody asked for it */
	uint64_t kept; /* the same: the program could not be replaced */
	bool last_kept; /* the last time */
	struct banyan_time died; /* the last time */
	int signal; /* of which */
	bool core; /* and a core file was written */
	uint64_t died_ns, pause_ns; /* by the steady clock; how long it took */
	_Atomic uint64_t answered; /* requests that were not made again */

	struct {
		uint32_t count;
		uint64_t unique[LASTING_MADE_MAX];
	} made;

	/* Of what came again: the one that is served now, and alone; the one that has
	 * killed so many daemons */
	struct {
		_Atomic uint64_t serving;
		uint64_t unique;
		unsigned deaths;
	} suspect;

	struct vacuum_lasting vacuum;

	/* The threads that tell the kernel of names, and may have to wait there for
	 * somebody who waits for the worker; 0: there is none */
	_Atomic int notifier[2];

	uint64_t names; /* that were handed out */
	struct lasting_name name[LASTING_NAMES];

	struct counts *counts;
	struct rings *rings; /* that another process holds; NULL: none */
	unsigned threads;
	unsigned requests;
	/* One for each thread, one for each entry of the rings, one beside */
	struct lasting_request request[];
};

/* For so many threads that read requests (0: nothing outlives), and rings that are held
 * (NULL: none). NULL: no memory. */
struct lasting *lasting_new(unsigned threads, struct rings *rings);
void lasting_free(struct lasting *l);
/* A process that needs only the rings: the memory can go when all others leave it */
void lasting_leave(struct lasting *l);

/* ---- a thread and its request ------------------------------------------- */

/* The calling thread uses this one from now on; NULL: none, which costs nothing */
void lasting_use(struct lasting *l, struct lasting_request *r);

/* For what serves an entry of the rings */
struct lasting_request *lasting_of_entry(struct lasting *l, unsigned entry);

/* For a thread beside those that read requests, which serves what one of them has read
 * and not answered; NULL: none */
struct lasting_request *lasting_beside(struct lasting *l);

/* Before a request is read into the buffer */
void lasting_clear(struct lasting_request *r);
/* It is going to be served, and has been. NULL is fine. */
void lasting_begin(struct lasting_request *r, uint64_t unique);
void lasting_end(struct lasting_request *r);
/* It waits for what it need not be watched for. NULL is fine. */
void lasting_renew(struct lasting_request *r);

/* Is the number among those of requests whose operation was made? */
bool lasting_has_made(const struct lasting *l, uint64_t unique);
/* Likewise, for the thread that serves it */
bool lasting_was_made(uint64_t unique);

/*
 * The answer that is about to be sent tells the kernel of a Data. 0 or -ENOMEM. If the
 * answer does not get through: lasting_untell(), of the last one that was told.
 */
int lasting_tell(uint64_t id);
void lasting_untell(uint64_t id);

/* The next part of a FORGET; of a node that is not counted: id 0 */
void lasting_forget(uint64_t id, uint64_t times);

#endif
