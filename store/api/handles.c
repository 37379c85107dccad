/* SPDX-License-Identifier: MIT */
/* handles.c - the public functions on keys and on what is held. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "model/contents.h"
#include "api/handles.h"

/* ---- holding ---------------------------------------------------------- */

void banyan_hold(banyan_data *data)
{
	held_hold_again(&data->db->held, data);
}

/* Nobody holds an orphan any more: its rows can go */
static void sweep_released(banyan *db, uint64_t id)
{
	/* What goes wrong here, and the rest of a long one, is left to the
	 * sweep before the next freeze */
	struct txn *txn = NULL;
	int rc = db_write_begin(db, OPERATION_SWEEP, true, &txn);
	if (rc) {
		atomic_store(&db->orphans, true);
		return;
	}
	int more = txn_bar(txn, id);
	if (more > 0)
		more = names_sweep(txn, id);
	/* In a batch, too, which may be aborted */
	if (db_write_end(db, txn, more < 0 ? more : 0) || more ||
	    db_in_batch(db))
		atomic_store(&db->orphans, true);
}

void banyan_release(banyan_data *data, uint64_t times)
{
	uint64_t id = 0;
	bool orphan = false;
	if (!data || data->id == BANYAN_ROOT_ID)
		return;
	banyan *db = data->db;
	if (held_release(&db->held, data, times, &id, &orphan) && orphan)
		sweep_released(db, id);
}

uint64_t banyan_id(const banyan_data *data)
{
	return data->id;
}

banyan *banyan_db(const banyan_data *data)
{
	return data->db;
}

int hold_located(banyan *db, const struct located *l, banyan_data **data)
{
	return held_hold_found(&db->held, db, l->d.id, &l->at, data);
}

/* Why there is no key: -ENOENT, or -ENOTDIR if the space is none */
static int check_space(const struct state *s, uint64_t id)
{
	struct data space;
	int rc = names_space(s, id, &space);
	return rc ? rc : -ENOENT;
}

/*
 * One try to find and hold: -EAGAIN if a writer came in between, so that what
 * was found may not be true any more.
 */
static int try_search(banyan *db, const struct name *n, bool writer,
		      banyan_data **data)
{
	struct read_txn rtxn;
	struct name_row row;
	struct located l;
	uint64_t generation = held_generation(&db->held);
	location_set(&l.at, 0, NULL, 0);
	read_txn_begin(db, &rtxn);
	int rc = names_row(&rtxn.state, n, &row, &l);
	if (rc == -ENOENT)
		rc = check_space(&rtxn.state, n->space);
	read_txn_end(&rtxn);
	if (rc)
		return rc;
	if (writer)
		return held_hold_found(&db->held, db, row.id, &l.at, data);
	return held_hold(&db->held, db, row.id, &l.at, generation, data);
}

