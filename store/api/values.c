/* SPDX-License-Identifier: MIT */
/* values.c - the public functions on contents. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "api/attributes.h"
#include "api/handle.h"
#include "api/last_error.h"
#include "model/contents.h"

ssize_t banyan_read(banyan_data *data, void *buffer, size_t size,
		    uint64_t offset)
{
	struct read_txn rtxn;
	struct located l;
	int rc = data_check(data);
	if (rc || (size && !buffer))
		return rc ? rc : -EINVAL;
	rc = handle_read_data(data, &rtxn, &l);
	if (rc)
		return (ssize_t)note_data(data, rc, __func__);
	if (data_is_space(&l.d)) {
		rc = -EISDIR;
	} else if (offset < l.d.size) {
		if (size > l.d.size - offset)
			size = (size_t)(l.d.size - offset);
		if (size > SSIZE_MAX)
			size = SSIZE_MAX;
		rc = read_txn_contents(&rtxn, &l.d, buffer, size, offset);
	} else {
		size = 0;
	}
	handle_read_end(data->db, &rtxn);
	if (is_damage(rc))
		store_report(
			data->db->store,
			"damaged value of Data %llu, in the %zu bytes at %llu",
			(unsigned long long)l.d.id, size,
			(unsigned long long)offset);
	return (ssize_t)note_data(data, rc ? rc : (ssize_t)size, __func__);
}

static int fetch(struct read_txn *rtxn, const struct name *n, void *buffer,
		 size_t size, uint64_t *whole)
{
	struct located l;
	struct data space;
	int rc = names_lookup(&rtxn->state, n, &l);
	if (rc == -ENOENT) {
		rc = names_space(&rtxn->state, n->space, &space);
		return rc ? rc : -ENOENT;
	}
	if (!rc && data_is_space(&l.d))
		rc = -EISDIR;
	if (!rc && l.d.size > SSIZE_MAX)
		rc = -EFBIG;
	if (rc)
		return rc;
	*whole = l.d.size;
	return read_txn_contents(rtxn, &l.d, buffer,
				 l.d.size < size ? (size_t)l.d.size : size, 0);
}

ssize_t banyan_fetch(banyan_data *space, const char *name, size_t len,
		     void *buffer, size_t size)
{
	struct read_txn rtxn;
	uint64_t whole = 0;
	int rc = data_check(space);
	if (rc || !name || (size && !buffer))
		return rc ? rc : -EINVAL;
	struct name n = { space->id, name, len };
	rc = handle_read(space->db, &rtxn);
	if (rc)
		return (ssize_t)note_key(space->db, rc, __func__, name, len);
	rc = fetch(&rtxn, &n, buffer, size, &whole);
	handle_read_end(space->db, &rtxn);
	if (is_damage(rc))
		store_report(space->db->store,
			     "damaged: key '%.*s' of Data %llu", (int)len, name,
			     (unsigned long long)n.space);
	return (ssize_t)note_key(space->db, rc ? rc : (ssize_t)whole, __func__,
				 name, len);
}

/* Load a regular file for a change of its contents */
static int load_file(struct txn *txn, banyan_data *data, struct located *l)
{
	int rc = handle_write_data(txn, data, l);
	if (rc)
		return rc;
	if (data_is_space(&l->d))
		return -EISDIR;
	return data_is_file(&l->d) ? 0 : -EINVAL;
}

/* The contents have changed: so do times and the count of live bytes */
static void touch_contents(struct txn *txn, struct data *d, uint64_t old_stored)
{
	txn->op.live += (int64_t)d->stored - (int64_t)old_stored;
	d->ctime = txn_time(txn, d->ctime);
	d->mtime = txn->now;
}

