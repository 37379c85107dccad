/* SPDX-License-Identifier: MIT */
#include "api/versions.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "model/row_lookup.h"

/* An ENDED row */
struct ended {
	uint64_t offset;
	uint64_t number; /* of the VERSION row */
	uint64_t space;
};

/* One step */
struct pass {
	struct versions *v;
	struct deletions *d;
	struct buf scratch;
};

bool is_kept(const struct kept_freezes *kept, uint64_t since, uint64_t until)
{
	size_t low = 0, high = kept->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (kept->position[middle] > since)
			high = middle;
		else
			low = middle + 1;
	}
	return low < kept->count && kept->position[low] <= until;
}

/* ---- rows ------------------------------------------------------------- */

static void key_of_name(uint8_t kind, const struct name *n, struct row_key *key)
{
	deletions_row_key(kind, n->space, key);
	row_key_add(key, n->bytes, n->len);
}

/* The numbers of a key's versions follow its name: their first byte is 0, as no
 * byte of a name is */
static void add_number(struct row_key *key, uint64_t number)
{
	uint8_t bytes[8];
	put_be64(bytes, number);
	row_key_add(key, bytes, sizeof(bytes));
}

/* A row of a fixed size: 0, -ENOENT, or an error */
static int get_row(struct pass *p, const struct row_key *key, void *value,
		   size_t size)
{
	int rc = rebuild_get(&p->d->rows, key, &p->scratch);
	if (!rc && p->scratch.len != size)
		rc = -EUCLEAN;
	if (!rc)
		memcpy(value, p->scratch.data, size);
	return rc;
}

static int note_step(struct pass *p, uint8_t kind, uint64_t id)
{
	struct row_key key;
	deletions_row_key(kind, id, &key);
	return rebuild_put(&p->d->rows, &key, &p->d->h.offset,
			   sizeof(p->d->h.offset));
}

/* Has the step noted this? 1, 0, or an error. */
static int is_noted(struct pass *p, bool any, uint8_t kind, uint64_t id)
{
	struct row_key key;
	uint64_t offset = 0;
	if (!any)
		return 0;
	deletions_row_key(kind, id, &key);
	int rc = get_row(p, &key, &offset, sizeof(offset));
	return rc ? (rc == -ENOENT ? 0 : rc) : offset == p->d->h.offset;
}

/* ---- what there was --------------------------------------------------- */

static uint32_t sum_contents(const struct data *d)
{
	uint32_t sum = crc32c(0, d->inline_bytes, d->inline_len);
	for (uint32_t i = 0; i < d->extents; i++) {
		const struct extent *e = &d->extent[i].e;
		const uint64_t place[] = { d->extent[i].at, e->payload,
					   e->start, e->length };
		sum = crc32c(sum, place, sizeof(place));
	}
	return sum;
}

static void describe(const struct data *d, struct version *is)
{
	*is = (struct version){
		.id = d->id,
		.size = data_is_space(d) ? 0 : d->size,
		.ctime = d->ctime,
		.mtime = d->mtime,
		.mode = d->mode,
		.flags = d->flags,
		.uid = d->uid,
		.gid = d->gid,
		.contents = sum_contents(d),
	};
}

/* It was there at the first freeze; n NULL: in a DATA row */
static int date_back(const struct pass *p, const struct name *n,
		     struct version *was)
{
	was->time = p->d->h.began;
	was->event = BANYAN_KEPT;
	return deletions_first_since(p->d, n, was->id, was->ctime, &was->since);
}

static void date(const struct pass *p, enum banyan_event event,
		 struct version *is)
{
	is->since = history_cut(&p->d->h);
	is->time = p->d->h.time;
	is->event = event;
}

/* was->id 0: there was no such key */
static int find_name(struct pass *p, const struct name *n, struct version *was)
{
	struct row_key key;
	struct name_row row;
	struct located l;
	key_of_name(ROW_NOW_NAME, n, &key);
	int rc = get_row(p, &key, was, sizeof(*was));
	if (rc != -ENOENT)
		return rc;
	*was = (struct version){ 0 };
	if (n->space >= p->v->first_id)
		return 0;
	rc = names_row(&p->d->h.base.state, n, &row, &l);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (row.embedded)
		describe(&l.d, was);
	was->id = row.id;
	was->embedded = row.embedded;
	return date_back(p, n, was);
}

/* The Data in a DATA row; was->id 0: there was none */
static int find_data(struct pass *p, uint64_t id, struct version *was)
{
	struct row_key key;
	struct located l;
	deletions_row_key(ROW_NOW_DATA, id, &key);
	int rc = get_row(p, &key, was, sizeof(*was));
	if (rc != -ENOENT)
		return rc;
	*was = (struct version){ 0 };
	if (id >= p->v->first_id)
		return 0;
	rc = names_data(&p->d->h.base.state, id, &l);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	describe(&l.d, was);
	return date_back(p, NULL, was);
}

static int put_name(struct pass *p, const struct name *n,
		    const struct version *is)
{
	struct row_key key;
	key_of_name(ROW_NOW_NAME, n, &key);
	return rebuild_put(&p->d->rows, &key, is, sizeof(*is));
}

