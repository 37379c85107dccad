/* SPDX-License-Identifier: MIT */
/* freezes.c - the freezes in a file, of which each points to the one before. */
#include <errno.h>

#include "engine/db.h"

/* The freeze whose record is at offset, in a file of so many bytes */
static int read_freeze(banyan *db, uint64_t offset, uint64_t size,
		       struct freeze *f)
{
	int rc = log_read_freeze(db->file, db->sb.salt, size, offset, f);
	if (rc > 0) {
		db_report(db, "damaged freeze record at offset %llu",
			  (unsigned long long)offset);
		rc = -EBADMSG;
	}
	return rc;
}

/* A walk from a freeze to those before it */
struct walk {
	uint64_t offset; /* of the freeze that is next; 0: none */
	uint64_t size; /* of the file */
	uint64_t number; /* of the freeze that was read last */
};

static int walk_from(banyan *db, uint64_t offset, struct walk *w)
{
	w->offset = offset;
	w->number = UINT64_MAX;
	return file_size(db->file, &w->size);
}

/*
 * 0: *f is the next freeze, at *offset. 1: there is none. Each lies before the
 * one that led to it, see freeze_decode(): this ends.
 */
static int walk_back(banyan *db, struct walk *w, struct freeze *f,
		     uint64_t *offset)
{
	struct freeze found;
	if (!w->offset)
		return 1;
	int rc = read_freeze(db, w->offset, w->size, &found);
	if (rc)
		return rc;
	if (found.number >= w->number) {
		db_report(db, "freezes out of order at offset %llu",
			  (unsigned long long)w->offset);
		return -EUCLEAN;
	}
	*f = found;
	*offset = w->offset;
	w->offset = found.previous;
	w->number = found.number;
	return 0;
}

int db_find_freeze(banyan *db, uint64_t number, uint64_t *offset,
		   struct freeze *f)
{
	struct walk w;
	struct freeze found;
	uint64_t at = 0;
	int rc = walk_from(db, *offset, &w);
	do {
		if (!rc)
			rc = walk_back(db, &w, &found, &at);
	} while (!rc && found.number > number);
	if (rc < 0)
		return rc;
	if (rc > 0 || found.number != number)
		return -ENOENT;
	*f = found;
	*offset = at;
	return 0;
}

int banyan_freezes(banyan *db,
		   int (*visit)(void *arg, const struct banyan_freeze_info *),
		   void *arg)
{
	struct walk w;
	struct freeze f;
	uint64_t at = 0;
	int rc = walk_from(db, atomic_load(&db->last_offset), &w);
	while (!rc) {
		rc = walk_back(db, &w, &f, &at);
		if (rc)
			return rc < 0 ? rc : 0;
		struct banyan_freeze_info info = {
			.number = f.number,
			.time = timestamp_split(f.time),
			.offset = at,
			.file_bytes = at + record_size(FREEZE_BODY_SIZE, 0),
			.keys = f.keys,
			.live_bytes = f.live_bytes,
			.automatic = f.automatic,
		};
		rc = visit(arg, &info);
	}
	return rc;
}
