/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"
#include "interrupt.h"
#include "quote.h"

int fail_line(const struct input *input, uint64_t line, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	complain("%s: line %" PRIu64 ": %s", quote(input->name), line,
		 text ? text : strerror(ENOMEM));
	free(text);
	return EXIT_FAILURE;
}

static int fail_input(const struct input *input, const char *what, int error)
{
	if (!interrupted())
		complain("%s: %s%s", quote(input->name), what, strerror(error));
	return EXIT_FAILURE;
}

/* Replace the stream by a temporary file with the same in it */
static int spool(struct input *input)
{
	FILE *copy = tmpfile();
	char buffer[65536];
	size_t got;
	int status = 0;

	if (!copy)
		return fail_input(input, "temporary file: ", errno);
	/* What an interrupted fread() had got before comes as if all were well */
	while (!interrupted() &&
	       (got = fread(buffer, 1, sizeof(buffer), input->stream)) > 0) {
		if (fwrite(buffer, 1, got, copy) != got) {
			status = fail_input(input, "temporary file: ", errno);
			goto out;
		}
		input->size += got;
	}
	if (ferror(input->stream))
		status = fail_input(input, "", errno);
	else if (interrupted())
		status = EXIT_FAILURE;
	else if (fflush(copy) != 0)
		status = fail_input(input, "temporary file: ", errno);
out:
	if (status) {
		fclose(copy);
		return status;
	}
	if (input->stream != stdin)
		fclose(input->stream);
	input->stream = copy;
	return input_rewind(input);
}

int input_open(struct input *input, const char *path)
{
	bool standard = !path || strcmp(path, "-") == 0;
	struct stat info;
	int status;

	memset(input, 0, sizeof(*input));
	input->name = standard ? "standard input" : path;
	input->stream = standard ? stdin : fopen(path, "re");
	if (!input->stream)
		return fail_input(input, "", errno);
	if (fstat(fileno(input->stream), &info) != 0) {
		status = fail_input(input, "", errno);
	} else if (S_ISDIR(info.st_mode)) {
		status = fail_input(input, "", EISDIR);
	} else if (S_ISREG(info.st_mode)) {
		input->start = ftell(input->stream);
		if (input->start < 0)
			input->start = 0;
		input->size = (uint64_t)(info.st_size - input->start);
		status = 0;
	} else {
		status = spool(input);
	}
	if (status)
		input_close(input);
	return status;
}

int input_rewind(struct input *input)
{
	input->done = 0;
	input->line = 0;
	if (fseek(input->stream, input->start, SEEK_SET) != 0)
		return fail_input(input, "", errno);
	return 0;
}

void input_close(struct input *input)
{
	if (input->stream && input->stream != stdin)
		fclose(input->stream);
	free(input->bytes);
	memset(input, 0, sizeof(*input));
}

static bool grow(struct input *input)
{
	size_t capacity = input->capacity ? 2 * input->capacity : 4096;
	char *bytes = realloc(input->bytes, capacity);

	if (!bytes)
		return false;
	input->bytes = bytes;
	input->capacity = capacity;
	return true;
}

/* Up to a newline or the end, with room for one byte more */
static int read_line(struct input *input)
{
	int c = 0;

	input->len = 0;
	while (c != '\n') {
		if (input->len + 1 >= input->capacity && !grow(input))
			return fail_line(input, input->line, "%s",
					 strerror(ENOMEM));
		c = getc_unlocked(input->stream);
		if (c == EOF)
			break;
		if (input->len == ROW_MAX)
			return fail_line(input, input->line,
					 "is longer than %u MiB",
					 ROW_MAX >> 20);
		input->bytes[input->len++] = (char)c;
	}
	if (ferror(input->stream))
		return fail_input(input, "", errno);
	return 0;
}

int input_next(struct input *input)
{
	input->line++;
	if (interrupted() || read_line(input))
		return -1;
	if (input->len == 0)
		return 0;
	input->done += input->len;
	if (input->line == 1 && input->len >= 3 &&
	    memcmp(input->bytes, "\xef\xbb\xbf", 3) == 0) {
		input->len -= 3;
		memmove(input->bytes, input->bytes + 3, input->len);
		if (input->len == 0)
			return 0; /* a mark and nothing behind it */
	}
	return 1;
}
