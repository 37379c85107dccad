/* SPDX-License-Identifier: MIT */
/*
 * salvage.c - from a damaged file to a sound one: see salvage.h for the steps.
 */
#include "repair/salvage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "file/file_overlay.h"
#include "repair/log_end.h"
#include "base/umask.h"

/* ---- telling ---------------------------------------------------------- */

void salvage_lost(struct salvage *s, const char *format, ...)
{
	va_list args;
	s->losses++;
	va_start(args, format);
	text_tell(s->options->lost, s->options->arg, &s->no_memory, format,
		  args);
	va_end(args);
}

void salvage_note(struct salvage *s, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_tell(s->options->note, s->options->arg, &s->no_memory, format,
		  args);
	va_end(args);
}

int salvage_progress(struct salvage *s, uint64_t done)
{
	if (done > s->done && done <= s->size)
		s->done = done;
	if (s->options->progress &&
	    s->options->progress(s->options->arg, s->done, s->size))
		s->cancelled = true;
	return s->cancelled ? -ECANCELED : 0;
}

int salvage_part(struct salvage *s, uint64_t from, uint64_t to,
		 uint64_t expected)
{
	s->part.from = from;
	s->part.to = to;
	s->part.expected = expected;
	s->part.worked = 0;
	return salvage_progress(s, from);
}

/* Told once in so much work */
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
	return salvage_progress(s, s->part.from + (uint64_t)done);
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

static int watch(void *arg)
{
	struct salvage *s = arg;
	return salvage_progress(s, s->done);
}

static void unreadable(void *arg, uint64_t offset, size_t size)
{
	salvage_note(arg, "%zu bytes at offset %" PRIu64 " cannot be read",
		     size, offset);
}

/* ---- the superblock --------------------------------------------------- */

/* Its fields, though its checksum is wrong */
static int guess_superblock(struct salvage *s, const uint8_t *bytes)
{
	struct superblock sb = { .version = FORMAT_VERSION, .generation = 1 };
	uint64_t told = get_le64(bytes + 80);
	int rc = log_find_salt(s->file, s->size, told, &sb.salt);
	if (rc)
		return rc;
	/* Nothing else matters here but whether there was a vacuum before */
	if (get_le64(bytes + 72) > 1 && get_le64(bytes + 72) < UINT32_MAX)
		sb.generation = get_le64(bytes + 72);
	salvage_note(s, "damaged superblock at offset 0%s",
		     sb.salt == told ? "" : ": its salt was worked out anew");
	s->sb = sb;
	return 0;
}

static int read_superblock(struct salvage *s)
{
	uint8_t bytes[SUPERBLOCK_SIZE] = { 0 };
	size_t n = s->size < sizeof(bytes) ? (size_t)s->size : sizeof(bytes);
	int rc = file_read(s->file, bytes, n, 0);
	if (rc)
		return rc;
	int decoded = superblock_decode(&s->sb, bytes, false);
	if (!decoded)
		return 0;
	if (get_le32(bytes + 4092) == crc32c(0, bytes, 4092))
		return decoded; /* it means what it says */
	rc = guess_superblock(s, bytes);
	return rc > 0 ? decoded : rc;
}

/* ---- opening ---------------------------------------------------------- */

/* Damage of the log, in order; what it costs is told later */
static int tell_gaps(struct salvage *s)
{
	const struct walk_run *r = s->walk.runs;
	struct segment_header h;
	int rc = log_read_segment(s->file, s->sb.salt, s->size, 0, &h);
	if (rc < 0)
		return rc;
	if (rc)
		salvage_note(s, "damaged segment header at offset %u",
			     SUPERBLOCK_SIZE);
	for (size_t i = 1; i < s->walk.count; i++) {
		uint64_t n = r[i].from.seq - r[i - 1].to.seq;
		if (r[i].gap == WALK_HEADER)
			salvage_note(
				s, "damaged segment header at offset %" PRIu64,
				r[i].from.offset / SEGMENT_SIZE * SEGMENT_SIZE);
		else if (r[i].gap != WALK_EXIT)
			salvage_note(s,
				     "damaged: %" PRIu64
				     " record%s at offset %" PRIu64
				     ", the log goes on at %" PRIu64,
				     n, n == 1 ? "" : "s", r[i].broke_at,
				     r[i].from.offset);
	}
	return 0;
}

