/* SPDX-License-Identifier: MIT */
/*
 * open.c - create, open (which is: recover) and close a database.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/budget.h"
#include "base/umask.h"

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

static int new_superblock(struct superblock *sb)
{
	*sb = (struct superblock){ .version = FORMAT_VERSION,
				   .generation = 1,
				   .created = db_now() };
	int rc = random_uuid(sb->uuid);
	if (!rc)
		rc = random_uuid(sb->file_uuid);
	return rc ? rc : random_bytes(&sb->salt, sizeof(sb->salt));
}

/* ---- the handle ------------------------------------------------------- */

static void free_db(banyan *db)
{
	if (!db)
		return;
	log_free(db->log);
	txn_free(&db->change);
	while (db->retired) {
		struct view *v = db->retired;
		db->retired = v->retired;
		view_unref(v);
	}
	view_unref(db->view);
	cache_free(db->cache);
	file_close(db->file);
	held_destroy(&db->held);
	pthread_mutex_destroy(&db->write_lock);
	pthread_mutex_destroy(&db->freeze_lock);
	pthread_mutex_destroy(&db->freezer.lock);
	pthread_cond_destroy(&db->freezer.wake);
	pthread_cond_destroy(&db->freezer.done);
	free(db);
}

static int new_db(const struct banyan_options *o, banyan **out)
{
	banyan *db = calloc(1, sizeof(*db));
	if (!db)
		return -ENOMEM;
	pthread_mutex_init(&db->write_lock, NULL);
	pthread_mutex_init(&db->freeze_lock, NULL);
	pthread_mutex_init(&db->freezer.lock, NULL);
	pthread_cond_init(&db->freezer.wake, NULL);
	pthread_cond_init(&db->freezer.done, NULL);
	db->read_only = o->flags & BANYAN_READ_ONLY;
	db->report = o->report;
	db->report_arg = o->report_arg;
	db->cache_limit = o->cache_bytes ? o->cache_bytes :
					   BANYAN_CACHE_DEFAULT;
	if (db->cache_limit < BANYAN_CACHE_MIN)
		db->cache_limit = BANYAN_CACHE_MIN;
	db->table_limit = budget_table(db->cache_limit);
	atomic_init(&db->next_id, BANYAN_ROOT_ID);
	int rc = held_init(&db->held);
	if (rc) {
		free_db(db);
		return rc;
	}
	*out = db;
	return 0;
}

static int hold_root(banyan *db)
{
	struct read_txn rtxn;
	struct data d;
	struct location home = { 0 };
	read_txn_begin(db, &rtxn);
	int rc = names_space(&rtxn.state, BANYAN_ROOT_ID, &d);
	read_txn_end(&rtxn);
	if (rc == -ENOENT || rc == -ENOTDIR) {
		db_report(db, "no root key space");
		return -EUCLEAN;
	}
	if (rc)
		return rc;
	return held_hold_found(&db->held, db, BANYAN_ROOT_ID, &home, &db->root);
}

/* The view that begins with an empty table over this tree */
static int set_first_view(banyan *db, const struct tree *tree)
{
	struct redo_table *table = redo_table_new();
	db->view = table ? view_new(table, NULL, tree) : NULL;
	redo_table_unref(table);
	return db->view ? 0 : -ENOMEM;
}

/* ---- creating --------------------------------------------------------- */

static int make_root(banyan *db)
{
	struct txn *txn = NULL;
	struct data d = { .mode = S_IFDIR | 0755,
			  .uid = geteuid(),
			  .gid = getegid(),
			  .nlink = 2,
			  .parent = BANYAN_ROOT_ID };
	int rc = db_write_begin(db, OPERATION_INSERT, true, &txn);
	if (rc)
		return rc;
	struct located l = { .d = d };
	l.d.id = txn_new_id(txn);
	l.d.birth = l.d.atime = l.d.mtime = l.d.ctime = txn->op.time;
	return db_write_end(db, txn, data_save(txn, &l));
}

static int start_empty(banyan *db)
{
	struct tree empty = { 0 };
	int rc = new_superblock(&db->sb);
	if (!rc)
		rc = cache_new(db->file, budget_nodes(db->cache_limit, 0),
			       &db->cache);
	if (!rc)
		rc = log_create(db->file, &db->sb, &db->log);
	return rc ? rc : set_first_view(db, &empty);
}

/* An empty database, whole with its first freeze, then visible */
static int create(banyan *db)
{
	int rc = start_empty(db);
	if (!rc)
		rc = make_root(db);
	if (!rc)
		rc = freeze_all(db, true);
	if (!rc)
		rc = file_publish(db->file, false);
	return rc;
}

/* ---- recovering ------------------------------------------------------- */

static int check_root(banyan *db, const struct tree *tree)
{
	const struct node *node = NULL;
	if (!tree->height)
		return 0;
	int rc = cache_get(db->cache, &tree->root, tree->height - 1, &node);
	if (is_damage(rc))
		db_report(db, "damaged root node at offset %llu",
			  (unsigned long long)tree->root.offset);
	if (!rc)
		cache_put(db->cache, node);
	return rc;
}

