/* SPDX-License-Identifier: MIT */
/*
 * deleted_version.h - the version in which a deleted key can be brought back.
 *
 * It is read from a state of the past. Of a key that is not a key space, this is
 * the state before its deletion. A key space was emptied before it was deleted,
 * in any number of operations; so it is read from the state after the last
 * change in it that was no deletion. What was deleted afterwards, with nothing
 * else done in between, was one removal.
 *
 * Two things decide, and each has its source: which deletion of the key was the
 * last one (deletions.h if the key does not exist now, key_history.h if it
 * does), and where in the log the last change was (the CHANGE rows of
 * deletions.h, for which the log is read a second time unless the first pass
 * has made them).
 *
 * There are no locks: the log up to the moment at which the deletions were
 * opened does not change. Places in it are those of one file, though. If a
 * vacuum puts another file in its place while the log is read a second time,
 * this is noticed by the UUID of the file, and -ESTALE: begin anew.
 */
#ifndef STORE_API_DELETED_VERSION_H
#define STORE_API_DELETED_VERSION_H

#include "api/deleted.h"

static inline bool deletion_is_space(const struct deletion *key)
{
	return key->type == 0040000;
}

/*
 * Find the version of the key at v->path. d has the deletions of the path; it is
 * opened anew if the version of a key space needs changes that it has not.
 * -ENODATA: the file knows of no deletion. -ESTALE: see above. After an error d
 * may be closed, which may be done twice.
 */
int deleted_version_find(struct store *store, struct deletions *d,
			 struct deleted_version *v);

/*
 * The same of many, by their paths, in one pass: d has all deletions, and
 * changes. Of a path that has none, or that exists now, v->name.len stays 0.
 */
int deleted_versions_find(struct store *store, struct deletions *d,
			  struct deleted_version *v, size_t count);

#endif
