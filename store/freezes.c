/* SPDX-License-Identifier: MIT */
/* freezes.c - the freezes in a file, of which each points to the one before. */
#include <errno.h>

#include "db.h"

int db_read_freeze(banyan *db, uint64_t offset, uint64_t size, struct freeze *f)
{
	struct log_record rec;
	struct buf body = BUF_INIT;
	int rc = log_read_record(db->file, db->sb.salt, size, offset, &rec,
				 &body);
	if (!rc && (rec.header.type != RECORD_FREEZE ||
		    !freeze_decode(f, offset, body.data, body.len)))
		rc = 1;
	buf_free(&body);
	if (rc > 0) {
		db_report(db, "damaged freeze record at offset %llu",
			  (unsigned long long)offset);
		rc = -EBADMSG;
	}
	return rc;
}

int db_find_freeze(banyan *db, uint64_t number, uint64_t *offset,
		   struct freeze *f)
{
	uint64_t size = 0;
	uint64_t at = *offset;
	int rc = file_size(db->file, &size);
	/* Numbers fall on the way back, or somebody has made them up */
	for (uint64_t last = UINT64_MAX; !rc && at; last = f->number) {
		rc = db_read_freeze(db, at, size, f);
		if (!rc && f->number >= last)
			rc = -EUCLEAN;
		if (rc)
			break;
		if (f->number <= number) {
			*offset = at;
			return f->number == number ? 0 : -ENOENT;
		}
		at = f->previous;
	}
	return rc ? rc : -ENOENT;
}

int banyan_freezes(banyan *db,
		   int (*visit)(void *arg, const struct banyan_freeze_info *),
		   void *arg)
{
	uint64_t size = 0;
	uint64_t offset = atomic_load(&db->last_offset);
	int rc = file_size(db->file, &size);
	/* Each points to one before it: this ends */
	while (!rc && offset) {
		struct freeze f;
		rc = db_read_freeze(db, offset, size, &f);
		if (rc)
			break;
		struct banyan_freeze_info info = {
			.number = f.number,
			.time = f.time,
			.offset = offset,
			.keys = f.keys,
			.live_bytes = f.live_bytes,
			.automatic = f.automatic,
		};
		rc = visit(arg, &info);
		offset = f.previous;
	}
	return rc;
}
