/* SPDX-License-Identifier: MIT */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void *pages_get(bool huge)
{
	const size_t size = PAGES_UNIT;
	uint8_t *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	/* Keep the part that is aligned to its size */
	size_t before = (size - (uintptr_t)p % size) % size;
	if (before)
		munmap(p, before);
	munmap(p + before + size, size - before);
#ifdef MADV_HUGEPAGE
	(void)madvise(p + before, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#else
	(void)huge;
#endif
	return p + before;
}

void pages_put(void *piece)
{
	munmap(piece, PAGES_UNIT);
}

void pages_drop(void *at, size_t size)
{
	(void)madvise(at, size, MADV_DONTNEED);
}

size_t pages_size(void)
{
	long size = sysconf(_SC_PAGESIZE);
	return size > 0 ? (size_t)size : 4096;
}
