/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_KEYS_H
#define STORE_API_KEYS_H

#include "banyan.h"
#include "model/names.h"

/* A new Data with an id, times and contents, of which no row speaks yet */
int make_data(struct txn *txn, const struct banyan_new *make, uint64_t parent,
	      struct data *d);

/*
 * The key space in which the last name of a path lies, and that name. Makes the
 * spaces that are missing if asked to. -EBUSY if the path is the root.
 */
int resolve_last(struct txn *txn, const char *path, bool make,
		 struct name *last);

/*
 * One try to find the Data of a key, and to hold it: -EAGAIN if a writer has moved or
 * removed it since. attr may be NULL.
 */
int search_once(banyan *db, const struct name *n, banyan_data **data,
		struct banyan_attr *attr);

#endif
