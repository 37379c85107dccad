/* SPDX-License-Identifier: MIT */
/*
 * keys.h - the keys that people type: paths of names joined by '/'. The library
 * checks them too, but its one errno value cannot tell which name is meant.
 */
#ifndef TOOLS_KEYS_H
#define TOOLS_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "store.h"

/*
 * Are the names in a path of a key fit? An empty path is the root key space,
 * which is a key only where root says so. 0 or EXIT_FAILURE.
 */
int check_key(const char *file, const char *key, bool root);

/*
 * Explain why a key could not be made: names the key space on the way to it
 * that is missing, or is none. hint, if not NULL, says what would make it.
 * EXIT_FAILURE.
 */
int fail_new_key(const struct store *store, const char *key, int error,
		 const char *hint);

/*
 * Cut the next name off a path, which need not be fit; false at its end.
 * Slashes before it are skipped.
 */
bool next_name(const char **path, const char **name, size_t *len);

/* Is there a key space at this path? False if anything is wrong, too. */
bool is_space(const struct store *store, const char *key);

/* Is there anything? */
bool is_there(const struct store *store, const char *key);

/* The last name of a path: *name points into key and is *len bytes long */
void last_name(const char *key, const char **name, size_t *len);

/* "space/name" of malloc, or NULL without memory. space may be empty. */
char *join_key(const char *space, const char *name, size_t len);

#endif
