/* SPDX-License-Identifier: MIT */
/*
 * banyan export. The database is read as it was when it was opened, so that two
 * readings, one for the columns and one for the rows, see the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "interrupt.h"
#include "json_text.h"
#include "keys.h"
#include "progress.h"
#include "quote.h"
#include "rows.h"

struct export
{
	const struct row_format *format;
	const char *key; /* of a key space, or of a single row */
	const char *format_name;
	struct when when;
	struct store store;
	banyan_data *data; /* what it points to */
	bool is_space;
	json_t *columns; /* NULL: not needed */
	struct progress progress;
	uint64_t rows;
	char *buffer; /* the value that was read last */
	size_t capacity;
};

typedef int row_out_visit(struct export *export, const struct row_out *row);

static int fail_row(struct export *export, const char *name, const char *why)
{
	char *key = name ? join_key(export->key, name, strlen(name)) : NULL;

	progress_clear(&export->progress);
	complain("%s: key '%s' is no row: it %s", quote(export->store.name),
		 quote(key ? key : export->key), why);
	free(key);
	return EXIT_FAILURE;
}

static int fail_error(struct export *export, const char *name, int error)
{
	char *key = name ? join_key(export->key, name, strlen(name)) : NULL;

	progress_clear(&export->progress);
	fail_key(export->store.name, key ? key : export->key, error);
	free(key);
	return EXIT_FAILURE;
}

/* ---- a row ------------------------------------------------------------ */

static int read_value(struct export *export, banyan_data *data, uint64_t size,
		      size_t *len)
{
	ssize_t got;

	if (size > export->capacity) {
		char *buffer = realloc(export->buffer, size);

		if (!buffer)
			return -ENOMEM;
		export->buffer = buffer;
		export->capacity = size;
	}
	got = banyan_read(data, export->buffer, size, 0);
	if (got < 0)
		return (int)got;
	*len = (size_t)got;
	return 0;
}

/* name is NULL for the key that the command was given */
static int visit_data(struct export *export, const char *name,
		      banyan_data *data, const struct banyan_attr *attr,
		      row_out_visit *visit)
{
	struct row_out row;
	char what[60];
	const char *why;
	int error;

	if (!S_ISREG(attr->mode)) {
		snprintf(what, sizeof(what), "is a %s",
			 format_type(attr->mode));
		return fail_row(export, name, what);
	}
	if (attr->size == 0 || attr->size > ROW_MAX)
		return fail_row(export, name,
				attr->size ? "is too long" : "is empty");
	error = read_value(export, data, attr->size, &row.len);
	if (error)
		return fail_error(export, name, error);
	row.text = export->buffer;
	json_text_trim(&row.text, &row.len);
	row.object = json_text_parse(row.text, row.len, &why);
	if (!row.object)
		return fail_row(export, name, why);
	error = visit(export, &row);
	json_decref(row.object);
	return error ? fail_error(export, name, error) : 0;
}

/* ---- all rows --------------------------------------------------------- */

static int visit_entry(struct export *export, banyan_cursor *cursor,
		       const struct banyan_entry *entry, row_out_visit *visit)
{
	banyan_data *data;
	int error, status;

	/* Rows are not looked for below, as by ls */
	if (S_ISDIR(entry->attr.mode))
		return 0;
	error = banyan_entry_data(cursor, &data);
	if (error)
		return fail_error(export, entry->name, error);
	status = visit_data(export, entry->name, data, &entry->attr, visit);
	banyan_release(data, 1);
	return status;
}

static int visit_space(struct export *export, row_out_visit *visit)
{
	struct banyan_entry entry;
	banyan_cursor *cursor;
	int rc, status = 0;

	rc = banyan_scan(export->data, NULL, &cursor);
	if (rc)
		return fail_error(export, NULL, rc);
	while (!status && (rc = banyan_next(cursor, &entry)) == 0) {
		status = visit_entry(export, cursor, &entry, visit);
		if (interrupted())
			status = EXIT_FAILURE;
		if (output_failed())
			break;
	}
	banyan_scan_end(cursor);
	return rc < 0 ? fail_error(export, NULL, rc) : status;
}

