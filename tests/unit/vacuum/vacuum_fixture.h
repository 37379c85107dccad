/* SPDX-License-Identifier: MIT */
/* vacuum_fixture.h - a database on the disk, and a look at what its file has */
#ifndef TESTS_VACUUM_FIXTURE_H
#define TESTS_VACUUM_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/crash/workload.h"
#include "tests/support/random.h"
#include "tests/support/temp.h"
#include "tests/unit/api/api_fixture.h"

struct place {
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	banyan *db;
};

static inline int set_up(void **state)
{
	static struct place p;
	p.db = NULL;
	*state = &p;
	if (temp_directory(p.dir, TEMP_ON_DISK))
		return -1;
	temp_path(p.path, p.dir, "db");
	return 0;
}

static inline void open_at(struct place *p, uint64_t cache_bytes)
{
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = cache_bytes };
	OK(banyan_open(p->path, &o, &p->db));
}

/* How many files there are in its directory */
static inline unsigned files_in(const struct place *p)
{
	DIR *d = opendir(p->dir);
	unsigned count = 0;
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return count;
}

static inline void say(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static inline void expect_sound(const char *path)
{
	struct banyan_check check = { .found = say };
	assert_int_equal(banyan_check(path, &check), 0);
}

/* Nothing but the file may be left */
static inline int tear_down(void **state)
{
	struct place *p = *state;
	if (p->db)
		OK(banyan_close(p->db));
	expect_sound(p->path);
	assert_int_equal(unlink(p->path), 0);
	return rmdir(p->dir);
}

static inline uint64_t print_of(banyan *db)
{
	uint64_t print = 0;
	OK(fingerprint(db, &print));
	return print;
}

static inline void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(test_random(&seed) >> 8);
}

/* A value that nothing can make smaller */
static inline void put_random(banyan *db, const char *path, size_t size,
			      uint64_t seed)
{
	uint8_t *bytes = malloc(size + 1);
	assert_non_null(bytes);
	fill(bytes, size, seed);
	OK(banyan_put(db, path, bytes, size, BANYAN_PARENTS));
	free(bytes);
}

static inline void write_random(banyan_data *data, uint64_t offset, size_t size,
				uint64_t seed)
{
	uint8_t *bytes = malloc(size + 1);
	assert_non_null(bytes);
	fill(bytes, size, seed);
	OK(banyan_write(data, bytes, size, offset, 0, NULL));
	free(bytes);
}

static inline off_t size_at(const char *path)
{
	struct stat st;
	OK(stat(path, &st));
	return st.st_size;
}

/* How often these bytes are in the file */
static inline unsigned times_in_file(const char *path, const char *bytes)
{
	size_t size = (size_t)size_at(path);
	uint8_t *all = malloc(size);
	int fd = open(path, O_RDONLY);
	unsigned count = 0;
	assert_true(fd >= 0 && all);
	for (size_t at = 0; at < size;) {
		ssize_t n = read(fd, all + at, size - at);
		assert_true(n > 0);
		at += (size_t)n;
	}
	close(fd);
	const uint8_t *end = all + size;
	for (const uint8_t *p = all;
	     (p = memmem(p, (size_t)(end - p), bytes, strlen(bytes))); p++)
		count++;
	free(all);
	return count;
}

/* A call in the middle of a vacuum: `at` times of asking go by before; then it is
 * made once, or `times` */
struct amid {
	struct place *p;
	unsigned asked;
	unsigned at;
	unsigned times;
	int says; /* and then it says this */
	void (*call)(struct amid *a);
	void *arg;
};

static inline int do_amid(void *arg, uint64_t done, uint64_t total)
{
	struct amid *a = arg;
	assert_true(done <= total);
	unsigned n = a->asked++;
	if (n < a->at || n > a->at + (a->times ? a->times - 1 : 0))
		return 0;
	int says = a->says;
	if (a->call)
		a->call(a);
	return says;
}

static inline int vacuum_amid(struct amid *a)
{
	struct banyan_vacuum_options o = { .progress = do_amid, .arg = a };
	return banyan_vacuum(a->p->db, &o, NULL);
}

#endif
