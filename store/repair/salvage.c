/* SPDX-License-Identifier: MIT */
/*
 * salvage.c - from a damaged file to a sound one: see salvage.h for the steps.
 */
#include "repair/salvage.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/sized.h"
#include "base/umask.h"
#include "repair/row_text.h"

/* ---- progress ---------------------------------------------------------- */

int salvage_part(struct salvage *s, uint64_t from, uint64_t to,
		 uint64_t expected)
{
	s->part.from = from;
	s->part.to = to;
	s->part.expected = expected;
	s->part.worked = 0;
	return tell_progress(&s->tell, from);
}

/* Bytes of work between two progress calls */
#define STEP_SIZE (1u << 20)

int salvage_step(struct salvage *s, uint64_t work)
{
	uint64_t steps = s->part.worked / STEP_SIZE;
	double done = 1;
	s->part.worked += work;
	if (s->part.worked / STEP_SIZE == steps)
		return 0;
	if (s->part.worked < s->part.expected)
		done = (double)s->part.worked / (double)s->part.expected;
	done *= (double)(s->part.to - s->part.from);
	return tell_progress(&s->tell, s->part.from + (uint64_t)done);
}

static int verified(void *arg, uint64_t bytes)
{
	return salvage_step(arg, bytes);
}

struct counted {
	struct salvage *s;
	row_visit *visit;
	void *arg;
};

static int count_row(void *arg, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	const struct counted *c = arg;
	int rc = salvage_step(c->s, SALVAGE_ROW);
	return rc ? rc : c->visit(c->arg, key, len, value, value_len);
}

int salvage_visit(struct salvage *s, const struct state *in, uint8_t type,
		  row_visit *visit, void *arg)
{
	struct counted c = { s, visit, arg };
	return rows_visit(in, &type, 1, count_row, &c);
}

/* ---- opening ---------------------------------------------------------- */

static int check_out(const char *path)
{
	struct stat st;
	if (lstat(path, &st) == 0)
		return -EEXIST;
	return errno == ENOENT ? 0 : -errno;
}

/* Half of the cache for each of the two databases */
static uint64_t cache_share(const struct banyan_salvage *o)
{
	uint64_t all = o->cache_bytes ? o->cache_bytes : BANYAN_CACHE_DEFAULT;
	return all / 2 > BANYAN_CACHE_MIN ? all / 2 : BANYAN_CACHE_MIN;
}

static int open_rebuilds(struct salvage *s, const char *out)
{
	uint64_t cache = cache_share(s->options);
	int rc = rebuild_create(&s->work, out, 0600, cache, tell_still,
				&s->tell);
	if (!rc)
		rc = rebuild_create(&s->out, out,
				    new_file_mode(s->options->mode), cache,
				    tell_still, &s->tell);
	return rc;
}

/* ---- all -------------------------------------------------------------- */

/* What it names is a past, and the new database has none */
static int note_snapshot(void *arg, const uint8_t *key, size_t len,
			 const uint8_t *value, size_t value_len)
{
	struct salvage *s = arg;
	struct buf text = BUF_INIT;
	(void)value;
	(void)value_len;
	text_row(&s->rows, key, len, &text);
	tell_note(&s->tell, "%s is left out", tell_text(&s->tell, &text));
	buf_free(&text);
	return 0;
}

static int fill_out(struct salvage *s)
{
	uint64_t work = s->collected * SALVAGE_ROW;
	/* Values are read twice: to verify, then to copy */
	uint64_t names = work + 2 * s->src.walk.freeze.live_bytes;
	double both = (double)names + (double)work / 2;
	double part = ((double)names + 1) / (both + 1);
	uint64_t first = s->src.size / SALVAGE_SOURCE;
	uint64_t second = (uint64_t)(part * (double)(s->src.size - first));
	struct read_txn rows;
	int rc = rebuild_read(&s->work, &rows);
	if (rc)
		return rc;
	s->rows = rows.state;
	salvage_tell_ranges(s);
	rc = salvage_part(s, first, first + second, names);
	if (!rc)
		rc = salvage_visit(s, &s->rows, ROW_SNAPSHOT, note_snapshot, s);
	if (!rc)
		rc = salvage_names(s);
	/* salvage_spaces() goes through all rows about three times */
	if (!rc)
		rc = salvage_part(s, first + second, s->src.size, 3 * work);
	if (!rc)
		rc = salvage_spaces(s);
	rebuild_read_end(&rows);
	return rc;
}

static int run(struct salvage *s, const char *out)
{
	int rc = survey_superblock(&s->src);
	if (!rc)
		rc = survey_log(&s->src);
	if (!rc)
		rc = open_rebuilds(s, out);
	if (!rc)
		rc = salvage_source(s);
	if (!rc)
		rc = fill_out(s);
	if (!rc && s->tell.no_memory)
		rc = -ENOMEM;
	rebuild_drop(&s->work);
	if (!rc)
		rc = rebuild_publish(&s->out);
	rebuild_drop(&s->out);
	return rc;
}

static void free_all(struct salvage *s)
{
	salvage_source_free(s);
	salvage_copy_free(s);
	verifier_free(&s->verifier);
	id_set_free(&s->ids);
	id_set_free(&s->kept);
	id_set_free(&s->bad);
	id_set_free(&s->spaces);
	id_set_free(&s->attached);
	id_set_free(&s->rooted);
	free(s);
}

int64_t banyan_salvage(const char *path, const char *out,
		       const struct banyan_salvage *salvage)
{
	struct banyan_salvage options;
	int rc = path && out ? 0 : -EINVAL;
	if (!rc)
		rc = sized_take(&options, sizeof(options), sizeof(options),
				salvage);
	if (rc)
		return rc;
	struct salvage *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->options = &options;
	s->tell = (struct teller){ .bad = options.lost,
				   .note = options.note,
				   .progress = options.progress,
				   .arg = options.arg };
	s->src.tell = &s->tell;
	s->src.damage = tell_note; /* what it costs is told as lost */
	rc = check_out(out);
	if (!rc)
		rc = survey_open(&s->src, path);
	s->tell.total = s->src.size;
	s->verifier.file = s->src.file;
	s->verifier.step = verified;
	s->verifier.arg = s;
	if (!rc)
		rc = run(s, out);
	/* A salvage that was cancelled says so, whatever came of it */
	if (rc && s->tell.cancelled)
		rc = -ECANCELED;
	int64_t losses = s->tell.count;
	survey_close(&s->src);
	free_all(s);
	return rc ? rc : losses;
}
