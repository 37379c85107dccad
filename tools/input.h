/* SPDX-License-Identifier: MIT */
/*
 * input.h - a file or standard input, line by line, and more than once: what
 * cannot be read again is copied to a temporary file that has no name.
 */
#ifndef TOOLS_INPUT_H
#define TOOLS_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ROW_MAX (64u << 20) /* bytes in a row, and in a line */

struct input {
	const char *name; /* for messages */
	FILE *stream;
	long start; /* where in the stream it begins */
	uint64_t size; /* bytes in all */
	uint64_t done; /* bytes read */
	uint64_t line; /* number of the one that was read last, from 1 */
	char *bytes; /* that line, with its newline if it has one */
	size_t len;
	size_t capacity; /* len + 1 at least */
};

/*
 * Open the file at path, or standard input if path is NULL or "-". All of
 * standard input is read here unless it is a file. 0 or EXIT_FAILURE.
 */
int input_open(struct input *input, const char *path);

/*
 * Read the next line; a byte order mark at the very beginning is left out. 1: it
 * is there. 0: end of input. Negative: failed, and has been complained about,
 * or interrupted.
 */
int input_next(struct input *input);

int input_rewind(struct input *input); /* 0 or EXIT_FAILURE */

void input_close(struct input *input); /* one that is all zeros is fine */

/* Complain about a line of the input. EXIT_FAILURE. */
int fail_line(const struct input *input, uint64_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
