/* SPDX-License-Identifier: MIT */
/* values.c - the public functions on contents and extended attributes. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "contents.h"
#include "handles.h"
#include "xattr.h"

ssize_t banyan_read(banyan_data *data, void *buffer, size_t size,
		    uint64_t offset)
{
	struct snapshot s;
	struct located l;
	int rc = db_read_data(data, &s, &l);
	if (rc)
		return rc;
	if (data_is_space(&l.d)) {
		rc = -EISDIR;
	} else if (offset < l.d.size) {
		if (size > l.d.size - offset)
			size = (size_t)(l.d.size - offset);
		if (size > SSIZE_MAX)
			size = SSIZE_MAX;
		rc = db_read_contents(&s, &l.d, buffer, size, offset);
	} else {
		size = 0;
	}
	db_read_end(&s);
	if (is_damage(rc))
		db_report(
			data->db,
			"damaged value of Data %llu, in the %zu bytes at %llu",
			(unsigned long long)l.d.id, size,
			(unsigned long long)offset);
	return rc ? rc : (ssize_t)size;
}

static int fetch(struct snapshot *s, const struct name *n, void *buffer,
		 size_t size, uint64_t *whole)
{
	struct located l;
	struct data space;
	int rc = names_lookup(&s->state, n, &l);
	if (rc == -ENOENT) {
		rc = names_space(&s->state, n->space, &space);
		return rc ? rc : -ENOENT;
	}
	if (!rc && data_is_space(&l.d))
		rc = -EISDIR;
	if (!rc && l.d.size > SSIZE_MAX)
		rc = -EFBIG;
	if (rc)
		return rc;
	*whole = l.d.size;
	return db_read_contents(s, &l.d, buffer,
				l.d.size < size ? (size_t)l.d.size : size, 0);
}

ssize_t banyan_fetch(banyan_data *space, const char *name, size_t len,
		     void *buffer, size_t size)
{
	struct snapshot s;
	struct name n = { space->id, name, len };
	uint64_t whole = 0;
	db_read_begin(space->db, &s);
	int rc = fetch(&s, &n, buffer, size, &whole);
	db_read_end(&s);
	if (is_damage(rc))
		db_report(space->db, "damaged: key '%.*s' of Data %llu",
			  (int)len, name, (unsigned long long)n.space);
	return rc ? rc : (ssize_t)whole;
}

/* Load a regular file for a change of its contents */
static int load_file(struct change *c, banyan_data *data, struct located *l)
{
	int rc = db_write_data(c, data, l);
	if (rc)
		return rc;
	if (data_is_space(&l->d))
		return -EISDIR;
	return data_is_file(&l->d) ? 0 : -EINVAL;
}

/* The contents have changed: so do times and the count of live bytes */
static void touch_contents(struct change *c, struct data *d,
			   uint64_t old_stored)
{
	c->op.live += (int64_t)d->stored - (int64_t)old_stored;
	d->ctime = change_time(c, d->ctime);
	d->mtime = d->ctime;
}

static int save_file(struct change *c, struct located *l, uint64_t old_stored)
{
	touch_contents(c, &l->d, old_stored);
	return data_save(c, l);
}

