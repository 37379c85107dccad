/* SPDX-License-Identifier: MIT */
#include "engine/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fork_guard.h"
#include "engine/budget.h"
#include "engine/freeze.h"
#include "engine/freezes.h"
#include "engine/read_txn.h"
#include "engine/replay.h"
#include "engine/sweep.h"
#include "engine/write.h"
#include "model/names.h"

static int random_bytes(void *to, size_t n)
{
	/* Up to 256 bytes come whole, or not at all */
	return getrandom(to, n, 0) == (ssize_t)n ? 0 : -EIO;
}

/* A random UUID (RFC 4122, version 4) */
static int random_uuid(uint8_t *uuid)
{
	int rc = random_bytes(uuid, 16);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return rc;
}

int store_new_file(struct superblock *sb)
{
	int rc = random_uuid(sb->file_uuid);
	return rc ? rc : random_bytes(&sb->salt, sizeof(sb->salt));
}

static int new_superblock(struct superblock *sb)
{
	*sb = (struct superblock){ .version = FORMAT_VERSION,
				   .generation = 1,
				   .created = store_now() };
	int rc = random_uuid(sb->uuid);
	return rc ? rc : store_new_file(sb);
}

/* ---- memory ------------------------------------------------------- */

static void free_memory(struct store *store)
{
	txn_free(&store->txn);
	while (store->retired) {
		struct view *v = store->retired;
		store->retired = v->retired;
		view_unref(v);
	}
	view_unref(store->view);
	volume_unref(store->volume);
	if (!store->host)
		cache_free(store->cache);
	held_destroy(&store->held);
	fork_guard_free(store->guard);
}

static void free_store(struct store *store)
{
	/* A child has copies of what threads of its parent were changing, and of
	 * locks that they hold: it must not go through any of it */
	if (store->guard && !fork_guard_is_owner(store->guard)) {
		if (store->volume)
			file_close(store->volume->file);
		return;
	}
	freezer_stop(store);
	free(store->taken);
	free_memory(store);
	sem_destroy(&store->write_turn);
	pthread_mutex_destroy(&store->batch_lock);
	pthread_mutex_destroy(&store->released.lock);
	pthread_mutex_destroy(&store->snapshot_lock);
	pthread_mutex_destroy(&store->kept_lock);
	pthread_mutex_destroy(&store->freeze_lock);
	pthread_mutex_destroy(&store->report_lock);
	pthread_mutex_destroy(&store->freezer.lock);
	pthread_cond_destroy(&store->freezer.wake);
	pthread_cond_destroy(&store->freezer.done);
	free(store);
}

struct store *store_ref(struct store *store)
{
	atomic_fetch_add(&store->handles, 1);
	return store;
}

void store_unref(struct store *store)
{
	if (store && atomic_fetch_sub(&store->handles, 1) == 1)
		free_store(store);
}

int store_new(const struct banyan_options *o, struct store *host,
	      struct store **out)
{
	struct store *store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	sem_init(&store->write_turn, 0, 1);
	pthread_mutex_init(&store->batch_lock, NULL);
	pthread_mutex_init(&store->released.lock, NULL);
	pthread_mutex_init(&store->snapshot_lock, NULL);
	pthread_mutex_init(&store->kept_lock, NULL);
	pthread_mutex_init(&store->freeze_lock, NULL);
	pthread_mutex_init(&store->report_lock, NULL);
	pthread_mutex_init(&store->freezer.lock, NULL);
	pthread_cond_init(&store->freezer.wake, NULL);
	pthread_cond_init(&store->freezer.done, NULL);
	store->read_only = o->flags & BANYAN_READ_ONLY;
	store->report = o->report;
	store->report_arg = o->report_arg;
	store->cache_limit = o->cache_bytes ? o->cache_bytes :
					      BANYAN_CACHE_DEFAULT;
	if (store->cache_limit < BANYAN_CACHE_MIN)
		store->cache_limit = BANYAN_CACHE_MIN;
	store->table_limit = budget_table(store->cache_limit);
	atomic_init(&store->next_id, BANYAN_ROOT_ID);
	atomic_init(&store->handles, 1);
	store->guard = fork_guard_new();
	int rc = store->guard ? held_init(&store->held, NULL) : -ENOMEM;
	store->host = host;
	if (host)
		store->cache = host->cache;
	else if (!rc)
		rc = cache_new(budget_nodes(store->cache_limit, 0),
			       &store->cache);
	if (rc) {
		free_store(store);
		return rc;
	}
	*out = store;
	return 0;
}

int store_set_first_view(struct store *store, const struct tree *tree,
			 uint64_t last_freeze)
{
	struct redo_table *table = redo_table_new();
	store->view = table ? view_new(table, NULL, tree, store->volume,
				       last_freeze) :
			      NULL;
	redo_table_unref(table);
	return store->view ? 0 : -ENOMEM;
}

/* ---- creating --------------------------------------------------------- */

static int make_root(struct store *store)
{
	struct txn *txn = NULL;
	struct data d = { .mode = S_IFDIR | 0755,
			  .uid = geteuid(),
			  .gid = getegid(),
			  .nlink = 2,
			  .parent = BANYAN_ROOT_ID };
	int rc = store_write_begin(store, OPERATION_INSERT, true, &txn);
	if (rc)
		return rc;
	struct located l = { .d = d };
	l.d.id = txn_new_id(txn);
	l.d.birth = l.d.atime = l.d.mtime = l.d.ctime = txn->now;
	return store_write_end(store, data_save(txn, &l));
}

