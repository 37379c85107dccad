/* SPDX-License-Identifier: MIT */
#include "base/sized.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

int sized_convert(void *to, size_t known, const void *from, size_t size)
{
	for (size_t i = known; i < size; i++)
		if (((const uint8_t *)from)[i])
			return -E2BIG;
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
	return 0;
}

int sized_give(void *to, const void *from, size_t known, size_t first)
{
	size_t size = sized_size(to, first);
	if (size < first)
		return -EINVAL;
	size_t n = size < known ? size : known;
	memcpy((uint8_t *)to + sizeof(size),
	       (const uint8_t *)from + sizeof(size), n - sizeof(size));
	return 0;
}
