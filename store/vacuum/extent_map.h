/* SPDX-License-Identifier: MIT */
/*
 * extent_map.h - where the bytes of the old file's extents are in the new one.
 *
 * A vacuum needs it for extents that several values share, and for the
 * operations that come in meanwhile: they write rows again whose values were
 * copied before. It has a row of some 30 bytes for each extent that was copied, or
 * for each piece if it was cut. They are in a store of their own, in a file that
 * has no name: so its memory has a limit, however many there are.
 */
#ifndef STORE_VACUUM_EXTENT_MAP_H
#define STORE_VACUUM_EXTENT_MAP_H

#include "engine/rebuild.h"

struct extent_map {
	struct rebuild rows; /* extent_rows.h has some in there as well */
	struct buf scratch;
};

/* file: a new one, which it takes over, and which nobody is to see */
int extent_map_open(struct extent_map *m, struct file *file);
void extent_map_close(struct extent_map *m); /* zeroed is fine */

/*
 * Bytes that are shared, of which extents of several sizes may refer to parts:
 * to copy each of these by itself could make the file many times as large. So
 * first all of them are noted, and then what they cover together is copied as
 * one.
 */
int extent_map_note(struct extent_map *m, const struct extent *e);
/* All that was noted around the bytes of e, in one piece; -EUCLEAN: they were
 * not */
int extent_map_around(struct extent_map *m, const struct extent *e,
		      struct extent *all);

/* The bytes of the extent `from` are those of `to`, which is as long. What was
 * copied before may be copied again, if more of it is in one piece then. */
int extent_map_add(struct extent_map *m, const struct extent *from,
		   const struct extent *to);

/*
 * Where the first bytes of the extent `from` are now: 0, and *to has as many as
 * were copied in one piece; 1: the first one was not; or an error.
 */
int extent_map_find(struct extent_map *m, const struct extent *from,
		    struct extent *to);

#endif
