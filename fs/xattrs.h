/* SPDX-License-Identifier: MIT */
/*
 * xattrs.h - extended attributes of Data. Most Data have none.
 *
 * The kernel asks for attributes of each file that is made, written or copied:
 * capabilities, access control lists, the list of names. So the daemon marks a Data
 * that has none at all as bare (NODES_BARE), and answers without a search of the store.
 * All handlers read and set attributes by these functions. Removing one leaves the mark
 * as it is.
 *
 * A thread that lists the attributes of a Data and finds none marks it; a thread that
 * sets an attribute clears the mark. The first may list before the attribute is set,
 * and mark the Data afterwards. So a thread that sets an attribute increments a counter
 * when the change is committed, and then clears the mark. A thread that marks a Data has
 * read the counter before it listed; if the counter has changed after it has set the
 * mark, it clears the mark.
 */
#ifndef FS_XATTRS_H
#define FS_XATTRS_H

#include "fs.h"

/* As banyan_get_xattr() and the like */
ssize_t xattrs_get(banyan_data *data, const char *name, void *value,
		   size_t size);
ssize_t xattrs_list(banyan_data *data, char *names, size_t size);
int xattrs_set(banyan_data *data, const char *name, const void *value,
	       size_t size, unsigned flags);

/* An attribute was set in another way, which is committed: clear the mark */
void xattrs_changed(banyan_data *data);

/* The Data has no attributes: mark it. count: xattrs_count() from before that was found
 * out. */
void xattrs_none(banyan_data *data, unsigned count);
unsigned xattrs_count(void);

#endif
