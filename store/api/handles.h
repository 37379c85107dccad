/* SPDX-License-Identifier: MIT */
/* handles.h - what the public functions by Data and by path share. */
#ifndef STORE_API_HANDLES_H
#define STORE_API_HANDLES_H

#include "engine/db.h"

void fill_attr(const struct data *d, struct banyan_attr *attr);

/* A new Data with an id, times and contents, of which no row speaks yet */
int make_data(struct txn *txn, const struct banyan_new *make, uint64_t parent,
	      struct data *d);

/* For the writer: hold what it has found in its own change */
int hold_located(banyan *db, const struct located *l, banyan_data **data);

/*
 * -EUCLEAN unless the key that the cursor gave last is the only one of its key
 * space: where a hostile file has two, and so on at each level, a recursive walk
 * would not end before the universe does.
 */
int scan_check_only_key(banyan_cursor *c);

#endif
