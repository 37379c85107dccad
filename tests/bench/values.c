/* SPDX-License-Identifier: MIT */
#include "values.h"

#include <string.h>

#include "engine.h"

/* So many places where the random bytes of a value may begin. Few enough to
 * stay in the CPU's second cache, many enough for two values of one block to
 * have next to nothing in common. */
#define PLACES (256u << 10)

static unsigned char pool[PLACES + VALUE_MOST];

/* The finish of splitmix64 */
uint64_t mix(uint64_t n)
{
	n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
	n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
	return n ^ (n >> 31);
}

void values_init(void)
{
	for (uint64_t at = 0; at < sizeof(pool); at += sizeof(at)) {
		uint64_t random = mix(at + 0x9e3779b97f4a7c15u);

		memcpy(pool + at, &random, sizeof(random));
	}
}

void make_key(char *key, bool ordered, uint64_t n)
{
	static const char digits[] = "0123456789abcdef";

	if (!ordered)
		n = mix(n);
	for (int at = KEY_SIZE - 1; at >= 0; at--) {
		key[at] = digits[n & 15];
		n >>= 4;
	}
}

/* What follows the key in its value */
static const unsigned char *rest(const char *key, unsigned version)
{
	uint64_t half[2];

	memcpy(half, key, sizeof(half));
	return pool + mix(half[0] + mix(half[1] + version)) % PLACES;
}

void make_value(char *value, size_t size, const char *key, unsigned version)
{
	memcpy(value, key, KEY_SIZE);
	memcpy(value + KEY_SIZE, rest(key, version), size - KEY_SIZE);
}

void check_value(struct check *check, const char *key, const void *value,
		 size_t size)
{
	const char *bytes = value;

	if (!value || size != check->value_size)
		die("%s: %.*s: a value of %zu bytes", check->engine, KEY_SIZE,
		    key, size);
	if (memcmp(bytes, key, KEY_SIZE) != 0 ||
	    memcmp(bytes + KEY_SIZE, rest(key, check->version),
		   size - KEY_SIZE) != 0)
		die("%s: %.*s: a wrong value", check->engine, KEY_SIZE, key);
	check->count++;
}

void check_pair(struct check *check, const void *key, size_t key_size,
		const void *value, size_t size)
{
	if (key_size != KEY_SIZE || memcmp(key, check->last, KEY_SIZE) <= 0)
		die("%s: a scan has %.*s behind %.*s", check->engine,
		    (int)key_size, (const char *)key, KEY_SIZE, check->last);
	memcpy(check->last, key, KEY_SIZE);
	if (check->with_values)
		check_value(check, key, value, size);
	else
		check->count++;
}
