/* SPDX-License-Identifier: MIT */
/*
 * check.c - read everything, verify every checksum.
 *
 * Three passes: the log from its first record to its end, with all payloads,
 * whatever lies between; the nodes of the tree; the rows, with what they say of
 * each other and the values that they refer to. The last two need a file that
 * can be opened, which is read-only and by the same descriptor.
 */
#include "repair/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/sized.h"
#include "engine/open.h"
#include "engine/past.h"
#include "engine/read_txn.h"
#include "file/file_overlay.h"
#include "log/payload.h"
#include "repair/survey.h"

static void report_bad(void *arg, const char *line)
{
	tell_bad(arg, "%s", line);
}

void checker_init(struct checker *k, const struct banyan_check *options)
{
	*k = (struct checker){ .tell = { .bad = options->found,
					 .note = options->note,
					 .progress = options->progress,
					 .arg = options->arg } };
}

void checker_free(struct checker *k)
{
	free(k->torn);
}

/* Does it tell of the file, rather than of a check that could not run? */
static bool is_verdict(int rc)
{
	return is_damage(rc) || rc == -EMEDIUMTYPE || rc == -EPROTONOSUPPORT;
}

/* ---- the log ---------------------------------------------------------- */

static int check_payload(void *arg, const struct log_record *rec)
{
	const struct survey *v = arg;
	int rc = payload_verify(v->file, rec);
	if (rc == -EBADMSG) {
		tell_bad(v->tell,
			 "record at offset %" PRIu64
			 ": damaged payload of %" PRIu32 " bytes",
			 rec->offset, rec->header.payload_len);
		rc = 0;
	}
	return rc ? rc : tell_progress(v->tell, rec->offset + rec->size);
}

/* ---- the model -------------------------------------------------------- */

static int check_state(struct checker *k, struct store *store,
		       const struct view_state *s, bool snapshots)
{
	struct read_txn rtxn;
	read_txn_begin_at(store, s->view, s->seq, &rtxn);
	read_txn_pin(&rtxn);
	int rc = check_nodes(k, store, NULL, &rtxn.state.merged.tree);
	if (!rc)
		rc = check_rows(k, store, s, &rtxn.state);
	if (!rc && snapshots)
		rc = check_snapshots(k, store, &rtxn.state);
	read_txn_end(&rtxn);
	return rc;
}

int check_now(struct checker *k, struct store *store)
{
	struct view_state now;
	store_state(store, &now);
	int rc = check_state(k, store, &now, true);
	view_unref(now.view);
	return rc;
}

/* *past is what is to be checked; its view is NULL if that is the present */
static int find_past(struct store *store, const struct banyan_check *check,
		     const struct view_state *now, struct view_state *past)
{
	if (check->freeze)
		return past_at_freeze(store, now, check->freeze, past);
	if (check->time)
		return past_at_time(store, now, timestamp_of(*check->time),
				    past);
	if (check->snapshot)
		return past_at_snapshot(store, now, check->snapshot,
					strlen(check->snapshot), past);
	return 0;
}

static int check_store(struct checker *k, struct store *store,
		       const struct banyan_check *check)
{
	struct view_state now, past = { 0 };
	store_state(store, &now);
	int rc = find_past(store, check, &now, &past);
	view_unref(now.view);
	if (rc || !past.view)
		return rc ? rc : check_now(k, store);
	rc = check_state(k, store, &past, false);
	view_unref(past.view);
	return rc;
}

/* The database in the file, which stays open */
static int check_model(struct checker *k, struct file *file,
		       const struct banyan_check *check)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = check->cache_bytes,
				    .report = report_bad,
				    .report_arg = &k->tell };
	struct store *store = NULL;
	struct file *again = NULL;
	int64_t before = k->tell.count;
	/* Bytes that cannot be read were told of by the survey */
	int rc = file_watched(file, tell_still, NULL, &k->tell, &again);
	if (!rc)
		rc = store_open(again, &o, false, &store);
	if (is_damage(rc) && k->tell.count > before)
		return 0; /* told of already */
	if (rc)
		return rc;
	rc = check_store(k, store, check);
	int closed = store_close(store);
	return rc ? rc : closed;
}

/* ---- all -------------------------------------------------------------- */

static int check_file(struct checker *k, struct survey *v,
		      const struct banyan_check *check)
{
	int rc = survey_superblock(v);
	if (is_damage(rc)) {
		if (v->size < SUPERBLOCK_SIZE)
			tell_bad(&k->tell, "cut off after %" PRIu64 " bytes",
				 v->size);
		else
			tell_bad(&k->tell, "damaged superblock at offset 0");
		return 0;
	}
	if (!rc)
		rc = survey_log(v);
	if (!rc && v->opened && !is_verdict(v->opened))
		rc = v->opened;
	if (!rc)
		rc = log_walk_visit(&v->walk, 1, UINT64_MAX, NULL,
				    check_payload, v);
	if (rc)
		return rc;
	if (!v->opened) {
		if (check->end)
			*check->end = v->end;
		return check_model(k, v->below, check);
	}
	/* It cannot be opened: if that is not for what was found, say why */
	if (k->tell.count == 0 && log_recover(v->file, false, &v->st,
					      report_bad, &k->tell) == -ENOMEM)
		return -ENOMEM;
	return v->opened;
}

int64_t banyan_check(const char *path, const struct banyan_check *check)
{
	struct banyan_check options;
	struct checker k;
	struct survey v = { .tell = &k.tell, .damage = tell_bad };
	int rc = path ? 0 : -EINVAL;
	if (!rc)
		rc = sized_take(&options, sizeof(options), sizeof(options),
				check);
	if (rc)
		return rc;
	checker_init(&k, &options);
	rc = survey_open(&v, path);
	k.tell.total = 2 * v.size;
	if (!rc)
		rc = check_file(&k, &v, &options);
	survey_close(&v);
	if (rc && k.tell.count == 0 && is_damage(rc))
		tell_bad(&k.tell, "%s", banyan_strerror(rc));
	if (k.tell.count && is_verdict(rc))
		rc = 0;
	if (!rc)
		rc = tell_progress(&k.tell, k.tell.total);
	if (k.tell.no_memory)
		rc = -ENOMEM;
	/* A check that was cancelled says so, whatever came of it */
	if (rc && k.tell.cancelled)
		rc = -ECANCELED;
	checker_free(&k);
	return rc ? rc : k.tell.count;
}
