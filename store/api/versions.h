/* SPDX-License-Identifier: MIT */
/*
 * versions.h - earlier versions of the keys that exist, of all keys at once.
 *
 * What banyan_log() tells of one key (key_history.h), for the list of what a vacuum
 * drops: so without the versions that a freeze which is kept has. It is shown the
 * steps of a pass over the log that others make (deletions.h), and puts rows beside
 * theirs:
 *
 *   NAME     7a, space id, name          a key as it is after the step
 *   DATA     7b, id                      the Data in a DATA row, likewise
 *   EXTENTS  7c, id                      the last step with EXTENT rows of it
 *   XATTRS   7d, id                      likewise
 *   ENDED    7e, id                      the last step that took a key of it away,
 *                                        and the VERSION row that this made
 *   HOME     7f, id                      the last key that was taken away of a Data
 *                                        in a DATA row
 *   VERSION  80, space id, name, number  a version of a key
 *   STATE    81, id, number              a version of a Data in a DATA row
 */
#ifndef STORE_API_VERSIONS_H
#define STORE_API_VERSIONS_H

#include "api/deletions.h"

enum version_row {
	ROW_NOW_NAME = 0x7a,
	ROW_NOW_DATA = 0x7b,
	ROW_EXTENTS = 0x7c,
	ROW_XATTRS = 0x7d,
	ROW_ENDED = 0x7e,
	ROW_HOME = 0x7f,
	ROW_VERSION = 0x80,
	ROW_STATE = 0x81,
};

/* Not all bits of its contents are compared, as they only tell one event from
 * another: any change of a Data changes its ctime */
struct version {
	uint64_t id; /* 0: there is no such key */
	uint64_t since; /* position of the event in the log */
	timestamp time; /* of the event */
	uint64_t size;
	timestamp ctime, mtime;
	uint32_t mode, flags, uid, gid;
	uint32_t contents; /* checksum of what the row says about them */
	uint32_t event; /* enum banyan_event */
	bool embedded;
	bool only_dead; /* the Data is the same if it exists */
};

/* Replay positions of freezes that are kept, ascending */
struct kept_freezes {
	uint64_t *position;
	size_t count;
};

/* Does one of them have what was there between these positions? */
bool is_kept(const struct kept_freezes *kept, uint64_t since, uint64_t until);

struct versions {
	const struct kept_freezes *kept;
	uint64_t first_id; /* ids from here on are later than the first freeze */
	uint64_t count; /* of rows that were put */
	bool begun;
	/* In the step */
	bool has_extents, has_xattrs, has_ended, has_puts;
};

/* For deletions_open_watched(): arg is a struct versions, with `kept` set */
int versions_watch(void *arg, struct deletions *d);

/* Visit them as banyan_vacuum_losses() does, with paths of the store's present
 * state */
int versions_tell(struct store *store, struct deletions *d,
		  int (*visit)(void *arg, const struct banyan_loss *loss),
		  void *arg);

#endif
