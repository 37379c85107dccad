/* SPDX-License-Identifier: MIT */
/*
 * rows_csv.c - CSV as RFC 4180 has it, with a line of field names at its head.
 * Every field is text: a JSON string, empty if it is empty, and so "007" stays
 * what it is. Blanks belong to a field.
 *
 * The parser is fed line by line. It calls back for each field and each end of
 * a row; what has gone wrong there is kept in status, and said in words at once.
 */
#include <csv.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "json_text.h"
#include "quote.h"
#include "rows.h"

/* ---- in --------------------------------------------------------------- */

struct csv_reading {
	struct input *input;
	const char *key;
	row_visit *visit;
	void *arg;

	char **names; /* the header's; none before it was read */
	size_t count;
	bool has_header;
	bool has_key;

	json_t *object; /* the row that is being read, or first the header */
	size_t column; /* its fields so far */
	size_t bytes; /* of it, at most */
	bool open; /* it has begun, and not ended */
	struct row row;
	int status;
};

static int no_space(unsigned char c)
{
	(void)c;
	return 0;
}

static void fail_memory(struct csv_reading *r)
{
	r->status = fail_line(r->input, r->row.line, "%s", strerror(ENOMEM));
}

/* For one name more: doubles where the count is a power of two */
static bool make_room(struct csv_reading *r)
{
	char **names = r->names;

	if ((r->count & (r->count - 1)) == 0)
		names = reallocarray(names, 2 * r->count + 1, sizeof(*names));
	if (names)
		r->names = names;
	return names != NULL;
}

static void take_name(struct csv_reading *r, const char *text, size_t len)
{
	json_t *checked = json_stringn(text, len);
	char *name;

	if (!checked || memchr(text, '\0', len)) {
		json_decref(checked);
		r->status = fail_line(r->input, r->row.line,
				      "field name %zu is not UTF-8 text",
				      r->count + 1);
		return;
	}
	name = make_room(r) ? strndup(text, len) : NULL;
	if (name && json_object_get(r->object, name)) {
		r->status = fail_line(r->input, r->row.line,
				      "field '%s' is there twice", quote(name));
	} else if (!name || json_object_set(r->object, name, checked) != 0) {
		fail_memory(r);
	} else {
		if (strcmp(name, r->key) == 0)
			r->has_key = true;
		r->names[r->count++] = name;
		name = NULL;
	}
	free(name);
	json_decref(checked);
}

static void take_value(struct csv_reading *r, const char *text, size_t len)
{
	const char *name;
	json_t *value;

	if (r->column++ >= r->count)
		return; /* the end of the row will say so */
	name = r->names[r->column - 1];
	value = json_stringn(text, len);
	if (!value) {
		r->status = fail_line(r->input, r->row.line,
				      "field '%s' is not UTF-8", quote(name));
		return;
	}
	if (strcmp(name, r->key) == 0)
		r->status = set_row_name(r->input, &r->row, name, text, len);
	if (json_object_set_new_nocheck(r->object, name, value) != 0)
		fail_memory(r);
}

static void take_field(void *text, size_t len, void *arg)
{
	struct csv_reading *r = arg;

	if (r->status)
		return;
	if (r->has_header)
		take_value(r, text ? text : "", len);
	else
		take_name(r, text ? text : "", len);
}

static void end_header(struct csv_reading *r)
{
	r->has_header = true;
	if (!r->has_key)
		r->status = fail_line(r->input, r->row.line,
				      "the header has no field '%s'",
				      quote(r->key));
}

static void end_row(struct csv_reading *r)
{
	char *text;
	size_t len;

	if (r->column != r->count) {
		r->status = fail_line(r->input, r->row.line,
				      "%zu field%s where the header has %zu",
				      r->column, r->column == 1 ? "" : "s",
				      r->count);
		return;
	}
	text = json_dumps(r->object, JSON_COMPACT);
	if (!text) {
		fail_memory(r);
		return;
	}
	len = strlen(text);
	text[len] = '\n';
	r->row.value = text;
	r->row.size = len + 1;
	r->status = r->visit(r->arg, &r->row);
	free(text);
}

static void take_end(int terminator, void *arg)
{
	struct csv_reading *r = arg;

	(void)terminator;
	r->open = false;
	if (r->status)
		return;
	if (r->has_header)
		end_row(r);
	else
		end_header(r);
	json_object_clear(r->object);
	r->column = 0;
	r->bytes = 0;
}

static bool is_empty(const char *line, size_t len)
{
	return len == 0 || strspn(line, "\r\n") >= len;
}

