/* SPDX-License-Identifier: MIT */
/*
 * engine.h - a key-value store as the workload sees it. Functions end the
 * program, saying why, when something fails.
 *
 * A store lives in a directory of its own, in which it makes what files it
 * wants. Changes come between begin() and commit(), but for single().
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH 1000 /* changes between begin() and commit(), at most */

struct check; /* values.h */

struct set_up {
	const char *dir; /* exists, and is empty at first */
	size_t value_size;
	uint64_t cache; /* bytes, for those that have a cache of their own */
	bool durable; /* commit() returns when it would survive a power loss */
	bool ordered; /* keys that are inserted ascend */
};

struct engine {
	const char *name;
	const char *settings; /* what a reader of the figures must know */

	void *(*open)(const struct set_up *how);
	/* What was committed is durable then, however it was opened */
	void (*close)(void *store);

	void (*begin)(void *store);
	void (*insert)(void *store, const char *key, const void *value);
	void (*update)(void *store, const char *key, const void *value);
	void (*remove)(void *store, const char *key);
	void (*commit)(void *store);
	/* An insert that is a durable commit by itself */
	void (*single)(void *store, const char *key, const void *value);

	/* A reader serves one thread. What it shows is the state at any moment
	 * from its making on; nothing is written while there are readers. */
	void *(*reader)(void *store);
	/* Find a key that is there, and hand its value to check_value() */
	void (*get)(void *reader, const char *key, struct check *check);
	/* Hand all keys in order, if values is set with their values, to
	 * check_pair() */
	void (*scan)(void *reader, bool values, struct check *check);
	void (*reader_end)(void *reader);
};

extern const struct engine engine_banyan;
extern const struct engine engine_lmdb;
extern const struct engine engine_sqlite;
extern const struct engine engine_rocksdb;
extern const struct engine engine_bdb;

/* dir/name; to be freed */
char *path_in(const char *dir, const char *name);

/* calloc() that does not fail */
void *make_zeroed(size_t size);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format,
							 ...);

#endif
