/* SPDX-License-Identifier: MIT */
/* attributes.c - the public functions on attributes, the size among them. */
#include "api/attributes.h"

#include <errno.h>
#include <sys/stat.h>

#include "api/handle.h"
#include "api/last_error.h"
#include "model/contents.h"

/* Split t, unless it is a time that has been split: most times of a Data are the
 * same, and a split is a division */
static void fill_time(timestamp t, timestamp known,
		      const struct banyan_time *split, struct banyan_time *to)
{
	if (t == known)
		*to = *split;
	else
		*to = timestamp_split(t);
}

void fill_attr(const struct data *d, struct banyan_attr *attr)
{
	attr->id = d->id;
	attr->mode = d->mode;
	attr->uid = d->uid;
	attr->gid = d->gid;
	attr->nlink = d->nlink;
	attr->flags = d->flags;
	attr->reserved = 0;
	attr->size = d->size;
	attr->stored = d->stored;
	attr->rdev = d->rdev;
	attr->birth = timestamp_split(d->birth);
	fill_time(d->mtime, d->birth, &attr->birth, &attr->mtime);
	fill_time(d->atime, d->mtime, &attr->mtime, &attr->atime);
	fill_time(d->ctime, d->mtime, &attr->mtime, &attr->ctime);
}

int banyan_get_attr(banyan_data *data, struct banyan_attr *attr)
{
	struct read_txn rtxn;
	struct located l;
	int rc = data_check(data);
	if (rc || !attr)
		return rc ? rc : -EINVAL;
	rc = handle_read_data(data, &rtxn, &l);
	if (rc)
		return (int)note_data(data, rc, __func__);
	handle_read_end(data->db, &rtxn);
	fill_attr(&l.d, attr);
	return (int)note_data(data, 0, __func__);
}

static int resize(struct txn *txn, struct data *d, uint64_t size)
{
	if (size > INT64_MAX)
		return -EFBIG;
	if (data_is_space(d))
		return -EISDIR;
	if (!data_is_file(d))
		return -EINVAL;
	int64_t stored = (int64_t)d->stored;
	int rc = contents_resize(txn, d, size);
	txn->op.live += (int64_t)d->stored - stored;
	return rc;
}

/* The attributes but the size; the Data's ctime is new already */
static void apply_attr(struct data *d, const struct banyan_attr *a,
		       unsigned which, timestamp now)
{
	if (which & BANYAN_SET_MODE)
		d->mode = (d->mode & S_IFMT) | (a->mode & 07777);
	if (which & BANYAN_SET_FLAGS)
		d->flags = a->flags;
	if (which & BANYAN_SET_UID)
		d->uid = a->uid;
	if (which & BANYAN_SET_GID)
		d->gid = a->gid;
	if ((which & BANYAN_SET_MTIME_NOW) ||
	    ((which & BANYAN_SET_SIZE) && !(which & BANYAN_SET_KEEP_MTIME)))
		d->mtime = now;
	if (which & BANYAN_SET_ATIME_NOW)
		d->atime = now;
	if (which & BANYAN_SET_MTIME)
		d->mtime = timestamp_of(a->mtime);
	if (which & BANYAN_SET_ATIME)
		d->atime = timestamp_of(a->atime);
}

#define SET_NOW \
	(BANYAN_SET_ATIME_NOW | BANYAN_SET_MTIME_NOW | BANYAN_SET_KEEP_MTIME)

/* Do the flags that it has allow it? They can always be changed. */
static int may_set(const struct data *d, unsigned which)
{
	unsigned rest = which & ~(unsigned)BANYAN_SET_FLAGS;
	if (!(d->flags & BANYAN_IMMUTABLE))
		rest &= ~(unsigned)SET_NOW;
	return rest ? data_may_change(d) : 0;
}

static int set_attr(banyan_data *data, const struct banyan_attr *attr,
		    unsigned which, struct banyan_attr *after)
{
	banyan *db = data->db;
	struct txn *txn = NULL;
	struct located l;
	/* What shrinks a value must be possible on a full disk */
	int rc = handle_write(db, OPERATION_ATTR, true, &txn);
	if (rc)
		return rc;
	rc = handle_write_data(txn, data, &l);
	if (!rc)
		rc = may_set(&l.d, which);
	if (!rc && (which & BANYAN_SET_SIZE) && attr->size > l.d.size)
		txn->makes_room = false;
	if (!rc && (which & BANYAN_SET_SIZE))
		rc = resize(txn, &l.d, attr->size);
	if (!rc) {
		l.d.ctime = txn_time(txn, l.d.ctime);
		apply_attr(&l.d, attr, which, txn->now);
		rc = data_save(txn, &l);
	}
	rc = handle_write_end(db, rc);
	if (!rc && after)
		fill_attr(&l.d, after);
	return rc;
}

/* Cut off as much as one operation can, when all is too much for one; *more:
 * there was such a part, so all may be less now. The other attributes are set at
 * once: a set-id bit that is to go does not outlast the first cut. */
static int cut_some(banyan_data *data, const struct banyan_attr *attr,
		    unsigned which, bool *more)
{
	struct txn *txn = NULL;
	struct located l;
	uint64_t to = 0;
	int rc = handle_write(data->db, OPERATION_ATTR, true, &txn);
	if (rc)
		return rc;
	rc = handle_write_data(txn, data, &l);
	if (!rc)
		rc = contents_can_cut(&txn->state, &l.d, attr->size, &to);
	*more = !rc && to > attr->size && to < l.d.size;
	if (*more)
		rc = resize(txn, &l.d, to);
	if (*more && !rc) {
		l.d.ctime = txn_time(txn, l.d.ctime);
		apply_attr(&l.d, attr, which, txn->now);
		rc = data_save(txn, &l);
	}
	return handle_write_end(data->db, rc);
}

static bool is_valid(const struct banyan_attr *a, unsigned which)
{
	const uint32_t known = BANYAN_IMMUTABLE | BANYAN_APPEND_ONLY |
			       BANYAN_NO_DUMP;
	return !((which & BANYAN_SET_FLAGS) && (a->flags & ~known)) &&
	       !((which & BANYAN_SET_MTIME) && a->mtime.nsec >= NSEC_PER_SEC) &&
	       !((which & BANYAN_SET_ATIME) && a->atime.nsec >= NSEC_PER_SEC);
}

#define SET_ALL ((BANYAN_SET_FLAGS << 1) - 1u)

int banyan_set_attr(banyan_data *data, const struct banyan_attr *attr,
		    unsigned which, struct banyan_attr *after)
{
	int rc = data_check(data);
	if (rc || !attr || (which & ~SET_ALL) || !is_valid(attr, which))
		return rc ? rc : -EINVAL;
	rc = set_attr(data, attr, which, after);
	bool more = (which & BANYAN_SET_SIZE) && handle_can_split(data->db);
	while (rc == -E2BIG && more) {
		rc = cut_some(data, attr, which, &more);
		if (!rc)
			rc = set_attr(data, attr, which, after);
	}
	return (int)note_data(data, rc, __func__);
}

int banyan_truncate(banyan_data *data, uint64_t size)
{
	struct banyan_attr attr = { .size = size };
	return banyan_set_attr(data, &attr, BANYAN_SET_SIZE, NULL);
}
