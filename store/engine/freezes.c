/* SPDX-License-Identifier: MIT */
/* freezes.c - the freezes in a file, of which each points to the one before. */
#include <errno.h>

#include "engine/freezes.h"

/* The freeze whose record is at offset, in a file of so many bytes */
static int read_freeze(struct store *store, uint64_t offset, uint64_t size,
		       struct freeze *f)
{
	int rc = log_read_freeze(store->file, store->sb.salt, size, offset, f);
	if (rc > 0) {
		store_report(store, "damaged freeze record at offset %llu",
			     (unsigned long long)offset);
		rc = -EBADMSG;
	}
	return rc;
}

int freezes_walk(struct store *store, uint64_t offset, struct freeze_walk *w)
{
	w->offset = offset;
	w->number = UINT64_MAX;
	return file_size(store->file, &w->size);
}

int freezes_next(struct store *store, struct freeze_walk *w, struct freeze *f,
		 uint64_t *offset)
{
	struct freeze found;
	if (!w->offset)
		return 1;
	int rc = read_freeze(store, w->offset, w->size, &found);
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

int freezes_find(struct store *store, uint64_t number, uint64_t *offset,
		 struct freeze *f)
{
	struct freeze_walk w;
	struct freeze found;
	uint64_t at = 0;
	int rc = freezes_walk(store, *offset, &w);
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
