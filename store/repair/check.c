/* SPDX-License-Identifier: MIT */
/*
 * check.c - read everything, verify every checksum.
 *
 * Three passes: the log from its first record to its end, with all payloads,
 * whatever lies between; the nodes of the tree; the rows, with what they say of
 * each other and the values that they refer to. The last two need a file that
 * can be opened, which is read-only and by the same descriptor.
 *
 * Every read asks for progress first, so that a check can be cancelled in the
 * middle of whatever it does.
 */
#include "repair/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "file/file_overlay.h"
#include "log/log_walk.h"
#include "repair/log_end.h"
#include "repair/row_text.h"

void check_found(struct checker *k, const char *format, ...)
{
	va_list args;
	k->damages++;
	va_start(args, format);
	text_tell(k->options->found, k->options->arg, &k->no_memory, format,
		  args);
	va_end(args);
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
		k->cancelled = true;
	return k->cancelled ? -ECANCELED : 0;
}

static int watch(void *arg)
{
	struct checker *k = arg;
	return check_progress(k, k->done);
}

static void unreadable(void *arg, uint64_t offset, size_t size)
{
	check_found(arg, "%zu bytes at offset %" PRIu64 " cannot be read", size,
		    offset);
}

__attribute__((format(printf, 2, 3))) static void note(struct checker *k,
						       const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_tell(k->options->note, k->options->arg, &k->no_memory, format,
		  args);
	va_end(args);
}

/* ---- the log ---------------------------------------------------------- */

static void tell_gaps(struct checker *k, const struct log_walk *w)
{
	for (size_t i = 1; i < w->count; i++) {
		const struct walk_run *r = &w->runs[i];
		uint64_t n = r->from.seq - r[-1].to.seq;
		if (r->gap == WALK_HEADER)
			check_found(
				k, "damaged segment header at offset %" PRIu64,
				r->from.offset / SEGMENT_SIZE * SEGMENT_SIZE);
		else if (r->gap != WALK_EXIT)
			check_found(k,
				    "damaged record at offset %" PRIu64
				    ": the log goes on at %" PRIu64 ", %" PRIu64
				    " record%s further",
				    r->broke_at, r->from.offset, n,
				    n == 1 ? "" : "s");
	}
}

static int check_record(void *arg, const struct log_record *rec)
{
	struct checker *k = arg;
	return check_progress(k, rec->offset + rec->size);
}

struct payloads {
	struct checker *k;
	struct file *file;
};

static int check_payload(void *arg, const struct log_record *rec)
{
	struct payloads *p = arg;
	int rc = log_verify_payload(p->file, rec);
	if (rc == -EBADMSG) {
		check_found(p->k,
			    "record at offset %" PRIu64
			    ": damaged payload of %" PRIu32 " bytes",
			    rec->offset, rec->header.payload_len);
		rc = 0;
	}
	return rc ? rc : check_record(p->k, rec);
}

static int note_end(struct checker *k, const struct log_walk *w,
		    const struct log_state *st)
{
	struct banyan_log_end end;
	char text[LOG_END_TEXT];
	int rc = log_end_find(w, st, &end);
	if (rc)
		return rc;
	if (log_end_text(&end, k->in_use, text))
		note(k, "%s", text);
	if (k->options->end)
		*k->options->end = end;
	return 0;
}

/* st: what opening found, or NULL if it failed */
static int check_log(struct checker *k, struct file *file, uint64_t salt,
		     uint64_t size, const struct log_state *st)
{
	struct log_walk w = { 0 };
	struct segment_header h;
	struct payloads p = { k, file };
	int rc = log_read_segment(file, salt, size, 0, &h);
	if (rc > 0)
		check_found(k, "damaged segment header at offset %u",
			    SUPERBLOCK_SIZE);
	if (rc >= 0)
		rc = log_walk_open(&w, file, salt, size);
	if (rc < 0)
		return rc;
	if (st)
		log_walk_cut(&w, st->end.seq);
	tell_gaps(k, &w);
	rc = log_walk_visit(&w, 1, UINT64_MAX, NULL, check_payload, &p);
	if (!rc && st)
		rc = note_end(k, &w, st);
	log_walk_close(&w);
	return rc;
}

