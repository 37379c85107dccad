/* SPDX-License-Identifier: MIT */
#include "api/deletions.h"

#include <errno.h>
#include <string.h>

#include "model/row_lookup.h"

enum {
	ROW_KEY = 0x71,
	ROW_PUT = 0x72,
	ROW_HOME = 0x73,
	ROW_SIZE = 0x74,
	ROW_CHANGE = 0x75,
	ROW_LOSS = 0x76,
	ROW_SPACE = 0x77,
};

/* ---- rows ------------------------------------------------------------- */

static void key_of_name(uint8_t kind, const struct name *n, struct row_key *key)
{
	deletions_row_key(kind, n->space, key);
	row_key_add(key, n->bytes, n->len);
}

static int put_number(struct deletions *d, uint8_t kind, uint64_t id,
		      uint64_t number)
{
	struct row_key key;
	deletions_row_key(kind, id, &key);
	return rebuild_put(&d->rows, &key, &number, sizeof(number));
}

/* 0, -ENOENT, or an error */
static int read_number(struct deletions *d, const struct row_key *key,
		       uint64_t *number)
{
	int rc = rebuild_get(&d->rows, key, &d->scratch);
	if (!rc && d->scratch.len != sizeof(*number))
		rc = -EUCLEAN;
	if (!rc)
		memcpy(number, d->scratch.data, sizeof(*number));
	return rc;
}

static int get_number(struct deletions *d, uint8_t kind, uint64_t id,
		      uint64_t *number)
{
	struct row_key key;
	deletions_row_key(kind, id, &key);
	return read_number(d, &key, number);
}

/* Is it the number of this step? 1, 0, or an error. */
static int is_this_step(struct deletions *d, uint8_t kind, uint64_t id)
{
	uint64_t offset = 0;
	int rc = get_number(d, kind, id, &offset);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	return offset == d->h.offset;
}

static int note(struct deletions *d, uint8_t kind, uint64_t id)
{
	return d->changes ? put_number(d, kind, id, d->h.offset) : 0;
}

static int get_key(struct deletions *d, const struct name *n,
		   struct deletion *key)
{
	struct row_key row;
	key_of_name(ROW_KEY, n, &row);
	int rc = rebuild_get(&d->rows, &row, &d->scratch);
	if (!rc && d->scratch.len != sizeof(*key))
		rc = -EUCLEAN;
	if (!rc)
		memcpy(key, d->scratch.data, sizeof(*key));
	return rc;
}

static int put_key(struct deletions *d, const struct name *n,
		   const struct deletion *key)
{
	struct row_key row;
	key_of_name(ROW_KEY, n, &row);
	return rebuild_put(&d->rows, &row, key, sizeof(*key));
}

/* Of a Data in a DATA row */
struct size_row {
	uint64_t size;
	uint64_t since;
};

static int put_size(struct deletions *d, const struct data *data)
{
	const struct size_row value = { data->size, history_cut(&d->h) };
	struct row_key key;
	deletions_row_key(ROW_SIZE, data->id, &key);
	return rebuild_put(&d->rows, &key, &value, sizeof(value));
}

static int get_size(struct deletions *d, uint64_t id, struct size_row *value)
{
	struct row_key key;
	deletions_row_key(ROW_SIZE, id, &key);
	int rc = rebuild_get(&d->rows, &key, &d->scratch);
	if (!rc && d->scratch.len != sizeof(*value))
		rc = -EUCLEAN;
	if (!rc)
		memcpy(value, d->scratch.data, sizeof(*value));
	return rc;
}

/* ---- one step --------------------------------------------------------- */

/* Is it a name in the path? */
static bool is_wanted(const struct deletions *d, const struct name *n)
{
	const char *at = d->path;
	while (at && *(at += strspn(at, "/"))) {
		size_t len = strcspn(at, "/");
		if (compare_bytes(at, len, n->bytes, n->len) == 0)
			return true;
		at += len;
	}
	return !d->path;
}

static void describe(const struct name_row *row, const struct data *data,
		     struct deletion *key)
{
	*key = (struct deletion){ .id = row->id,
				  .type = row->type,
				  .size = row->embedded ? data->size : 0,
				  .embedded = row->embedded };
}

static int take_put(struct deletions *d, const struct name *n,
		    const struct row_change *row)
{
	struct name_row name;
	struct data data;
	struct deletion key;
	int rc = name_row_decode(&name, &data, row->value, row->value_len);
	if (rc)
		return rc;
	describe(&name, &data, &key);
	key.since = history_cut(&d->h);
	rc = put_key(d, n, &key);
	return rc ? rc : note(d, ROW_CHANGE, n->space);
}

/* A DATA row that was put, and matters */
static bool is_data(const struct deletions *d, const struct row_change *row)
{
	return row->key[0] == ROW_DATA && row->value && !d->path;
}

