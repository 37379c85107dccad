/* SPDX-License-Identifier: MIT */
#include "json_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quote.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void json_text_trim(const char **text, size_t *len)
{
	while (*len && is_blank((*text)[*len - 1]))
		--*len;
	while (*len && is_blank(**text)) {
		++*text;
		--*len;
	}
}

/* Behind the string that begins at a quote */
static size_t skip_string(const char *text, size_t len, size_t at)
{
	for (at++; at < len && text[at] != '"'; at++)
		if (text[at] == '\\')
			at++;
	return at < len ? at + 1 : len;
}

/* ---- numbers ---------------------------------------------------------- */

static size_t skip_digits(const char *text, size_t len, size_t at)
{
	while (at < len && is_digit(text[at]))
		at++;
	return at;
}

/* Of all that can be in a number; not all of it need be one */
static size_t number_run(const char *text, size_t len)
{
	size_t at = 0;

	if (len && (text[0] == '-' || is_digit(text[0])))
		while (at < len && text[at] &&
		       strchr("0123456789+-.eE", text[at]))
			at++;
	return at;
}

size_t json_text_number(const char *text, size_t len)
{
	size_t run = number_run(text, len), at = run && text[0] == '-', digits;

	digits = at;
	at = skip_digits(text, run, at);
	if (at == digits || (text[digits] == '0' && at > digits + 1))
		return 0;
	if (at < run && text[at] == '.') {
		digits = ++at;
		at = skip_digits(text, run, at);
		if (at == digits)
			return 0;
	}
	if (at < run && (text[at] == 'e' || text[at] == 'E')) {
		at++;
		if (at < run && (text[at] == '+' || text[at] == '-'))
			at++;
		digits = at;
		at = skip_digits(text, run, at);
		if (at == digits)
			return 0;
	}
	return at == run ? run : 0;
}

/*
 * A copy with 0 and blanks for each number, so that all else stays where it is.
 * What only looks like a number is left for jansson to refuse.
 */
static char *hide_numbers(const char *text, size_t len)
{
	char *copy = malloc(len + 1);
	size_t at = 0;

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	while (at < len) {
		size_t run = number_run(text + at, len - at);

		if (json_text_number(text + at, run)) {
			memset(copy + at, ' ', run);
			copy[at] = '0';
		}
		if (run)
			at += run;
		else if (text[at] == '"')
			at = skip_string(text, len, at);
		else
			at++;
	}
	return copy;
}

/* ---- values ----------------------------------------------------------- */

/* Behind a value, and blanks that follow it: up to a comma or the end of what
 * it is in */
static size_t skip_value(const char *text, size_t len, size_t at)
{
	size_t depth = 0;

	while (at < len) {
		char c = text[at];

		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			break;
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		at = c == '"' ? skip_string(text, len, at) : at + 1;
	}
	return at;
}

static size_t skip_to(const char *text, size_t len, size_t at, char c)
{
	while (at < len && text[at] != c)
		at++;
	return at;
}

/* Say of each number, array and object where it is. The text is an object. */
static bool set_places(json_t *object, const char *text, size_t len)
{
	size_t at = 0;

	for (void *field = json_object_iter(object); field;
	     field = json_object_iter_next(object, field)) {
		const json_t *value = json_object_iter_value(field);

		at = skip_string(text, len, skip_to(text, len, at, '"'));
		at = skip_to(text, len, at, ':') + 1;
		while (at < len && is_blank(text[at]))
			at++;
		if ((json_is_number(value) || json_is_array(value) ||
		     json_is_object(value)) &&
		    json_object_iter_set_new(object, field,
					     json_integer((json_int_t)at)) != 0)
			return false;
		at = skip_value(text, len, at);
	}
	return true;
}

static json_t *load(const char *text, size_t len, json_error_t *error)
{
	return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
			  error);
}

/* In the words of jansson, which quotes what it has read: not a 0 of ours */
static const char *explain(const char *text, size_t len, json_error_t *error)
{
	static char what[300];
	json_error_t of_text;
	json_t *object = load(text, len, &of_text);

	if (!object && json_error_code(&of_text) != json_error_numeric_overflow)
		*error = of_text;
	json_decref(object);
	snprintf(what, sizeof(what), "is not JSON: %s, at byte %d",
		 quote(error->text), error->position);
	return what;
}

json_t *json_text_parse(const char *text, size_t len, const char **why)
{
	char *hidden = hide_numbers(text, len);
	json_error_t error;
	json_t *object;

	*why = "no memory for the row";
	if (!hidden)
		return NULL;
	object = load(hidden, len, &error);
	free(hidden);
	if (!object) {
		*why = explain(text, len, &error);
		return NULL;
	}
	if (!json_is_object(object))
		*why = "is not a JSON object";
	else if (set_places(object, text, len))
		return object;
	json_decref(object);
	return NULL;
}

char *json_text_compact(const char *text, size_t len)
{
	size_t end = skip_value(text, len, 0), at = 0, size = 0, next;
	char *compact = malloc(end + 1);

	if (!compact)
		return NULL;
	for (; at < end; at = next) {
		next = text[at] == '"' ? skip_string(text, end, at) : at + 1;
		if (is_blank(text[at]))
			continue;
		memcpy(compact + size, text + at, next - at);
		size += next - at;
	}
	compact[size] = '\0';
	return compact;
}
