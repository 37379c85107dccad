/* SPDX-License-Identifier: MIT */
/* keys.c - the public functions on keys: hold, search, make, delete, move. */
#include "api/keys.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>

#include "api/attributes.h"
#include "api/handle.h"
#include "api/last_error.h"
#include "base/sized.h"
#include "engine/sweep.h"
#include "model/contents.h"
#include "model/xattr.h"

/* ---- holding ---------------------------------------------------------- */

void banyan_hold(banyan_data *data)
{
	if (!data_check(data))
		held_hold_again(data->db->held, data);
}

void banyan_release(banyan_data *data, uint64_t times)
{
	uint64_t id = 0;
	bool orphan = false;
	if (!data || data_check(data) || data->id == BANYAN_ROOT_ID ||
	    times == 0)
		return;
	banyan *db = data->db;
	if (!held_release(db->held, data, times, &id, &orphan) || !orphan)
		return;
	/* Nobody holds an orphan any more: its rows can go. What goes wrong, and
	 * the rest of a long one, is left to the sweep before the next freeze.
	 * So is all of it in a batch, which may be aborted. */
	if (db->kind == HANDLE_BATCH)
		atomic_store(&db->store->orphans, true);
	else
		store_sweep_released(db->store, id);
}

uint64_t banyan_id(const banyan_data *data)
{
	return data ? data->id : 0;
}

banyan *banyan_db(const banyan_data *data)
{
	return data ? data->db : NULL;
}

banyan_data *banyan_held(banyan *db, uint64_t id)
{
	if (handle_check(db))
		return NULL;
	return id == BANYAN_ROOT_ID ? db->root : held_find(db->held, id, 0);
}

uint64_t banyan_home(banyan_data *data)
{
	if (data_check(data) || data->db->kind != HANDLE_STORE)
		return 0;
	struct store *store = data->db->store;
	unsigned slot = cache_enter(store->cache);
	uint64_t space = held_home(data, atomic_load(&store->visible))->space;
	cache_leave(store->cache, slot);
	return space;
}

void banyan_set_tag(banyan_data *data, uint8_t bits, bool on)
{
	if (!data)
		return;
	if (on)
		atomic_fetch_or(&data->tag, bits);
	else
		atomic_fetch_and(&data->tag, (uint8_t)~bits);
}

uint8_t banyan_tag(const banyan_data *data)
{
	return data ? atomic_load(&data->tag) : 0;
}

/* ---- searching -------------------------------------------------------- */

/* Why there is no key: -ENOENT, or -ENOTDIR if the space is none */
static int check_space(const struct state *s, uint64_t id)
{
	struct data space;
	int rc = names_space(s, id, &space);
	return rc ? rc : -ENOENT;
}

/* Also the Data itself, where its attributes are wanted */
static int find(const struct state *s, const struct name *n, bool whole,
		struct name_row *row, struct located *l)
{
	int rc = names_row(s, n, row, l);
	if (rc == -ENOENT)
		return check_space(s, n->space);
	if (rc || row->embedded)
		return rc;
	location_set(&l->at, 0, NULL, 0);
	if (!whole)
		return 0;
	rc = names_data(s, row->id, l);
	return rc == -ENOENT ? -EUCLEAN : rc;
}

int search_once(banyan *db, const struct name *n, banyan_data **data,
		struct banyan_attr *attr)
{
	struct read_txn rtxn;
	struct name_row row;
	struct located l;
	int rc = handle_read(db, &rtxn);
	if (rc)
		return rc;
	rc = find(&rtxn.state, n, attr != NULL, &row, &l);
	bool found = !rc;
	/* In a batch while its lock is held */
	if (found)
		rc = held_hold(db->held, row.id, &l.at, rtxn.seq, data);
	handle_read_end(db, &rtxn);
	if (found && rc == -EAGAIN)
		held_wait(db->held, row.id);
	if (!rc && attr)
		fill_attr(&l.d, attr);
	return rc;
}

