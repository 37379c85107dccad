/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_DELETED_H
#define STORE_API_DELETED_H

#include "api/deletions.h"

/* The version of a key that was deleted: see deleted_version.h */
struct deleted_version {
	char *path; /* owned: the names, with one slash between each two */
	struct deletion key; /* the step that has deleted it */
	struct name name; /* the key; its bytes are in `bytes`. len 0: none */
	char bytes[BANYAN_NAME_MAX];
	uint64_t state; /* the state to read is that before this offset */
};

/* A path in that form; NULL: no memory */
char *deleted_path(const char *path);

/*
 * For each of these paths, which are in order: the key that was deleted last, by
 * the path that banyan_deleted() tells, though its Data may live on. Its name
 * stays as it is if none was, or if there is such a key now.
 */
int deleted_find(struct store *store, struct deletions *d,
		 struct deleted_version *v, size_t count);

/*
 * Visit as banyan_deleted() does what was collected, of the store's present state;
 * only what is `wanted`, unless that is NULL.
 */
struct deleted_order {
	const char *path; /* as of banyan_deleted() */
	bool (*wanted)(void *arg, const struct deletion *key);
	void *wanted_arg;
	int (*visit)(void *arg, const struct banyan_deleted_key *key);
	void *arg;
};
int deleted_list(struct store *store, struct deletions *d,
		 const struct deleted_order *order);

#endif
