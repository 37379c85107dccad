/* SPDX-License-Identifier: MIT */
/*
 * image_text.h - an image of a disk as text, short where bytes repeat, so that
 * a file of 8 MiB that is mostly hole takes a few KiB in the repository.
 *
 *   # anything     a remark
 *   @1040          what follows lies at this offset (hexadecimal)
 *   89424e...      bytes, two digits each
 *   *4096 41       this byte, so many times (decimal, hexadecimal)
 *   .4832          the end: the size of the file (decimal)
 *
 * What no line covers is zeros.
 */
#ifndef TESTS_GOLDEN_IMAGE_TEXT_H
#define TESTS_GOLDEN_IMAGE_TEXT_H

#include <stdio.h>

#include "tests/support/fault_image.h"

/* *image is empty. 0, -EINVAL if a line makes no sense, -ENOMEM, -EIO */
int image_text_read(FILE *in, struct image *image);

/* 0 or -EIO */
int image_text_write(FILE *out, const struct image *image);

#endif
