/* SPDX-License-Identifier: MIT */
/*
 * pool.h - memory for the nodes of one cache.
 *
 * Nodes come and go by the hundred thousand a second, in many threads, and are
 * all of some kilobytes. malloc() keeps what a thread has freed for that thread:
 * four that read through a cache of 64 MiB took 188 MiB. From here the memory of
 * a node that goes is the next one's, whoever frees and whoever asks; what lies
 * idle can be given back a page at a time; and as it is all in one place, large
 * pages can be below it.
 *
 * A pool may be used by any number of threads at once.
 */
#ifndef STORE_BASE_POOL_H
#define STORE_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_MOST (256u << 10) /* bytes that can be asked for at once */

struct pool;

/* huge: with huge pages, if there are any. NULL: no memory. */
struct pool *pool_new(bool huge);
void pool_free(struct pool *pool); /* NULL is fine; all that it gave is gone */

/* size bytes, 1 to POOL_MOST, aligned to 256. NULL: no memory. */
void *pool_alloc(struct pool *pool, size_t size);
/* The same size as it was asked for */
void pool_release(struct pool *pool, void *memory, size_t size);

/* Bytes that size takes */
size_t pool_cost(size_t size);

/* Give the pages back in which nothing is */
void pool_trim(struct pool *pool);

/* Bytes of addresses that the pool holds */
uint64_t pool_bytes(struct pool *pool);

#endif
