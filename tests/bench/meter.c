/* SPDX-License-Identifier: MIT */
#include "meter.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

static uint64_t anonymous_peak;
static uint64_t files_size; /* nftw() passes nothing on */

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The number behind name in a file of /proc, which has lines "name: number" */
static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at)
		die("/proc has no %s", name);
	return strtoull(at + strlen(name), NULL, 10);
}

static void read_proc(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (length < 0)
		die("%s: %s", path, strerror(errno));
	text[length] = '\0';
	close(fd);
}

uint64_t bytes_written(void)
{
	char text[1024];

	read_proc("/proc/self/io", text, sizeof(text));
	return field(text, "wchar:");
}

void peak_reset(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	/* 5: let the peak be what is in use now, see proc(5) */
	if (fd < 0 || write(fd, "5", 1) != 1)
		die("/proc/self/clear_refs: %s", strerror(errno));
	close(fd);
	anonymous_peak = 0;
	peak_sample();
}

void peak_sample(void)
{
	uint64_t anonymous;
	char text[4096];

	read_proc("/proc/self/status", text, sizeof(text));
	anonymous = field(text, "RssAnon:") * 1024;
	if (anonymous > anonymous_peak)
		anonymous_peak = anonymous;
}

struct peak peak_get(void)
{
	struct peak p;
	char text[4096];

	peak_sample();
	read_proc("/proc/self/status", text, sizeof(text));
	p.resident = field(text, "VmHWM:") * 1024;
	p.anonymous = anonymous_peak;
	return p;
}

static int add_size(const char *path, const struct stat *st, int type,
		    struct FTW *where)
{
	(void)path;
	(void)where;
	if (type == FTW_F)
		files_size += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t size_of_files(const char *dir)
{
	files_size = 0;
	if (nftw(dir, add_size, 16, FTW_PHYS) != 0)
		die("%s: %s", dir, strerror(errno));
	return files_size;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void remove_directory(const char *dir)
{
	if (nftw(dir, remove_one, 16, FTW_PHYS | FTW_DEPTH) != 0 &&
	    errno != ENOENT)
		fprintf(stderr, "bench_store: %s: %s\n", dir, strerror(errno));
}
