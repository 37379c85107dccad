/* SPDX-License-Identifier: MIT */
#include "base/fork_guard.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct fork_guard {
	volatile uint8_t *page; /* its first byte is 0 in a child; NULL: none */
	size_t size;
	pid_t owner;
};

struct fork_guard *fork_guard_new(void)
{
	struct fork_guard *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->owner = getpid();
	g->size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, g->size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		free(g);
		return NULL;
	}
	if (madvise(page, g->size, MADV_WIPEONFORK)) {
		munmap(page, g->size);
		return g;
	}
	g->page = page;
	g->page[0] = 1;
	return g;
}

void fork_guard_free(struct fork_guard *g)
{
	if (!g)
		return;
	if (g->page)
		munmap((void *)(uintptr_t)g->page, g->size);
	free(g);
}

bool fork_guard_is_owner(const struct fork_guard *g)
{
	return g->page ? g->page[0] != 0 : getpid() == g->owner;
}
