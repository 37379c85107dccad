/* SPDX-License-Identifier: MIT */
#include "rlimits.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "banyan.h"
#include "message.h"

/* Of a thread; the most that was seen in use is 52 KiB. The usual 8 MiB, or what
 * `ulimit -s` says, would be most of a limit of address space. */
#define STACK (1u << 20)

/* What a thread that serves requests takes: its stack, a request and an answer */
#define THREAD (UINT64_C(3) << 20)
#define THREADS_LEAST 2u

/* What there is beside the cache: with 120 000 files that the kernel remembered, six
 * writers and a vacuum it was 34 to 44 MiB, and the threads */
#define FIXED ((UINT64_C(48) << 20) + THREADS_LEAST * THREAD)

static void make_stacks_small(void)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr))
		return;
	pthread_attr_setstacksize(&attr, STACK);
	pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

static uint64_t left_of(int resource, uint64_t used)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

/* How many more bytes the process may map; UINT64_MAX: no limit */
static uint64_t find_room(void)
{
	uint64_t page = (uint64_t)getpagesize(), of_all, of_data;
	uint64_t field[6] = { 0 }; /* in pages; the first: all, the last: data */
	FILE *f = fopen("/proc/self/statm", "re");
	char line[256] = "", *at = line;

	if (f && fgets(line, sizeof(line), f))
		for (int i = 0; i < 6; i++)
			field[i] = strtoul(at, &at, 10);
	if (f)
		fclose(f);
	of_all = left_of(RLIMIT_AS, field[0] * page);
	of_data = left_of(RLIMIT_DATA, field[5] * page);
	return of_all < of_data ? of_all : of_data;
}

/* Half of what is left beside the rest */
static uint64_t share_of_cache(uint64_t room)
{
	uint64_t share = room > FIXED ? (room - FIXED) / 2 : 0;

	if (share < BANYAN_CACHE_MIN)
		return BANYAN_CACHE_MIN;
	return share < BANYAN_CACHE_DEFAULT ? share : BANYAN_CACHE_DEFAULT;
}

int rlimits_start(struct options *o)
{
	uint64_t room, needed, threads;

	make_stacks_small();
	o->threads_most = UINT_MAX;
	room = find_room();
	if (room == UINT64_MAX)
		return 0;
	mallopt(M_ARENA_MAX, 1); /* each maps 64 MiB at once */
	if (!o->cache_bytes)
		o->cache_bytes = share_of_cache(room);
	needed = FIXED + o->cache_bytes;
	if (room < needed) {
		message("too little memory: the limit (ulimit -v or -d) leaves "
			"%" PRIu64 " KiB, and %" PRIu64 " KiB are needed with "
			"cache=%" PRIu64 "K",
			room >> 10, needed >> 10, o->cache_bytes >> 10);
		return -ENOMEM;
	}
	threads = THREADS_LEAST + (room - needed) / THREAD;
	if (threads < UINT_MAX)
		o->threads_most = (unsigned)threads;
	if (o->threads > o->threads_most)
		o->threads = o->threads_most;
	return 0;
}

const char *rlimits_strerror(int rc)
{
	return rc == -EAGAIN ?
		       "no more threads can be started (ulimit -u or -v)" :
		       strerror(-rc);
}
