/* SPDX-License-Identifier: MIT */
/* database.h - the file: find it, open it, and say in words why it fails */
#ifndef FS_DATABASE_H
#define FS_DATABASE_H

#include "banyan.h"
#include "options.h"

/*
 * The absolute name of the database file, to be freed. NULL: there is none, and
 * that has been said on standard error.
 */
char *database_resolve(const struct options *o);

/* Open it. 0, or a negative errno value that has been explained. */
int database_open(const struct options *o, const char *file, banyan **db);

/* The daemon is on its own: say what the library had to tell about the file */
void database_opened(void);

#endif
