/* SPDX-License-Identifier: MIT */
#include "api/versions.h"

#include <errno.h>
#include <string.h>

#include "api/last_path.h"
#include "model/row_lookup.h"

struct telling {
	struct deletions *d;
	struct buf scratch;
	struct read_txn now;
	struct last_path at;
	int (*visit)(void *arg, const struct banyan_loss *loss);
	void *arg;
};

/* In the key space that is at hand */
static int tell(struct telling *t, const struct name *n,
		const struct version *was)
{
	struct buf *path = &t->at.path;
	size_t space = path->len;
	buf_add(path, n->bytes, n->len);
	buf_add_u8(path, 0);
	if (path->failed)
		return -ENOMEM;
	const struct banyan_loss loss = {
		.kind = BANYAN_LOSS_VERSION,
		.time = timestamp_split(was->time),
		.path = (const char *)path->data,
		.id = was->id,
		.size = was->size,
		.type = was->mode & 0170000,
		.event = (enum banyan_event)was->event,
	};
	int rc = t->visit(t->arg, &loss);
	path->len = space;
	return rc;
}

/* Is the Data in a DATA row, with a key? 1, 0, or an error. */
static int lives(struct telling *t, uint64_t id)
{
	struct located l;
	int rc = names_data(&t->now.state, id, &l);
	return rc ? (rc == -ENOENT ? 0 : rc) : l.d.nlink > 0;
}

/* Only if there is a key with that path now */
static int tell_if_there(struct telling *t, const struct name *n,
			 const struct version *was)
{
	struct name_row row;
	struct located l;
	int rc = last_path_find(&t->at, n->space);
	if (rc || !t->at.last)
		return rc;
	const struct name now = { t->at.last, n->bytes, n->len };
	rc = names_row(&t->now.state, &now, &row, &l);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (was->only_dead) {
		rc = lives(t, was->id);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	return tell(t, n, was);
}

static int tell_version(void *arg, const uint8_t *key, size_t len,
			const uint8_t *value, size_t value_len)
{
	struct version was;
	if (len <= ROW_ID_LEN + 8 || value_len != sizeof(was))
		return -EUCLEAN;
	memcpy(&was, value, sizeof(was));
	const struct name n = name_in_row(key, len - 8);
	return tell_if_there(arg, &n, &was);
}

/* The last key that a Data has had. -ENOENT. */
static int find_home(struct telling *t, uint64_t id, struct row_key *key,
		     struct name *n)
{
	struct buf *value = &t->scratch;
	deletions_row_key(ROW_HOME, id, key);
	int rc = rebuild_get(&t->d->rows, key, value);
	if (rc)
		return rc;
	if (value->len <= 8 || value->len > sizeof(key->bytes))
		return -EUCLEAN;
	memcpy(key->bytes, value->data, value->len);
	*n = (struct name){ get_be64(key->bytes), (const char *)key->bytes + 8,
			    value->len - 8 };
	return 0;
}

/* With a key that the Data has now, or with the last one that it had */
static int tell_of_data(struct telling *t, const struct version *was)
{
	struct name n = { BANYAN_ROOT_ID, "", 0 };
	struct row_key key;
	int rc = was->id == BANYAN_ROOT_ID ?
			 0 :
			 rows_first_link(&t->now.state, was->id, &key);
	if (rc > 0)
		n = name_in_link(key.bytes, key.len);
	else if (!rc && was->id != BANYAN_ROOT_ID)
		rc = find_home(t, was->id, &key, &n);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (!n.len) {
		rc = last_path_find(&t->at, n.space);
		return rc ? rc : tell(t, &n, was);
	}
	return tell_if_there(t, &n, was);
}

static int tell_state(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct version was;
	(void)key;
	if (len != ROW_ID_LEN + 8 || value_len != sizeof(was))
		return -EUCLEAN;
	memcpy(&was, value, sizeof(was));
	return tell_of_data(arg, &was);
}

static int tell_rows(struct telling *t, uint8_t kind, row_visit *visit)
{
	struct read_txn rtxn;
	int rc = rebuild_read(&t->d->rows, &rtxn);
	if (rc)
		return rc;
	rc = rows_visit(&rtxn.state, &kind, 1, visit, t);
	rebuild_read_end(&rtxn);
	return rc;
}

int versions_tell(struct store *store, struct deletions *d,
		  int (*visit)(void *arg, const struct banyan_loss *loss),
		  void *arg)
{
	struct telling t = {
		.d = d, .at.d = d, .at.now = &t.now, .visit = visit, .arg = arg
	};
	read_txn_begin_pinned(store, &t.now);
	int rc = tell_rows(&t, ROW_VERSION, tell_version);
	if (!rc)
		rc = tell_rows(&t, ROW_STATE, tell_state);
	read_txn_end(&t.now);
	last_path_free(&t.at);
	buf_free(&t.scratch);
	return rc;
}
