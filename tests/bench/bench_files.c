/* SPDX-License-Identifier: MIT */
/*
 * bench_files TASK DIR FILES SIZE DIRECTORIES - time file system calls
 *
 * TASK is create (make the directories, then the files, round robin: open,
 * write, close), read (open, read, close; what is read is compared), stat, append
 * (100 bytes), link (a second name for each), rename (that name), unlink (it), or
 * remove. random reads FILES blocks of SIZE bytes of the file DIR/large, at random.
 * Prints the seconds that it took. No shell loop between the calls: what is timed is
 * the file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "meter.h"

struct job {
	unsigned files;
	unsigned directories;
	size_t size;
	char *contents; /* what a file is expected to hold */
	char *found;
};

__attribute__((noreturn)) static void fail(const char *path)
{
	die("%s: %s", path, strerror(errno));
}

static void name_of_file(const struct job *job, unsigned i, char path[64])
{
	snprintf(path, 64, "d%u/file%u", i % job->directories, i);
}

/* Files differ from one another */
static void stamp(const struct job *job, unsigned i)
{
	if (job->size >= sizeof(i))
		memcpy(job->contents, &i, sizeof(i));
}

static void create_file(const struct job *job, unsigned i, const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	stamp(job, i);
	if (fd < 0 ||
	    write(fd, job->contents, job->size) != (ssize_t)job->size ||
	    close(fd) < 0)
		fail(path);
}

static void read_file(const struct job *job, unsigned i, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	stamp(job, i);
	if (fd < 0 || read(fd, job->found, job->size) != (ssize_t)job->size ||
	    close(fd) < 0)
		fail(path);
	if (memcmp(job->found, job->contents, job->size) != 0) {
		errno = EILSEQ;
		fail(path);
	}
}

static void stat_file(const struct job *job, unsigned i, const char *path)
{
	struct stat st;

	(void)i;
	if (stat(path, &st) < 0 || (size_t)st.st_size < job->size)
		fail(path);
}

static void append_to_file(const struct job *job, unsigned i, const char *path)
{
	static const char more[100] = "more";
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	(void)job;
	(void)i;
	if (fd < 0 || write(fd, more, sizeof(more)) != sizeof(more) ||
	    close(fd) < 0)
		fail(path);
}

static void second_name(const char *path, const char *end, char name[80])
{
	snprintf(name, 80, "%s.%s", path, end);
}

static void link_file(const struct job *job, unsigned i, const char *path)
{
	char name[80];

	(void)job;
	(void)i;
	second_name(path, "link", name);
	if (link(path, name) < 0)
		fail(name);
}

static void rename_link(const struct job *job, unsigned i, const char *path)
{
	char from[80], to[80];

	(void)job;
	(void)i;
	second_name(path, "link", from);
	second_name(path, "moved", to);
	if (rename(from, to) < 0)
		fail(to);
}

static void unlink_link(const struct job *job, unsigned i, const char *path)
{
	char name[80];

	(void)job;
	(void)i;
	second_name(path, "moved", name);
	if (unlink(name) < 0)
		fail(name);
}

/* Twice the same places are asked for in every file system */
static void read_block(const struct job *job, unsigned i, const char *path)
{
	static int fd = -1;
	static off_t blocks;

	(void)path;
	if (fd < 0) {
		fd = open("large", O_RDONLY | O_CLOEXEC);
		blocks = lseek(fd, 0, SEEK_END) / (off_t)job->size;
		srandom(1);
	}
	(void)i;
	if (blocks < 1 ||
	    pread(fd, job->found, job->size,
		  random() % blocks * (off_t)job->size) != (ssize_t)job->size)
		fail("large");
}

static void remove_file(const struct job *job, unsigned i, const char *path)
{
	(void)job;
	(void)i;
	if (unlink(path) < 0)
		fail(path);
}

static void each_directory(const struct job *job, int (*call)(const char *))
{
	char path[64];

	for (unsigned i = 0; i < job->directories; i++) {
		snprintf(path, sizeof(path), "d%u", i);
		if (call(path) < 0)
			fail(path);
	}
}

static int make_directory(const char *path)
{
	return mkdir(path, 0755);
}

static const struct task {
	const char *name;
	int (*before)(const char *directory);
	void (*each)(const struct job *job, unsigned i, const char *path);
	int (*after)(const char *directory);
} tasks[] = {
	{ "create", make_directory, create_file, NULL },
	{ "read", NULL, read_file, NULL },
	{ "stat", NULL, stat_file, NULL },
	{ "append", NULL, append_to_file, NULL },
	{ "link", NULL, link_file, NULL },
	{ "rename", NULL, rename_link, NULL },
	{ "unlink", NULL, unlink_link, NULL },
	{ "remove", NULL, remove_file, rmdir },
	{ "random", NULL, read_block, NULL },
};

static double run(const struct job *job, const struct task *task)
{
	double began = now();
	char path[64];

	if (task->before)
		each_directory(job, task->before);
	for (unsigned i = 0; i < job->files; i++) {
		name_of_file(job, i, path);
		task->each(job, i, path);
	}
	if (task->after)
		each_directory(job, task->after);
	return now() - began;
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n < 1 || n > 1u << 30) {
		fprintf(stderr, "bench_files: %s: not a fit number\n", text);
		exit(2);
	}
	return (unsigned)n;
}

static const struct task *find_task(const char *name)
{
	for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		if (strcmp(tasks[i].name, name) == 0)
			return &tasks[i];
	}
	fprintf(stderr, "bench_files: %s: no such task\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	struct job job;
	const struct task *task;

	if (argc != 6) {
		fputs("usage: bench_files TASK DIR FILES SIZE DIRECTORIES\n",
		      stderr);
		return 2;
	}
	task = find_task(argv[1]);
	job.files = number(argv[3]);
	job.size = number(argv[4]);
	job.directories = number(argv[5]);
	job.contents = malloc(job.size);
	job.found = malloc(job.size);
	if (!job.contents || !job.found || chdir(argv[2]) < 0)
		fail(argv[2]);
	for (size_t i = 0; i < job.size; i++)
		job.contents[i] = (char)(i * 7 + i / 256);

	printf("%.6f\n", run(&job, task));
	free(job.contents);
	free(job.found);
	return 0;
}
