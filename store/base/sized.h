/* SPDX-License-Identifier: MIT */
/*
 * sized.h - structures of the interface that can grow: each begins with its own
 * size, as the program that fills it in knows it.
 */
#ifndef STORE_BASE_SIZED_H
#define STORE_BASE_SIZED_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Its size, or that of the first version if the program has not said one */
static inline size_t sized_size(const void *structure, size_t first)
{
	size_t size = 0;
	memcpy(&size, structure, sizeof(size));
	return size ? size : first;
}

/* The part of sized_take() for another size than the known one */
int sized_convert(void *to, size_t known, const void *from, size_t size);

/*
 * Copy such a structure from a program into one of `known` bytes, of which it
 * had `first` in the first version; what the program does not know is zero. NULL:
 * all zeros. 0, -E2BIG: it has set a field that is not known here. -EINVAL: it is
 * smaller than it has ever been.
 */
static inline int sized_take(void *to, size_t known, size_t first,
			     const void *from)
{
	if (!from) {
		memset(to, 0, known);
		return 0;
	}
	size_t size = sized_size(from, first);
	if (size < first)
		return -EINVAL;
	if (size != known)
		return sized_convert(to, known, from, size);
	memcpy(to, from, known);
	return 0;
}

/* Copy such a structure to a program; what it does not know is left out. 0 or
 * -EINVAL. */
int sized_give(void *to, const void *from, size_t known, size_t first);

#endif
