/* SPDX-License-Identifier: MIT */
/*
 * rows_json.c - a JSON object a line. It is kept as the text that it is, so that
 * it comes back unchanged: blanks, escapes and all digits of numbers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "quote.h"
#include "rows.h"

static int name_row(const struct input *input, struct row *row, json_t *object,
		    const char *key)
{
	const json_t *value = json_object_get(object, key);
	const char *number;
	size_t len, at;

	if (!value)
		return fail_line(input, row->line, "has no field '%s'",
				 quote(key));
	if (json_is_string(value))
		return set_row_name(input, row, key, json_string_value(value),
				    json_string_length(value));
	if (json_is_integer(value)) {
		at = (size_t)json_integer_value(value);
		number = row->value + at;
		len = json_text_number(number, row->size - at);
		if (len && !memchr(number, '.', len) &&
		    !memchr(number, 'e', len) && !memchr(number, 'E', len))
			return set_row_name(input, row, key, number, len);
	}
	return fail_line(input, row->line,
			 "field '%s' is neither a string nor an integer",
			 quote(key));
}

/* The line in the input, whose newline becomes that of the value */
static int read_object(struct input *input, const char *key, row_visit *visit,
		       void *arg)
{
	struct row row = { .line = input->line, .value = input->bytes };
	const char *why = NULL;
	size_t len = input->len;
	json_t *object;
	int status;

	json_text_trim(&row.value, &len);
	if (len == 0)
		return 0;
	object = json_text_parse(row.value, len, &why);
	if (!object)
		return fail_line(input, row.line, "%s", why);
	input->bytes[row.value - input->bytes + (ptrdiff_t)len] = '\n';
	row.size = len + 1;
	status = name_row(input, &row, object, key);
	json_decref(object);
	return status ? status : visit(arg, &row);
}

static int read_ndjson(struct input *input, const char *key, row_visit *visit,
		       void *arg)
{
	int rc, status;

	while ((rc = input_next(input)) > 0) {
		status = read_object(input, key, visit, arg);
		if (status)
			return status;
	}
	return rc < 0 ? EXIT_FAILURE : 0;
}

static int write_no_head(json_t *columns)
{
	(void)columns;
	return 0;
}

/* A value that somebody has spread over several lines becomes one */
static int write_object(json_t *columns, const struct row_out *row)
{
	char *text;

	(void)columns;
	if (!memchr(row->text, '\n', row->len)) {
		fwrite(row->text, 1, row->len, stdout);
		putchar('\n');
		return 0;
	}
	text = json_text_compact(row->text, row->len);
	if (!text)
		return -ENOMEM;
	puts(text);
	free(text);
	return 0;
}

const struct row_format rows_ndjson = {
	.name = "ndjson",
	.read = read_ndjson,
	.write_head = write_no_head,
	.write_row = write_object,
};
