/* SPDX-License-Identifier: MIT */
#include "repair/survey.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "file/file_overlay.h"
#include "model/redo.h"

/* ---- the file --------------------------------------------------------- */

static void unreadable(void *arg, uint64_t offset, size_t size)
{
	struct survey *v = arg;
	v->damage(v->tell, "%zu bytes at offset %" PRIu64 " cannot be read",
		  size, offset);
}

static int watch(void *arg)
{
	struct survey *v = arg;
	return tell_still(v->tell);
}

int survey_open(struct survey *v, const char *path)
{
	v->in_use = file_in_use(path);
	int rc = file_open(path, false, NULL, &v->below);
	if (!rc)
		rc = file_watched(v->below, watch, unreadable, v, &v->file);
	return rc ? rc : file_size(v->file, &v->size);
}

void survey_close(struct survey *v)
{
	log_walk_close(&v->walk);
	file_close(v->file);
	file_close(v->below);
}

/* ---- the superblock --------------------------------------------------- */

int survey_superblock(struct survey *v)
{
	uint8_t bytes[SUPERBLOCK_SIZE] = { 0 };
	size_t n = v->size < sizeof(bytes) ? (size_t)v->size : sizeof(bytes);
	struct superblock sb = { .version = FORMAT_VERSION, .generation = 1 };
	int rc = file_read(v->file, bytes, n, 0);
	if (rc)
		return rc;
	int decoded = superblock_decode(&v->sb, bytes, false);
	if (!decoded || get_le32(bytes + 4092) == crc32c(0, bytes, 4092))
		return decoded; /* it means what it says */
	rc = log_find_salt(v->file, v->size, get_le64(bytes + 80), &sb.salt);
	if (rc)
		return rc > 0 ? decoded : rc;
	/* Whether there was a vacuum before */
	if (get_le64(bytes + 72) > 1 && get_le64(bytes + 72) < UINT32_MAX)
		sb.generation = get_le64(bytes + 72);
	v->sb = sb;
	v->damage(v->tell, "damaged superblock at offset 0");
	return 0;
}

/* ---- the log ---------------------------------------------------------- */

/* In order of their places; what they cost is not known here */
static int tell_gaps(struct survey *v)
{
	const struct walk_run *r = v->walk.runs;
	struct segment_header h;
	int rc = log_read_segment(v->file, v->sb.salt, v->size, 0, &h);
	if (rc < 0)
		return rc;
	if (rc)
		v->damage(v->tell, "damaged segment header at offset %u",
			  SUPERBLOCK_SIZE);
	for (size_t i = 1; i < v->walk.count; i++) {
		uint64_t n = r[i].from.seq - r[i - 1].to.seq;
		if (r[i].gap == WALK_HEADER)
			v->damage(v->tell,
				  "damaged segment header at offset %" PRIu64,
				  r[i].from.offset / SEGMENT_SIZE *
					  SEGMENT_SIZE);
		else if (r[i].gap != WALK_EXIT)
			v->damage(v->tell,
				  "damaged record at offset %" PRIu64
				  ": the log goes on at %" PRIu64 ", %" PRIu64
				  " record%s further",
				  r[i].broke_at, r[i].from.offset, n,
				  n == 1 ? "" : "s");
	}
	return 0;
}

static int visit_last(void *arg, const struct log_record *rec)
{
	struct banyan_log_end *end = arg;
	struct redo_reader r;
	struct operation op;
	if (rec->header.type == RECORD_MARK)
		return 0;
	end->closed = rec->header.type == RECORD_FREEZE;
	if (rec->header.type != RECORD_OPERATION)
		return 0;
	end->operations++;
	if (redo_open(&r, rec->body, rec->header.body_len, &op) == 0)
		end->operation_time = timestamp_split(op.time);
	return 0;
}

static void tell_end(const struct survey *v)
{
	const struct banyan_log_end *end = &v->end;
	const char *why = v->in_use ? "a write is under way" :
				      "this is a copy of an open database, its "
				      "writer was killed, or the file was cut "
				      "short";
	if (end->tail_bytes)
		tell_note(v->tell,
			  "%" PRIu64 " bytes behind offset %" PRIu64
			  ", where the log ends, are not a whole record: %s",
			  end->tail_bytes, end->offset, why);
	else if (!end->closed && !v->in_use)
		tell_note(v->tell,
			  "the log ends at offset %" PRIu64
			  ", without the freeze of a close: %s",
			  end->offset, why);
}

/* Where normal recovery finds the end, and what is there */
static int find_end(struct survey *v)
{
	const struct log_state *st = &v->st;
	log_walk_cut(&v->walk, st->end.seq);
	v->end = (struct banyan_log_end){
		.freeze = st->freeze.number,
		.freeze_time = timestamp_split(st->freeze.time),
		.offset = st->end.offset,
		.tail_bytes = st->size - st->end.offset,
	};
	int rc = log_walk_visit(&v->walk, st->freeze.replay.seq, st->end.seq,
				NULL, visit_last, &v->end);
	if (!rc)
		tell_end(v);
	return rc;
}

int survey_log(struct survey *v)
{
	int rc = log_walk_open(&v->walk, v->file, v->sb.salt, v->size);
	if (rc)
		return rc;
	v->opened = log_recover(v->file, false, &v->st, NULL, NULL);
	/* These say nothing about the file */
	if (v->opened == -ENOMEM || v->opened == -ECANCELED)
		return v->opened;
	if (v->opened && v->walk.cut)
		tell_note(v->tell,
			  "the log ends at offset %" PRIu64
			  ": nothing says that the records behind it were ever "
			  "durable",
			  v->walk.cut);
	if (!v->opened)
		rc = find_end(v);
	return rc ? rc : tell_gaps(v);
}
