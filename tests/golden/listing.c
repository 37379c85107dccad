/* SPDX-License-Identifier: MIT */
#include "listing.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"

/* A longer value is looked at so far from its beginning and from its end */
#define LOOK_AT (256u << 10)

struct lister {
	banyan *db;
	struct buf *text;
	uint8_t *bytes; /* LOOK_AT of them */
};

__attribute__((format(printf, 2, 3))) static void say(struct buf *text,
						      const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		buf_add(text, line, (size_t)n);
}

/* Bytes that would disturb a line become %XX */
static void say_name(struct buf *text, const char *name)
{
	for (; *name; name++) {
		if (isgraph((unsigned char)*name) && *name != '%')
			buf_add_u8(text, (uint8_t)*name);
		else
			say(text, "%%%02X", (unsigned char)*name);
	}
}

static int say_sum(struct lister *l, banyan_data *d, uint64_t size)
{
	ssize_t n = banyan_read(d, l->bytes, LOOK_AT, 0);
	if (n < 0)
		return (int)n;
	uint32_t crc = crc32c(0, l->bytes, (size_t)n);
	if (size > LOOK_AT) {
		n = banyan_read(d, l->bytes, LOOK_AT, size - LOOK_AT);
		if (n < 0)
			return (int)n;
		crc = crc32c(crc, l->bytes, (size_t)n);
	}
	say(l->text, " crc %08" PRIx32, crc);
	return 0;
}

static int say_xattrs(struct lister *l, banyan_data *d)
{
	char names[2048];
	ssize_t n = banyan_list_xattr(d, names, sizeof(names));
	if (n < 0)
		return (int)n;
	for (const char *name = names; name < names + n;
	     name += strlen(name) + 1) {
		ssize_t size = banyan_get_xattr(d, name, l->bytes, LOOK_AT);
		if (size < 0)
			return (int)size;
		say(l->text, "  ");
		say_name(l->text, name);
		say(l->text, " size %zd crc %08" PRIx32 "\n", size,
		    crc32c(0, l->bytes, (size_t)size));
	}
	return 0;
}

static void say_time(struct lister *l, const char *name,
		     struct banyan_time time, const struct banyan_time *usual)
{
	if (!usual || time.sec != usual->sec || time.nsec != usual->nsec)
		say(l->text, " %s %" PRId64 ".%09" PRIu64, name, time.sec,
		    time.nsec);
}

static int say_data(struct lister *l, banyan_data *d)
{
	struct banyan_attr a = { 0 };
	int rc = banyan_get_attr(d, &a);
	if (rc)
		return rc;
	say(l->text,
	    " id %" PRIu64 " mode %06" PRIo32 " owner %" PRIu32 ":%" PRIu32
	    " nlink %" PRIu32 " size %" PRIu64 " stored %" PRIu64,
	    a.id, a.mode, a.uid, a.gid, a.nlink, a.size, a.stored);
	say_time(l, "birth", a.birth, NULL);
	/* What is as usual is left out */
	if (a.flags)
		say(l->text, " flags %" PRIx32, a.flags);
	if (a.rdev)
		say(l->text, " rdev %" PRIx64, a.rdev);
	say_time(l, "mtime", a.mtime, &a.birth);
	say_time(l, "ctime", a.ctime, &a.mtime);
	say_time(l, "atime", a.atime, &a.mtime);
	if (S_ISREG(a.mode) || S_ISLNK(a.mode))
		rc = say_sum(l, d, a.size);
	buf_add_u8(l->text, '\n');
	return rc ? rc : say_xattrs(l, d);
}

static int visit(void *arg, const char *path, const struct banyan_entry *e)
{
	struct lister *l = arg;
	banyan_data *d = NULL;
	int rc = banyan_find(l->db, path, &d);
	if (rc)
		return rc;
	/* A scan and a look at the Data itself must say the same */
	rc = e->attr.id == banyan_id(d) ? 0 : -EBADMSG;
	buf_add_u8(l->text, '/');
	say_name(l->text, path);
	if (!rc)
		rc = say_data(l, d);
	banyan_release(d, 1);
	return rc;
}

static int say_keys(struct lister *l)
{
	buf_add_u8(l->text, '/');
	int rc = say_data(l, banyan_root(l->db));
	return rc ? rc : banyan_walk(l->db, "", NULL, true, visit, l);
}

static int visit_snapshot(void *arg, const struct banyan_snapshot_info *info)
{
	const struct lister *l = arg;
	const struct banyan_freeze_info *f = &info->freeze;
	struct lister in = *l;
	int rc = banyan_view_snapshot(l->db, info->name, info->len, &in.db);
	if (rc)
		return rc;
	say(l->text, "snapshot %.*s: freeze %" PRIu64 " keys %" PRIu64,
	    (int)info->len, info->name, f->number, f->keys);
	say(l->text, " live_bytes %" PRIu64 "%s", f->live_bytes,
	    f->gap ? " gap" : "");
	say_time(&in, "time", f->time, NULL);
	buf_add_u8(l->text, '\n');
	rc = say_keys(&in);
	banyan_close(in.db);
	return rc;
}

int listing(banyan *db, struct buf *text)
{
	struct lister l = { db, text, malloc(LOOK_AT) };
	if (!l.bytes)
		return -ENOMEM;
	int rc = say_keys(&l);
	if (!rc)
		rc = banyan_snapshots(db, visit_snapshot, &l);
	free(l.bytes);
	buf_add_u8(text, 0);
	if (text->failed)
		return -ENOMEM;
	text->len--;
	return rc;
}

int listing_numbers(banyan *db, struct buf *text)
{
	struct banyan_stat s = { 0 };
	int rc = banyan_get_stat(db, &s);
	if (rc)
		return rc;
	say(text,
	    "keys %" PRIu64 " live_bytes %" PRIu64 " next_id %" PRIu64
	    " freezes %" PRIu64 " format %u generation %" PRIu64 "\n",
	    s.keys, s.live_bytes, s.next_id, s.freezes, s.format, s.generation);
	buf_add_u8(text, 0);
	if (text->failed)
		return -ENOMEM;
	text->len--;
	return 0;
}
