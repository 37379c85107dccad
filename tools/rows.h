/* SPDX-License-Identifier: MIT */
/*
 * rows.h - rows in and out: a row of a file is a key named by one of its
 * fields, whose value is the row as one JSON object and a newline. A format
 * knows how rows look outside.
 */
#ifndef TOOLS_ROWS_H
#define TOOLS_ROWS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"
#include "input.h"

struct row {
	uint64_t line; /* where it begins */
	char name[BANYAN_NAME_MAX + 1];
	size_t len; /* of the name */
	const char *value;
	size_t size;
};

/* Take a row: 0, or an exit status after saying why, which ends the reading */
typedef int row_visit(void *arg, const struct row *row);

/* What is exported, in the order of the keys */
struct row_out {
	const char *text; /* of the value, less blanks around it */
	size_t len;
	json_t *object; /* the same, as json_text_parse() gives it */
};

struct row_format {
	const char *name;

	/*
	 * Read all rows of an input, each named by its field key. 0, or
	 * EXIT_FAILURE after saying what is wrong in which line.
	 */
	int (*read)(struct input *input, const char *key, row_visit *visit,
		    void *arg);

	/*
	 * Write to standard output: the head, then each row. columns has the
	 * names of all fields there are as keys, in order, and is NULL unless
	 * needs_columns. 0 or -ENOMEM; errors of writing stay in the stream.
	 */
	bool needs_columns;
	int (*write_head)(json_t *columns);
	int (*write_row)(json_t *columns, const struct row_out *row);
};

extern const struct row_format rows_csv;
extern const struct row_format rows_ndjson;

/* The format of that name; NULL after saying that there is none such */
const struct row_format *find_row_format(const char *command, const char *name);

/* Name a row, if these bytes can be a name: 0, or EXIT_FAILURE after saying so */
int set_row_name(const struct input *input, struct row *row, const char *field,
		 const char *bytes, size_t len);

#endif