static int put_data(struct pass *p, const struct version *is)
{
	struct row_key key;
	deletions_row_key(ROW_NOW_DATA, is->id, &key);
	return rebuild_put(&p->d->rows, &key, is, sizeof(*is));
}

/* ---- versions --------------------------------------------------------- */

static bool is_lost(const struct pass *p, const struct version *was)
{
	return !is_kept(p->v->kept, was->since, history_cut(&p->d->h));
}

static int lose_name(struct pass *p, const struct name *n,
		     const struct version *was)
{
	struct row_key key;
	if (!is_lost(p, was))
		return 0;
	key_of_name(ROW_VERSION, n, &key);
	add_number(&key, p->v->count++);
	return rebuild_put(&p->d->rows, &key, was, sizeof(*was));
}

static int lose_data(struct pass *p, const struct version *was)
{
	struct row_key key;
	if (!is_lost(p, was))
		return 0;
	deletions_row_key(ROW_STATE, was->id, &key);
	add_number(&key, p->v->count++);
	return rebuild_put(&p->d->rows, &key, was, sizeof(*was));
}

/*
 * What has become of a Data that is still under its key, as banyan_log() has it:
 * *event. 1: nothing.
 */
static int compare(struct pass *p, const struct version *was,
		   const struct version *is, enum banyan_event *event)
{
	bool space = (is->mode & 0170000) == 0040000;
	int rc = is_noted(p, space ? p->v->has_xattrs : p->v->has_extents,
			  space ? ROW_XATTRS : ROW_EXTENTS, is->id);
	if (rc < 0)
		return rc;
	bool beside = rc > 0;
	bool same = was->mode == is->mode && was->flags == is->flags &&
		    was->uid == is->uid && was->gid == is->gid;
	*event = BANYAN_ATTRIBUTES;
	/* Keys in a key space change its times */
	if (space)
		return same && !beside;
	if (was->ctime == is->ctime)
		return 1;
	/* A vacuum may have moved what it refers to */
	if ((is->mode & 0170000) == 0100000 &&
	    (beside || was->size != is->size ||
	     (p->d->h.gap ? was->mtime != is->mtime :
			    was->contents != is->contents)))
		*event = BANYAN_CHANGED;
	return 0;
}

/* The same Data is there: fill in when it has become what it is. 0: it was
 * another version before, 1: it was not, or the step itself has told of it. */
static int go_on(struct pass *p, const struct version *was, struct version *is)
{
	enum banyan_event event = BANYAN_CHANGED;
	bool told = was->since == history_cut(&p->d->h);
	int rc = told ? 1 : compare(p, was, is, &event);
	if (!rc)
		date(p, event, is);
	if (rc != 1)
		return rc;
	is->since = was->since;
	is->time = was->time;
	is->event = was->event;
	return 1;
}

/* ---- keys ------------------------------------------------------------- */

static int put_home(struct pass *p, uint64_t id, const struct name *n)
{
	struct row_key key;
	uint8_t value[8 + BANYAN_NAME_MAX];
	put_be64(value, n->space);
	memcpy(value + 8, n->bytes, n->len);
	deletions_row_key(ROW_HOME, id, &key);
	return rebuild_put(&p->d->rows, &key, value, 8 + n->len);
}

/* The key does not point to this Data any more. It may be under another one, which
 * is known at the end of the step if the key has it, and of all steps if not. */
static int end_name(struct pass *p, const struct name *n,
		    const struct version *was)
{
	struct version last = *was;
	struct row_key key;
	int rc = 0;
	p->v->has_ended = true;
	if (!was->embedded) {
		rc = find_data(p, was->id, &last);
		if (!rc)
			rc = put_home(p, was->id, n);
		if (rc || !last.id)
			return rc;
		last.only_dead = true;
		return lose_name(p, n, &last);
	}
	const struct ended ended = { p->d->h.offset, p->v->count, n->space };
	rc = lose_name(p, n, &last);
	if (rc || ended.number == p->v->count)
		return rc;
	struct buf value = { 0 };
	buf_add(&value, &ended, sizeof(ended));
	buf_add(&value, n->bytes, n->len);
	deletions_row_key(ROW_ENDED, was->id, &key);
	rc = value.failed ?
		     -ENOMEM :
		     rebuild_put(&p->d->rows, &key, value.data, value.len);
	buf_free(&value);
	return rc;
}

static int take_delete(struct pass *p, const struct name *n)
{
	const struct version none = { 0 };
	struct version was;
	int rc = find_name(p, n, &was);
	if (rc || !was.id)
		return rc;
	rc = end_name(p, n, &was);
	return rc ? rc : put_name(p, n, &none);
}

/* Where it had been the Data's only key, it becomes a reference */
static int take_same(struct pass *p, const struct name *n, struct version *was,
		     struct version *is)
{
	int rc = 0;
	if (is->embedded && was->embedded) {
		rc = go_on(p, was, is);
		if (!rc)
			rc = lose_name(p, n, was);
	} else if (was->embedded) {
		was->embedded = false;
		rc = put_data(p, was);
	}
	return rc < 0 ? rc : put_name(p, n, is);
}

