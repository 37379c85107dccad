/* SPDX-License-Identifier: MIT */
#include "table/volume.h"

#include <stdlib.h>

struct volume *volume_new(struct file *file, struct cache *cache)
{
	struct volume *v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	atomic_init(&v->refs, 1);
	v->file = file;
	v->cache = cache;
	return v;
}

struct volume *volume_ref(struct volume *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void volume_unref(struct volume *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
		return;
	cache_forget(v->cache, v->file);
	log_free(v->log);
	file_close(v->file);
	free(v);
}