static int note_end(struct salvage *s, const struct log_state *st)
{
	struct banyan_log_end end;
	char text[LOG_END_TEXT];
	int rc = log_end_find(&s->walk, st, &end);
	if (!rc && log_end_text(&end, s->in_use, text))
		salvage_note(s, "%s", text);
	return rc;
}

static int read_log(struct salvage *s)
{
	struct log_state st = { 0 };
	int rc = log_walk_open(&s->walk, s->file, s->sb.salt, s->size);
	if (rc)
		return rc;
	/* If normal recovery works, use the end of log that it found */
	int opened = log_recover(s->file, false, &st, NULL, NULL);
	if (opened == -ENOMEM)
		return opened; /* which says nothing about it */
	if (!opened) {
		log_walk_cut(&s->walk, st.end.seq);
		rc = note_end(s, &st);
	}
	if (rc)
		return rc;
	if (s->walk.cut && opened)
		salvage_note(s,
			     "the log ends at offset %" PRIu64
			     ": nothing says that the records behind it were "
			     "ever durable",
			     s->walk.cut);
	return tell_gaps(s);
}

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

static int open_drafts(struct salvage *s, const char *out)
{
	uint64_t cache = cache_share(s->options);
	int rc = rebuild_open(&s->work, out, 0600, cache, watch, s);
	if (!rc)
		rc = rebuild_open(&s->out, out, new_file_mode(s->options->mode),
				  cache, watch, s);
	return rc;
}

/* ---- all -------------------------------------------------------------- */

static int fill_out(struct salvage *s)
{
	uint64_t work = s->collected * SALVAGE_ROW;
	/* Values are read twice */
	uint64_t names = work + 2 * s->walk.freeze.live_bytes;
	double both = (double)names + (double)work / 2;
	double part = ((double)names + 1) / (both + 1);
	uint64_t first = s->size / SALVAGE_SOURCE;
	uint64_t second = (uint64_t)(part * (double)(s->size - first));
	struct read_txn rows;
	int rc = rebuild_read(&s->work, &rows);
	if (rc)
		return rc;
	s->rows = rows.state;
	salvage_tell_ranges(s);
	rc = salvage_part(s, first, first + second, names);
	if (!rc)
		rc = salvage_names(s);
	/* Which goes through all rows about three times */
	if (!rc)
		rc = salvage_part(s, first + second, s->size, 3 * work);
	if (!rc)
		rc = salvage_spaces(s);
	rebuild_read_end(&rows);
	return rc;
}

static int run(struct salvage *s, const char *out)
{
	int rc = read_superblock(s);
	if (!rc)
		rc = read_log(s);
	if (!rc)
		rc = open_drafts(s, out);
	if (!rc)
		rc = salvage_source(s);
	if (!rc)
		rc = fill_out(s);
	if (!rc && s->no_memory)
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
	log_walk_close(&s->walk);
	id_set_free(&s->ids);
	id_set_free(&s->kept);
	id_set_free(&s->bad);
	id_set_free(&s->spaces);
	id_set_free(&s->attached);
	id_set_free(&s->rooted);
	free(s);
}

int64_t banyan_salvage(const char *path, const char *out,
		       const struct banyan_salvage *options)
{
	struct file *file = NULL;
	if (!path || !out || !options)
		return -EINVAL;
	struct salvage *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->options = options;
	int rc = check_out(out);
	s->in_use = file_in_use(path);
	if (!rc)
		rc = file_open(path, false, &file);
	if (!rc)
		rc = file_watched(file, watch, unreadable, s, &s->file);
	if (!rc)
		rc = file_size(s->file, &s->size);
	s->verifier.file = s->file;
	s->verifier.step = verified;
	s->verifier.arg = s;
	if (!rc)
		rc = run(s, out);
	/* What was cancelled says so, whatever came of it on its way here */
	if (rc && s->cancelled)
		rc = -ECANCELED;
	int64_t losses = s->losses;
	file_close(s->file);
	file_close(file);
	free_all(s);
	return rc ? rc : losses;
}
