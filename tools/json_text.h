/* SPDX-License-Identifier: MIT */
/*
 * json_text.h - JSON objects whose numbers stay as they are written.
 *
 * jansson makes integers of 64 bits and doubles of numbers: digits get lost, and
 * what lies beyond is refused. So it is given the text with a 0 in the place of
 * each number. It checks everything else and finds the fields; a number is taken
 * from the text.
 */
#ifndef TOOLS_JSON_TEXT_H
#define TOOLS_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

/*
 * The object that a text is, field names at most once each. The values of its
 * fields are strings, booleans and null; a number, an array and an object is an
 * integer that says where in the text it begins. NULL if the text is no object,
 * and then *why says so until the next call.
 */
json_t *json_text_parse(const char *text, size_t len, const char **why);

/* Cut blanks off both ends */
void json_text_trim(const char **text, size_t *len);

/* The length of the JSON number at the beginning of a text; 0 if it is none */
size_t json_text_number(const char *text, size_t len);

/*
 * The text of malloc, less the blanks that do not matter, of the value that
 * begins there. NULL without memory.
 */
char *json_text_compact(const char *text, size_t len);

#endif