/* ---- the superblock --------------------------------------------------- */

/* The salt, though the superblock may be damaged. 0, 1 if there is none to be
 * had, or an error: not a database of ours. */
static int check_superblock(struct checker *k, struct file *file, uint64_t size,
			    uint64_t *salt)
{
	uint8_t bytes[SUPERBLOCK_SIZE] = { 0 };
	struct superblock sb = { 0 };
	int rc = file_read(file, bytes,
			   size < sizeof(bytes) ? size : sizeof(bytes), 0);
	if (rc)
		return rc;
	int decoded = superblock_decode(&sb, bytes, false);
	*salt = sb.salt;
	if (!decoded)
		return 0;
	bool meant = get_le32(bytes + 4092) == crc32c(0, bytes, 4092);
	rc = meant ? 1 : log_find_salt(file, size, get_le64(bytes + 80), salt);
	if (rc > 0 && !is_damage(decoded))
		return decoded;
	if (rc == 0 || (rc > 0 && size >= sizeof(bytes)))
		check_found(k, "damaged superblock at offset 0");
	else if (rc > 0)
		check_found(k, "cut off after %" PRIu64 " bytes", size);
	return rc;
}

/* ---- all -------------------------------------------------------------- */

/* The database in the file, which stays open */
static int check_model(struct checker *k, struct file *file)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = k->options->cache_bytes,
				    .freeze = k->options->freeze,
				    .report = report_found,
				    .report_arg = k };
	banyan *db = NULL;
	struct file *again = NULL;
	int64_t before = k->damages;
	int rc = file_watched(file, watch, NULL, k, &again); /* told once */
	if (!rc)
		rc = db_open_file(again, &o, false, &db);
	if (is_damage(rc) && k->damages > before)
		return 0; /* told of already */
	if (rc)
		return rc;
	rc = check_tree(k, db);
	if (!rc)
		rc = check_rows(k, db);
	int closed = banyan_close(db);
	return rc ? rc : closed;
}

static int check_file(struct checker *k, struct file *below, struct file *file)
{
	struct log_state st = { 0 };
	uint64_t salt = 0;
	uint64_t size = 0;
	int rc = file_size(file, &size);
	k->total = 2 * size;
	if (!rc)
		rc = check_superblock(k, file, size, &salt);
	if (rc)
		return rc < 0 ? rc : 0;
	int opened = log_recover(file, false, &st, NULL, NULL);
	if (opened && !is_damage(opened) && opened != -EMEDIUMTYPE &&
	    opened != -EPROTONOSUPPORT)
		return opened;
	rc = check_log(k, file, salt, size, opened ? NULL : &st);
	if (rc)
		return rc;
	if (!opened)
		return check_model(k, below);
	/* It cannot be opened: if that is not for what was found, say why */
	if (k->damages == 0 &&
	    log_recover(file, false, &st, report_found, k) == -ENOMEM)
		return -ENOMEM;
	return opened;
}

int64_t banyan_check(const char *path, const struct banyan_check *check)
{
	struct checker k = { .options = check };
	struct file *below = NULL;
	struct file *file = NULL;
	if (!path || !check)
		return -EINVAL;
	k.in_use = file_in_use(path);
	int rc = file_open(path, false, &below);
	if (!rc)
		rc = file_watched(below, watch, unreadable, &k, &file);
	if (!rc)
		rc = check_file(&k, below, file);
	file_close(file);
	file_close(below);
	if (rc && k.damages == 0 && is_damage(rc))
		check_found(&k, "%s", banyan_strerror(rc));
	if (k.damages &&
	    (is_damage(rc) || rc == -EMEDIUMTYPE || rc == -EPROTONOSUPPORT))
		rc = 0;
	if (!rc)
		rc = check_progress(&k, k.total);
	if (k.no_memory)
		rc = -ENOMEM;
	if (rc && k.cancelled)
		rc = -ECANCELED;
	free(k.torn);
	return rc ? rc : k.damages;
}