static int take_data(struct deletions *d, const struct row_change *row)
{
	struct data data;
	int rc = rows_decode_data(row->key, row->key_len, row->value,
				  row->value_len, &data);
	if (rc || data.nlink == 0)
		return rc;
	if (!data_is_space(&data))
		rc = put_size(d, &data);
	if (rc || !d->changes)
		return rc;
	rc = is_this_step(d, ROW_LOSS, data.id);
	return rc ? (rc < 0 ? rc : 0) : note(d, ROW_CHANGE, data.id);
}

/* Each change of a Data makes its ctime later */
int deletions_first_since(struct deletions *d, const struct name *n,
			  uint64_t id, timestamp ctime, uint64_t *since)
{
	struct name_row row = { .id = id, .embedded = true };
	struct located l;
	int rc;
	*since = d->h.begin - 1;
	if (!d->older)
		return 0;
	rc = n ? names_row(d->older->state, n, &row, &l) :
		 names_data(d->older->state, id, &l);
	if (!rc && row.id == id && (!row.embedded || l.d.ctime == ctime))
		*since = d->older->position - 1;
	return rc == -ENOENT ? 0 : rc;
}

/* What a key was before the step that deletes it. -ENOENT: there was none. */
static int find_last(struct deletions *d, const struct name *n,
		     struct deletion *key)
{
	struct name_row row;
	struct size_row size;
	struct located l = { 0 };
	const struct state *base = &d->h.base.state;
	int rc = get_key(d, n, key);
	if (rc == -ENOENT) {
		rc = names_row(base, n, &row, &l);
		if (!rc) {
			describe(&row, &l.d, key);
			rc = deletions_first_since(d, n, key->id, l.d.ctime,
						   &key->since);
		}
	}
	if (rc || key->embedded || key->type == 0040000)
		return rc;
	rc = get_size(d, key->id, &size);
	if (!rc) {
		key->size = size.size;
		if (size.since > key->since)
			key->since = size.since;
	}
	if (rc != -ENOENT)
		return rc;
	rc = names_data(base, key->id, &l);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	key->size = l.d.size;
	rc = deletions_first_since(d, NULL, key->id, l.d.ctime, &size.since);
	if (size.since > key->since)
		key->since = size.since;
	return rc;
}

static int put_home(struct deletions *d, uint64_t id, const struct name *n)
{
	struct row_key key;
	uint8_t value[8 + BANYAN_NAME_MAX];
	put_be64(value, n->space);
	memcpy(value + 8, n->bytes, n->len);
	deletions_row_key(ROW_HOME, id, &key);
	int rc = rebuild_put(&d->rows, &key, value, 8 + n->len);
	key_of_name(ROW_SPACE, n, &key);
	return rc ? rc : rebuild_put(&d->rows, &key, &id, sizeof(id));
}

/* A key that now points to nothing: its Data may have been moved */
static int take_delete(struct deletions *d, const struct name *n)
{
	struct deletion key;
	struct row_key row;
	int rc = find_last(d, n, &key);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rc = is_this_step(d, ROW_PUT, key.id);
	if (rc < 0)
		return rc;
	if (rc) {
		key_of_name(ROW_KEY, n, &row);
		rc = rebuild_delete(&d->rows, &row);
		return rc ? rc : note(d, ROW_CHANGE, n->space);
	}
	key.offset = d->h.offset;
	key.until = history_cut(&d->h);
	key.time = d->h.time;
	key.gone = true;
	rc = key.embedded ? 0 : deletions_changed(d, key.id, &key.changed);
	if (!rc)
		rc = put_key(d, n, &key);
	if (!rc && key.type == 0040000)
		rc = put_home(d, key.id, n);
	if (!rc)
		rc = note(d, ROW_LOSS, n->space);
	return rc || key.embedded ? rc : note(d, ROW_LOSS, key.id);
}

/* Which Data have got keys in this step? */
static int note_puts(struct deletions *d)
{
	struct row_change row;
	struct name_row name;
	struct name n;
	int rc = history_rows(&d->h);
	while (!rc && (rc = history_row(&d->h, &row)) == 0) {
		if (!name_row_key(row.key, row.key_len, &n) || !row.value)
			continue;
		rc = name_row_decode(&name, NULL, row.value, row.value_len);
		if (!rc)
			rc = put_number(d, ROW_PUT, name.id, d->h.offset);
	}
	return rc < 0 ? rc : 0;
}

/* Names that are deleted, then the DATA rows: in which sizes are newer */
static int take_deletes(struct deletions *d)
{
	struct row_change row;
	struct name n;
	int rc = history_rows(&d->h);
	while (!rc && (rc = history_row(&d->h, &row)) == 0) {
		if (name_row_key(row.key, row.key_len, &n) && !row.value &&
		    is_wanted(d, &n))
			rc = take_delete(d, &n);
		else if (is_data(d, &row))
			rc = take_data(d, &row);
	}
	return rc < 0 ? rc : 0;
}

