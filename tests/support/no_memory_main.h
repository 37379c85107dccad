/* SPDX-License-Identifier: MIT */
/*
 * no_memory_main.h - memory that runs out when a test says so.
 *
 * For the one file of a program that has its main(), which is linked with
 * --wrap for each function below (see the Makefile): then all that the program
 * itself calls comes by here, and what libc calls does not.
 */
#ifndef TESTS_NO_MEMORY_MAIN_H
#define TESTS_NO_MEMORY_MAIN_H

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/pool.h"

static struct {
	_Atomic bool on;
	_Atomic uint64_t calls; /* since it was switched on */
	_Atomic uint64_t failed;
	uint64_t nth; /* this one fails; 0: none */
	bool lasting; /* and all that come after it */
	bool elsewhere; /* only calls of other threads than `self` count */
	pthread_t self;
} no_memory;

/* From now on, in all threads, the nth call from now fails */
static inline void no_memory_on(uint64_t nth, bool lasting)
{
	atomic_store(&no_memory.calls, 0);
	atomic_store(&no_memory.failed, 0);
	no_memory.nth = nth;
	no_memory.lasting = lasting;
	no_memory.elsewhere = false;
	atomic_store(&no_memory.on, true);
}

/* No more: how many have failed */
static inline uint64_t no_memory_off(void)
{
	atomic_store(&no_memory.on, false);
	return atomic_load(&no_memory.failed);
}

/* From now on there is no memory for any thread but this one */
static inline void no_memory_elsewhere(void)
{
	no_memory_off();
	no_memory.nth = 1;
	no_memory.lasting = true;
	no_memory.self = pthread_self();
	no_memory.elsewhere = true;
	atomic_store(&no_memory.on, true);
}

static inline bool no_memory_now(void)
{
	if (!atomic_load(&no_memory.on))
		return false;
	if (no_memory.elsewhere &&
	    pthread_equal(no_memory.self, pthread_self()))
		return false;
	uint64_t n = atomic_fetch_add(&no_memory.calls, 1) + 1;
	if (n != no_memory.nth && !(no_memory.lasting && n > no_memory.nth))
		return false;
	atomic_fetch_add(&no_memory.failed, 1);
	errno = ENOMEM;
	return true;
}

#define WRAP(type, name, parameters, arguments, none)                      \
	type __real_##name parameters;                                     \
	type __wrap_##name parameters;                                     \
	type __wrap_##name parameters                                      \
	{                                                                  \
		return no_memory_now() ? (none) : __real_##name arguments; \
	}

WRAP(void *, pool_alloc, (struct pool * pool, size_t size), (pool, size), NULL)
WRAP(void *, malloc, (size_t n), (n), NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n), NULL)
WRAP(char *, strdup, (const char *s), (s), NULL)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), NULL)
WRAP(int, vasprintf, (char **to, const char *format, va_list args),
     (to, format, args), -1)
WRAP(int, __vasprintf_chk,
     (char **to, int flag, const char *format, va_list args),
     (to, flag, format, args), -1)
WRAP(char *, realpath, (const char *path, char *to), (path, to), NULL)
WRAP(DIR *, fdopendir, (int fd), (fd), NULL)
WRAP(void *, mmap64,
     (void *at, size_t n, int prot, int flags, int fd, off_t offset),
     (at, n, prot, flags, fd, offset), MAP_FAILED)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *),
      void *arg),
     (thread, attr, start, arg), EAGAIN)

#undef WRAP

#endif
