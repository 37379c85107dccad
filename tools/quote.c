/* SPDX-License-Identifier: MIT */
#include "quote.h"

#include <stdbool.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define PIECE_MAX 8 /* bytes of one quoted character and a NUL */
#define SLOTS 8
#define SLOT_SIZE 400

static char short_escape(unsigned char byte)
{
	static const char bytes[] = "\a\b\t\n\v\f\r\\";
	static const char letters[] = "abtnvfr\\";
	const char *found = byte ? strchr(bytes, byte) : NULL;

	return found ? letters[found - bytes] : 0;
}

/* Length of the printable character that bytes begin with, 0 if it is none */
static size_t printable(const char *bytes, size_t len)
{
	mbstate_t state;
	wchar_t wide;
	size_t used;

	memset(&state, 0, sizeof(state));
	used = mbrtowc(&wide, bytes, len, &state);
	if (used == 0 || used > len || used >= PIECE_MAX)
		return 0;
	return iswprint((wint_t)wide) ? used : 0;
}

/*
 * Put the quoted form of the first character into piece; returns how many
 * bytes it has consumed.
 */
static size_t quote_one(const char *bytes, size_t len, char piece[PIECE_MAX])
{
	unsigned char byte = (unsigned char)*bytes;
	char escape = short_escape(byte);
	size_t used;

	if (escape) {
		snprintf(piece, PIECE_MAX, "\\%c", escape);
		return 1;
	}
	used = printable(bytes, len);
	if (!used) {
		snprintf(piece, PIECE_MAX, "\\%03o", byte);
		return 1;
	}
	memcpy(piece, bytes, used);
	piece[used] = '\0';
	return used;
}

void quote_to(FILE *stream, const char *bytes, size_t len)
{
	char piece[PIECE_MAX];
	size_t used;

	for (; len; bytes += used, len -= used) {
		used = quote_one(bytes, len, piece);
		fputs(piece, stream);
	}
}

const char *quote(const char *text)
{
	static _Thread_local char slots[SLOTS][SLOT_SIZE];
	static _Thread_local unsigned next;
	char *slot = slots[next++ % SLOTS];
	size_t len = strlen(text), at = 0, used;
	char piece[PIECE_MAX];

	for (; len; text += used, len -= used) {
		used = quote_one(text, len, piece);
		if (at + strlen(piece) + sizeof("...") > SLOT_SIZE) {
			memcpy(slot + at, "...", 3);
			at += 3;
			break;
		}
		memcpy(slot + at, piece, strlen(piece));
		at += strlen(piece);
	}
	slot[at] = '\0';
	return slot;
}
