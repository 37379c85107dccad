/* SPDX-License-Identifier: MIT */
#include "engine/rebuild.h"

#include <errno.h>

#include "engine/open.h"
#include "engine/write.h"
#include "model/extent_io.h"
#include "file/file_overlay.h"
#include "model/row_lookup.h"

int rebuild_create(struct rebuild *d, const char *path, mode_t mode,
		   uint64_t cache_bytes, int (*watch)(void *arg), void *arg)
{
	struct file *file = NULL;
	*d = (struct rebuild){ 0 };
	int rc = file_create(path, mode, NULL, &file);
	return rc ? rc : rebuild_open(d, file, cache_bytes, watch, arg);
}

int rebuild_open_scratch(struct rebuild *d, struct file *beside,
			 uint64_t cache_bytes)
{
	struct file *file = NULL;
	*d = (struct rebuild){ 0 };
	int rc = file_scratch(beside, &file);
	return rc ? rc : rebuild_open(d, file, cache_bytes, NULL, NULL);
}

int rebuild_open(struct rebuild *d, struct file *below, uint64_t cache_bytes,
		 int (*watch)(void *arg), void *arg)
{
	struct banyan_options o = { .cache_bytes = cache_bytes };
	*d = (struct rebuild){ .below = below };
	int rc = file_deferred(d->below, watch, arg, &d->over);
	if (rc) {
		rebuild_drop(d);
		return rc;
	}
	/* store_open() closes d->over even if it fails */
	rc = store_open(d->over, &o, true, &d->store);
	if (rc)
		rebuild_drop(d);
	return rc;
}

/* Commit the rows that were put last */
static int flush(struct rebuild *d)
{
	struct txn *txn = d->txn;
	d->txn = NULL;
	return txn ? store_write_end(d->store, 0) : 0;
}

void rebuild_drop(struct rebuild *d)
{
	if (d->txn)
		(void)store_write_end(d->store, -ECANCELED);
	if (d->store) {
		/* So that the close does not freeze it */
		log_poison(d->store->volume->log);
		(void)store_close(d->store);
	}
	file_close(d->below);
	*d = (struct rebuild){ 0 };
}

int rebuild_publish(struct rebuild *d)
{
	int rc = flush(d);
	if (rc) {
		rebuild_drop(d);
		return rc;
	}
	rc = store_close(d->store);
	d->store = NULL;
	if (!rc)
		rc = file_publish(d->below, false);
	rebuild_drop(d);
	return rc;
}

/* Have an operation open with room for one more row */
static int begin(struct rebuild *d)
{
	int rc = 0;
	if (d->txn && txn_full(d->txn))
		rc = flush(d);
	if (!rc && !d->txn)
		rc = store_write_begin(d->store, OPERATION_BATCH, false,
				       &d->txn);
	if (!rc)
		d->txn->batch = true; /* values are written at once */
	return rc;
}

int rebuild_put(struct rebuild *d, const struct row_key *key, const void *value,
		size_t len)
{
	struct buf row = BUF_INIT;
	int rc = begin(d);
	if (!rc)
		rc = buf_set(&row, value, len);
	if (!rc)
		rc = len ? txn_put(d->txn, key, &row) :
			   txn_put_empty(d->txn, key);
	buf_free(&row);
	return rc;
}

int rebuild_delete(struct rebuild *d, const struct row_key *key)
{
	int rc = begin(d);
	return rc ? rc : txn_delete(d->txn, key);
}

int rebuild_stage(struct rebuild *d, const void *bytes, size_t size,
		  uint64_t at, struct runs *runs)
{
	int rc = begin(d);
	return rc ? rc : extent_stage(d->txn, bytes, size, at, runs);
}

int rebuild_read(struct rebuild *d, struct read_txn *rtxn)
{
	int rc = flush(d);
	if (!rc)
		read_txn_begin_pinned(d->store, rtxn);
	return rc;
}

void rebuild_read_end(struct read_txn *rtxn)
{
	read_txn_end(rtxn);
}

/* What was put last, be it committed or not */
static const struct state *begin_look(struct rebuild *d, struct read_txn *rtxn)
{
	if (d->txn)
		return &d->txn->state;
	read_txn_begin(d->store, rtxn);
	return &rtxn->state;
}

static void end_look(struct rebuild *d, struct read_txn *rtxn)
{
	if (!d->txn)
		read_txn_end(rtxn);
}

int rebuild_has(struct rebuild *d, const struct row_key *key)
{
	struct read_txn rtxn;
	int rc = rows_has(begin_look(d, &rtxn), key);
	end_look(d, &rtxn);
	return rc;
}

int rebuild_get(struct rebuild *d, const struct row_key *key, struct buf *value)
{
	struct read_txn rtxn;
	int rc = rows_get(begin_look(d, &rtxn), key, value);
	end_look(d, &rtxn);
	return rc;
}

static int find_before(const struct state *s, struct row_key *key,
		       struct buf *value)
{
	struct merged_cursor *c = NULL;
	struct row_key behind = *key;
	size_t len = 0;
	int rc = merged_cursor_new(&s->merged, &c);
	/* The first key behind it */
	behind.bytes[behind.len++] = 0;
	if (!rc) {
		merged_cursor_within(c, key->bytes, 1);
		rc = merged_cursor_seek_before(c, behind.bytes, behind.len);
	}
	if (!rc) {
		const uint8_t *found = merged_cursor_key(c, &len);
		memcpy(key->bytes, found, len);
		key->len = len;
		found = merged_cursor_value(c, &len);
		rc = buf_set(value, found, len);
	}
	merged_cursor_free(c);
	return rc;
}

int rebuild_find_before(struct rebuild *d, struct row_key *key,
			struct buf *value)
{
	struct read_txn rtxn;
	int rc = find_before(begin_look(d, &rtxn), key, value);
	end_look(d, &rtxn);
	return rc;
}

int rebuild_count(struct rebuild *d, uint64_t next_id, uint64_t keys,
		  uint64_t live)
{
	struct read_txn rtxn;
	struct row_key key;
	struct buf root = BUF_INIT;
	row_key_data(&key, BANYAN_ROOT_ID);
	int rc = rebuild_read(d, &rtxn);
	if (rc)
		return rc;
	rc = rows_get(&rtxn.state, &key, &root);
	rebuild_read_end(&rtxn);
	if (!rc)
		rc = rebuild_put(d, &key, root.data, root.len);
	if (!rc) {
		struct operation *op = &d->txn->op;
		op->keys = (int64_t)(keys - atomic_load(&d->store->keys));
		op->live = (int64_t)(live - atomic_load(&d->store->live));
		if (next_id > op->next_id)
			op->next_id = next_id;
		rc = flush(d);
	}
	buf_free(&root);
	return rc;
}
