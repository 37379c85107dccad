/* SPDX-License-Identifier: MIT */
/*
 * layout.h - how the bytes of values lie in the new file.
 *
 * Extents of a value that touch each other are written as one, in pieces of as
 * much as a segment has room for. So the log has no holes where segments end, and
 * the next vacuum joins what this one has cut. A piece ends at a multiple of
 * CHUNK_SIZE in its value: reads that are aligned there begin and end with a chunk.
 * Extents of up to LAYOUT_WHOLE bytes are not cut. The map remembers where each
 * old extent has gone, and what it knows is not copied again.
 *
 * What several values may share is copied as it is, once: the extent, and all
 * around it that is shared as well.
 */
#ifndef STORE_VACUUM_LAYOUT_H
#define STORE_VACUUM_LAYOUT_H

#include "file/file_aside.h"
#include "log/log.h"
#include "vacuum/extent_map.h"

/* A hole of this size at the end of a segment does not matter */
#define LAYOUT_WHOLE (64u << 10)

/* Asked now and then: what it returns, if not 0, ends the copying. bytes: that
 * were written since it was asked last. */
typedef int copy_pace(void *arg, uint64_t bytes);

/* Whose extents these are */
enum layout_source {
	LAYOUT_FIRST, /* the first state's: only shared ones were met before */
	LAYOUT_STATE, /* a later state's */
	LAYOUT_OPERATION,
};

struct layout {
	struct file *from;
	struct log *log; /* of the new file */
	/* Writes it out, so far up to out_to; NULL: nobody does before the end */
	struct file_aside *writer;
	uint64_t out_to;
	struct extent_map map;
	copy_pace *pace;
	void *arg;
	/* Called before the first shared extent of a state is copied, to note
	 * all that the state has */
	int (*note_shared)(void *arg);
	void *note_arg;
	enum layout_source source;
	bool noted;
	uint64_t values; /* bytes of the state that were copied so far, */
	uint64_t most; /* of which there cannot be more */

	uint8_t *buffer; /* of what is staged; the first `used` bytes */
	size_t used;
	struct runs block; /* that touch each other and are to be written */
	uint64_t bytes; /* in it, */
	uint64_t limit; /* and the most that it takes */
	size_t out_max; /* the most runs that may come out */
	struct runs out; /* where extents that were added are now, in order */
};

/* scratch: as extent_map_open() has it. The rest is set by the caller. */
int layout_open(struct layout *l, struct file *from, struct log *log,
		struct file *scratch);
void layout_close(struct layout *l); /* zeroed is fine */

/* Extents of this source come next */
void layout_begin(struct layout *l, enum layout_source source, uint64_t most);

/*
 * The extents of a value that lie in one row, `most` at the most: l->out has where
 * they are in the new file, in as many runs at the most.
 */
int layout_row(struct layout *l, const struct run *old, size_t count,
	       size_t most);

/*
 * The extents of a value that has rows of its own, one by one, after
 * layout_start() and before layout_end(). Then l->out has all of them. Before, it
 * has all that was added if layout_is_settled().
 */
void layout_start(struct layout *l);
int layout_add(struct layout *l, const struct run *old);
bool layout_is_settled(const struct layout *l);
int layout_end(struct layout *l);

/* Note an extent that is shared, unless it is in the new file already */
int layout_note(struct layout *l, const struct extent *e);

/* Write what is staged: values go before the rows that refer to them */
int layout_flush(struct layout *l);
/* It has been written, or is given up: how many bytes there were */
uint64_t layout_forget(struct layout *l);

#endif
