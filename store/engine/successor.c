/* SPDX-License-Identifier: MIT */
#include "engine/successor.h"

#include <errno.h>

#include "engine/budget.h"
#include "engine/freeze.h"
#include "engine/open.h"

/* The tables of a successor may have this part of what the host's may, so that
 * both together keep the limit */
#define TABLE_PART 8u

void moment_take(struct store *host, struct moment *m)
{
	store_lock(host);
	log_begin(host->volume->log, true);
	store_state(host, &m->state);
	m->end = log_end(host->volume->log);
	m->time = store_stamp(host);
	m->number = freeze_number(host);
	/* Writers get another table: this one stays as long as the view does */
	freeze_begin(host);
	store_unlock(host);
}

/* ---- making and dropping ---------------------------------------------- */

static int create_log(const struct volume *from, struct file *file,
		      struct store *next)
{
	next->volume = volume_new(file, next->cache);
	if (!next->volume) {
		file_close(file);
		return -ENOMEM;
	}
	struct volume *v = next->volume;
	v->sb = from->sb;
	v->sb.generation += atomic_load(&from->punches) + 1;
	int rc = store_new_file(&v->sb);
	return rc ? rc : log_create(v->file, &v->sb, &v->log);
}

int successor_new(struct store *host, const struct volume *from,
		  struct file *file, struct store **out)
{
	struct banyan_options o = { .cache_bytes = host->cache_limit,
				    .report = host->report,
				    .report_arg = host->report_arg };
	struct store *next = NULL;
	int rc = store_new(&o, host, &next);
	if (rc) {
		file_close(file);
		return rc;
	}
	next->table_limit = host->table_limit / TABLE_PART;
	rc = create_log(from, file, next);
	if (rc)
		successor_drop(next);
	else
		*out = next;
	return rc;
}

void successor_drop(struct store *next)
{
	if (!next)
		return;
	freezer_stop(next);
	atomic_store(&next->host->successor_bytes, 0);
	store_unref(next);
}

/* ---- filling ---------------------------------------------------------- */

static void set_counters(struct store *next, const struct view_state *s)
{
	next->visible = s->seq;
	next->counted = s->seq;
	next->next_id = s->next_id;
	next->keys = s->keys;
	next->live = s->live;
}

int successor_freeze(struct store *next, const struct view_state *s,
		     const struct tree *tree, struct freeze *f,
		     uint64_t *offset)
{
	int rc = next->view ? 0 : store_set_first_view(next, tree, 0);
	if (rc)
		return rc;
	f->previous = next->view->last_freeze;
	f->root = tree->root;
	f->height = tree->height;
	f->next_id = s->next_id;
	f->keys = s->keys;
	f->live_bytes = s->live;
	set_counters(next, s);
	struct view *v =
		view_new(next->view->active, NULL, tree, next->volume, 0);
	rc = v ? freeze_record(next, f, offset) : -ENOMEM;
	if (rc)
		view_unref(v);
	else
		freeze_set_last(next, v, f, *offset);
	return rc;
}

int successor_start(struct store *next)
{
	int rc = log_sync(next->volume->log, NULL);
	return rc ? rc : freezer_start(next);
}

/* ---- taking over ------------------------------------------------------ */

/* Nothing here can fail */
static void adopt(struct store *host, struct store *next)
{
	struct volume *old = host->volume;
	host->volume = volume_ref(next->volume);
	atomic_store(&host->successor_bytes, 0);
	store_set_view(host, view_ref(next->view));
	host->last = next->last;
	host->next = next->next;
	atomic_store(&host->freezes, next->last.number);
	atomic_store(&host->index_bytes, atomic_load(&next->index_bytes));
	atomic_store(&host->redo_bytes, atomic_load(&next->redo_bytes));
	budget_follow(host, host->view);
	volume_unref(old);
}

int successor_take_over(struct store *host, struct store *next)
{
	struct file *file = next->volume->file;
	int rc = 0;
	/* Freezes of the host since then have greater numbers, which must not
	 * be given again */
	if (next->last.number != atomic_load(&host->numbered))
		rc = freeze_renumber(next);
	if (!rc)
		rc = log_sync(next->volume->log, NULL);
	if (!rc)
		rc = file_publish(file, true);
	if (rc && !file->published)
		return rc;
	adopt(host, next);
	(void)file_claim(file);
	if (rc)
		log_poison(host->volume->log);
	return rc;
}
