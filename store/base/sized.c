/* SPDX-License-Identifier: MIT */
#include "base/sized.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static size_t size_of(const void *structure, size_t first)
{
	size_t size = 0;
	memcpy(&size, structure, sizeof(size));
	return size ? size : first;
}

int sized_take(void *to, size_t known, size_t first, const void *from)
{
	memset(to, 0, known);
	if (!from)
		return 0;
	size_t size = size_of(from, first);
	if (size < first)
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (((const uint8_t *)from)[i])
			return -E2BIG;
	memcpy(to, from, size < known ? size : known);
	return 0;
}

int sized_give(void *to, const void *from, size_t known, size_t first)
{
	size_t size = size_of(to, first);
	if (size < first)
		return -EINVAL;
	size_t n = size < known ? size : known;
	memcpy((uint8_t *)to + sizeof(size),
	       (const uint8_t *)from + sizeof(size), n - sizeof(size));
	return 0;
}
