/* SPDX-License-Identifier: MIT */
#include "model/snapshots.h"

#include <errno.h>

#include "model/row_lookup.h"

int snapshot_decode(struct snapshot *s, const uint8_t *key, size_t len,
		    const uint8_t *value, size_t value_len)
{
	struct reader in = reader_of(value, value_len);
	struct snapshot d = { .name = (const char *)key + 1, .len = len - 1 };
	d.number = read_varint(&in);
	d.offset = read_varint(&in);
	if (in.bad || in.at != in.end || name_check(0, d.name, d.len) ||
	    d.number == 0 || d.number >= INT64_MAX || d.offset >= INT64_MAX)
		return -EUCLEAN;
	*s = d;
	return 0;
}

void snapshot_encode(const struct snapshot *s, struct buf *value)
{
	buf_add_varint(value, s->number);
	buf_add_varint(value, s->offset);
}

int snapshots_find(const struct state *state, const char *name, size_t len,
		   struct snapshot *s)
{
	struct row_key key;
	struct row_value value;
	int rc = name_check(0, name, len);
	if (rc)
		return rc;
	row_key_snapshot(&key, name, len);
	rc = state_get(state, &key, &value);
	if (!rc)
		rc = snapshot_decode(s, key.bytes, key.len, value.bytes,
				     value.len);
	if (!rc)
		s->name = name;
	return rc;
}

struct visit {
	int (*visit)(void *arg, const struct snapshot *s);
	void *arg;
};

static int visit_row(void *arg, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	const struct visit *v = arg;
	struct snapshot s;
	int rc = snapshot_decode(&s, key, len, value, value_len);
	return rc ? rc : v->visit(v->arg, &s);
}

int snapshots_visit(const struct state *state,
		    int (*visit)(void *arg, const struct snapshot *s),
		    void *arg)
{
	const uint8_t prefix = ROW_SNAPSHOT;
	struct visit v = { visit, arg };
	return rows_visit(state, &prefix, 1, visit_row, &v);
}

int snapshots_put(struct txn *txn, const struct snapshot *s)
{
	struct row_key key;
	struct buf value = BUF_INIT;
	row_key_snapshot(&key, s->name, s->len);
	snapshot_encode(s, &value);
	int rc = value.failed ? -ENOMEM : txn_put(txn, &key, &value);
	buf_free(&value);
	return rc;
}

int snapshots_delete(struct txn *txn, const char *name, size_t len)
{
	struct row_key key;
	row_key_snapshot(&key, name, len);
	return txn_delete(txn, &key);
}
