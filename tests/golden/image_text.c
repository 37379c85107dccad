/* SPDX-License-Identifier: MIT */
#include "image_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define LINE_BYTES 32u
/* A byte that comes so often in a row gets a line of its own */
#define REPEATS 12u
#define REPEATS_MAX (1u << 16)

/* ---- reading ---------------------------------------------------------- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number of bytes, or -EINVAL */
static int read_hex(const char *line, uint8_t *bytes, size_t size)
{
	size_t n = 0;
	for (; line[0] && line[0] != '\n'; line += 2) {
		int high = digit(line[0]);
		int low = high < 0 ? -1 : digit(line[1]);
		if (low < 0 || n == size)
			return -EINVAL;
		bytes[n++] = (uint8_t)(high << 4 | low);
	}
	return (int)n;
}

static int read_repeats(const char *line, struct image *image, uint64_t *at)
{
	uint8_t bytes[256];
	unsigned count = 0;
	unsigned byte = 0;
	int rc = 0;
	if (sscanf(line, "*%u %x", &count, &byte) != 2 || byte > 0xff ||
	    count > REPEATS_MAX)
		return -EINVAL;
	memset(bytes, (int)byte, sizeof(bytes));
	while (count && !rc) {
		size_t n = count < sizeof(bytes) ? count : sizeof(bytes);
		rc = image_write(image, bytes, n, *at);
		*at += n;
		count -= (unsigned)n;
	}
	return rc;
}

static int read_line(const char *line, struct image *image, uint64_t *at)
{
	uint8_t bytes[LINE_BYTES];
	switch (line[0]) {
	case '#':
	case '\n':
		return 0;
	case '@':
		return sscanf(line, "@%" SCNx64, at) == 1 ? 0 : -EINVAL;
	case '*':
		return read_repeats(line, image, at);
	case '.':
		return sscanf(line, ".%" SCNu64, &image->size) == 1 ? 0 :
								      -EINVAL;
	default:
		break;
	}
	int n = read_hex(line, bytes, sizeof(bytes));
	if (n < 0)
		return n;
	*at += (uint64_t)n;
	return image_write(image, bytes, (size_t)n, *at - (uint64_t)n);
}

int image_text_read(FILE *in, struct image *image)
{
	char line[256];
	uint64_t at = 0;
	int rc = 0;
	while (!rc && fgets(line, sizeof(line), in))
		rc = read_line(line, image, &at);
	if (!rc && ferror(in))
		rc = -EIO;
	/* Without the last line somebody has cut it off */
	if (!rc && (!image->size || at > image->size))
		rc = -EINVAL;
	return rc;
}

/* ---- writing ---------------------------------------------------------- */

struct writer {
	FILE *out;
	const struct image *image;
	uint64_t at; /* all before was written */
	bool placed; /* the next line goes there without being told */
};

static uint8_t byte_at(const struct image *image, uint64_t at)
{
	uint8_t b = 0;
	image_read(image, &b, 1, at);
	return b;
}

/* How often the byte that is here comes in a row */
static unsigned repeats(const struct writer *w, uint64_t at)
{
	uint8_t b = byte_at(w->image, at);
	unsigned n = 1;
	while (at + n < w->image->size && n < REPEATS_MAX &&
	       byte_at(w->image, at + n) == b)
		n++;
	return n;
}

static void write_line(struct writer *w)
{
	unsigned same = repeats(w, w->at);
	if (same >= REPEATS && byte_at(w->image, w->at) == 0) {
		w->at += same;
		w->placed = false;
		return;
	}
	if (!w->placed)
		fprintf(w->out, "@%" PRIx64 "\n", w->at);
	w->placed = true;
	if (same >= REPEATS) {
		fprintf(w->out, "*%u %02x\n", same, byte_at(w->image, w->at));
		w->at += same;
		return;
	}
	for (unsigned i = 0; i < LINE_BYTES && w->at < w->image->size; i++) {
		if (i && repeats(w, w->at) >= REPEATS)
			break;
		fprintf(w->out, "%02x", byte_at(w->image, w->at++));
	}
	fputc('\n', w->out);
}

int image_text_write(FILE *out, const struct image *image)
{
	struct writer w = { .out = out, .image = image };
	while (w.at < image->size)
		write_line(&w);
	fprintf(out, ".%" PRIu64 "\n", image->size);
	return ferror(out) ? -EIO : 0;
}
