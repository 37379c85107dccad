/* SPDX-License-Identifier: MIT */
#include "table/view.h"

#include <stdlib.h>

struct view *view_new(struct redo_table *active, struct redo_table *frozen,
		      const struct tree *tree, struct volume *volume,
		      uint64_t last_freeze)
{
	struct view *v = malloc(sizeof(*v));
	if (!v)
		return NULL;
	atomic_init(&v->refs, 1);
	v->active = redo_table_ref(active);
	v->frozen = frozen ? redo_table_ref(frozen) : NULL;
	v->tree = *tree;
	v->volume = volume_ref(volume);
	v->last_freeze = last_freeze;
	v->mark = 0;
	v->retired = NULL;
	return v;
}

struct view *view_ref(struct view *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void view_unref(struct view *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
		return;
	redo_table_unref(v->active);
	redo_table_unref(v->frozen);
	volume_unref(v->volume);
	free(v);
}

uint64_t view_bytes(const struct view *v)
{
	uint64_t bytes = redo_table_bytes(v->active);
	return v->frozen ? bytes + redo_table_bytes(v->frozen) : bytes;
}

void view_merged(const struct view *v, uint64_t seq, struct merged *l)
{
	*l = (struct merged){ .cache = v->volume->cache, .tree = v->tree };
	l->table[0].table = v->active;
	l->table[0].seq = seq;
	l->tables = 1;
	if (v->frozen) {
		l->table[1].table = v->frozen;
		l->table[1].seq = UINT64_MAX;
		l->tables = 2;
	}
}
