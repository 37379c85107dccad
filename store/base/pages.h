/* SPDX-License-Identifier: MIT */
/* pages.h - memory from the system in large aligned pieces, past malloc(). */
#ifndef STORE_BASE_PAGES_H
#define STORE_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#define PAGES_UNIT (2u << 20) /* bytes in a piece, as in a huge page */

/*
 * A piece of zeros, aligned to its size; NULL: no memory. huge: it may be a
 * huge page, which is there as a whole as soon as any of it is used.
 */
void *pages_get(bool huge);
void pages_put(void *piece);

/* Give back the memory below a part of a piece, of whole pages, but not the
 * addresses: what is read there next is zeros */
void pages_drop(void *at, size_t size);

size_t pages_size(void); /* bytes in one page */

#endif
