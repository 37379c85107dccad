/* SPDX-License-Identifier: MIT */
/* database.h - the file: find it, open it, and say in words why it fails */
#ifndef FS_DATABASE_H
#define FS_DATABASE_H

#include "banyan.h"
#include "lasting.h"
#include "options.h"

/*
 * The absolute name of the database file, to be freed. NULL: there is none, and
 * that has been said on standard error.
 */
char *database_resolve(const struct options *o);

/*
 * Wait, for half a minute at most, while another process has the file open and
 * it is mounted nowhere: after an unmount the daemon still writes all and closes
 * it. In a process that signals may end.
 */
void database_wait(const struct options *o, const char *file);

/*
 * Open it, or go on in what the daemon before had open. 0, or a negative errno value
 * that has been explained.
 */
int database_open(const struct options *o, const char *file,
		  struct lasting *lasting, banyan **db);

/* The daemon is on its own: say what the library had to tell about the file */
void database_opened(void);

#endif
