/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_KEYS_H
#define STORE_API_KEYS_H

#include "banyan.h"
#include "model/txn.h"

/* A new Data with an id, times and contents, of which no row speaks yet */
int make_data(struct txn *txn, const struct banyan_new *make, uint64_t parent,
	      struct data *d);

#endif
