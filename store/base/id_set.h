/* SPDX-License-Identifier: MIT */
/*
 * id_set.h - a set of ids, small where they are dense or far apart.
 *
 * Ids that lie close together, as those of an honest database do, take about a
 * bit each; one far from all others less than a hundred bytes.
 */
#ifndef STORE_BASE_ID_SET_H
#define STORE_BASE_ID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_block;

/* Zeroed is empty */
struct id_set {
	struct id_block *blocks; /* by hash; those not in use have count 0 */
	size_t mask; /* their number less 1; 0: none */
	size_t used;
};

void id_set_free(struct id_set *s);

/* 0: added. 1: it was there already. -ENOMEM. */
int id_set_add(struct id_set *s, uint64_t id);
bool id_set_has(const struct id_set *s, uint64_t id);

#endif