static int take_step(struct deletions *d)
{
	struct row_change row;
	struct name n;
	bool puts = false, deletes = false;
	int rc = history_rows(&d->h);
	while (!rc && (rc = history_row(&d->h, &row)) == 0) {
		if (name_row_key(row.key, row.key_len, &n)) {
			puts |= row.value != NULL;
			if (!is_wanted(d, &n))
				continue;
			deletes |= !row.value;
			rc = row.value ? take_put(d, &n, &row) : 0;
		} else if (!deletes && is_data(d, &row)) {
			rc = take_data(d, &row);
		}
	}
	if (rc > 0)
		rc = 0;
	if (!rc && deletes && puts)
		rc = note_puts(d);
	if (!rc && deletes)
		rc = take_deletes(d);
	return rc;
}

/* ---- all of them ------------------------------------------------------ */

static int collect(struct deletions *d)
{
	int rc;
	while ((rc = history_next(&d->h)) == 0) {
		rc = take_step(d);
		if (!rc && d->watch)
			rc = d->watch(d->watch_arg, d);
		if (rc)
			break;
	}
	return rc < 0 ? rc : 0;
}

static int open_as(struct store *store, struct deletions *d)
{
	int rc = history_open(store, &d->h);
	if (rc)
		return rc;
	rc = rebuild_open_scratch(&d->rows, d->h.now->volume->file,
				  store->cache_limit / 8);
	if (!rc)
		rc = collect(d);
	if (rc)
		deletions_close(d);
	return rc;
}

int deletions_open(struct store *store, bool changes, struct deletions *d)
{
	*d = (struct deletions){ .changes = changes };
	return open_as(store, d);
}

int deletions_open_path(struct store *store, const char *path,
			struct deletions *d)
{
	*d = (struct deletions){ .path = path };
	return open_as(store, d);
}

int deletions_open_watched(struct store *store, const struct older_state *older,
			   int (*watch)(void *arg, struct deletions *d),
			   void *arg, struct deletions *d)
{
	*d = (struct deletions){ .watch = watch,
				 .watch_arg = arg,
				 .older = older };
	return open_as(store, d);
}

void deletions_close(struct deletions *d)
{
	rebuild_drop(&d->rows);
	history_close(&d->h);
	buf_free(&d->scratch);
}

int deletions_find(struct deletions *d, const struct name *n,
		   struct deletion *key)
{
	int rc = get_key(d, n, key);
	return !rc && !key->gone ? -ENOENT : rc;
}

int deletions_home(struct deletions *d, uint64_t id, struct row_key *row,
		   struct name *n)
{
	struct row_key key;
	deletions_row_key(ROW_HOME, id, &key);
	int rc = rebuild_get(&d->rows, &key, &d->scratch);
	if (rc)
		return rc;
	if (d->scratch.len < 8 || d->scratch.len > sizeof(row->bytes))
		return -EUCLEAN;
	memcpy(row->bytes, d->scratch.data, d->scratch.len);
	*n = (struct name){ get_be64(row->bytes), (const char *)row->bytes + 8,
			    d->scratch.len - 8 };
	return 0;
}

int deletions_space(struct deletions *d, const struct name *n, uint64_t *id)
{
	struct row_key key;
	key_of_name(ROW_SPACE, n, &key);
	return read_number(d, &key, id);
}

int deletions_changed(struct deletions *d, uint64_t id, uint64_t *offset)
{
	*offset = 0;
	int rc = get_number(d, ROW_CHANGE, id, offset);
	return rc == -ENOENT ? 0 : rc;
}

struct each {
	deletions_visit *visit;
	void *arg;
};

static int visit_row(void *arg, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	const struct each *e = arg;
	struct deletion found;
	if (len <= ROW_ID_LEN || value_len != sizeof(found))
		return -EUCLEAN;
	memcpy(&found, value, sizeof(found));
	struct name n = name_in_row(key, len);
	return found.gone ? e->visit(e->arg, &n, &found) : 0;
}

int deletions_each(struct deletions *d, uint64_t space, deletions_visit *visit,
		   void *arg)
{
	struct each e = { visit, arg };
	struct read_txn rtxn;
	struct row_key prefix;
	deletions_row_key(ROW_KEY, space, &prefix);
	int rc = rebuild_read(&d->rows, &rtxn);
	if (rc)
		return rc;
	rc = rows_visit(&rtxn.state, prefix.bytes, space ? prefix.len : 1,
			visit_row, &e);
	rebuild_read_end(&rtxn);
	return rc;
}
