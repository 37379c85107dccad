/* SPDX-License-Identifier: MIT */
/*
 * fault_image.h - what is on a disk, for fault_file.c.
 *
 * Images are sparse: made of pages, those never written are missing and read as
 * zeros. They share pages until one of them writes there. A database's log may
 * leave holes of megabytes, and 100 000s of images are made that differ in a
 * few bytes: making one must cost little more than those.
 *
 * An image belongs to one thread at a time; images that share pages need not
 * belong to the same. The functions that can fail say -ENOMEM.
 */
#ifndef TESTS_FAULT_IMAGE_H
#define TESTS_FAULT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct page;

/* Zeroed is empty. Nothing is ever written at or behind size. */
struct image {
	struct page **pages;
	size_t count; /* of pages; those behind are missing, too */
	uint64_t size;
};

void image_free(struct image *m);

/* The caller moves size */
int image_write(struct image *m, const uint8_t *from, size_t size,
		uint64_t offset);
int image_zero(struct image *m, size_t size, uint64_t offset);
void image_read(const struct image *m, uint8_t *to, size_t size,
		uint64_t offset);

/* The same as image_write() of what the other image has there */
int image_take(struct image *to, const struct image *from, uint64_t size,
	       uint64_t offset);
/* All of it, and its size; *to is empty */
int image_copy(struct image *to, const struct image *from);

#endif