static int save_file(struct txn *txn, struct located *l, uint64_t old_stored)
{
	touch_contents(txn, &l->d, old_stored);
	return data_save(txn, l);
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

#define WRITE_FLAGS (BANYAN_APPEND | BANYAN_KILL_PRIV | BANYAN_KEEP_MTIME)

int banyan_write(banyan_data *data, const void *buffer, size_t size,
		 uint64_t offset, unsigned flags, struct banyan_attr *after)
{
	struct txn *txn = NULL;
	struct located l;
	int rc = data_check(data);
	if (rc || (size && !buffer) || (flags & ~WRITE_FLAGS))
		return rc ? rc : -EINVAL;
	banyan *db = data->db;
	rc = handle_write(db, OPERATION_WRITE, false, &txn);
	if (rc)
		return (int)note_data(data, rc, __func__);
	rc = load_file(txn, data, &l);
	if (!rc && (flags & BANYAN_APPEND))
		offset = l.d.size;
	if (!rc && !range_fits(offset, size))
		rc = -EFBIG;
	if (!rc)
		rc = data_may_write(&l.d, offset);
	if (!rc && size) {
		uint64_t stored = l.d.stored;
		timestamp mtime = l.d.mtime;
		rc = contents_write(txn, &l.d, buffer, size, offset);
		if (flags & BANYAN_KILL_PRIV)
			kill_priv(&l.d);
		if (rc)
			return (int)note_data(data, handle_write_end(db, rc),
					      __func__);
		touch_contents(txn, &l.d, stored);
		if (flags & BANYAN_KEEP_MTIME)
			l.d.mtime = mtime;
		rc = data_save(txn, &l);
	}
	rc = handle_write_end(db, rc);
	if (!rc && after)
		fill_attr(&l.d, after);
	return (int)note_data(data, rc, __func__);
}

static int punch(banyan_data *data, uint64_t offset, uint64_t size,
		 bool keep_size)
{
	banyan *db = data->db;
	struct txn *txn = NULL;
	struct located l;
	int rc = handle_write(db, OPERATION_WRITE, true, &txn);
	if (rc)
		return rc;
	rc = load_file(txn, data, &l);
	if (!rc)
		rc = data_may_change(&l.d);
	if (!rc) {
		uint64_t stored = l.d.stored;
		rc = contents_punch(txn, &l.d, offset, size);
		if (!keep_size && offset + size > l.d.size)
			l.d.size = offset + size;
		if (!rc)
			rc = save_file(txn, &l, stored);
	}
	return handle_write_end(db, rc);
}

int banyan_punch(banyan_data *data, uint64_t offset, uint64_t size,
		 bool keep_size)
{
	uint64_t part = size;
	int rc = data_check(data);
	if (rc)
		return rc;
	if (!range_fits(offset, size))
		return -EFBIG;
	do {
		/* Too many extents for one operation: half of it, then, and
		 * more again once that has worked */
		bool last = part == size;
		rc = punch(data, offset, part, keep_size || !last);
		if (rc == -E2BIG && part > 1 && handle_can_split(data->db)) {
			part /= 2;
			rc = 0;
			continue;
		}
		offset += part;
		size -= part;
		part = part < size / 2 ? part * 2 : size;
	} while (!rc && size);
	return (int)note_data(data, rc, __func__);
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
	struct txn *txn = NULL;
	struct located from;
	struct located to;
	bool same = source == target;
	bool source_changed = false;
	int rc = handle_write(db, OPERATION_WRITE, false, &txn);
	if (rc)
		return rc;
	*done = 0;
	rc = load_file(txn, source, &from);
	if (!rc)
		rc = load_file(txn, target, &to);
	if (!rc)
		rc = data_may_write(&to.d, target_offset);
	if (!rc && source_offset >= from.d.size)
		*left = 0;
	if (rc || !*left)
		return handle_write_end(db, rc);
	/* Now, not after a part is done: it may make its own source longer */
	if (*left > from.d.size - source_offset)
		*left = from.d.size - source_offset;
	if (same && overlap(source_offset, target_offset, *left))
		return handle_write_end(db, -EINVAL);
	uint64_t stored = to.d.stored;
	rc = contents_clone(txn, same ? &to.d : &from.d, source_offset, &to.d,
			    target_offset, *left, CLONE_MAX, done,
			    &source_changed);
	if (!rc && source_changed && !same)
		rc = data_save(txn, &from);
	if (!rc)
		rc = save_file(txn, &to, stored);
	return handle_write_end(db, rc);
}

int64_t banyan_clone(banyan_data *source, uint64_t source_offset,
		     banyan_data *target, uint64_t target_offset, uint64_t size)
{
	uint64_t sum = 0;
	int checked = data_check(source);
	if (!checked)
		checked = data_check(target);
	if (checked)
		return checked;
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
	struct read_txn rtxn;
	struct located l;
	uint64_t found = 0;
	int rc = data_check(data);
	if (!rc)
		rc = handle_read_data(data, &rtxn, &l);
	if (rc)
		return rc;
	if (data_is_space(&l.d))
		rc = -EISDIR;
	else if (offset >= l.d.size)
		rc = -ENXIO;
	else if (l.d.contents == CONTENTS_ROWS)
		read_txn_pin(&rtxn); /* there may be a million of them */
	if (!rc)
		rc = contents_seek(&rtxn.state, &l.d, offset, hole, &found);
	handle_read_end(data->db, &rtxn);
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
