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

int freezes_find(struct store *store, struct volume *volume, uint64_t number,
		 uint64_t *offset, struct freeze *f)
{
	struct freeze_walk w;
	struct freeze found;
	uint64_t at = 0;
	int rc = freezes_walk(volume, *offset, &w);
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
