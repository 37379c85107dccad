/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "engine/freezes.h"

static int read_next(struct store *store, const struct freeze_walk *w,
		     struct freeze *f)
{
	int rc = log_read_freeze(w->volume->file, w->volume->sb.salt, w->size,
				 w->offset, f);
	if (rc > 0) {
		store_report(store, "damaged freeze record at offset %llu",
			     (unsigned long long)w->offset);
		rc = -EBADMSG;
	}
	return rc;
}

int freezes_walk(struct volume *volume, uint64_t offset, struct freeze_walk *w)
{
	w->volume = volume;
	w->offset = offset;
	w->number = UINT64_MAX;
	return file_size(volume->file, &w->size);
}

/*
 * The freeze that the header of a segment names, if it is one of the walk. A
 * punch ends the past, and what headers in front of it name is not there any
 * more. Whatever goes wrong: there is none, the walk meets it if it matters.
 */
static bool named_freeze(const struct freeze_walk *w, uint64_t segment,
			 uint32_t punches, struct freeze *f, uint64_t *offset)
{
	struct segment_header h;
	struct file *file = w->volume->file;
	uint64_t salt = w->volume->sb.salt;
	if (log_read_segment(file, salt, w->size, segment, &h) ||
	    !h.last_freeze || h.last_freeze >= w->offset ||
	    log_read_freeze(file, salt, w->size, h.last_freeze, f))
		return false;
	*offset = h.last_freeze;
	return f->punches == punches;
}

int freezes_walk_to(struct volume *volume, uint64_t offset, bool in_order,
		    freeze_is_later *is_later, const void *arg,
		    struct freeze_walk *w)
{
	struct freeze f;
	int rc = freezes_walk(volume, offset, w);
	if (rc ||
	    log_read_freeze(volume->file, volume->sb.salt, w->size, offset, &f))
		return rc;
	uint32_t punches = f.punches;
	uint64_t first = 0, end = offset / SEGMENT_SIZE + 1;
	while (first < end) {
		uint64_t at = in_order ? first + (end - first) / 2 : end - 1;
		bool named = named_freeze(w, at, punches, &f, &offset);
		if (named && is_later(arg, &f)) {
			w->offset = offset;
			end = at;
		} else if (named || in_order) {
			first = at + 1;
		} else {
			end = at;
		}
	}
	return 0;
}

int freezes_next(struct store *store, struct freeze_walk *w, struct freeze *f,
		 uint64_t *offset)
{
	struct freeze found;
	if (!w->offset)
		return 1;
	int rc = read_next(store, w, &found);
	if (rc)
		return rc;
	if (found.number >= w->number) {
		store_report(store, "freezes out of order at offset %llu",
			     (unsigned long long)w->offset);
		return -EUCLEAN;
	}
	*f = found;
	*offset = w->offset;
	w->offset = found.previous;
	w->number = found.number;
	return 0;
}

static bool has_greater_number(const void *number, const struct freeze *f)
{
	return f->number > *(const uint64_t *)number;
}

int freezes_find(struct store *store, struct volume *volume, uint64_t number,
		 uint64_t *offset, struct freeze *f)
{
	struct freeze_walk w;
	struct freeze found;
	uint64_t at = 0;
	int rc = freezes_walk_to(volume, *offset, true, has_greater_number,
				 &number, &w);
	do {
		if (!rc)
			rc = freezes_next(store, &w, &found, &at);
	} while (!rc && found.number > number);
	if (rc < 0)
		return rc;
	if (rc > 0 || found.number != number)
		return -ENOENT;
	*f = found;
	*offset = at;
	return 0;
}
