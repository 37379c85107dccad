/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define FUSE_USE_VERSION 312
#include <fuse_log.h>

/* Of the process, like standard error itself. Set before threads start. */
static const char *subject_now;
static bool to_system;
static bool libfuse_free;
static char libfuse_said[512];

/*
 * libfuse calls this with pieces of a line too. Only the time before threads
 * start matters, when it explains why a session or a mount failed.
 */
__attribute__((format(printf, 2, 0))) static void
keep(enum fuse_log_level level, const char *format, va_list ap)
{
	size_t used = strlen(libfuse_said);
	int n;

	if (libfuse_free) {
		vfprintf(stderr, format, ap);
		return;
	}
	if (level > FUSE_LOG_ERR || to_system)
		return;
	if (used && libfuse_said[used - 1] == '\n')
		used = 0; /* a new one begins */
	n = vsnprintf(libfuse_said + used, sizeof(libfuse_said) - used, format,
		      ap);
	if (n < 0)
		libfuse_said[used] = '\0';
}

const char *message_libfuse_said(void)
{
	libfuse_said[strcspn(libfuse_said, "\n")] = '\0';
	return libfuse_said;
}

void message_libfuse_free(void)
{
	libfuse_free = true;
}

void message_start(const char *subject)
{
	subject_now = subject;
	fuse_set_log_func(keep);
}

void message_to_system(void)
{
	openlog("banyanfs", LOG_PID, LOG_DAEMON);
	to_system = true;
}

__attribute__((format(printf, 2, 0))) static void
say(const char *subject, const char *format, va_list ap)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, ap);
	if (to_system)
		syslog(LOG_ERR, "%s%s%s", subject ? subject : "",
		       subject ? ": " : "", line);
	else
		fprintf(stderr, "banyanfs: %s%s%s\n", subject ? subject : "",
			subject ? ": " : "", line);
}

void message(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(subject_now, format, ap);
	va_end(ap);
}

void message_about(const char *subject, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(subject, format, ap);
	va_end(ap);
}
