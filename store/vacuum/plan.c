/* SPDX-License-Identifier: MIT */
#include "vacuum/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/freeze.h"
#include "engine/past.h"
#include "engine/read_txn.h"
#include "model/row_extents.h"
#include "table/merged_diff.h"
#include "vacuum/size.h"

/* ---- room ------------------------------------------------------------- */

/* What is kept for root is not for others. A file system that is none on a disk
 * says that it has no blocks. */
static uint64_t free_bytes(const struct statvfs *disk)
{
	uint64_t blocks = geteuid() == 0 ? disk->f_bfree : disk->f_bavail;
	return disk->f_blocks ? blocks * disk->f_frsize : UINT64_MAX;
}

/* What can be known before about whether a new file can replace this one */
static int check_replaced(int fd)
{
	struct statx st;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_NLINK, &st))
		return -errno;
	if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return -EBUSY;
	return st.stx_nlink > 1 ? -EMLINK : 0;
}

static int room_beside(struct file *file, uint64_t *room)
{
	struct statvfs disk;
	int fd = file_describe(file);
	if (fd < 0)
		return fd == -EOPNOTSUPP ? 0 : fd; /* in memory */
	int rc = check_replaced(fd);
	if (!rc && fstatvfs(fd, &disk))
		rc = -errno;
	if (!rc)
		*room = free_bytes(&disk);
	close(fd);
	return rc;
}

static int room_at(const char *path, uint64_t *room)
{
	struct statvfs disk;
	struct stat st;
	if (lstat(path, &st) == 0)
		return -EEXIST;
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	int rc = statvfs(dirname(copy), &disk) ? -errno : 0;
	free(copy);
	if (!rc)
		*room = free_bytes(&disk);
	return rc;
}

/* ---- size ------------------------------------------------------------- */

static int size_of_state(const struct view_state *s, struct state_size *size)
{
	const struct volume *v = s->view->volume;
	struct freeze f = { 0 };
	uint64_t end = 0;
	int rc = file_size(v->file, &end);
	if (!rc && s->view->last_freeze)
		rc = log_read_freeze(v->file, v->sb.salt, end,
				     s->view->last_freeze, &f);
	if (rc)
		return rc < 0 ? rc : -EBADMSG;
	*size = (struct state_size){ s->live, s->keys, f.index_bytes,
				     redo_table_rows(s->view->active) };
	if (s->view->frozen)
		size->redo_rows += redo_table_rows(s->view->frozen);
	return 0;
}

/* No freeze is begun with less room than this, see freeze_write_run() */
#define FREEZE_ROOM (LOG_RESERVE / 4 + FREEZE_RUN)

static void set_after(struct vacuum_plan *plan, uint64_t bytes)
{
	/* Where bytes are shared, it can be more than there is */
	plan->after = bytes < plan->allocated ? bytes : plan->allocated;
	plan->needed = plan->after + FREEZE_ROOM;
}

static int find_after(const struct view_state *s, const struct states *states,
		      struct vacuum_plan *plan)
{
	struct state_size size;
	uint64_t kept = 0, last = 0, end = 0;
	int rc = size_of_state(s, &size);
	if (!rc)
		rc = file_size(s->view->volume->file, &end);
	if (!rc)
		rc = file_allocated(s->view->volume->file, &plan->allocated);
	if (rc)
		return rc;
	kept = states_bytes(states, &last);
	set_after(plan, kept + states_further(last, end, size_alone(&size)));
	return 0;
}

/* ---- what one state has and another has not ---------------------------- */

struct step {
	uint64_t from; /* the end of the state before in the log */
	uint64_t bytes;
};

static int add_node(void *arg, const struct node_ref *ref)
{
	struct step *s = arg;
	s->bytes += ref->length;
	return 0;
}

/* What was written earlier the state before has as well: it was moved, or cloned */
static int add_extent(void *arg, const struct extent *e)
{
	struct step *s = arg;
	if (e->payload > s->from)
		s->bytes += e->length + EXTENT_OVERHEAD;
	return 0;
}

static int add_rows(const struct merged *before, const struct merged *after,
		    struct step *s)
{
	struct merged_diff *diff = NULL;
	struct tree_difference d;
	int rc = merged_diff_new(before, after, &diff);
	while (!rc && (rc = merged_diff_next(diff, &d)) == 0)
		rc = d.after ? row_extents(d.key, d.key_len, d.after,
					   d.after_len, add_extent, s) :
			       0;
	merged_diff_free(diff);
	return rc < 0 ? rc : 0;
}

static int add_step(struct store *store, const struct view_state *before,
		    const struct view_state *after, struct step *s)
{
	struct read_txn from, to;
	read_txn_begin_at(store, before->view, before->seq, &from);
	read_txn_pin(&from);
	read_txn_begin_at(store, after->view, after->seq, &to);
	read_txn_pin(&to);
	int rc = tree_diff_visit(store->cache, &before->view->tree,
				 &after->view->tree, add_node, s);
	if (!rc)
		rc = add_rows(&from.state.merged, &to.state.merged, s);
	read_txn_end(&to);
	read_txn_end(&from);
	return rc;
}

static int begin_state(struct store *store, struct volume *v,
		       const struct carried *c, struct view_state *state)
{
	struct freeze f;
	int rc = carried_freeze(c, store, v, &f);
	return rc ? rc : past_begin(&f, c->offset, v, state);
}

/* The state with that index, of which the last is the present one */
static int state_at(struct store *store, const struct view_state *now,
		    const struct states *states, size_t index,
		    struct view_state *state)
{
	if (index < states->count)
		return begin_state(store, now->view->volume,
				   &states->list[index], state);
	*state = *now;
	view_ref(now->view);
	return 0;
}

static int walk(struct store *store, const struct view_state *now,
		const struct states *states, uint64_t *bytes)
{
	struct view_state before, after = { 0 };
	int rc = state_at(store, now, states, 0, &before);
	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < states->count; i++) {
		struct step s = { .from = states->list[i].offset };
		rc = state_at(store, now, states, i + 1, &after);
		if (rc)
			break;
		rc = add_step(store, &before, &after, &s);
		*bytes += s.bytes + record_size(FREEZE_BODY_SIZE, 0);
		view_unref(before.view);
		before = after;
	}
	view_unref(before.view);
	return rc;
}

int plan_refine(struct store *store, const struct view_state *now,
		const struct states *states, struct vacuum_plan *plan)
{
	if (!states->count)
		return 0;
	uint64_t bytes =
		states->list[0].alone + atomic_load(&store->redo_bytes);
	int rc = walk(store, now, states, &bytes);
	/* Both can only be too much */
	if (!rc && bytes < plan->after)
		set_after(plan, bytes);
	return rc;
}

/* ---- all of it -------------------------------------------------------- */

int plan_make(struct store *store, const struct view_state *now,
	      timestamp since, const char *path, struct states *states,
	      struct vacuum_plan *plan)
{
	*plan = (struct vacuum_plan){ .room = UINT64_MAX };
	int rc = path ? room_at(path, &plan->room) :
			room_beside(now->view->volume->file, &plan->room);
	if (!rc)
		rc = states_collect(states, store, now, since);
	if (!rc)
		rc = find_after(now, states, plan);
	plan->kept = states->count;
	return rc ? rc :
		    states_others(states, store, now->view, &plan->dropped);
}

int plan_check(const struct vacuum_plan *plan)
{
	return plan->room < plan->needed ? -ENOSPC : 0;
}
