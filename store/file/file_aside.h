/* SPDX-License-Identifier: MIT */
/*
 * file_aside.h - a thread for hints to the kernel, which take as long as to find memory
 * for what will be read, or to hand to the disk what was written. In a vacuum of large
 * values they were two fifths of the time of the thread that copies.
 */
#ifndef STORE_FILE_ASIDE_H
#define STORE_FILE_ASIDE_H

#include "file/file.h"

struct file_aside;

/* file_will_need() or file_write_out() */
typedef void file_hint(struct file *f, uint64_t from, uint64_t to);

/* NULL: no memory, or no thread, and no hint is given */
struct file_aside *file_aside_start(struct file *file, file_hint *hint);
/* At once, whatever is left to be done; before the file is closed. NULL is fine. */
void file_aside_stop(struct file_aside *a);

/* Give the hint for these bytes. By one thread at a time; if it is ahead of the other one
 * by too much it gives it itself. NULL: nothing. */
void file_aside_do(struct file_aside *a, uint64_t from, uint64_t to);

#endif
