/* SPDX-License-Identifier: MIT */
/*
 * fault_calls.h - a struct file in front of another one: it counts calls, and
 * lets the nth of a kind, or of any kind, fail.
 *
 * Other than the failures of a fault file (fault_file.h) these can be paused,
 * so that a test may look at what is there in between. All functions may be
 * called while other threads use the file.
 */
#ifndef TESTS_FAULT_CALLS_H
#define TESTS_FAULT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault_file.h"

struct calls_plan {
	enum fault_call call; /* which calls count; FAULT_CALLS: all of them */
	uint64_t nth; /* 1: the next; 0: none fails */
	int error; /* a negative errno value */
	bool lasting; /* all from the nth on */
	size_t partly; /* an append that fails has written so many bytes */
};

/*
 * A file that hands all calls on to another one, which is closed with it. NULL
 * if there is no memory. Files that are made beside it are of this kind, and what
 * is said below of one is said of all.
 */
struct file *calls_new(struct file *below);

/* From now on fail so; what failed before is forgotten */
void calls_fail(struct file *f, const struct calls_plan *plan);

/* Neither count nor fail until it is resumed */
void calls_pause(struct file *f);
void calls_resume(struct file *f);

/* How often it was called since calls_fail(), pauses left out */
uint64_t calls_counted(struct file *f, enum fault_call call);

/* How many calls have failed as planned since calls_fail() */
uint64_t calls_failed(struct file *f);

/* Free what file_close() has left; NULL is fine */
void calls_free(struct file *f);

/* The one plan that BANYAN_FAULT asks for ("call nth error lasting"); false:
 * there is none */
bool calls_asked_for(struct calls_plan *p);

#endif
