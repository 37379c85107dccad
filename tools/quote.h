/* SPDX-License-Identifier: MIT */
/*
 * quote.h - names made safe to look at. A name may hold any byte: a newline
 * that fakes a second line, an escape sequence that takes over the terminal.
 * What does not print is shown as C has it: \n, \033, and \\ for a backslash.
 */
#ifndef TOOLS_QUOTE_H
#define TOOLS_QUOTE_H

#include <stddef.h>
#include <stdio.h>

/* Write len bytes to a stream, quoted. Errors stay in the stream. */
void quote_to(FILE *stream, const char *bytes, size_t len);

/*
 * Text for a message: quoted, and cut at a few hundred bytes with "..." behind.
 * It stays valid for the next seven calls of this thread.
 */
const char *quote(const char *text);

#endif
