/* SPDX-License-Identifier: MIT */
/* vacuum.c - the public functions that copy a database, or shrink it. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/handle.h"
#include "api/losses.h"
#include "base/sized.h"
#include "base/umask.h"
#include "vacuum/plan.h"
#include "vacuum/punch.h"

#define NS_PER_SECOND UINT64_C(1000000000)

/* Longer than all that there can be is for ever */
static struct vacuum_order order_of(const struct banyan_vacuum_options *o)
{
	uint64_t most = UINT64_MAX / NS_PER_SECOND;
	return (struct vacuum_order){
		.rate = o->rate,
		.keep = (o->keep < most ? o->keep : most) * NS_PER_SECOND,
		.progress = o->progress,
		.arg = o->arg,
	};
}

static int take_order(const struct banyan_vacuum_options *options,
		      struct vacuum_order *order)
{
	struct banyan_vacuum_options o;
	int rc = sized_take(&o, sizeof(o), sizeof(o), options);
	if (!rc)
		*order = order_of(&o);
	return rc;
}

static int give_result(const struct vacuum_result *r,
		       struct banyan_vacuum_result *result)
{
	const struct banyan_vacuum_result told = { .bytes_before = r->before,
						   .bytes_after = r->after,
						   .freezes_dropped =
							   r->dropped,
						   .freezes_kept = r->kept };
	return result ? sized_give(result, &told, sizeof(told), sizeof(told)) :
			0;
}

static int shrink(banyan *db, bool punch,
		  const struct banyan_vacuum_options *options,
		  struct banyan_vacuum_result *result)
{
	struct vacuum_order order;
	struct vacuum_result r = { 0 };
	int rc = handle_check(db);
	if (!rc && db->kind != HANDLE_STORE)
		rc = db->kind == HANDLE_VIEW ? -EROFS : -EINVAL;
	if (!rc)
		rc = take_order(options, &order);
	if (!rc && punch)
		rc = store_punch(db->store, order.progress, order.arg, &r);
	else if (!rc)
		rc = store_vacuum(db->store, &order, &r);
	return rc ? rc : give_result(&r, result);
}

int banyan_vacuum(banyan *db, const struct banyan_vacuum_options *options,
		  struct banyan_vacuum_result *result)
{
	return shrink(db, false, options, result);
}

int banyan_vacuum_punch(banyan *db, const struct banyan_vacuum_options *options,
			struct banyan_vacuum_result *result)
{
	return shrink(db, true, options, result);
}

/* As cp(1) has it: the permissions of the file less the mask */
static mode_t mode_of_copy(const struct view_state *state)
{
	struct stat st;
	int fd = file_describe(state->view->volume->file);
	bool known = fd >= 0 && fstat(fd, &st) == 0;
	if (fd >= 0)
		close(fd);
	return known ? st.st_mode & 0777 & ~process_umask() : new_file_mode(0);
}

int banyan_backup(banyan *db, const char *path,
		  const struct banyan_vacuum_options *options,
		  struct banyan_vacuum_result *result)
{
	struct vacuum_order order;
	struct vacuum_result r = { 0 };
	struct view_state state;
	int rc = handle_check(db);
	if (!rc && (!path || db->kind == HANDLE_BATCH))
		rc = -EINVAL;
	if (!rc)
		rc = take_order(options, &order);
	if (rc)
		return rc;
	handle_state(db, &state);
	rc = store_backup(db->store, &state, path, mode_of_copy(&state), &order,
			  &r);
	return rc ? rc : give_result(&r, result);
}

/* ---- ahead ------------------------------------------------------------ */

static int give_plan(const struct vacuum_plan *p,
		     struct banyan_vacuum_plan *plan)
{
	const struct banyan_vacuum_plan told = { .bytes_before = p->allocated,
						 .bytes_after = p->after,
						 .bytes_needed = p->needed,
						 .bytes_free = p->room,
						 .freezes_dropped = p->dropped,
						 .freezes_kept = p->kept };
	return sized_give(plan, &told, sizeof(told), sizeof(told));
}

int banyan_vacuum_plan(banyan *db, const char *path,
		       const struct banyan_vacuum_options *options,
		       struct banyan_vacuum_plan *plan)
{
	struct vacuum_order order;
	struct vacuum_plan p;
	struct states states = { 0 };
	struct view_state now;
	int rc = handle_check(db);
	if (!rc && (!plan || db->kind == HANDLE_BATCH))
		rc = -EINVAL;
	if (!rc)
		rc = take_order(options, &order);
	if (rc)
		return rc;
	handle_state(db, &now);
	rc = plan_make(db->store, &now, states_since(order.keep), path, &states,
		       &p);
	if (!rc)
		rc = plan_refine(db->store, &now, &states, &p);
	states_free(&states);
	view_unref(now.view);
	return rc ? rc : give_plan(&p, plan);
}

int banyan_vacuum_punch_plan(banyan *db,
			     const struct banyan_vacuum_options *options,
			     struct banyan_vacuum_plan *plan)
{
	struct vacuum_order order;
	struct vacuum_result r = { 0 };
	int rc = handle_check(db);
	if (!rc && (!plan || db->kind != HANDLE_STORE))
		rc = -EINVAL;
	if (!rc)
		rc = take_order(options, &order);
	if (!rc)
		rc = store_punch_ahead(db->store, order.progress, order.arg,
				       &r);
	const struct vacuum_plan p = { .allocated = r.before,
				       .after = r.after,
				       .room = UINT64_MAX,
				       .dropped = r.dropped,
				       .kept = r.kept };
	return rc ? rc : give_plan(&p, plan);
}

int banyan_vacuum_losses(
	banyan *db, const struct banyan_vacuum_options *options,
	int (*visit)(void *arg, const struct banyan_loss *loss), void *arg)
{
	struct vacuum_order order;
	int rc = handle_check(db);
	if (!rc && (!visit || db->kind != HANDLE_STORE))
		rc = -EINVAL;
	if (!rc)
		rc = take_order(options, &order);
	return rc ? rc : losses_visit(db->store, order.keep, visit, arg);
}