/* A key refers to a Data from now on: if that is new, too, its row follows */
static int begin_data(struct pass *p, const struct version *is)
{
	struct version was;
	int rc = find_data(p, is->id, &was);
	return rc || was.id ? rc : put_data(p, is);
}

static int take_put(struct pass *p, const struct name *n,
		    const struct row_change *row)
{
	struct name_row name;
	struct data data;
	struct version was, is = { 0 };
	int rc = name_row_decode(&name, &data, row->value, row->value_len);
	if (!rc)
		rc = find_name(p, n, &was);
	if (rc)
		return rc;
	if (name.embedded)
		describe(&data, &is);
	is.id = name.id;
	is.embedded = name.embedded;
	p->v->has_puts |= name.embedded;
	if (was.id == name.id)
		return take_same(p, n, &was, &is);
	date(p, was.id ? BANYAN_REPLACED : BANYAN_MADE, &is);
	if (was.id)
		rc = end_name(p, n, &was);
	if (!rc && !is.embedded)
		rc = begin_data(p, &is);
	return rc ? rc : put_name(p, n, &is);
}

static int take_data(struct pass *p, const struct row_change *row)
{
	struct data data;
	struct version was, is;
	int rc = rows_decode_data(row->key, row->key_len, row->value,
				  row->value_len, &data);
	if (!rc && data.nlink)
		rc = find_data(p, data.id, &was);
	if (rc || !data.nlink)
		return rc;
	describe(&data, &is);
	if (was.id) {
		rc = go_on(p, &was, &is);
		if (!rc)
			rc = lose_data(p, &was);
	} else {
		date(p, BANYAN_MADE, &is);
	}
	return rc < 0 ? rc : put_data(p, &is);
}

/* ---- steps ------------------------------------------------------------ */

/* What lies beside a Data's row, once for each Data */
static int note_beside(struct pass *p)
{
	struct row_change row;
	uint64_t last = 0;
	uint8_t last_type = 0;
	int rc = history_rows(&p->d->h);
	while (!rc && (rc = history_row(&p->d->h, &row)) == 0) {
		uint8_t type = row.key[0];
		if (row.key_len <= ROW_ID_LEN ||
		    (type != ROW_EXTENT && type != ROW_XATTR))
			continue;
		uint64_t id = get_be64(row.key + 1);
		p->v->has_extents |= type == ROW_EXTENT;
		p->v->has_xattrs |= type == ROW_XATTR;
		if (id == last && type == last_type)
			continue;
		last = id;
		last_type = type;
		rc = note_step(p, type == ROW_EXTENT ? ROW_EXTENTS : ROW_XATTRS,
			       id);
	}
	return rc < 0 ? rc : 0;
}

static int take_rows(struct pass *p)
{
	struct row_change row;
	struct name n;
	int rc = history_rows(&p->d->h);
	while (!rc && (rc = history_row(&p->d->h, &row)) == 0) {
		if (name_row_key(row.key, row.key_len, &n))
			rc = row.value ? take_put(p, &n, &row) :
					 take_delete(p, &n);
		else if (row.key[0] == ROW_DATA && row.value)
			rc = take_data(p, &row);
	}
	return rc < 0 ? rc : 0;
}

/* The Data has another key: it was moved there, and no version of it ended */
static int take_back(struct pass *p, uint64_t id)
{
	struct row_key key;
	struct ended ended;
	deletions_row_key(ROW_ENDED, id, &key);
	int rc = rebuild_get(&p->d->rows, &key, &p->scratch);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	size_t len = p->scratch.len;
	if (len <= sizeof(ended) || len > sizeof(ended) + BANYAN_NAME_MAX)
		return -EUCLEAN;
	memcpy(&ended, p->scratch.data, sizeof(ended));
	if (ended.offset != p->d->h.offset)
		return 0;
	const struct name n = { ended.space,
				(const char *)p->scratch.data + sizeof(ended),
				len - sizeof(ended) };
	key_of_name(ROW_VERSION, &n, &key);
	add_number(&key, ended.number);
	return rebuild_delete(&p->d->rows, &key);
}

static int take_moves(struct pass *p)
{
	struct row_change row;
	struct name_row name;
	struct name n;
	int rc = history_rows(&p->d->h);
	while (!rc && (rc = history_row(&p->d->h, &row)) == 0) {
		if (!name_row_key(row.key, row.key_len, &n) || !row.value)
			continue;
		rc = name_row_decode(&name, NULL, row.value, row.value_len);
		if (!rc && name.embedded)
			rc = take_back(p, name.id);
	}
	return rc < 0 ? rc : 0;
}

int versions_watch(void *arg, struct deletions *d)
{
	struct versions *v = arg;
	struct pass p = { .v = v, .d = d };
	if (!v->begun)
		v->first_id = d->h.first_new;
	v->begun = true;
	v->has_extents = v->has_xattrs = v->has_ended = v->has_puts = false;
	int rc = note_beside(&p);
	if (!rc)
		rc = take_rows(&p);
	if (!rc && v->has_ended && v->has_puts)
		rc = take_moves(&p);
	buf_free(&p.scratch);
	return rc;
}