int banyan_search(banyan_data *space, const char *name, size_t len,
		  banyan_data **data)
{
	banyan *db = space->db;
	struct name n = { space->id, name, len };
	int rc = -EAGAIN;
	if (len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	if (db_in_batch(db))
		return try_search(db, &n, true, data);
	for (unsigned tries = 0; rc == -EAGAIN && tries < 10; tries++)
		rc = try_search(db, &n, false, data);
	if (rc != -EAGAIN)
		return rc;
	/* With writers locked out what is found stays true: the last try */
	pthread_mutex_lock(&db->write_lock);
	rc = try_search(db, &n, true, data);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

/* ---- making ----------------------------------------------------------- */

static int check_make(const struct banyan_new *make)
{
	uint32_t type = make->mode & S_IFMT;
	bool has_value = type == 0 || type == S_IFREG || type == S_IFLNK;
	if (make->size && !has_value)
		return -EINVAL;
	switch (type) {
	case 0:
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return 0;
	default:
		return -EINVAL;
	}
}

int make_data(struct txn *txn, const struct banyan_new *make, uint64_t parent,
	      struct data *d)
{
	uint32_t type = make->mode & S_IFMT;
	data_clear(d);
	d->id = txn_new_id(txn);
	d->mode = (type ? type : S_IFREG) | (make->mode & 07777);
	d->uid = make->uid;
	d->gid = make->gid;
	d->nlink = 1;
	d->rdev = make->rdev;
	d->birth = txn->op.time;
	d->atime = txn->op.time;
	d->mtime = txn->op.time;
	d->ctime = txn->op.time;
	if (data_is_space(d)) {
		d->nlink = 2;
		d->parent = parent;
	}
	if (d->id > INT64_MAX - 1)
		return -ENOSPC;
	return make->size ? contents_write(txn, d, make->value, make->size, 0) :
			    0;
}

int banyan_insert(banyan_data *space, const char *name, size_t len,
		  const struct banyan_new *make, banyan_data **data)
{
	banyan *db = space->db;
	struct txn *txn = NULL;
	struct name n = { space->id, name, len };
	struct located l;
	int rc = check_make(make);
	if (!rc)
		rc = db_write_begin(db, OPERATION_INSERT, false, &txn);
	if (rc)
		return rc;
	rc = names_check_new(txn, &n);
	if (!rc)
		rc = make_data(txn, make, space->id, &l.d);
	if (!rc)
		rc = names_insert(txn, &n, &l.d);
	banyan_data *held = NULL;
	if (!rc && data) {
		bool in_space = data_is_space(&l.d);
		location_set(&l.at, in_space ? 0 : n.space, name,
			     in_space ? 0 : len);
		rc = hold_located(db, &l, &held);
		if (rc)
			txn->broken = rc;
	}
	rc = db_write_end(db, txn, rc);
	if (rc)
		banyan_release(held, 1);
	else if (data)
		*data = held;
	return rc;
}

int banyan_insert_unnamed(banyan *db, const struct banyan_new *make,
			  banyan_data **data)
{
	struct txn *txn = NULL;
	struct located l = { 0 };
	banyan_data *held = NULL;
	int rc = check_make(make);
	if (!rc && (make->mode & S_IFMT) == S_IFDIR)
		rc = -EINVAL;
	if (!rc)
		rc = db_write_begin(db, OPERATION_INSERT, false, &txn);
	if (rc)
		return rc;
	rc = make_data(txn, make, 0, &l.d);
	l.d.nlink = 0;
	if (!rc)
		rc = hold_located(db, &l, &held);
	if (!rc)
		rc = names_insert_unnamed(txn, &l.d);
	if (!rc)
		rc = txn_relocate(txn, l.d.id, NULL, NULL, true);
	rc = db_write_end(db, txn, rc);
	if (rc)
		banyan_release(held, 1);
	else
		*data = held;
	return rc;
}

int banyan_insert_data(banyan_data *space, const char *name, size_t len,
		       banyan_data *data)
{
	banyan *db = space->db;
	struct txn *txn = NULL;
	struct name n = { space->id, name, len };
	struct located l;
	if (data->db != db)
		return -EXDEV;
	int rc = db_write_begin(db, OPERATION_ALIAS, false, &txn);
	if (rc)
		return rc;
	rc = db_write_data(txn, data, &l);
	if (!rc)
		rc = names_alias(txn, &n, &l);
	return db_write_end(db, txn, rc);
}

/* ---- deleting and moving ---------------------------------------------- */

int banyan_delete(banyan_data *space, const char *name, size_t len,
		  unsigned flags, banyan_data **data)
{
	banyan *db = space->db;
	struct txn *txn = NULL;
	struct name n = { space->id, name, len };
	struct located l;
	banyan_data *held = NULL;
	int rc = db_write_begin(db, OPERATION_DELETE, true, &txn);
	if (rc)
		return rc;
	if (data) {
		/* Held before it goes, it lives on */
		rc = names_lookup(&txn->state, &n, &l);
		if (!rc)
			rc = hold_located(db, &l, &held);
	}
	if (!rc)
		rc = names_delete(txn, &n, flags, data != NULL, &l);
	rc = db_write_end(db, txn, rc);
	if (rc)
		banyan_release(held, 1);
	else if (data)
		*data = held;
	return rc;
}

int banyan_move(banyan_data *space, const char *name, size_t len,
		banyan_data *new_space, const char *new_name, size_t new_len,
		unsigned flags)
{
	banyan *db = space->db;
	struct txn *txn = NULL;
	struct name from = { space->id, name, len };
	struct name to = { new_space->id, new_name, new_len };
	if (new_space->db != db)
		return -EXDEV;
	int rc = db_write_begin(db, OPERATION_MOVE, true, &txn);
	if (rc)
		return rc;
	return db_write_end(db, txn, names_move(txn, &from, &to, flags));
}

int banyan_parent(banyan_data *space, uint64_t *id)
{
	struct read_txn rtxn;
	struct located l;
	int rc = read_txn_data(space, &rtxn, &l);
	if (rc)
		return rc;
	read_txn_end(&rtxn);
	if (!data_is_space(&l.d))
		return -ENOTDIR;
	*id = l.d.parent;
	return 0;
}

/* ---- attributes ------------------------------------------------------- */

void fill_attr(const struct data *d, struct banyan_attr *attr)
{
	*attr = (struct banyan_attr){
		.id = d->id,
		.mode = d->mode,
		.uid = d->uid,
		.gid = d->gid,
		.nlink = d->nlink,
		.size = d->size,
		.stored = d->stored,
		.rdev = d->rdev,
		.birth = d->birth,
		.atime = d->atime,
		.mtime = d->mtime,
		.ctime = d->ctime,
	};
}

int banyan_get_attr(banyan_data *data, struct banyan_attr *attr)
{
	struct read_txn rtxn;
	struct located l;
	int rc = read_txn_data(data, &rtxn, &l);
	if (rc)
		return rc;
	read_txn_end(&rtxn);
	fill_attr(&l.d, attr);
	return 0;
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
		       unsigned which)
{
	if (which & BANYAN_SET_MODE)
		d->mode = (d->mode & S_IFMT) | (a->mode & 07777);
	if (which & BANYAN_SET_UID)
		d->uid = a->uid;
	if (which & BANYAN_SET_GID)
		d->gid = a->gid;
	if ((which & BANYAN_SET_MTIME_NOW) ||
	    ((which & BANYAN_SET_SIZE) && !(which & BANYAN_SET_KEEP_MTIME)))
		d->mtime = d->ctime;
	if (which & BANYAN_SET_ATIME_NOW)
		d->atime = d->ctime;
	if (which & BANYAN_SET_MTIME)
		d->mtime = a->mtime;
	if (which & BANYAN_SET_ATIME)
		d->atime = a->atime;
}

static int set_attr(banyan_data *data, const struct banyan_attr *attr,
		    unsigned which, struct banyan_attr *after)
{
	banyan *db = data->db;
	struct txn *txn = NULL;
	struct located l;
	/* What shrinks a value must be possible on a full disk */
	int rc = db_write_begin(db, OPERATION_ATTR, true, &txn);
	if (rc)
		return rc;
	rc = db_write_data(txn, data, &l);
	if (!rc && (which & BANYAN_SET_SIZE) && attr->size > l.d.size)
		txn->makes_room = false;
	if (!rc && (which & BANYAN_SET_SIZE))
		rc = resize(txn, &l.d, attr->size);
	if (!rc) {
		l.d.ctime = txn_time(txn, l.d.ctime);
		apply_attr(&l.d, attr, which);
		rc = data_save(txn, &l);
	}
	rc = db_write_end(db, txn, rc);
	if (!rc && after)
		fill_attr(&l.d, after);
	return rc;
}

/* Cut off as much as one operation can, when all is too much for one; *more:
 * there was such a part, so all may be less now. The other attributes are set
 * at once: a set-id bit that is to go does not outlast the first cut. */
static int cut_some(banyan_data *data, const struct banyan_attr *attr,
		    unsigned which, bool *more)
{
	struct txn *txn = NULL;
	struct located l;
	uint64_t to = 0;
	int rc = db_write_begin(data->db, OPERATION_ATTR, true, &txn);
	if (rc)
		return rc;
	rc = db_write_data(txn, data, &l);
	if (!rc)
		rc = contents_can_cut(&txn->state, &l.d, attr->size, &to);
	*more = !rc && to > attr->size && to < l.d.size;
	if (*more)
		rc = resize(txn, &l.d, to);
	if (*more && !rc) {
		l.d.ctime = txn_time(txn, l.d.ctime);
		apply_attr(&l.d, attr, which);
		rc = data_save(txn, &l);
	}
	return db_write_end(data->db, txn, rc);
}

int banyan_set_attr(banyan_data *data, const struct banyan_attr *attr,
		    unsigned which, struct banyan_attr *after)
{
	int rc = set_attr(data, attr, which, after);
	bool more = (which & BANYAN_SET_SIZE) && !db_in_batch(data->db);
	while (rc == -E2BIG && more) {
		rc = cut_some(data, attr, which, &more);
		if (!rc)
			rc = set_attr(data, attr, which, after);
	}
	return rc;
}

int banyan_truncate(banyan_data *data, uint64_t size)
{
	struct banyan_attr attr = { .size = size };
	return banyan_set_attr(data, &attr, BANYAN_SET_SIZE, NULL);
}