static bool range_fits(uint64_t offset, uint64_t size)
{
	return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

static void kill_priv(struct data *d)
{
	d->mode &= ~(uint32_t)S_ISUID;
	/* Without group execute the bit means locking, not running as */
	if (d->mode & S_IXGRP)
		d->mode &= ~(uint32_t)S_ISGID;
}

int banyan_write(banyan_data *data, const void *buffer, size_t size,
		 uint64_t offset, unsigned flags, struct banyan_attr *after)
{
	banyan *db = data->db;
	struct change *c = NULL;
	struct located l;
	int rc = db_write_begin(db, OPERATION_WRITE, false, &c);
	if (rc)
		return rc;
	rc = load_file(c, data, &l);
	if (!rc && (flags & BANYAN_APPEND))
		offset = l.d.size;
	if (!rc && !range_fits(offset, size))
		rc = -EFBIG;
	if (!rc && size) {
		uint64_t stored = l.d.stored;
		int64_t mtime = l.d.mtime;
		rc = contents_write(c, &l.d, buffer, size, offset);
		if (flags & BANYAN_KILL_PRIV)
			kill_priv(&l.d);
		if (rc)
			return db_write_end(db, c, rc);
		touch_contents(c, &l.d, stored);
		if (flags & BANYAN_KEEP_MTIME)
			l.d.mtime = mtime;
		rc = data_save(c, &l);
	}
	rc = db_write_end(db, c, rc);
	if (!rc && after)
		fill_attr(&l.d, after);
	return rc;
}

static int punch(banyan_data *data, uint64_t offset, uint64_t size,
		 bool keep_size)
{
	banyan *db = data->db;
	struct change *c = NULL;
	struct located l;
	int rc = db_write_begin(db, OPERATION_WRITE, true, &c);
	if (rc)
		return rc;
	rc = load_file(c, data, &l);
	if (!rc) {
		uint64_t stored = l.d.stored;
		rc = contents_punch(c, &l.d, offset, size);
		if (!keep_size && offset + size > l.d.size)
			l.d.size = offset + size;
		if (!rc)
			rc = save_file(c, &l, stored);
	}
	return db_write_end(db, c, rc);
}

int banyan_punch(banyan_data *data, uint64_t offset, uint64_t size,
		 bool keep_size)
{
	uint64_t part = size;
	int rc = 0;
	if (!range_fits(offset, size))
		return -EFBIG;
	do {
		/* Too many extents for one operation: half of it, then, and
		 * more again once that has worked */
		bool last = part == size;
		rc = punch(data, offset, part, keep_size || !last);
		if (rc == -E2BIG && part > 1 && !db_in_batch(data->db)) {
			part /= 2;
			rc = 0;
			continue;
		}
		offset += part;
		size -= part;
		part = part < size / 2 ? part * 2 : size;
	} while (!rc && size);
	return rc;
}

/* Extents that one operation clones of a longer value */
#define CLONE_MAX 10000u

static bool overlap(uint64_t a, uint64_t b, uint64_t size)
{
	return a < b ? b - a < size : a - b < size;
}

/* One operation: *done bytes of the range, *left of which are to be cloned */
static int clone_some(banyan_data *source, uint64_t source_offset,
		      banyan_data *target, uint64_t target_offset,
		      uint64_t *left, uint64_t *done)
{
	banyan *db = source->db;
	struct change *c = NULL;
	struct located from;
	struct located to;
	bool same = source == target;
	bool source_changed = false;
	int rc = db_write_begin(db, OPERATION_WRITE, false, &c);
	if (rc)
		return rc;
	*done = 0;
	rc = load_file(c, source, &from);
	if (!rc)
		rc = load_file(c, target, &to);
	if (!rc && source_offset >= from.d.size)
		*left = 0;
	if (rc || !*left)
		return db_write_end(db, c, rc);
	/* Now, not after a part is done: it may make its own source longer */
	if (*left > from.d.size - source_offset)
		*left = from.d.size - source_offset;
	if (same && overlap(source_offset, target_offset, *left))
		return db_write_end(db, c, -EINVAL);
	uint64_t stored = to.d.stored;
	rc = contents_clone(c, same ? &to.d : &from.d, source_offset, &to.d,
			    target_offset, *left, CLONE_MAX, done,
			    &source_changed);
	if (!rc && source_changed && !same)
		rc = data_save(c, &from);
	if (!rc)
		rc = save_file(c, &to, stored);
	return db_write_end(db, c, rc);
}

int64_t banyan_clone(banyan_data *source, uint64_t source_offset,
		     banyan_data *target, uint64_t target_offset, uint64_t size)
{
	uint64_t sum = 0;
	if (source->db != target->db)
		return -EXDEV;
	if (!range_fits(source_offset, size) ||
	    !range_fits(target_offset, size))
		return -EFBIG;
	while (size) {
		uint64_t done = 0;
		int rc = clone_some(source, source_offset + sum, target,
				    target_offset + sum, &size, &done);
		if (rc)
			return sum ? (int64_t)sum : rc;
		sum += done;
		size -= done;
	}
	return (int64_t)sum;
}

static int64_t seek(banyan_data *data, uint64_t offset, bool hole)
{
	struct snapshot s;
	struct located l;
	uint64_t found = 0;
	int rc = db_read_data(data, &s, &l);
	if (rc)
		return rc;
	if (data_is_space(&l.d))
		rc = -EISDIR;
	else if (offset >= l.d.size)
		rc = -ENXIO;
	else if (l.d.contents == CONTENTS_ROWS)
		db_read_stay(&s); /* there may be a million of them */
	if (!rc)
		rc = contents_seek(&s.state, &l.d, offset, hole, &found);
	db_read_end(&s);
	return rc ? rc : (int64_t)found;
}

int64_t banyan_seek_data(banyan_data *data, uint64_t offset)
{
	return seek(data, offset, false);
}

int64_t banyan_seek_hole(banyan_data *data, uint64_t offset)
{
	return seek(data, offset, true);
}

/* ---- extended attributes ---------------------------------------------- */

static ssize_t give(const struct buf *b, void *to, size_t size)
{
	if (size == 0)
		return (ssize_t)b->len;
	if (b->len > size)
		return -ERANGE;
	if (b->len)
		memcpy(to, b->data, b->len);
	return (ssize_t)b->len;
}

ssize_t banyan_get_xattr(banyan_data *data, const char *name, void *value,
			 size_t size)
{
	struct snapshot s;
	struct buf b = BUF_INIT;
	db_read_begin(data->db, &s);
	ssize_t rc = xattr_get(&s.state, data->id, name, &b);
	db_read_end(&s);
	if (!rc)
		rc = give(&b, value, size);
	buf_free(&b);
	return rc;
}

ssize_t banyan_list_xattr(banyan_data *data, char *names, size_t size)
{
	struct snapshot s;
	struct buf b = BUF_INIT;
	db_read_begin(data->db, &s);
	db_read_stay(&s);
	ssize_t rc = xattr_list(&s.state, data->id, &b);
	db_read_end(&s);
	if (!rc)
		rc = give(&b, names, size);
	buf_free(&b);
	return rc;
}

/* The ctime of a Data whose attributes have changed */
static int touch_data(struct change *c, struct located *l)
{
	l->d.ctime = change_time(c, l->d.ctime);
	return data_save(c, l);
}

int banyan_set_xattr(banyan_data *data, const char *name, const void *value,
		     size_t size, unsigned flags)
{
	banyan *db = data->db;
	struct change *c = NULL;
	struct located l;
	int rc = db_write_begin(db, OPERATION_XATTR, false, &c);
	if (rc)
		return rc;
	rc = db_write_data(c, data, &l);
	if (!rc)
		rc = xattr_set(c, data->id, name, value, size, flags);
	if (!rc)
		rc = touch_data(c, &l);
	return db_write_end(db, c, rc);
}

int banyan_remove_xattr(banyan_data *data, const char *name)
{
	banyan *db = data->db;
	struct change *c = NULL;
	struct located l;
	int rc = db_write_begin(db, OPERATION_XATTR, true, &c);
	if (rc)
		return rc;
	rc = db_write_data(c, data, &l);
	if (!rc)
		rc = xattr_remove(c, data->id, name);
	if (!rc)
		rc = touch_data(c, &l);
	return db_write_end(db, c, rc);
}
