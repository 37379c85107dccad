/* SPDX-License-Identifier: MIT */
#include "repair/tell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The line begins with `begin` */
__attribute__((format(printf, 4, 0))) static void
tell(struct teller *t, void (*to)(void *arg, const char *line),
     const char *begin, const char *format, va_list args)
{
	char *line = NULL, *rest = NULL;
	if (!to || t->no_memory)
		return;
	if (vasprintf(&rest, format, args) < 0)
		rest = NULL;
	if (rest && asprintf(&line, "%s%s", begin, rest) < 0)
		line = NULL;
	if (line)
		to(t->arg, line);
	else
		t->no_memory = true;
	free(line);
	free(rest);
}

void tell_bad(struct teller *t, const char *format, ...)
{
	va_list args;
	t->count++;
	va_start(args, format);
	tell(t, t->bad, t->begin ? t->begin : "", format, args);
	va_end(args);
}

void tell_note(struct teller *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	tell(t, t->note, "", format, args);
	va_end(args);
}

int tell_progress(struct teller *t, uint64_t done)
{
	if (done > t->done && done <= t->total)
		t->done = done;
	if (t->progress && t->progress(t->arg, t->done, t->total))
		t->cancelled = true;
	return t->cancelled ? -ECANCELED : 0;
}

int tell_still(void *teller)
{
	return tell_progress(teller, 0);
}

const char *tell_text(struct teller *t, struct buf *text)
{
	buf_add_u8(text, 0);
	if (text->failed) {
		t->no_memory = true;
		return "";
	}
	text->len--;
	return (const char *)text->data;
}
