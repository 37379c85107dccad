/* SPDX-License-Identifier: MIT */
#include "api/deleted_version.h"

#include <errno.h>
#include <string.h>

#include "api/deleted.h"
#include "api/key_history.h"

enum {
	ROW_SEEN =
		0x7a, /* id of a deleted key space that was looked into: id of
			    that for which, the last time */
};

/* Places in the log are those of one file: -ESTALE if this is another one */
static int check_file(const uint8_t *file, const struct history *h)
{
	const uint8_t *now = h->now->volume->sb.file_uuid;
	return memcmp(file, now, 16) == 0 ? 0 : -ESTALE;
}

/* ---- which key -------------------------------------------------------- */

static void take_key(struct deleted_version *v, const struct name *n,
		     const struct deletion *key)
{
	memcpy(v->bytes, n->bytes, n->len);
	v->name = (struct name){ n->space, v->bytes, n->len };
	v->key = *key;
}

/* Its last deletion, though it exists now */
static int find_earlier(struct store *store, const uint8_t *file,
			struct deleted_version *v)
{
	struct key_history k;
	enum banyan_event event;
	int rc = key_history_open(store, v->path, &k);
	if (rc)
		return rc;
	rc = check_file(file, &k.h);
	while (!rc && (rc = key_history_next(&k, &event)) == 0) {
		if (event != BANYAN_DELETED)
			continue;
		const struct data *d = &k.before.d;
		const struct deletion key = { .offset = k.h.offset,
					      .time = k.h.time,
					      .id = d->id,
					      .type = d->mode & 0170000,
					      .embedded = k.before.embedded };
		take_key(v, &k.part[k.parts - 1].name, &key);
	}
	key_history_close(&k);
	return rc < 0 ? rc : 0;
}

static int find_key(struct store *store, struct deletions *d,
		    const uint8_t *file, struct deleted_version *v)
{
	int rc = deleted_find(store, d, v, 1);
	if (!rc && !v->name.len)
		rc = find_earlier(store, file, v);
	return rc || v->name.len ? rc : -ENODATA;
}

/* ---- which state ------------------------------------------------------ */

struct removal {
	struct deletions *d;
	uint64_t changed; /* offset of the last change */
	struct buf spaces; /* ids, to be looked into */
	uint64_t of; /* the key space that is to come back */
};

static void note_change(struct removal *r, uint64_t offset)
{
	if (offset > r->changed)
		r->changed = offset;
}

/* 1: for the first time in this search, 0: not, or an error. A damaged file may
 * have key spaces in a circle. */
static int see(struct removal *r, uint64_t space)
{
	struct row_key key;
	uint64_t of = 0;
	deletions_row_key(ROW_SEEN, space, &key);
	int rc = rebuild_get(&r->d->rows, &key, &r->d->scratch);
	if (!rc && r->d->scratch.len == sizeof(of))
		memcpy(&of, r->d->scratch.data, sizeof(of));
	if (rc && rc != -ENOENT)
		return rc;
	if (of == r->of)
		return 0;
	rc = rebuild_put(&r->d->rows, &key, &r->of, sizeof(r->of));
	return rc ? rc : 1;
}

static int look_at(void *arg, const struct name *n, const struct deletion *key)
{
	struct removal *r = arg;
	(void)n;
	/* What became of the Data later under another key is nothing to this one */
	note_change(r, key->changed);
	if (!deletion_is_space(key))
		return 0;
	int rc = see(r, key->id);
	if (rc <= 0)
		return rc;
	buf_add(&r->spaces, &key->id, sizeof(key->id));
	return r->spaces.failed ? -ENOMEM : 0;
}

/* The offset of the last change in the key space but for deletions; 0: none */
static int find_change(struct deletions *d, uint64_t space, uint64_t *offset)
{
	struct removal r = { .d = d, .of = space };
	uint64_t changed = 0;
	int rc;
	for (;;) {
		rc = deletions_changed(d, space, &changed);
		note_change(&r, changed);
		if (!rc)
			rc = deletions_each(d, space, look_at, &r);
		if (rc || !r.spaces.len)
			break;
		r.spaces.len -= sizeof(space);
		memcpy(&space, r.spaces.data + r.spaces.len, sizeof(space));
	}
	buf_free(&r.spaces);
	*offset = r.changed;
	return rc;
}

/* The state that the key is read from */
static int find_state(struct store *store, struct deletions *d,
		      const uint8_t *file, struct deleted_version *v)
{
	uint64_t changed = 0;
	int rc = 0;
	v->state = v->key.offset;
	if (!deletion_is_space(&v->key))
		return 0;
	if (!d->changes) {
		deletions_close(d);
		rc = deletions_open(store, true, d);
		if (!rc)
			rc = check_file(file, &d->h);
	}
	if (!rc)
		rc = find_change(d, v->key.id, &changed);
	if (changed + 1 < v->state)
		v->state = changed + 1;
	if (v->state < d->h.begin)
		v->state = d->h.begin;
	return rc;
}

int deleted_version_find(struct store *store, struct deletions *d,
			 struct deleted_version *v)
{
	uint8_t file[16];
	memcpy(file, d->h.now->volume->sb.file_uuid, sizeof(file));
	int rc = find_key(store, d, file, v);
	return rc ? rc : find_state(store, d, file, v);
}

int deleted_versions_find(struct store *store, struct deletions *d,
			  struct deleted_version *v, size_t count)
{
	const uint8_t *file = d->h.now->volume->sb.file_uuid;
	int rc = deleted_find(store, d, v, count);
	for (size_t i = 0; !rc && i < count; i++)
		if (v[i].name.len)
			rc = find_state(store, d, file, &v[i]);
	return rc;
}
