/* SPDX-License-Identifier: MIT */
/*
 * image_file.h - a struct file on a sparse image, and a short way to write such
 * an image down.
 *
 * A recipe is runs of bytes, each {varint gap, varint length, bytes}: the gap
 * is the number of zeros between the run before and this one. A run that is cut
 * off is as long as what is there. So a file of many segments is a few hundred
 * bytes, and all bytes of a recipe are of use to somebody who mutates them.
 */
#ifndef TESTS_FUZZ_IMAGE_FILE_H
#define TESTS_FUZZ_IMAGE_FILE_H

#include "tests/support/fault_image.h"
#include "base/buf.h"
#include "file/file.h"

/* What lies behind is left out: three segments. More only take their time. */
#define RECIPE_FILE_MAX (12u << 20)

/* *image is empty. 0 or -ENOMEM. */
int recipe_read(const uint8_t *recipe, size_t size, struct image *image);

/* Zeros of eight bytes and more become gaps. buf->failed if memory runs out. */
void recipe_write(const struct image *image, struct buf *recipe);

/*
 * A file that has the pages of the image to begin with, which stays as it is,
 * and shares those that it does not write to. keep, if not NULL, gets what the
 * file is when it is closed. 0 or -ENOMEM.
 */
int image_file(const struct image *image, struct image *keep, struct file **f);

/* What an open one is at this moment; *image is empty. 0 or -ENOMEM. */
int image_file_now(struct file *f, struct image *image);

#endif
