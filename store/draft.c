/* SPDX-License-Identifier: MIT */
#include "draft.h"

#include <errno.h>

#include "contents.h"
#include "file_over.h"
#include "row_tools.h"

int draft_open(struct draft *d, const char *path, mode_t mode,
	       uint64_t cache_bytes, int (*watch)(void *arg), void *arg)
{
	struct banyan_options o = { .cache_bytes = cache_bytes };
	*d = (struct draft){ 0 };
	int rc = file_create(path, mode, &d->below);
	if (!rc)
		rc = file_draft(d->below, watch, arg, &d->over);
	if (rc) {
		draft_drop(d);
		return rc;
	}
	/* The file over it is closed by the database, come what may */
	rc = db_open_file(d->over, &o, true, &d->db);
	if (rc)
		draft_drop(d);
	return rc;
}

/* 0, or why what was put last cannot be committed */
static int flush(struct draft *d)
{
	struct change *c = d->c;
	d->c = NULL;
	return c ? db_write_end(d->db, c, 0) : 0;
}

void draft_drop(struct draft *d)
{
	if (d->c)
		(void)db_write_end(d->db, d->c, -ECANCELED);
	if (d->db) {
		/* It is not worth a last freeze */
		log_poison(d->db->log);
		(void)banyan_close(d->db);
	}
	file_close(d->below);
	*d = (struct draft){ 0 };
}

int draft_publish(struct draft *d)
{
	int rc = flush(d);
	if (rc) {
		draft_drop(d);
		return rc;
	}
	rc = banyan_close(d->db);
	d->db = NULL;
	if (!rc)
		rc = file_publish(d->below, false);
	draft_drop(d);
	return rc;
}

/* An operation with room for one more row */
static int begin(struct draft *d)
{
	int rc = 0;
	if (d->c && change_full(d->c))
		rc = flush(d);
	if (!rc && !d->c)
		rc = db_write_begin(d->db, OPERATION_BATCH, false, &d->c);
	if (!rc)
		d->c->batch = true; /* nobody's memory stays */
	return rc;
}

int draft_put(struct draft *d, const struct row_key *key, const void *value,
	      size_t len)
{
	struct buf row = BUF_INIT;
	int rc = begin(d);
	if (!rc)
		rc = buf_set(&row, value, len);
	if (!rc)
		rc = len ? change_put(d->c, key, &row) :
			   change_put_empty(d->c, key);
	buf_free(&row);
	return rc;
}

int draft_delete(struct draft *d, const struct row_key *key)
{
	int rc = begin(d);
	return rc ? rc : change_delete(d->c, key);
}

int draft_stage(struct draft *d, const void *bytes, size_t size, uint64_t at,
		struct runs *runs)
{
	int rc = begin(d);
	return rc ? rc : contents_stage(d->c, bytes, size, at, runs);
}

int draft_read(struct draft *d, struct snapshot *s)
{
	int rc = flush(d);
	if (!rc)
		db_read_long(d->db, s);
	return rc;
}

void draft_read_end(struct snapshot *s)
{
	db_read_end(s);
}

int draft_has(struct draft *d, const struct row_key *key)
{
	struct snapshot s;
	if (d->c)
		return rows_has(&d->c->state, key);
	db_read_begin(d->db, &s);
	int rc = rows_has(&s.state, key);
	db_read_end(&s);
	return rc;
}

int draft_count(struct draft *d, uint64_t next_id, uint64_t keys, uint64_t live)
{
	struct snapshot s;
	struct row_key key;
	struct buf root = BUF_INIT;
	row_key_data(&key, BANYAN_ROOT_ID);
	int rc = draft_read(d, &s);
	if (rc)
		return rc;
	rc = rows_get(&s.state, &key, &root);
	draft_read_end(&s);
	if (!rc)
		rc = draft_put(d, &key, root.data, root.len);
	if (!rc) {
		struct operation *op = &d->c->op;
		op->keys = (int64_t)(keys - atomic_load(&d->db->keys));
		op->live = (int64_t)(live - atomic_load(&d->db->live));
		if (next_id > op->next_id)
			op->next_id = next_id;
		rc = flush(d);
	}
	buf_free(&root);
	return rc;
}