/* The line that was read, to the parser */
static int parse_line(struct csv_reading *r, struct csv_parser *parser)
{
	struct input *input = r->input;

	input->bytes[input->len] = '\0'; /* there is room */
	if (!r->open && is_empty(input->bytes, input->len))
		return 0;
	if (!r->open)
		r->row.line = input->line;
	r->open = true;
	r->bytes += input->len;
	if (r->bytes > ROW_MAX)
		return fail_line(input, r->row.line,
				 "the row is longer than %u MiB (is a quote "
				 "missing?)",
				 ROW_MAX >> 20);
	/* By which a field grows: one of megabytes is not to be copied often */
	csv_set_blk_size(parser, 16384 + r->bytes);
	if (csv_parse(parser, input->bytes, input->len, take_field, take_end,
		      r) == input->len)
		return r->status;
	if (r->status)
		return r->status;
	return fail_line(input, input->line,
			 csv_error(parser) == CSV_EPARSE ?
				 "a quote where there can be none" :
				 "no memory for the row");
}

static int parse_end(struct csv_reading *r, struct csv_parser *parser)
{
	if (csv_fini(parser, take_field, take_end, r) != 0)
		return fail_line(
			r->input, r->row.line,
			"begins a row with a quote that is not closed");
	if (!r->status && !r->has_header)
		return fail_line(r->input, 1, "there is no header");
	return r->status;
}

static int parse_all(struct csv_reading *r, struct csv_parser *parser)
{
	int rc, status;

	while ((rc = input_next(r->input)) > 0) {
		status = parse_line(r, parser);
		if (status)
			return status;
	}
	return rc < 0 ? EXIT_FAILURE : parse_end(r, parser);
}

static int read_csv(struct input *input, const char *key, row_visit *visit,
		    void *arg)
{
	struct csv_reading r = { .input = input,
				 .key = key,
				 .visit = visit,
				 .arg = arg,
				 .object = json_object() };
	struct csv_parser parser;
	int status;

	if (!r.object || csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
		json_decref(r.object);
		return fail_line(input, 1, "%s", strerror(ENOMEM));
	}
	csv_set_space_func(&parser, no_space);
	status = parse_all(&r, &parser);
	csv_free(&parser);
	for (size_t i = 0; i < r.count; i++)
		free(r.names[i]);
	free(r.names);
	json_decref(r.object);
	return status;
}

/* ---- out -------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Quotes only where they are needed; blanks at the ends get lost elsewhere */
static void write_text(const char *text, size_t len)
{
	bool plain = !len || (!is_blank(text[0]) && !is_blank(text[len - 1]));

	for (size_t i = 0; plain && i < len; i++)
		plain = text[i] != ',' && text[i] != '"' && text[i] != '\n' &&
			text[i] != '\r';
	if (plain)
		fwrite(text, 1, len, stdout);
	else
		csv_fwrite(stdout, text, len);
}

/* A number as it is written; an array or an object as one line */
static int write_place(const struct row_out *row, size_t at)
{
	size_t len = json_text_number(row->text + at, row->len - at);
	char *text;

	if (len) {
		fwrite(row->text + at, 1, len, stdout);
		return 0;
	}
	text = json_text_compact(row->text + at, row->len - at);
	if (!text)
		return -ENOMEM;
	write_text(text, strlen(text));
	free(text);
	return 0;
}

static int write_value(const struct row_out *row, const json_t *value)
{
	if (json_is_integer(value))
		return write_place(row, (size_t)json_integer_value(value));
	if (json_is_string(value))
		write_text(json_string_value(value), json_string_length(value));
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "true" : "false", stdout);
	return 0;
}

static bool is_nothing(const json_t *value)
{
	return !value || json_is_null(value) ||
	       (json_is_string(value) && json_string_length(value) == 0);
}

static int write_head(json_t *columns)
{
	const char *separator = "", *name;
	json_t *value;

	json_object_foreach(columns, name, value)
	{
		fputs(separator, stdout);
		if (*name || json_object_size(columns) > 1)
			write_text(name, strlen(name));
		else
			fputs("\"\"", stdout);
		separator = ",";
	}
	if (*separator)
		putchar('\n');
	return 0;
}

static int write_row(json_t *columns, const struct row_out *row)
{
	const char *separator = "", *name;
	json_t *column;

	json_object_foreach(columns, name, column)
	{
		const json_t *value = json_object_get(row->object, name);
		int error;

		fputs(separator, stdout);
		/* An empty line would be no row */
		if (json_object_size(columns) == 1 && is_nothing(value))
			fputs("\"\"", stdout);
		error = write_value(row, value);
		if (error)
			return error;
		separator = ",";
	}
	putchar('\n');
	return 0;
}

const struct row_format rows_csv = {
	.name = "csv",
	.read = read_csv,
	.needs_columns = true,
	.write_head = write_head,
	.write_row = write_row,
};
