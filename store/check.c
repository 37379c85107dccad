/* SPDX-License-Identifier: MIT */
/*
 * check.c - read everything, verify every checksum.
 *
 * Three passes: the log from its first record to its end, with all payloads;
 * the nodes of the tree; the rows, with what they say of each other and the
 * values that they refer to.
 */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void check_found(struct checker *k, const char *format, ...)
{
	char line[512];
	va_list args;
	k->damages++;
	if (!k->options->found)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	k->options->found(k->options->arg, line);
}

static void report_found(void *arg, const char *line)
{
	struct checker *k = arg;
	check_found(k, "%s", line);
}

int check_progress(struct checker *k, uint64_t done)
{
	k->done = done < k->total ? done : k->total;
	if (k->options->progress &&
	    k->options->progress(k->options->arg, k->done, k->total))
		return -ECANCELED;
	return 0;
}

bool check_is_damage(int rc)
{
	return rc == -EBADMSG || rc == -EUCLEAN;
}

/* ---- the log ---------------------------------------------------------- */

static int check_record(struct checker *k, struct file *file,
			const struct log_record *rec)
{
	int rc = log_verify_payload(file, rec);
	if (rc == -EBADMSG) {
		check_found(k,
			    "record at offset %" PRIu64
			    ": damaged payload of %" PRIu32 " bytes",
			    rec->offset, rec->header.payload_len);
		rc = 0;
	}
	return rc ? rc : check_progress(k, rec->offset + rec->size);
}

/* Behind damage: go on with the next segment that has a valid header */
static int resume(struct file *file, const struct log_state *st,
		  struct log_position *at)
{
	uint64_t number = at->offset / SEGMENT_SIZE + 1;
	struct segment_header h;
	for (; segment_start(number) < st->end.offset; number++) {
		int rc = log_read_segment(file, st->sb.salt, st->size, number,
					  &h);
		if (rc < 0)
			return rc;
		if (rc)
			continue;
		*at = h.prev;
		at->offset = segment_start(number) + SEGMENT_HEADER_SIZE;
		return 0;
	}
	*at = st->end;
	return 0;
}

/* From a position to the first break: *from is then where that is */
static int check_stretch(struct checker *k, struct file *file,
			 const struct log_state *st, struct log_position *from)
{
	struct log_scan s;
	struct log_record rec;
	int rc = log_scan_open(&s, file, st->sb.salt, st->size, from);
	if (rc)
		return rc;
	while (s.at.seq < st->end.seq && (rc = log_scan_next(&s, &rec)) == 0) {
		rc = check_record(k, file, &rec);
		if (rc)
			break;
	}
	*from = s.at;
	log_scan_close(&s);
	return rc < 0 ? rc : 0;
}

static int check_log(struct checker *k, struct file *file,
		     const struct log_state *st)
{
	struct log_position at = {
		.offset = SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE, .seq = 1
	};
	int rc = 0;
	while (!rc && at.seq < st->end.seq) {
		rc = check_stretch(k, file, st, &at);
		if (rc || at.seq >= st->end.seq)
			break;
		check_found(k, "damaged record at offset %" PRIu64, at.offset);
		rc = resume(file, st, &at);
	}
	return rc;
}

static int check_file(struct checker *k, const char *path)
{
	struct file *file = NULL;
	struct log_state st = { 0 };
	int rc = file_open(path, false, &file);
	if (rc)
		return rc;
	rc = log_recover(file, false, &st, report_found, k);
	if (!rc) {
		k->total = 2 * st.size;
		rc = check_log(k, file, &st);
	}
	file_close(file);
	return rc;
}

/* ---- all -------------------------------------------------------------- */

static int check_model(struct checker *k, const char *path)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = k->options->cache_bytes,
				    .report = report_found,
				    .report_arg = k };
	banyan *db = NULL;
	int rc = banyan_open(path, &o, &db);
	if (rc)
		return rc;
	int64_t before = k->damages;
	rc = check_tree(k, db);
	if (!rc && k->damages == before)
		rc = check_rows(k, db);
	int closed = banyan_close(db);
	return rc ? rc : closed;
}

int64_t banyan_check(const char *path, const struct banyan_check *check)
{
	struct checker k = { .options = check };
	int rc = check_file(&k, path);
	if (!rc)
		rc = check_model(&k, path);
	if (check_is_damage(rc)) {
		/* Found on the way in, and mostly told of already */
		if (k.damages == 0)
			check_found(&k, "%s", banyan_strerror(rc));
		rc = 0;
	}
	if (!rc)
		rc = check_progress(&k, k.total);
	return rc ? rc : k.damages;
}
