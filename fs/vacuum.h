/* SPDX-License-Identifier: MIT */
/*
 * vacuum.h - vacuums of the mounted database, in a thread of their own.
 *
 * One runs at a time. A FITRIM that comes while one runs gets the result of that
 * one; an order does not, since what was deleted after a vacuum has begun is still
 * there behind it. Nobody waits here but the thread: a FITRIM is put into its queue
 * and answered from there.
 */
#ifndef FS_VACUUM_H
#define FS_VACUUM_H

#include "fs.h"

#include <linux/fs.h>

struct vacuum;

enum vacuum_state { VACUUM_IDLE, VACUUM_RUNNING, VACUUM_DONE, VACUUM_FAILED };

/* What is to be done */
struct vacuum_job {
	uint64_t rate; /* bytes a second; 0: as fast as it goes */
	uint64_t keep; /* seconds */
	bool punch; /* in place */
	uint64_t order; /* by an attribute: the number of the request; 0: none */
};

/* What became of it */
struct vacuum_outcome {
	int error; /* 0, or a negative errno value */
	uint64_t before, after; /* bytes of the file */
	uint64_t dropped, kept; /* freezes */
	uint64_t needed, room; /* for the new file; on the disk */
};

/* The part that outlives the daemon: one that was ordered is begun again by the next
 * daemon, and who waits for it learns how it ended. (A FITRIM comes again.) */
struct vacuum_lasting {
	enum vacuum_state state;
	bool cancel;
	unsigned deaths; /* while it ran */
	struct vacuum_job job;
	struct vacuum_outcome last;
};

/* For a database that can be written */
int vacuum_start(struct fs *fs, struct vacuum **vacuum);

/* Cancel what runs, and let none begin any more. NULL is fine. */
void vacuum_end(struct vacuum *vacuum);

/* The same; answer who still waits, end the thread, free. NULL is fine. */
void vacuum_stop(struct vacuum *vacuum);

/*
 * Answer req, a FITRIM, when a vacuum has ended, or at once if none is worth
 * while: with the bytes that the file has become smaller by.
 */
void vacuum_trim(struct vacuum *vacuum, fuse_req_t req,
		 const struct fstrim_range *range);

/*
 * Does a FITRIM vacuum? Only if something is reclaimable, `least` bytes at
 * least, and, where more than 1 GiB would have to be copied, this share of the
 * file: the weekly fstrim.timer is not to rewrite a large file for little.
 */
bool vacuum_is_worth_trimming(const struct banyan_stat *stat, unsigned percent,
			      uint64_t least);

/* Does autovacuum? If this share of the file is reclaimable, and it is large */
bool vacuum_is_due(const struct banyan_stat *stat, unsigned percent);

/*
 * An order by extended attribute: "start [RATE] [keep=DURATION]", the rate in
 * bytes a second, "punch", or "cancel". Without a duration that of the mount
 * counts. 0, -EINVAL; -EBUSY: one runs already, and this is not "cancel".
 */
int vacuum_order(struct vacuum *vacuum, const char *order, size_t size);

/*
 * What there is to tell, one line without a newline: "idle", "running DONE
 * TOTAL", "done BEFORE AFTER DROPPED KEPT", "failed ERRNO NEEDED FREE", in bytes:
 * NEEDED for the new file, about, of FREE on the disk; but DROPPED and KEPT are
 * freezes. Returns its length, as snprintf(3).
 */
size_t vacuum_tell(struct vacuum *vacuum, char *text, size_t size);

/* The same and more, for status.c */
struct vacuum_report {
	const char *state; /* idle, running, done, failed */
	uint64_t done, total; /* bytes, while it runs */
	uint64_t before, after; /* bytes of the file, if it is done */
	uint64_t dropped, kept; /* freezes, if it is done */
	int error; /* if it has failed; negative */
	uint64_t needed,
		room; /* bytes, if it has failed: for it, on the disk */
	/* Of the last FITRIM, if it came to no vacuum: a word that says why, and
	 * when that was. NULL: there was none. */
	const char *trim;
	struct banyan_time trim_time;
};

void vacuum_get(struct vacuum *vacuum, struct vacuum_report *report);

#endif
