/* SPDX-License-Identifier: MIT */
/*
 * engine.h - a key-value store as bench_store sees it. Functions end the
 * program, saying why, when something fails.
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_SIZE 16
#define VALUE_SIZE 100

struct engine {
	const char *name;
	const char *settings; /* what a reader of the figures must know */
	/* durable: commit() returns when the batch survives a power loss.
	 * ordered: keys will come in ascending order. */
	void *(*open)(const char *path, bool durable, bool ordered);
	void (*begin)(void *store);
	void (*insert)(void *store, const char *key, const void *value);
	void (*commit)(void *store);
	void (*close)(void *store); /* what was committed is durable then */
	/* Reading: between read_begin() and read_end() */
	void (*read_begin)(void *store);
	void (*get)(void *store, const char *key, void *value);
	/* Visit all keys in order; returns how many. To *sum is added the first
	 * byte of each key or, with values, sum_value() of each value. */
	uint64_t (*scan)(void *store, bool values, uint64_t *sum);
	void (*read_end)(void *store);
};

extern const struct engine engine_banyan;
extern const struct engine engine_lmdb;

/* Something for which all of a value must be read */
uint64_t sum_value(const void *value);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format,
							 ...);

#endif