int banyan_search(banyan_data *space, const char *name, size_t len,
		  banyan_data **data, struct banyan_attr *attr)
{
	int rc = data_check(space);
	if (rc || !name || !data)
		return rc ? rc : -EINVAL;
	struct name n = { space->id, name, len };
	if (len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	/* Each try that fails is an operation of a writer that has succeeded */
	while ((rc = search_once(space->db, &n, data, attr)) == -EAGAIN)
		sched_yield();
	return (int)note_key(space->db, rc, __func__, name, len);
}

/* ---- making ----------------------------------------------------------- */

static bool has_value(uint32_t type)
{
	return type == 0 || type == S_IFREG || type == S_IFLNK;
}

static int take_new(struct banyan_new *make, const struct banyan_new *from)
{
	int rc = sized_take(make, sizeof(*make), sizeof(*make), from);
	if (rc)
		return rc;
	uint32_t type = make->mode & S_IFMT;
	if (make->size && (!has_value(type) || !make->value))
		return -EINVAL;
	if (make->xattr_count && !make->xattrs)
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
	d->birth = txn->now;
	d->atime = txn->now;
	d->mtime = txn->now;
	d->ctime = txn->now;
	if (data_is_space(d)) {
		d->nlink = 2;
		d->parent = parent;
	}
	if (d->id > INT64_MAX - 1)
		return -ENOSPC;
	int rc = 0;
	if (make->size)
		rc = contents_write(txn, d, make->value, make->size, 0);
	for (size_t i = 0; !rc && i < make->xattr_count; i++) {
		const struct banyan_xattr *x = &make->xattrs[i];
		rc = !x->name || (x->size && !x->value) ?
			     -EINVAL :
			     xattr_set(txn, d->id, x->name, x->value, x->size,
				       0);
	}
	return rc;
}

/* End an operation that has held a Data for the caller, who gets it if all is
 * well */
static int end_holding(banyan *db, int rc, banyan_data *held,
		       banyan_data **data)
{
	rc = handle_write_end(db, rc);
	if (rc)
		banyan_release(held, 1);
	else if (data)
		*data = held;
	return rc;
}

static int insert(struct txn *txn, const struct name *n,
		  const struct banyan_new *make, struct located *l)
{
	int rc = names_check_new(txn, n);
	if (!rc)
		rc = make_data(txn, make, n->space, &l->d);
	if (!rc)
		rc = names_insert(txn, n, &l->d);
	if (rc)
		return rc;
	bool in_row = !data_is_space(&l->d);
	location_set(&l->at, in_row ? n->space : 0, n->bytes,
		     in_row ? n->len : 0);
	return 0;
}

int banyan_insert(banyan_data *space, const char *name, size_t len,
		  const struct banyan_new *new, banyan_data **data,
		  struct banyan_attr *attr)
{
	struct banyan_new make;
	struct txn *txn = NULL;
	struct located l;
	banyan_data *held = NULL;
	int rc = data_check(space);
	if (rc || !name || !new)
		return rc ? rc : -EINVAL;
	struct name n = { space->id, name, len };
	rc = take_new(&make, new);
	if (!rc)
		rc = handle_write(space->db, OPERATION_INSERT, false, &txn);
	if (rc)
		return (int)note_key(space->db, rc, __func__, name, len);
	rc = insert(txn, &n, &make, &l);
	if (!rc && data) {
		rc = handle_hold(space->db, &l, &held);
		if (rc)
			txn->broken = rc;
	}
	rc = end_holding(space->db, rc, held, data);
	if (!rc && attr)
		fill_attr(&l.d, attr);
	return (int)note_key(space->db, rc, __func__, name, len);
}

static int insert_unnamed(banyan *db, struct txn *txn,
			  const struct banyan_new *make, struct located *l,
			  banyan_data **held)
{
	int rc = make_data(txn, make, 0, &l->d);
	l->d.nlink = 0;
	location_set(&l->at, 0, NULL, 0);
	if (!rc)
		rc = handle_hold(db, l, held);
	if (!rc)
		rc = names_insert_unnamed(txn, &l->d);
	return rc ? rc : txn_relocate(txn, l->d.id, NULL, NULL, true);
}

int banyan_insert_unnamed(banyan *db, const struct banyan_new *new,
			  banyan_data **data, struct banyan_attr *attr)
{
	struct banyan_new make;
	struct txn *txn = NULL;
	struct located l;
	banyan_data *held = NULL;
	int rc = handle_check(db);
	if (rc || !new || !data)
		return rc ? rc : -EINVAL;
	rc = take_new(&make, new);
	if (!rc && (make.mode & S_IFMT) == S_IFDIR)
		rc = -EINVAL;
	if (!rc)
		rc = handle_write(db, OPERATION_INSERT, false, &txn);
	if (rc)
		return rc;
	rc = insert_unnamed(db, txn, &make, &l, &held);
	rc = end_holding(db, rc, held, data);
	if (!rc && attr)
		fill_attr(&l.d, attr);
	return rc;
}

int banyan_insert_data(banyan_data *space, const char *name, size_t len,
		       banyan_data *data)
{
	struct txn *txn = NULL;
	struct located l;
	int rc = data_check(space);
	if (!rc)
		rc = data_check(data);
	if (rc || !name)
		return rc ? rc : -EINVAL;
	struct name n = { space->id, name, len };
	banyan *db = space->db;
	if (data->db != db)
		return -EXDEV;
	rc = handle_write(db, OPERATION_ALIAS, false, &txn);
	if (rc)
		return (int)note_key(space->db, rc, __func__, name, len);
	rc = handle_write_data(txn, data, &l);
	if (!rc)
		rc = names_alias(txn, &n, &l);
	return (int)note_key(space->db, handle_write_end(db, rc), __func__,
			     name, len);
}

/* ---- deleting and moving ---------------------------------------------- */

int banyan_delete(banyan_data *space, const char *name, size_t len,
		  unsigned flags, banyan_data **data)
{
	struct txn *txn = NULL;
	struct located l;
	banyan_data *held = NULL;
	int rc = data_check(space);
	if (rc || !name || (flags & ~(BANYAN_ONLY_SPACE | BANYAN_NOT_SPACE)))
		return rc ? rc : -EINVAL;
	struct name n = { space->id, name, len };
	banyan *db = space->db;
	rc = handle_write(db, OPERATION_DELETE, true, &txn);
	if (rc)
		return (int)note_key(space->db, rc, __func__, name, len);
	if (data) {
		/* Held before it goes, it lives on */
		rc = names_lookup(&txn->state, &n, &l);
		if (!rc)
			rc = handle_hold(db, &l, &held);
		else if (rc == -ENOENT)
			rc = 0; /* names_delete() knows why */
	}
	if (!rc)
		rc = names_delete(txn, &n, flags, data != NULL);
	return (int)note_key(space->db, end_holding(db, rc, held, data),
			     __func__, name, len);
}

int banyan_move(banyan_data *space, const char *name, size_t len,
		banyan_data *new_space, const char *new_name, size_t new_len,
		unsigned flags)
{
	struct txn *txn = NULL;
	int rc = data_check(space);
	if (!rc)
		rc = data_check(new_space);
	if (rc || !name || !new_name)
		return rc ? rc : -EINVAL;
	struct name from = { space->id, name, len };
	struct name to = { new_space->id, new_name, new_len };
	banyan *db = space->db;
	if (new_space->db != db)
		return -EXDEV;
	rc = handle_write(db, OPERATION_MOVE, true, &txn);
	if (rc)
		return (int)note_key(space->db, rc, __func__, name, len);
	return (int)note_key(
		space->db,
		handle_write_end(db, names_move(txn, &from, &to, flags)),
		__func__, name, len);
}

int banyan_parent(banyan_data *space, uint64_t *id)
{
	struct read_txn rtxn;
	struct located l;
	int rc = data_check(space);
	if (rc || !id)
		return rc ? rc : -EINVAL;
	rc = handle_read_data(space, &rtxn, &l);
	if (rc)
		return rc;
	handle_read_end(space->db, &rtxn);
	if (!data_is_space(&l.d))
		return -ENOTDIR;
	*id = l.d.parent;
	return 0;
}
