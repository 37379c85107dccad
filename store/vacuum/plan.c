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

#include "vacuum/size.h"

/* ---- room ------------------------------------------------------------- */

/* What is kept for root is not for others */
static uint64_t free_bytes(const struct statvfs *disk)
{
	uint64_t blocks = geteuid() == 0 ? disk->f_bfree : disk->f_bavail;
	return blocks * disk->f_frsize;
}

/* A file on which another one is mounted cannot be replaced */
static int check_mount(int fd)
{
	struct statx st;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st))
		return 0; /* not known: to replace it will fail */
	return st.stx_attributes & STATX_ATTR_MOUNT_ROOT ? -EBUSY : 0;
}

static int room_beside(struct file *file, uint64_t *room)
{
	struct statvfs disk;
	int fd = file_describe(file);
	if (fd < 0)
		return fd == -EOPNOTSUPP ? 0 : fd; /* in memory */
	int rc = check_mount(fd);
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

/* Where bytes are shared, all of this can be more than there is */
static int find_needed(const struct view_state *s, const struct states *states,
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
	plan->needed = kept + states_further(last, end, size_alone(&size));
	if (plan->needed > plan->allocated)
		plan->needed = plan->allocated;
	return 0;
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
		rc = find_needed(now, states, plan);
	plan->kept = states->count;
	return rc ? rc : states_others(states, store, now->view, &plan->dropped);
}

int plan_check(const struct vacuum_plan *plan)
{
	return plan->room < plan->needed ? -ENOSPC : 0;
}
