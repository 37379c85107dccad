/* SPDX-License-Identifier: MIT */
/*
 * all_calls.h - each function of banyan.h that has something to do with a handle,
 * as one call with arguments that are all right but for what it is done to.
 */
#ifndef TESTS_ALL_CALLS_H
#define TESTS_ALL_CALLS_H

#include <sys/stat.h>

#include "api_fixture.h"

/* What calls are done to */
struct subject {
	banyan *db;
	banyan_data *space; /* a key space with a key "k" */
	banyan_data *file;
	banyan_cursor *cursor; /* of the space */
};

static inline struct banyan_new call_new(void)
{
	return (struct banyan_new){ .mode = S_IFREG | 0600,
				    .value = "value",
				    .size = 5 };
}

/* What it hands out is given back at once */
#define CALL(function, call)                                           \
	static inline int64_t call_##function(const struct subject *s) \
	{                                                              \
		banyan_data *data = NULL;                              \
		banyan *handle = NULL;                                 \
		banyan_cursor *cursor = NULL;                          \
		struct banyan_new make = call_new();                   \
		struct banyan_attr attr = { .mode = 0600 };            \
		struct banyan_entry entry;                             \
		struct banyan_stat stat = { 0 };                       \
		struct banyan_vacuum_plan plan = { 0 };                \
		struct banyan_time future = { .sec = INT64_MAX };      \
		char bytes[64];                                        \
		uint64_t id = 0;                                       \
		void *value = NULL;                                    \
		size_t size = 0;                                       \
		(void)make, (void)attr, (void)entry, (void)stat;       \
		(void)bytes, (void)id, (void)size, (void)future;       \
		(void)plan;                                            \
		int64_t said = (call);                                 \
		banyan_release(data, 1);                               \
		banyan_scan_end(cursor);                               \
		banyan_close(handle);                                  \
		banyan_free(value);                                    \
		return said;                                           \
	}

static inline int call_loss_visit(void *arg, const struct banyan_loss *loss)
{
	(void)arg;
	(void)loss;
	return 0;
}

static inline int call_visit(void *arg, const char *path,
			     const struct banyan_entry *entry)
{
	(void)arg;
	(void)path;
	(void)entry;
	return 0;
}

static inline int call_freeze_visit(void *arg,
				    const struct banyan_freeze_info *info)
{
	(void)arg;
	(void)info;
	return 0;
}

static inline int call_snapshot_visit(void *arg,
				      const struct banyan_snapshot_info *info)
{
	(void)arg;
	(void)info;
	return 0;
}

static inline int call_diff_visit(void *arg, const struct banyan_change *change)
{
	(void)arg;
	(void)change;
	return 0;
}

static inline int call_log_visit(void *arg,
				 const struct banyan_version *version)
{
	(void)arg;
	(void)version;
	return 0;
}

static inline int call_deleted_visit(void *arg,
				     const struct banyan_deleted_key *key)
{
	(void)arg;
	(void)key;
	return 0;
}

CALL(log, banyan_log(s->db, "file", call_log_visit, NULL))
CALL(deleted, banyan_deleted(s->db, NULL, call_deleted_visit, NULL))
CALL(undelete, banyan_undelete(s->db, "gone", NULL, NULL, NULL))

static const char *const call_gone[] = { "gone" };