static int visit_all(struct export *export, row_out_visit *visit)
{
	struct banyan_attr attr;
	int error;

	if (export->is_space)
		return visit_space(export, visit);
	error = banyan_get_attr(export->data, &attr);
	if (error)
		return fail_error(export, NULL, error);
	return visit_data(export, NULL, export->data, &attr, visit);
}

static int add_columns(struct export *export, const struct row_out *row)
{
	if (json_object_update_missing(export->columns, row->object) != 0)
		return -ENOMEM;
	progress_show(&export->progress, 0, ++export->rows);
	return 0;
}

static int write_row(struct export *export, const struct row_out *row)
{
	progress_show(&export->progress, export->rows, export->rows);
	export->rows++;
	return export->format->write_row(export->columns, row);
}

/* ---- the command ------------------------------------------------------ */

static int collect_columns(struct export *export)
{
	int status;

	export->columns = json_object();
	if (!export->columns)
		return fail_error(export, NULL, -ENOMEM);
	progress_begin(&export->progress, "looking for fields", 0);
	status = visit_all(export, add_columns);
	progress_clear(&export->progress);
	return status;
}

static int export_rows(struct export *export)
{
	uint64_t total;
	int status = 0, error;

	if (export->format->needs_columns)
		status = collect_columns(export);
	if (status)
		return status;
	total = export->rows;
	export->rows = 0;
	progress_begin(&export->progress, "exporting", total);
	if (isatty(STDOUT_FILENO))
		export->progress.on_terminal = false; /* rows go there */
	error = export->format->write_head(export->columns);
	status = error ? fail_error(export, NULL, error) :
			 visit_all(export, write_row);
	progress_clear(&export->progress);
	return status;
}

static int export_from(struct export *export, const char *file)
{
	int status = store_open_reading(&export->store, file, &export->when);
	int error;

	if (status)
		return status;
	error = banyan_find(export->store.db, export->key, &export->data);
	if (error) {
		status = fail_error(export, NULL, error);
	} else {
		export->is_space = is_space(&export->store, export->key);
		status = export_rows(export);
		banyan_release(export->data, 1);
	}
	json_decref(export->columns);
	free(export->buffer);
	return store_close(&export->store, status);
}

static int take_option(void *choices, int key, const char *argument)
{
	struct export *export = choices;

	switch (key) {
	case 'f':
		export->format_name = argument;
		return 0;
	case OPTION_AT:
		return when_take("export", argument, &export->when);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct export export = { .key = "" };
	char **operands;
	int count, status;

	count = parse_arguments(&command_export, argc, argv, &export,
				&operands);
	if (count < 0)
		return EXIT_MISUSE;
	export.format = find_row_format("export", export.format_name);
	if (!export.format)
		return EXIT_MISUSE;
	if (count > 1)
		export.key = operands[1];
	if (check_key(operands[0], export.key, true))
		return EXIT_FAILURE;
	catch_interrupts(); /* a line of progress has to be cleared */
	status = export_from(&export, operands[0]);
	end_if_interrupted();
	return status;
}

static const struct argp_option options[] = {
	{ "format", 'f', "FORMAT", 0,
	  "How rows are to look: csv, with a line of field names at the head, "
	  "or ndjson, a JSON object a line",
	  0 },
	AT_OPTION,
	{ 0 },
};

const struct command command_export = {
	.name = "export",
	.operands = "FILE [KEY]",
	.summary = "write rows as CSV or JSON",
	.help = "Write the rows in key space KEY, or in the root, or the row "
		"that KEY is, to standard output in the order of their keys. A "
		"row is a key with a JSON object for its value, as import "
		"makes them. Key spaces within are passed over; any other key "
		"that is no row is an error, which csv finds before anything "
		"is written. Works beside a mount.",
	.more = "The columns of csv are the fields of all rows in the order in "
		"which they first appear; a field that is null or not there is "
		"empty, and one that holds an object or an array is its JSON. "
		"Numbers are as they were written, with all their digits. "
		"Fields are in quotes where they must be. In ndjson a row is "
		"as it was imported; one of several lines becomes one line.",
	.least = 1,
	.most = 2,
	.options = options,
	.option = take_option,
	.run = run,
};
