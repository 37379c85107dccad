/* SPDX-License-Identifier: MIT */
/*
 * numbers.h - numbers by which the kernel names what is in this process' memory: open
 * directories, and nodes that are not in the database.
 *
 * No number is given twice during a mount, in this process or in one that takes over
 * from it: there a number that the process before has given is not found.
 *
 * Safe to call from any thread. What is found stays for as long as the kernel may ask
 * for it.
 */
#ifndef FS_NUMBERS_H
#define FS_NUMBERS_H

#include <stdatomic.h>
#include <stdint.h>

/* To be embedded */
struct numbered {
	uint64_t number;
	struct numbered *next; /* in its bucket */
};

/* Numbers up to this one are free for fixed ones */
#define NUMBERS_FIXED 16u

/* Before the first is given. last: where the last one is kept for the process that takes
 * over; 0 at first. */
void numbers_start(_Atomic uint64_t *last);

/* Give it a number, or this one, which nothing else has */
void numbers_add(struct numbered *n);
void numbers_add_as(struct numbered *n, uint64_t number);
void numbers_remove(struct numbered *n);

struct numbered *numbers_find(uint64_t number); /* NULL: there is none */

#endif
