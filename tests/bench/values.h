/* SPDX-License-Identifier: MIT */
/*
 * values.h - the keys and values of the benchmark, and their verification.
 *
 * A key is a number of 16 hexadecimal digits. A value begins with its key;
 * what follows is a stretch of random bytes, chosen by the key and a version,
 * so that compression gains nothing, every byte can be verified, and making
 * one costs little more than a copy.
 */
#ifndef BENCH_VALUES_H
#define BENCH_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_SIZE 16
#define VALUE_LEAST KEY_SIZE
#define VALUE_MOST (1u << 20)

/* To be called once, before all else here */
void values_init(void);

/* A bijection: distinct numbers stay distinct, in an order like random */
uint64_t mix(uint64_t n);

/* The n-th key to come in: ascending with n if ordered, else scattered */
void make_key(char *key, bool ordered, uint64_t n);

void make_value(char *value, size_t size, const char *key, unsigned version);

/* What is expected of the values that an engine finds */
struct check {
	const char *engine; /* for messages */
	size_t value_size;
	unsigned version;
	uint64_t count; /* of pairs, or values, that were right */
	/* Of check_pair() */
	bool with_values;
	char last[KEY_SIZE]; /* the key before */
};

/* Both end the program if something is wrong. Keys of pairs must ascend; what
 * is handed over as their values counts only if with_values is set. */
void check_value(struct check *check, const char *key, const void *value,
		 size_t size);
void check_pair(struct check *check, const void *key, size_t key_size,
		const void *value, size_t size);

#endif
