/* SPDX-License-Identifier: MIT */
/*
 * A whole file that somebody has made. Input: a byte that says what is done, a
 * byte that chooses among operations, and a recipe (image_file.h).
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/handle.h"
#include "exercise.h"
#include "image_file.h"
#include "mend.h"
#include "targets.h"

enum {
	AS_IT_IS = 1 << 0, /* its checksums are not made right */
	CHECK = 1 << 1, /* with banyan_check() */
	WRITE = 1 << 2, /* not only read */
};

static void report(void *arg, const char *line)
{
	(void)arg;
	assert(line && *line);
}

static int open_image(const struct image *image, struct image *keep,
		      unsigned flags, banyan **db)
{
	struct banyan_options o = { .flags = flags,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = report };
	struct file *f = NULL;
	if (image_file(image, keep, &f))
		return -1;
	return handle_open_file(f, &o, false, db);
}

static void look(const struct image *image)
{
	banyan *db = NULL;
	if (open_image(image, NULL, BANYAN_READ_ONLY, &db))
		return;
	exercise_read(db);
	(void)banyan_put(db, "no", "no", 2, 0);
	(void)banyan_close(db);
}

static void change(const struct image *image, uint64_t choices)
{
	struct image kept = { 0 };
	banyan *db = NULL;
	if (open_image(image, &kept, 0, &db)) {
		image_free(&kept);
		return;
	}
	exercise_write(db, choices);
	int rc = banyan_close(db);
	/* What was made durable must be there, whatever lay around it */
	if (!rc && !open_image(&kept, NULL, 0, &db)) {
		exercise_read(db);
		rc = banyan_close(db);
	}
	image_free(&kept);
}

/* All but zeros: so far it is a hole */
static bool write_out(const struct image *image, int fd)
{
	static const uint8_t zeros[1 << 14];
	uint8_t bytes[1 << 14];
	if (ftruncate(fd, (off_t)image->size))
		return false;
	for (uint64_t at = 0; at < image->size; at += sizeof(bytes)) {
		size_t n = sizeof(bytes);
		if (n > image->size - at)
			n = (size_t)(image->size - at);
		image_read(image, bytes, n, at);
		if (memcmp(bytes, zeros, n) != 0 &&
		    pwrite(fd, bytes, n, (off_t)at) != (ssize_t)n)
			return false;
	}
	return true;
}

/* banyan_check() wants a path */
static void check(const struct image *image)
{
	struct banyan_check options = { .found = report,
					.cache_bytes = BANYAN_CACHE_MIN };
	char path[64];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write_out(image, fd))
		(void)banyan_check(path, &options);
	close(fd);
}

void fuzz_file(const uint8_t *input, size_t size)
{
	struct image image = { 0 };
	if (size < 2)
		return;
	if (!recipe_read(input + 2, size - 2, &image) &&
	    ((input[0] & AS_IT_IS) || !mend(&image))) {
		if (input[0] & WRITE)
			change(&image, input[1]);
		else
			look(&image);
		if (input[0] & CHECK)
			check(&image);
	}
	image_free(&image);
}
