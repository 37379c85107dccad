/* SPDX-License-Identifier: MIT */
/*
 * sized.h - structures of the interface that can grow: each begins with its own
 * size, as the program that fills it in knows it.
 */
#ifndef STORE_BASE_SIZED_H
#define STORE_BASE_SIZED_H

#include <stddef.h>

/*
 * Copy such a structure from a program into one of `known` bytes, of which it
 * had `first` in the first version; what the program does not know is zero. NULL:
 * all zeros. 0, -E2BIG: it has set a field that is not known here. -EINVAL: it is
 * smaller than it has ever been.
 */
int sized_take(void *to, size_t known, size_t first, const void *from);

/* Copy such a structure to a program; what it does not know is left out. 0 or
 * -EINVAL. */
int sized_give(void *to, const void *from, size_t known, size_t first);

#endif
