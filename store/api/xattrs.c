/* SPDX-License-Identifier: MIT */
/* xattrs.c - the public functions on extended attributes. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "api/last_error.h"
#include "model/xattr.h"

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
	struct read_txn rtxn;
	struct buf b = BUF_INIT;
	ssize_t rc = data_check(data);
	if (rc || !name || (size && !value))
		return rc ? rc : -EINVAL;
	rc = handle_read(data->db, &rtxn);
	if (rc)
		return (ssize_t)note_data(data, rc, __func__);
	rc = xattr_get(&rtxn.state, data->id, name, &b);
	handle_read_end(data->db, &rtxn);
	if (!rc)
		rc = give(&b, value, size);
	buf_free(&b);
	return (ssize_t)note_data(data, rc, __func__);
}

ssize_t banyan_list_xattr(banyan_data *data, char *names, size_t size)
{
	struct read_txn rtxn;
	struct buf b = BUF_INIT;
	ssize_t rc = data_check(data);
	if (rc || (size && !names))
		return rc ? rc : -EINVAL;
	rc = handle_read_pinned(data->db, &rtxn);
	if (rc)
		return (ssize_t)note_data(data, rc, __func__);
	rc = xattr_list(&rtxn.state, data->id, &b);
	read_txn_end(&rtxn);
	if (!rc)
		rc = give(&b, names, size);
	buf_free(&b);
	return (ssize_t)note_data(data, rc, __func__);
}

/* The ctime of a Data whose attributes have changed */
static int touch_data(struct txn *txn, struct located *l)
{
	l->d.ctime = txn_time(txn, l->d.ctime);
	return data_save(txn, l);
}

#define XATTR_FLAGS (BANYAN_XATTR_CREATE | BANYAN_XATTR_REPLACE)

int banyan_set_xattr(banyan_data *data, const char *name, const void *value,
		     size_t size, unsigned flags)
{
	struct txn *txn = NULL;
	struct located l;
	int rc = data_check(data);
	if (rc || !name || (size && !value) || (flags & ~XATTR_FLAGS))
		return rc ? rc : -EINVAL;
	banyan *db = data->db;
	rc = handle_write(db, OPERATION_XATTR, false, &txn);
	if (rc)
		return (int)note_data(data, rc, __func__);
	rc = handle_write_data(txn, data, &l);
	if (!rc)
		rc = data_may_change(&l.d);
	if (!rc)
		rc = xattr_set(txn, data->id, name, value, size, flags);
	if (!rc)
		rc = touch_data(txn, &l);
	return (int)note_data(data, handle_write_end(db, rc), __func__);
}

int banyan_remove_xattr(banyan_data *data, const char *name)
{
	struct txn *txn = NULL;
	struct located l;
	int rc = data_check(data);
	if (rc || !name)
		return rc ? rc : -EINVAL;
	banyan *db = data->db;
	rc = handle_write(db, OPERATION_XATTR, true, &txn);
	if (rc)
		return (int)note_data(data, rc, __func__);
	rc = handle_write_data(txn, data, &l);
	if (!rc) /* before the flags: what is not there may be removed */
		rc = xattr_has(&txn->state, data->id, name);
	if (!rc)
		rc = data_may_change(&l.d);
	if (!rc)
		rc = xattr_remove(txn, data->id, name);
	if (!rc)
		rc = touch_data(txn, &l);
	return (int)note_data(data, handle_write_end(db, rc), __func__);
}
