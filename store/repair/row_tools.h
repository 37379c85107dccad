/* SPDX-License-Identifier: MIT */
/*
 * row_tools.h - what checking and salvaging share: looking at rows one by one,
 * putting their places into words, and verifying what extents refer to.
 */
#ifndef STORE_REPAIR_ROW_TOOLS_H
#define STORE_REPAIR_ROW_TOOLS_H

#include <stdarg.h>

#include "banyan.h"
#include "model/txn.h"
#include "model/data.h"
#include "base/id_set.h"

/* The row's value replaces what is in *value. 0, -ENOENT, or an error. */
int rows_get(const struct state *s, const struct row_key *key,
	     struct buf *value);
/* 1 if the row is there, 0 if not, or an error */
int rows_has(const struct state *s, const struct row_key *key);

/* The Data in the DATA row with this id. -ENOENT, -EUCLEAN. */
int rows_data(const struct state *s, uint64_t id, struct data *d);

/* Visit rows whose keys begin so, in order; non-zero ends it and comes back */
typedef int row_visit(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len);
int rows_visit(const struct state *s, const void *prefix, size_t len,
	       row_visit *visit, void *arg);

/* The first LINK row of a Data: 1, 0 if there is none, or an error */
int rows_first_link(const struct state *s, uint64_t id, struct row_key *link);

/* The space that this row names: 1, 0 if there is none, or an error */
int rows_parent(const struct state *s, uint64_t id, uint64_t *parent);

/*
 * Go up from a key space by LINK rows until there is none, or one in `rooted`
 * is met; all on the way are added to it. 0, 1 if the way leads in a circle, in
 * which *circle lies, or an error.
 */
int rows_way_up(const struct state *s, uint64_t id, struct id_set *rooted,
		uint64_t *circle);

/* ---- in words --------------------------------------------------------- */

/*
 * Append a key as people write it, "space/space/name", by the LINK rows of the
 * key spaces. Where these do not lead to the root it begins with "(space N)".
 * Never fails but for lack of memory, which *text notes.
 */
void text_key(const struct state *s, uint64_t space, const void *name,
	      size_t len, struct buf *text);

/* "key PATH" by the first LINK row of the Data, or "Data N" */
void text_data(const struct state *s, uint64_t id, struct buf *text);

/* What a row of this key is about */
void text_row(const struct state *s, const uint8_t *key, size_t len,
	      struct buf *text);

/* printf to the end of a buffer, no NUL behind it */
__attribute__((format(printf, 2, 3))) void text_add(struct buf *text,
						    const char *format, ...);
/* The text with a NUL behind it; "" if memory ran out, which is noted */
const char *text_of(struct buf *text, bool *no_memory);

/*
 * Tell somebody, who may be NULL, one line. Once memory has run out nothing is
 * told any more: a line that lacks a name is worse than none.
 */
__attribute__((format(printf, 4, 0))) void
text_tell(void (*to)(void *arg, const char *line), void *arg, bool *no_memory,
	  const char *format, va_list args);

/* ---- extents ---------------------------------------------------------- */

#define VERIFIED_MAX 1024u

/* Zeroed, but for file. Remembers chunks, as many extents may share one. */
struct verifier {
	struct file *file;
	/* Told of each extent of a value; NULL, or non-zero ends it */
	int (*step)(void *arg, uint64_t bytes);
	void *arg;
	uint8_t *buffer; /* owned */
	struct {
		uint64_t payload;
		uint32_t payload_len;
		uint32_t sum;
		uint32_t chunk;
		bool sound;
	} seen[VERIFIED_MAX];
};

void verifier_free(struct verifier *v); /* what it owns */

/*
 * Read the bytes of an extent and verify them: bad is told which of them, from
 * start to end counted from the extent's own beginning, are damaged, in order.
 * 0, or an error of reading.
 */
int verify_extent(struct verifier *v, const struct extent *e,
		  int (*bad)(void *arg, uint32_t start, uint32_t end),
		  void *arg);

/*
 * Read the extents of a value. bad is told which bytes of the value are damaged,
 * in order; where rows make no sense, all from there on. *stored gets the sum
 * of the extents, *own that of those that nobody else may refer to.
 */
int verify_value(struct verifier *v, const struct state *s,
		 const struct data *d,
		 int (*bad)(void *arg, uint64_t start, uint64_t end), void *arg,
		 uint64_t *stored, uint64_t *own);

#endif
