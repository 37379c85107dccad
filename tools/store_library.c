/* SPDX-License-Identifier: MIT */
/*
 * store_library.c - the operations of store.h with the library. rm -r empties a
 * key space from its leaves upwards, with a stack on the heap: key spaces may
 * be nested deeper than C calls can be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store.h"

static int find(const struct store *store, const char *key,
		struct key_info *info)
{
	struct banyan_attr attr;
	banyan_data *data;
	int rc = banyan_find(store->db, key, &data);

	if (rc)
		return rc;
	rc = banyan_get_attr(data, &attr);
	banyan_release(data, 1);
	if (rc)
		return rc;
	*info = (struct key_info){ .id = attr.id, .mode = attr.mode };
	return 0;
}

/* ---- values ----------------------------------------------------------- */

static int put(const struct store *store, const char *key, const void *value,
	       size_t size, unsigned flags)
{
	return banyan_put(store->db, key, value, size, flags);
}

static int draft_begin(const struct store *store, const char *key,
		       unsigned flags, struct draft *draft)
{
	const struct banyan_new make = {
		.mode = S_IFREG | 0600,
		.uid = geteuid(),
		.gid = getegid(),
	};

	(void)key;
	(void)flags;
	return banyan_insert_unnamed(store->db, &make, &draft->data, NULL);
}

static int draft_write(struct draft *draft, const void *bytes, size_t size,
		       uint64_t offset)
{
	return banyan_write(draft->data, bytes, size, offset, 0, NULL);
}

static int draft_put(const struct store *store, struct draft *draft,
		     const char *key, unsigned flags)
{
	return banyan_put_data(store->db, key, draft->data, flags);
}

static void draft_end(struct draft *draft)
{
	banyan_release(draft->data, 1);
}

/* ---- keys ------------------------------------------------------------- */

static int alias(const struct store *store, const char *key,
		 const char *new_alias)
{
	return banyan_alias(store->db, key, new_alias);
}

static int rename_key(const struct store *store, const char *key,
		      const char *new_key, unsigned flags)
{
	return banyan_rename(store->db, key, new_key, flags);
}

static int make_space(const struct store *store, const char *key,
		      unsigned flags)
{
	return banyan_make_space(store->db, key, flags);
}

static int remove_key(const struct store *store, const char *key)
{
	return banyan_remove(store->db, key);
}

/* ---- emptying a key space --------------------------------------------- */

/* A key space that is being emptied, and its name in the one above */
struct level {
	struct level *above;
	banyan_data *space;
	banyan_cursor *cursor;
	size_t len;
	char name[BANYAN_NAME_MAX];
};

/* Takes over space, also when it fails */
static int push(struct level **top, banyan_data *space, const char *name,
		size_t len)
{
	const struct banyan_range names = { .names_only = true };
	struct level *level = calloc(1, sizeof(*level));
	int rc = level ? banyan_scan(space, &names, &level->cursor) : -ENOMEM;

	if (rc) {
		free(level);
		banyan_release(space, 1);
		return rc;
	}
	level->above = *top;
	level->space = space;
	level->len = len;
	memcpy(level->name, name, len);
	*top = level;
	return 0;
}

static void pop(struct level **top)
{
	struct level *level = *top;

	*top = level->above;
	banyan_scan_end(level->cursor);
	banyan_release(level->space, 1);
	free(level);
}

/* All its keys are gone: now itself, unless it is the one to begin with */
static int remove_emptied(struct level **top)
{
	char name[BANYAN_NAME_MAX];
	size_t len = (*top)->len;

	memcpy(name, (*top)->name, len);
	pop(top);
	if (!*top)
		return 0;
	return banyan_delete((*top)->space, name, len, BANYAN_ONLY_SPACE, NULL);
}

static int remove_next(struct level **top)
{
	struct level *level = *top;
	struct banyan_entry entry;
	banyan_data *space;
	int rc = banyan_next(level->cursor, &entry);

	if (rc < 0)
		return rc;
	if (rc == 1)
		return remove_emptied(top);
	if (!S_ISDIR(entry.attr.mode))
		return banyan_delete(level->space, entry.name, entry.len, 0,
				     NULL);
	rc = banyan_entry_data(level->cursor, &space);
	return rc ? rc : push(top, space, entry.name, entry.len);
}

static int empty(const struct store *store, const char *key)
{
	struct level *top = NULL;
	banyan_data *space;
	int rc = banyan_find(store->db, key, &space);

	if (!rc)
		rc = push(&top, space, "", 0);
	while (!rc && top)
		rc = remove_next(&top);
	while (top)
		pop(&top);
	return rc;
}

/* ---- batches ---------------------------------------------------------- */

static int batch_begin(const struct store *store, const char *key,
		       struct batch *batch)
{
	mode_t mask = umask(0);
	int rc = banyan_begin(store->db, &batch->db);

	umask(mask);
	batch->mode = S_IFREG | (0666 & ~mask);
	if (rc)
		return rc;
	rc = banyan_find(batch->db, key, &batch->space);
	if (rc)
		banyan_abort(batch->db);
	return rc;
}

static int batch_insert(struct batch *batch, const char *name, size_t len,
			const void *value, size_t size)
{
	const struct banyan_new make = {
		.mode = batch->mode,
		.uid = geteuid(),
		.gid = getegid(),
		.value = value,
		.size = size,
	};

	return banyan_insert(batch->space, name, len, &make, NULL, NULL);
}

static int batch_delete(struct batch *batch, const char *name, size_t len)
{
	return banyan_delete(batch->space, name, len, 0, NULL);
}

static int batch_commit(struct batch *batch)
{
	banyan_release(batch->space, 1);
	return banyan_commit(batch->db);
}

static bool batch_abort(struct batch *batch)
{
	banyan_release(batch->space, 1);
	banyan_abort(batch->db);
	return false;
}

static int close_store(struct store *store)
{
	int rc = banyan_close(store->db);

	banyan_close(store->present);
	return rc;
}

/* ---- snapshots -------------------------------------------------------- */

static int take_snapshot(const struct store *store, const char *name)
{
	return banyan_snapshot(store->db, name, strlen(name));
}

static int drop_snapshot(const struct store *store, const char *name)
{
	return banyan_snapshot_drop(store->db, name, strlen(name));
}

static int rename_snapshot(const struct store *store, const char *name,
			   const char *new_name)
{
	return banyan_snapshot_rename(store->db, name, strlen(name), new_name,
				      strlen(new_name));
}

const struct store_ops store_library = {
	.find = find,
	.put = put,
	.draft_begin = draft_begin,
	.draft_write = draft_write,
	.draft_put = draft_put,
	.draft_end = draft_end,
	.alias = alias,
	.rename = rename_key,
	.make_space = make_space,
	.remove = remove_key,
	.empty = empty,
	.batch_begin = batch_begin,
	.batch_insert = batch_insert,
	.batch_delete = batch_delete,
	.batch_commit = batch_commit,
	.batch_abort = batch_abort,
	.snapshot = take_snapshot,
	.snapshot_drop = drop_snapshot,
	.snapshot_rename = rename_snapshot,
	.close = close_store,
};
