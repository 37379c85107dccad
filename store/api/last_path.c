/* SPDX-License-Identifier: MIT */
#include "api/last_path.h"

#include <errno.h>
#include <string.h>

#include "api/space_path.h"
#include "model/row_lookup.h"

/* Key spaces in each other are no more than this: a damaged file has them in a
 * circle */
#define DEPTH_MAX 100000u

/* 1, 0, or an error */
static int lives(struct last_path *p, uint64_t space)
{
	struct data data;
	int rc = names_space(&p->now->state, space, &data);
	if (rc)
		return rc == -ENOTDIR ? 0 : rc;
	return data.nlink > 0;
}

/* Up to a key space that exists: its id, or 0 if there is none */
static int go_up(struct last_path *p, uint64_t space, uint64_t *top)
{
	struct row_key row;
	struct name home;
	int rc;
	buf_reset(&p->names);
	buf_reset(&p->ids);
	*top = 0;
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		rc = lives(p, space);
		if (rc > 0)
			*top = space;
		if (rc)
			return rc < 0 ? rc : 0;
		rc = deletions_home(p->d, space, &row, &home);
		if (rc)
			return rc == -ENOENT ? 0 : rc;
		buf_add(&p->ids, &space, sizeof(space));
		/* To be read from the end: the length behind the name */
		buf_add(&p->names, home.bytes, home.len);
		buf_add_u8(&p->names, (uint8_t)home.len);
		space = home.space;
		if (p->names.failed || p->ids.failed)
			return -ENOMEM;
	}
	return 0;
}

/* The key space that has this key, or had it last */
static int last_space(struct last_path *p, const struct name *n, uint64_t *id)
{
	struct name_row row;
	struct located l;
	int rc = names_row(&p->now->state, n, &row, &l);
	if (!rc && !row.embedded && name_row_is_space(&row)) {
		*id = row.id;
		return 0;
	}
	return rc && rc != -ENOENT ? rc : deletions_space(p->d, n, id);
}

/* And down again, by names */
static int go_down(struct last_path *p, uint64_t at)
{
	struct buf *names = &p->names, *ids = &p->ids;
	int rc = space_path(&p->now->state, at, &p->path);
	if (rc > 0)
		at = 0;
	while (!rc && names->len) {
		uint64_t own;
		size_t len = names->data[--names->len];
		names->len -= len;
		ids->len -= sizeof(own);
		memcpy(&own, ids->data + ids->len, sizeof(own));
		const char *bytes = (const char *)names->data + names->len;
		struct name n = { at, bytes, len };
		buf_add(&p->path, bytes, len);
		buf_add_u8(&p->path, '/');
		rc = p->path.failed ? -ENOMEM : last_space(p, &n, &at);
		/* Its own parent has not had this path last */
		if (rc == -ENOENT) {
			at = own;
			rc = 0;
		}
	}
	p->last = at;
	return rc > 0 ? 0 : rc;
}

int last_path_find(struct last_path *p, uint64_t space)
{
	uint64_t top = 0;
	if (p->space == space)
		return 0;
	p->space = 0;
	p->last = 0;
	int rc = go_up(p, space, &top);
	if (!rc && top)
		rc = go_down(p, top);
	if (!rc)
		p->space = space;
	return rc;
}

void last_path_forget(struct last_path *p)
{
	p->space = 0;
}

void last_path_free(struct last_path *p)
{
	buf_free(&p->path);
	buf_free(&p->names);
	buf_free(&p->ids);
}