static int start_from(banyan *db, const struct log_state *st)
{
	struct tree tree = { st->freeze.root, st->freeze.height };
	db->sb = st->sb;
	db->last = st->freeze;
	db->last_offset = st->freeze_offset;
	db->freezes = st->freeze.number;
	db->durable_to = st->durable_to;
	db->next_id = st->freeze.next_id;
	db->keys = st->freeze.keys;
	db->live = st->freeze.live_bytes;
	db->index_bytes = st->freeze.index_bytes;
	db->orphans = !db->read_only;
	int rc = cache_new(db->file, budget_nodes(db->cache_limit, 0),
			   &db->cache);
	if (!rc)
		rc = check_root(db, &tree);
	return rc ? rc : set_first_view(db, &tree);
}

/* Start from an earlier freeze than the last, with nothing to replay */
static int go_back(banyan *db, struct log_state *st, uint64_t number)
{
	db->sb = st->sb;
	int rc = db_find_freeze(db, number, &st->freeze_offset, &st->freeze);
	st->end = st->freeze.replay;
	return rc;
}

static int recover(banyan *db, uint64_t freeze)
{
	struct log_state st = { 0 };
	int rc = log_recover(db->file, !db->read_only, &st, db->report,
			     db->report_arg);
	if (!rc && freeze)
		rc = go_back(db, &st, freeze);
	if (!rc)
		rc = start_from(db, &st);
	if (!rc && !freeze)
		rc = db_replay(db, &st);
	if (!rc)
		budget_follow(db, db->view);
	if (!rc && !db->read_only && !db->log)
		rc = log_continue(db->file, &st, &db->log);
	return rc;
}

/* ---- opening and closing ---------------------------------------------- */

/* The file, and whether it is a new one, to be filled */
static int open_file(const char *path, const struct banyan_options *o,
		     struct file **file, bool *fresh)
{
	bool read_only = o->flags & BANYAN_READ_ONLY;
	int rc = -ENOENT;
	*fresh = true;
	if (strcmp(path, ":memory:") == 0)
		return file_memory(file);
	if (!(o->flags & BANYAN_EXCLUSIVE)) {
		rc = file_open(path, !read_only, file);
		*fresh = false;
	}
	if (rc != -ENOENT || !(o->flags & BANYAN_CREATE) || read_only)
		return rc;
	*fresh = true;
	return file_create(path, new_file_mode(o->mode), file);
}

int db_open_file(struct file *file, const struct banyan_options *o, bool fresh,
		 banyan **out)
{
	banyan *db = NULL;
	int rc = new_db(o, &db);
	if (rc) {
		file_close(file);
		return rc;
	}
	db->file = file;
	file->report = o->report;
	file->report_arg = o->report_arg;
	if (fresh)
		rc = o->freeze ? -ENOENT : create(db); /* it has no past */
	else
		rc = recover(db, o->freeze);
	if (!rc)
		rc = hold_root(db);
	if (!rc && !db->read_only)
		rc = freezer_start(db);
	if (rc) {
		free_db(db);
		return rc;
	}
	*out = db;
	return 0;
}

int banyan_open(const char *path, const struct banyan_options *options,
		banyan **db)
{
	static const struct banyan_options defaults;
	const struct banyan_options *o = options ? options : &defaults;
	struct file *file = NULL;
	bool fresh = false;
	unsigned again = o->flags & BANYAN_EXCLUSIVE ? 0 : 1;
	int rc;
	if (o->freeze && !(o->flags & BANYAN_READ_ONLY))
		return -EINVAL;
	do {
		rc = open_file(path, o, &file, &fresh);
		if (!rc)
			rc = db_open_file(file, o, fresh, db);
		/* Somebody else has just created it: to be opened, then */
	} while (rc == -EEXIST && fresh && again-- > 0);
	if (!rc && !(*db)->read_only)
		(void)file_claim((*db)->file);
	return rc;
}

int banyan_close(banyan *db)
{
	int rc = 0;
	if (!db)
		return 0;
	if (!db->read_only) {
		banyan_abort(db);
		/* What cannot be swept or frozen can be made durable. A sweep
		 * may need room, which is what the freezer makes. */
		rc = db_sweep(db);
		freezer_stop(db);
		int frozen = freeze_all(db, true);
		int synced = banyan_sync(db);
		if (!rc)
			rc = frozen ? frozen : synced;
		(void)file_reserve(db->file, 0);
	}
	free_db(db);
	return rc;
}

banyan_data *banyan_root(banyan *db)
{
	return db->root;
}

bool banyan_read_only(const banyan *db)
{
	return db->read_only;
}

int banyan_claim(banyan *db)
{
	return db->read_only ? 0 : file_claim(db->file);
}

pid_t banyan_holder(const char *path)
{
	return file_holder(path);
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
	case -ECANCELED:
		return "cancelled";
	default:
		break;
	}
	/* Unlike strerror(3) this needs no buffer of its own, and no locale */
	const char *text = strerrordesc_np(error < 0 ? -error : error);
	return text ? text : "unknown error";
}
