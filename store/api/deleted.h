/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_DELETED_H
#define STORE_API_DELETED_H

#include "api/deletions.h"

struct deleted_key {
	struct deletion key;
	uint64_t space;
	size_t len;
	char name[BANYAN_NAME_MAX];
};

/*
 * The key at this path that was deleted last, by the path that banyan_deleted()
 * tells, though its Data may live on. -ENOENT: none was, or there is such a key
 * now.
 */
int deleted_find(struct store *store, struct deletions *d, const char *path,
		 struct deleted_key *found);

#endif