CALL(undelete_keys, banyan_undelete_keys(s->db, call_gone, 1, NULL, NULL))
CALL(view, banyan_view(s->db, &handle))
CALL(diff, banyan_diff(s->db, s->db, call_diff_visit, NULL))
CALL(view_at_freeze, banyan_view_at_freeze(s->db, 1, &handle))
CALL(view_snapshot, banyan_view_snapshot(s->db, "s", 1, &handle))
CALL(view_at_time, banyan_view_at_time(s->db, future, &handle))
CALL(search, banyan_search(s->space, "k", 1, &data, NULL))
CALL(insert, banyan_insert(s->space, "new", 3, &make, &data, NULL))
CALL(insert_unnamed, banyan_insert_unnamed(s->db, &make, &data, NULL))
CALL(insert_data, banyan_insert_data(s->space, "alias", 5, s->file))
CALL(delete, banyan_delete(s->space, "k", 1, 0, &data))
CALL(move, banyan_move(s->space, "k", 1, s->space, "l", 1, 0))
CALL(parent, banyan_parent(s->space, &id))
CALL(get_attr, banyan_get_attr(s->file, &attr))
CALL(set_attr, banyan_set_attr(s->file, &attr, BANYAN_SET_MODE, NULL))
CALL(read, banyan_read(s->file, bytes, sizeof(bytes), 0))
CALL(fetch, banyan_fetch(s->space, "k", 1, bytes, sizeof(bytes)))
CALL(write, banyan_write(s->file, "x", 1, 0, 0, NULL))
CALL(truncate, banyan_truncate(s->file, 3))
CALL(punch, banyan_punch(s->file, 0, 1, false))
CALL(clone, banyan_clone(s->file, 0, s->file, 10, 2))
CALL(seek_data, banyan_seek_data(s->file, 0))
CALL(seek_hole, banyan_seek_hole(s->file, 0))
CALL(get_xattr, banyan_get_xattr(s->file, "user.x", bytes, sizeof(bytes)))
CALL(set_xattr, banyan_set_xattr(s->file, "user.x", "x", 1, 0))
CALL(list_xattr, banyan_list_xattr(s->file, bytes, sizeof(bytes)))
CALL(remove_xattr, banyan_remove_xattr(s->file, "user.x"))
CALL(scan, banyan_scan(s->space, NULL, &cursor))
CALL(next, banyan_next(s->cursor, &entry))
CALL(entry_data, banyan_entry_data(s->cursor, &data))
CALL(seek, banyan_seek(s->cursor, "k", 1, 0))
CALL(find, banyan_find(s->db, "file", &data))
CALL(find_id, banyan_find_id(s->db, BANYAN_ROOT_ID, &data))
CALL(restore_holds, banyan_restore_holds(s->db, NULL, 0))
CALL(put, banyan_put(s->db, "put", "x", 1, 0))
CALL(put_data, banyan_put_data(s->db, "put data", s->file, 0))
CALL(get, banyan_get(s->db, "file", &value, &size))
CALL(remove, banyan_remove(s->db, "file"))
CALL(alias, banyan_alias(s->db, "file", "other"))
CALL(rename, banyan_rename(s->db, "file", "other", 0))
CALL(make_space, banyan_make_space(s->db, "new space", 0))
CALL(walk, banyan_walk(s->db, "", NULL, true, call_visit, NULL))
CALL(begin, banyan_begin(s->db, &handle))
CALL(sync, banyan_sync(s->db))
CALL(freeze, banyan_freeze(s->db))
CALL(vacuum, banyan_vacuum(s->db, NULL, NULL))
CALL(vacuum_plan, banyan_vacuum_plan(s->db, NULL, NULL, &plan))
CALL(vacuum_losses, banyan_vacuum_losses(s->db, NULL, call_loss_visit, NULL))
CALL(freezes, banyan_freezes(s->db, call_freeze_visit, NULL))
CALL(snapshot, banyan_snapshot(s->db, "new", 3))
CALL(snapshot_drop, banyan_snapshot_drop(s->db, "s", 1))
CALL(snapshot_rename, banyan_snapshot_rename(s->db, "s", 1, "t", 1))
CALL(snapshots, banyan_snapshots(s->db, call_snapshot_visit, NULL))
CALL(get_stat, banyan_get_stat(s->db, &stat))

#undef CALL

#define ENTRY(name)                          \
	{                                    \
		"banyan_" #name, call_##name \
	}

/* All that say what went wrong, but open, close, commit, and what needs no
 * database. Any order will do where each of them fails. */
static const struct call {
	const char *name;
	int64_t (*run)(const struct subject *s);
} all_calls[] = {
	ENTRY(view),
	ENTRY(diff),
	ENTRY(view_at_freeze),
	ENTRY(view_at_time),
	ENTRY(search),
	ENTRY(insert),
	ENTRY(insert_data),
	ENTRY(insert_unnamed),
	ENTRY(delete),
	ENTRY(move),
	ENTRY(parent),
	ENTRY(get_attr),
	ENTRY(set_attr),
	ENTRY(read),
	ENTRY(fetch),
	ENTRY(write),
	ENTRY(truncate),
	ENTRY(punch),
	ENTRY(clone),
	ENTRY(seek_data),
	ENTRY(seek_hole),
	ENTRY(get_xattr),
	ENTRY(set_xattr),
	ENTRY(list_xattr),
	ENTRY(remove_xattr),
	ENTRY(scan),
	ENTRY(next),
	ENTRY(entry_data),
	ENTRY(seek),
	ENTRY(find),
	ENTRY(find_id),
	ENTRY(restore_holds),
	ENTRY(put),
	ENTRY(put_data),
	ENTRY(get),
	ENTRY(remove),
	ENTRY(alias),
	ENTRY(rename),
	ENTRY(make_space),
	ENTRY(walk),
	ENTRY(begin),
	ENTRY(sync),
	ENTRY(freeze),
	ENTRY(freezes),
	ENTRY(vacuum),
	ENTRY(vacuum_plan),
	ENTRY(vacuum_losses),
	ENTRY(log),
	ENTRY(deleted),
	ENTRY(undelete),
	ENTRY(undelete_keys),
	ENTRY(get_stat),
	ENTRY(snapshot),
	ENTRY(snapshot_drop),
	ENTRY(snapshot_rename),
	ENTRY(snapshots),
	ENTRY(view_snapshot),
};

#undef ENTRY

#define ALL_CALLS (sizeof(all_calls) / sizeof(*all_calls))

static inline void subject_make(banyan *db)
{
	put(db, "file", "a file");
	put(db, "space/k", "in it");
	put(db, "gone", "to be brought back");
	OK(banyan_remove(db, "gone"));
	banyan_data *d = find(db, "file");
	OK(banyan_set_xattr(d, "user.x", "x", 1, 0));
	OK(banyan_snapshot(db, "s", 1));
	banyan_release(d, 1);
}

/* Of what subject_make() has made, through any handle */
static inline void subject_take(struct subject *s, banyan *db)
{
	struct banyan_entry e;
	*s = (struct subject){ .db = db };
	s->space = find(db, "space");
	s->file = find(db, "file");
	OK(banyan_scan(s->space, NULL, &s->cursor));
	OK(banyan_next(s->cursor, &e));
}

static inline void subject_give_back(struct subject *s)
{
	banyan_scan_end(s->cursor);
	banyan_release(s->file, 1);
	banyan_release(s->space, 1);
	*s = (struct subject){ 0 };
}

#endif
