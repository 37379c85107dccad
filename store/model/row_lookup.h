/* SPDX-License-Identifier: MIT */
/* row_lookup.h - rows looked up one by one, without the model's caches. */
#ifndef STORE_MODEL_ROW_LOOKUP_H
#define STORE_MODEL_ROW_LOOKUP_H

#include "banyan.h"
#include "base/id_set.h"
#include "model/txn.h"

/* The row's value replaces what is in *value. 0, -ENOENT, or an error. */
int rows_get(const struct state *s, const struct row_key *key,
	     struct buf *value);
/* 1 if the row is there, 0 if not, or an error */
int rows_has(const struct state *s, const struct row_key *key);

/* The Data in the DATA row with this id. -ENOENT, -EUCLEAN. */
int rows_data(const struct state *s, uint64_t id, struct data *d);

/* The same from a DATA row that is at hand: 0, or -EUCLEAN */
int rows_decode_data(const uint8_t *key, size_t len, const uint8_t *value,
		     size_t value_len, struct data *d);

/* Visit rows whose keys begin so, in order; non-zero ends it and comes back */
typedef int row_visit(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len);
int rows_visit(const struct state *s, const void *prefix, size_t len,
	       row_visit *visit, void *arg);

/* The first LINK row of a Data: 1, 0 if there is none, or an error */
int rows_first_link(const struct state *s, uint64_t id, struct row_key *link);

/* The space that this row names: 1, 0 if there is none, or an error */
int rows_parent(const struct state *s, uint64_t id, uint64_t *parent);

/*
 * Go up from a key space by LINK rows until there is none, or one in `rooted`
 * is met; all on the way are added to it. 0, 1 if the way leads in a circle, in
 * which *circle lies, or an error.
 */
int rows_way_up(const struct state *s, uint64_t id, struct id_set *rooted,
		uint64_t *circle);

#endif
