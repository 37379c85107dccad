/* SPDX-License-Identifier: MIT */
/*
 * last_error.h - which call on a handle has failed last, and on what.
 *
 * A failure copies what is needed; the sentence is made when somebody asks for
 * it. Most failures are keys that do not exist, and nobody asks.
 */
#ifndef STORE_API_LAST_ERROR_H
#define STORE_API_LAST_ERROR_H

#include "api/handle.h"

/* Remember it if rc is negative. Returns rc. name may be NULL: the whole. */
int64_t note_key(banyan *db, int64_t rc, const char *call, const char *name,
		 size_t len);
int64_t note_path(banyan *db, int64_t rc, const char *call, const char *path);
int64_t note_id(banyan *db, int64_t rc, const char *call, uint64_t id);
int64_t note_data(const banyan_data *data, int64_t rc, const char *call);

#endif
