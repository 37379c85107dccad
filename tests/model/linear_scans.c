/* SPDX-License-Identifier: MIT */
/* What a worker reads in one go; see linear_run.h */
#include "linear_run.h"

#include <string.h>

#include "tests/support/clock.h"

static void add_row(struct linear_run *r, struct linear_row *rows,
		    const struct banyan_entry *e)
{
	for (unsigned k = 0; k < LINEAR_KEYS; k++) {
		if (strcmp(linear_keys[k].name, e->name) != 0)
			continue;
		if (rows[k].value)
			linear_wrong(r, "a key twice in a scan", k);
		rows[k].value =
			linear_value_of(e->value, (ssize_t)e->attr.size);
		rows[k].id = e->attr.id;
		rows[k].links = e->attr.nlink;
		if (rows[k].value == UINT32_MAX)
			linear_wrong(r, "a torn value in a scan", k);
	}
}

/* w NULL: at once. Else the cursor is made, and others go on; *made: when. */
static void scan_space(struct linear_run *r, struct linear_worker *w,
		       banyan_data *space, struct linear_row *rows,
		       uint64_t *made)
{
	struct banyan_range range = { .values = true,
				      .reverse = w && linear_number(w, 2) };
	banyan_cursor *cursor = NULL;
	struct banyan_entry e;
	int rc = banyan_scan(space, &range, &cursor);
	*made = test_now();
	while (!rc) {
		if (w)
			linear_breathe(w);
		rc = banyan_next(cursor, &e);
		if (!rc && e.len == 2)
			add_row(r, rows, &e);
	}
	if (rc < 0)
		linear_wrong(r, "a scan", rc);
	banyan_scan_end(cursor);
}

static unsigned keys_in(unsigned space)
{
	unsigned bits = 0;
	for (unsigned k = 0; k < LINEAR_KEYS; k++)
		bits |= (unsigned)(linear_keys[k].space == space) << k;
	return bits;
}

void linear_scan(struct linear_worker *w)
{
	struct linear_op *op = linear_begin(w);
	unsigned space = linear_number(w, 2);
	op->step[0].kind = LINEAR_SCAN;
	op->keys = keys_in(space);
	scan_space(w->run, w, w->run->space[space], op->rows, &op->end);
}

void linear_scan_all(struct linear_run *r, banyan *db, struct linear_row *rows)
{
	banyan_data *s = NULL;
	uint64_t made = 0;
	memset(rows, 0, sizeof(*rows) * LINEAR_KEYS);
	int rc = banyan_find(db, "s", &s);
	if (rc)
		linear_wrong(r, "the key space", rc);
	if (rc)
		return;
	scan_space(r, NULL, banyan_root(db), rows, &made);
	scan_space(r, NULL, s, rows, &made);
	banyan_release(s, 1);
}

void linear_open_beside(struct linear_worker *w)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN };
	banyan *db = NULL;
	struct linear_op *op = linear_begin(w);
	op->step[0].kind = LINEAR_SCAN;
	op->keys = (1u << LINEAR_KEYS) - 1;
	op->beside = true;
	int rc = banyan_open(w->run->path, &o, &db);
	op->end = test_now();
	if (rc)
		linear_wrong(w->run, "a read-only open", rc);
	if (!rc)
		linear_scan_all(w->run, db, op->rows);
	banyan_close(db);
}