static int start_empty(struct store *store)
{
	struct volume *v = store->volume;
	struct tree empty = { .file = v->file };
	int rc = new_superblock(&v->sb);
	if (!rc)
		rc = log_create(v->file, &v->sb, &v->log);
	return rc ? rc : store_set_first_view(store, &empty, 0);
}

/* An empty database, whole with its first freeze, then visible */
static int create(struct store *store)
{
	int rc = start_empty(store);
	if (!rc)
		rc = make_root(store);
	if (!rc)
		rc = freeze_all(store, true);
	if (!rc)
		rc = file_publish(store->volume->file, false);
	return rc;
}

/* ---- recovering ------------------------------------------------------- */

static int check_root(struct store *store, const struct tree *tree)
{
	const struct node *node = NULL;
	if (!tree->height)
		return 0;
	int rc = cache_get(store->cache, tree->file, &tree->root,
			   tree->height - 1, &node);
	if (is_damage(rc))
		store_report(store, "damaged root node at offset %llu",
			     (unsigned long long)tree->root.offset);
	if (!rc)
		cache_put(store->cache, node);
	return rc;
}

static int start_from(struct store *store, const struct log_state *st)
{
	struct tree tree = { st->freeze.root, st->freeze.height,
			     store->volume->file };
	store->volume->sb = st->sb;
	store->volume->punches = st->freeze.punches;
	store->last = st->freeze;
	store->freezes = st->freeze.number;
	store->numbered = st->freeze.number;
	store->stamped = st->freeze.time;
	store->durable_to = st->durable_to;
	store->next_id = st->freeze.next_id;
	store->keys = st->freeze.keys;
	store->live = st->freeze.live_bytes;
	store->index_bytes = st->freeze.index_bytes;
	store->orphans = !store->read_only;
	int rc = check_root(store, &tree);
	return rc ? rc : store_set_first_view(store, &tree, st->freeze_offset);
}

/* Start from an earlier freeze than the last, with nothing to replay */
static int go_back(struct store *store, struct log_state *st, uint64_t number)
{
	store->volume->sb = st->sb;
	int rc = freezes_find(store, store->volume, number, &st->freeze_offset,
			      &st->freeze);
	st->end = st->freeze.replay;
	return rc;
}

static int recover(struct store *store, uint64_t freeze,
		   const struct banyan_keeper *keeper)
{
	struct log_state st = { 0 };
	int rc = log_recover(store->volume->file, !store->read_only, &st,
			     store->report, store->report_arg);
	if (!rc && keeper && !store->read_only)
		write_settle_notes(keeper->notes, keeper->note_count,
				   st.end.offset);
	if (!rc && freeze)
		rc = go_back(store, &st, freeze);
	if (!rc)
		rc = start_from(store, &st);
	if (!rc && !freeze)
		rc = store_replay(store, &st);
	if (!rc)
		budget_follow(store, store->view);
	if (!rc && !store->read_only && !store->volume->log)
		rc = log_continue(store->volume->file, &st,
				  &store->volume->log);
	return rc;
}

/* ---- opening and closing ---------------------------------------------- */

static int check_root_space(struct store *store)
{
	struct read_txn rtxn;
	struct data d;
	read_txn_begin(store, &rtxn);
	int rc = names_space(&rtxn.state, BANYAN_ROOT_ID, &d);
	read_txn_end(&rtxn);
	if (rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	store_report(store, "no root key space");
	return -EUCLEAN;
}

int store_open(struct file *file, const struct banyan_options *o, bool fresh,
	       struct store **out)
{
	struct store *store = NULL;
	int rc = store_new(o, NULL, &store);
	if (!rc) {
		store->volume = volume_new(file, store->cache);
		rc = store->volume ? 0 : -ENOMEM;
	}
	if (rc) {
		file_close(file);
		store_unref(store);
		return rc;
	}
	file->report = o->report;
	file->report_arg = o->report_arg;
	if (fresh)
		rc = o->freeze ? -ENOENT : create(store); /* it has no past */
	else
		rc = recover(store, o->freeze, o->keeper);
	/* Else a later sync would promise what is in a file that a power loss
	 * could take the name from */
	if (!rc && !fresh && !store->read_only && !file->trusted)
		rc = file_sync_name(file);
	store->held.epoch = cache_epoch(store->cache);
	if (!rc)
		rc = check_root_space(store);
	if (!rc && !store->read_only)
		rc = freezer_start(store);
	if (rc) {
		free_store(store);
		return rc;
	}
	*out = store;
	return 0;
}

int store_shut(struct store *store)
{
	if (store->read_only)
		return 0;
	/* What cannot be swept or frozen can be made durable. A sweep may need
	 * room, which is what the freezer makes. */
	int rc = store_sweep(store);
	freezer_stop(store);
	int frozen = freeze_all(store, true);
	int synced = store_sync(store);
	if (!rc)
		rc = frozen ? frozen : synced;
	(void)file_reserve(store->volume->file, 0);
	file_unlock(store->volume->file);
	return rc;
}

int store_close(struct store *store)
{
	int rc = store_shut(store);
	store_unref(store);
	return rc;
}
