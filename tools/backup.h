/* SPDX-License-Identifier: MIT */
/* backup.h - write a compact copy of a database elsewhere */
#ifndef TOOLS_BACKUP_H
#define TOOLS_BACKUP_H

#include "store.h"

struct backup {
	uint64_t rate; /* bytes a second; 0: as fast as it goes */
	uint64_t keep; /* seconds; freezes that are not older are copied, too */
};

/*
 * Say that the disk has no room for the new file: how many bytes it needs, about,
 * and how many are free. advice follows. EXIT_FAILURE.
 */
int fail_room(const char *name, uint64_t needed, uint64_t room,
	      const char *advice);

/* Say why there is no new file at out: what the library has said to a backup with
 * these options. EXIT_FAILURE. */
int fail_backup(const struct store *store, const char *out,
		const struct banyan_vacuum_options *options, int error);

/* What the store, which was opened to read, shows, to a new file; with progress,
 * and until it is interrupted. The exit status. */
int backup(const struct store *store, const struct backup *how,
	   const char *out);

#endif
