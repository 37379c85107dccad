/* SPDX-License-Identifier: MIT */
/* database.c - the public functions on a database as a whole. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "api/handle.h"
#include "api/snapshot.h"
#include "base/sized.h"
#include "engine/freeze.h"
#include "engine/freezes.h"
#include "engine/sweep.h"
#include "engine/write.h"
#include "vacuum/estimate.h"

/* ---- durability ------------------------------------------------------- */

int banyan_sync(banyan *db)
{
	int rc = handle_check(db);
	if (rc)
		return rc;
	if (db->kind != HANDLE_STORE)
		return db->kind == HANDLE_VIEW ? 0 : -EINVAL;
	return store_sync(db->store);
}

int banyan_freeze(banyan *db)
{
	int rc = handle_check(db);
	if (rc || db->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	struct store *store = db->store;
	if (db->kind == HANDLE_VIEW || store->read_only)
		return -EROFS;
	rc = store_sweep(store);
	if (!rc)
		rc = freeze_all(store, false);
	if (!rc)
		rc = store_sync(store);
	/* Somebody may know its number by now: damage must not pass for a tail
	 * that was torn, with the number going to another freeze */
	if (!rc)
		store_mark(store);
	return rc;
}

/* ---- what there is to know -------------------------------------------- */

/* While reading. What a batch deletes is live until its commit: only then is it
 * known whether anybody holds it. */
static void count(const banyan *db, struct banyan_stat *st)
{
	const struct store *store = db->store;
	bool view = db->kind == HANDLE_VIEW;
	st->live_bytes = view ? db->shown.live : atomic_load(&store->live);
	st->keys = view ? db->shown.keys : atomic_load(&store->keys);
	st->next_id = view ? db->shown.next_id : atomic_load(&store->next_id);
	if (db->kind == HANDLE_BATCH) {
		st->live_bytes += (uint64_t)db->txn->op.live;
		st->keys += (uint64_t)db->txn->op.keys;
		st->next_id = db->txn->op.next_id;
	}
}

/* The view that the handle shows; one reference */
static struct view *shown_view(const banyan *db)
{
	return db->kind == HANDLE_VIEW ? view_ref(db->shown.view) :
					 store_view(db->store);
}

int banyan_file(banyan *db)
{
	int rc = handle_check(db);
	if (rc)
		return rc;
	struct view *v = shown_view(db);
	rc = file_describe(v->volume->file);
	view_unref(v);
	return rc;
}

static int stat_volume(const banyan *db, struct banyan_stat *st)
{
	struct view *view = shown_view(db);
	const struct volume *v = view->volume;
	memcpy(st->uuid, v->sb.uuid, sizeof(st->uuid));
	memcpy(st->file_uuid, v->sb.file_uuid, sizeof(st->file_uuid));
	/* Each punch makes another one, too */
	st->generation = v->sb.generation + atomic_load(&v->punches);
	st->format = v->sb.version;
	st->durable_to = v->log ? log_durable_to(v->log) :
				  db->store->durable_to;
	int rc = file_size(v->file, &st->file_bytes);
	/* Until the rows are known */
	if (!rc)
		rc = file_allocated(v->file, &st->reclaimable_bytes);
	view_unref(view);
	return rc;
}

/* st->reclaimable_bytes is what the disk has for the file */
static int estimate(struct store *store, struct banyan_stat *st)
{
	const struct state_size now = {
		.live = st->live_bytes,
		.keys = st->keys,
		.index = atomic_load(&store->index_bytes),
		.redo_rows = st->redo_rows,
	};
	uint64_t compact = 0;
	int rc = estimate_vacuum(store, &now, st->file_bytes, &compact);
	/* No vacuum gives anything back */
	if (is_damage(rc))
		compact = UINT64_MAX;
	else if (rc)
		return rc;
	st->reclaimable_bytes -= compact < st->reclaimable_bytes ?
					 compact :
					 st->reclaimable_bytes;
	return 0;
}

int banyan_get_stat(banyan *db, struct banyan_stat *out)
{
	struct banyan_stat st = { 0 };
	struct cache_stat cache;
	struct read_txn rtxn;
	int rc = handle_check(db);
	if (rc || !out)
		return rc ? rc : -EINVAL;
	struct store *store = db->store;
	if (db->kind == HANDLE_STORE && !store->read_only)
		store_sweep_waiting(store);
	rc = stat_volume(db, &st);
	if (!rc)
		rc = handle_read(db, &rtxn);
	if (rc)
		return rc;
	st.tree_height = rtxn.state.merged.tree.height;
	for (unsigned i = 0; i < rtxn.state.merged.tables; i++)
		st.redo_rows +=
			redo_table_rows(rtxn.state.merged.table[i].table);
	count(db, &st);
	handle_read_end(db, &rtxn);
	st.redo_bytes = atomic_load(&store->redo_bytes);
	rc = estimate(store, &st);
	if (rc)
		return rc;
	cache_get_stat(store->cache, &cache);
	st.cache_bytes = cache.bytes;
	st.cache_hits = cache.hits;
	st.cache_misses = cache.misses;
	st.cache_limit = store->cache_limit;
	st.held = held_count(db->held);
	st.freezes = atomic_load(&store->freezes);
	return sized_give(out, &st, sizeof(st), sizeof(st));
}

struct banyan_freeze_info freeze_info(const struct freeze *f, uint64_t offset)
{
	return (struct banyan_freeze_info){
		.number = f->number,
		.time = timestamp_split(f->time),
		.offset = offset,
		.file_bytes = offset + record_size(FREEZE_BODY_SIZE, 0),
		.keys = f->keys,
		.live_bytes = f->live_bytes,
		.automatic = f->automatic,
		.gap = f->gap,
	};
}

int banyan_freezes(banyan *db,
		   int (*visit)(void *arg, const struct banyan_freeze_info *),
		   void *arg)
{
	struct freeze_walk w;
	struct freeze f;
	uint64_t at = 0;
	int rc = handle_check(db);
	if (rc || !visit)
		return rc ? rc : -EINVAL;
	struct view *v = shown_view(db);
	rc = freezes_walk(v->volume, v->last_freeze, &w);
	while (!rc) {
		rc = freezes_next(db->store, &w, &f, &at);
		if (rc) {
			rc = rc < 0 ? rc : 0;
			break;
		}
		struct banyan_freeze_info info = freeze_info(&f, at);
		rc = visit(arg, &info);
	}
	view_unref(v);
	return rc;
}

const char *banyan_version(void)
{
	return BANYAN_VERSION;
}

const char *banyan_strerror(int error)
{
	switch (error) {
	case -EMEDIUMTYPE:
		return "not a Banyan database";
	case -EPROTONOSUPPORT:
		return "written by a newer version of Banyan";
	case -EUCLEAN:
		return "damaged structure";
	case -EBADMSG:
		return "damaged: checksum mismatch";
	case -EBUSY:
		return "open for writing elsewhere";
	case -ESTALE:
		return "the Data is gone";
	case -E2BIG:
		return "too large for one operation";
	case -EROFS:
		return "opened for reading only";
	case -ECHILD:
		return "opened by another process, before a fork";
	case -ECANCELED:
		return "cancelled";
	default:
		break;
	}
	/* Unlike strerror(3) this needs no buffer of its own, and no locale */
	const char *text = NULL;
	if (error != INT_MIN)
		text = strerrordesc_np(error < 0 ? -error : error);
	return text ? text : "unknown error";
}
