/* SPDX-License-Identifier: MIT */
/* meter.h - time, memory, bytes written, size on disk */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stdint.h>

double now(void); /* seconds since some moment */

/*
 * Bytes that this process has passed to write(2) and its family so far. (Not
 * write_bytes, which counts a page cache folio of many pages as a whole when
 * one of them is written. No engine here writes through a map.)
 */
uint64_t bytes_written(void);

/*
 * The peak memory of this process since peak_reset(), in bytes. Of resident
 * memory the kernel keeps the peak; of the part that belongs to no file (which
 * for an engine that maps its files is what it needs of its own) it is the
 * highest of all peak_sample().
 */
struct peak {
	uint64_t resident;
	uint64_t anonymous;
};
void peak_reset(void);
void peak_sample(void);
struct peak peak_get(void);

/* Bytes on disk of all files in dir */
uint64_t size_of_files(const char *dir);

/* The directory with all that is in it, if it is there */
void remove_directory(const char *dir);

#endif
