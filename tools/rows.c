/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "quote.h"

const struct row_format *find_row_format(const char *command, const char *name)
{
	static const struct row_format *const formats[] = { &rows_csv,
							    &rows_ndjson };

	if (!name) {
		complain("%s needs --format csv or --format ndjson", command);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	complain("'%s' is no format of rows: it is csv or ndjson", quote(name));
	return NULL;
}

int set_row_name(const struct input *input, struct row *row, const char *field,
		 const char *bytes, size_t len)
{
	const char *why = NULL;

	if (len == 0)
		why = "is empty";
	else if (len > BANYAN_NAME_MAX)
		why = "is too long for a key: more than 255 bytes";
	else if (memchr(bytes, '/', len))
		why = "has a '/' in it and cannot be a key";
	else if (memchr(bytes, '\0', len))
		why = "has a NUL in it and cannot be a key";
	else if (bytes[0] == '.' && (len == 1 || (len == 2 && bytes[1] == '.')))
		why = "is '.' or '..' and cannot be a key";
	if (why)
		return fail_line(input, row->line, "field '%s' %s",
				 quote(field), why);
	memcpy(row->name, bytes, len);
	row->name[len] = '\0';
	row->len = len;
	return 0;
}
