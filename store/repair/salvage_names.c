/* SPDX-License-Identifier: MIT */
/*
 * salvage_names.c - copy Datas and keys, each only if its row makes sense.
 *
 * DATA rows come first: if the value of a Data is damaged, the keys that refer
 * to it are lost with it. Then NAME rows, in order. Then LINK rows: each
 * repeats a NAME row with a reference, so a key whose NAME row is lost is made
 * from it.
 */
#include <errno.h>
#include <inttypes.h>

#include "repair/salvage.h"

int salvage_put_key(struct salvage *s, uint64_t space, const void *name,
		    size_t len, uint64_t id, uint32_t mode)
{
	struct row_key key;
	struct buf value = BUF_INIT;
	int rc = reference_encode(id, mode, &value);
	row_key_name(&key, space, name, len);
	if (!rc)
		rc = rebuild_put(&s->out, &key, value.data, value.len);
	row_key_link(&key, id, space, name, len);
	if (!rc)
		rc = rebuild_put(&s->out, &key, "", 0);
	if (!rc)
		rc = id_set_add(&s->spaces, space);
	if (rc >= 0 && (mode & 0170000) == 0040000)
		rc = id_set_add(&s->attached, id);
	buf_free(&value);
	return rc < 0 ? rc : 0;
}

bool salvage_note_id(struct salvage *s, uint64_t id)
{
	if (id == 0 || id >= INT64_MAX)
		return false;
	if (id >= s->next_id)
		s->next_id = id + 1;
	return true;
}

int salvage_put_data(struct salvage *s, const struct row_key *key,
		     const struct data *d)
{
	struct buf value = BUF_INIT;
	int rc = data_encode(d, &value);
	if (!rc)
		rc = rebuild_put(&s->out, key, value.data, value.len);
	buf_free(&value);
	return rc;
}

/* ---- DATA rows -------------------------------------------------------- */

/* Was the Data waiting to be swept? Then it has no key. */
static int is_orphan(struct salvage *s, const struct data *d)
{
	struct row_key key;
	if (d->nlink)
		return 0;
	row_key_orphan(&key, d->id);
	return rows_has(&s->rows, &key);
}

struct aliases {
	struct salvage *s;
	const char *first; /* in words; it was told of already */
	bool any;
};

static int lose_alias(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct aliases *a = arg;
	struct buf text = BUF_INIT;
	(void)value;
	(void)value_len;
	if (len <= ROW_LINK_LEN)
		return 0;
	if (a->any) {
		text_key(&a->s->rows, row_link_space(key), key + ROW_LINK_LEN,
			 len - ROW_LINK_LEN, &text);
		tell_bad(&a->s->tell, "%s: its value is the damaged one of %s",
			 tell_text(&a->s->tell, &text), a->first);
	}
	a->any = true;
	buf_free(&text);
	return 0;
}

/* A Data is left out: all its keys are lost */
static int lose_data(struct salvage *s, uint64_t id, const char *what)
{
	struct row_key prefix;
	struct aliases a = { .s = s, .first = what };
	int rc = id_set_add(&s->bad, id);
	row_key_id(&prefix, ROW_LINK, id);
	return rc < 0 ? rc :
			rows_visit(&s->rows, prefix.bytes, prefix.len,
				   lose_alias, &a);
}

static int copy_data(struct salvage *s, const struct row_key *key,
		     struct data *d)
{
	struct buf text = BUF_INIT;
	text_data(&s->rows, d->id, &text);
	int rc = salvage_value(s, d, tell_text(&s->tell, &text));
	if (rc == 1) {
		rc = lose_data(s, d->id, tell_text(&s->tell, &text));
	} else if (!rc) {
		rc = salvage_put_data(s, key, d);
		if (!rc)
			rc = salvage_xattrs(s, d->id,
					    tell_text(&s->tell, &text));
		if (!rc)
			rc = id_set_add(&s->kept, d->id);
	}
	buf_free(&text);
	return rc < 0 ? rc : 0;
}

static int take_data(void *arg, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	struct salvage *s = arg;
	struct row_key k = { .len = len };
	struct data d;
	struct buf text = BUF_INIT;
	if (rows_decode_data(key, len, value, value_len, &d) ||
	    !salvage_note_id(s, d.id)) {
		text_row(&s->rows, key, len, &text);
		tell_bad(&s->tell, "%s: a row that makes no sense",
			 tell_text(&s->tell, &text));
		buf_free(&text);
		return 0;
	}
	memcpy(k.bytes, key, len);
	int rc = id_set_add(&s->ids, d.id);
	if (rc < 0 || data_is_space(&d))
		return rc < 0 ? rc : 0; /* see salvage_spaces.c */
	rc = is_orphan(s, &d);
	return rc ? (rc < 0 ? rc : 0) : copy_data(s, &k, &d);
}

/* ---- NAME rows -------------------------------------------------------- */

struct key_row {
	struct row_key key;
	uint64_t space;
	const char *name;
	size_t len;
};

static void lose_key(struct salvage *s, const struct key_row *k,
		     const char *why)
{
	struct buf text = BUF_INIT;
	text_key(&s->rows, k->space, k->name, k->len, &text);
	tell_bad(&s->tell, "%s: %s", tell_text(&s->tell, &text), why);
	buf_free(&text);
}

static int take_embedded(struct salvage *s, const struct key_row *k,
			 struct data *d)
{
	struct buf text = BUF_INIT;
	bool taken = id_set_has(&s->spaces, d->id) ||
		     id_set_has(&s->attached, d->id);
	int rc = !taken && salvage_note_id(s, d->id) ?
			 id_set_add(&s->ids, d->id) :
			 1;
	if (rc) {
		if (rc > 0)
			lose_key(s, k, "its Data is another key's");
		return rc < 0 ? rc : 0;
	}
	text_key(&s->rows, k->space, k->name, k->len, &text);
	rc = salvage_value(s, d, tell_text(&s->tell, &text));
	if (!rc) {
		rc = salvage_put_data(s, &k->key, d);
		if (!rc)
			rc = salvage_xattrs(s, d->id,
					    tell_text(&s->tell, &text));
		if (!rc)
			rc = id_set_add(&s->spaces, k->space);
	}
	buf_free(&text);
	return rc < 0 ? rc : 0;
}

/* *why: NULL if a key may refer to this key space, else the reason */
static int refuse_space(struct salvage *s, uint64_t id, const char **why)
{
	struct data d;
	*why = NULL;
	if (id == BANYAN_ROOT_ID || id_set_has(&s->attached, id)) {
		*why = "its key space has another key";
		return 0;
	}
	int rc = rows_data(&s->rows, id, &d);
	bool gone = rc == -ENOENT || rc == -EUCLEAN;
	if ((gone && id_set_has(&s->ids, id)) || (!rc && !data_is_space(&d)))
		*why = "it says that something else is a key space";
	return gone ? 0 : rc;
}

/* The same for a Data that is no key space */
static int refuse_data(struct salvage *s, const struct key_row *k,
		       const struct name_row *row, const char **why)
{
	struct data d;
	struct row_key link;
	*why = NULL;
	if (!id_set_has(&s->kept, row->id)) {
		*why = "its Data is lost";
		if (!id_set_has(&s->bad, row->id))
			return 0;
		row_key_link(&link, row->id, k->space, k->name, k->len);
		*why = "its value is damaged";
		int rc = rows_has(&s->rows, &link);
		if (rc > 0)
			*why = ""; /* told already */
		return rc < 0 ? rc : 0;
	}
	int rc = rows_data(&s->rows, row->id, &d);
	if (!rc && (d.mode & 0170000) != row->type)
		*why = "it says that its Data is of another kind";
	return rc;
}

static int take_reference(struct salvage *s, const struct key_row *k,
			  const struct name_row *row)
{
	const char *why = NULL;
	int rc = name_row_is_space(row) ? refuse_space(s, row->id, &why) :
					  refuse_data(s, k, row, &why);
	if (rc)
		return rc;
	if (!why)
		return salvage_put_key(s, k->space, k->name, k->len, row->id,
				       row->type);
	if (*why)
		lose_key(s, k, why);
	return 0;
}

/* 1 if this id cannot be that of a key space: a Data of another kind has it */
static int no_space(struct salvage *s, uint64_t id)
{
	struct data d;
	int rc = rows_data(&s->rows, id, &d);
	if (rc == -ENOENT || rc == -EUCLEAN)
		/* The key space's own row is lost */
		return !salvage_note_id(s, id) || id_set_has(&s->ids, id);
	return rc ? rc : !data_is_space(&d);
}

static bool parse_key(const uint8_t *key, size_t len, struct key_row *k)
{
	if (len < ROW_ID_LEN)
		return false;
	memcpy(k->key.bytes, key, len);
	k->key.len = len;
	k->space = get_be64(key + 1);
	k->name = (const char *)k->key.bytes + ROW_ID_LEN;
	k->len = len - ROW_ID_LEN;
	return true;
}

static int take_name(void *arg, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	struct salvage *s = arg;
	struct key_row k;
	struct name_row row;
	struct data d;
	if (!parse_key(key, len, &k)) {
		tell_bad(&s->tell, "a key that makes no sense");
		return 0;
	}
	int rc = no_space(s, k.space);
	if (rc < 0)
		return rc;
	if (rc) {
		lose_key(s, &k, "what it lies in is no key space");
	} else if (name_check(k.space, k.name, k.len)) {
		lose_key(s, &k, "this is no name of a key");
	} else if (name_row_decode(&row, &d, value, value_len)) {
		lose_key(s, &k, "a row that makes no sense");
	} else {
		return row.embedded ? take_embedded(s, &k, &d) :
				      take_reference(s, &k, &row);
	}
	return 0;
}

/* ---- LINK rows -------------------------------------------------------- */

/* The mode of a Data whose LINK row is at hand; 0: it is not in the new file,
 * or needs no further key */
static int mode_of(struct salvage *s, uint64_t id, uint32_t *mode)
{
	struct data d;
	*mode = 0;
	int rc = rows_data(&s->rows, id, &d);
	if (rc == -ENOENT || rc == -EUCLEAN)
		return 0;
	if (rc)
		return rc;
	bool space = data_is_space(&d);
	if (space ? id != BANYAN_ROOT_ID && !id_set_has(&s->attached, id) :
		    id_set_has(&s->kept, id))
		*mode = d.mode;
	return 0;
}

/* Make the key that a LINK row tells of, if its NAME row is lost */
static int take_link(void *arg, const uint8_t *row, size_t len,
		     const uint8_t *value, size_t value_len)
{
	struct salvage *s = arg;
	struct key_row k;
	struct buf text = BUF_INIT;
	uint32_t mode = 0;
	(void)value;
	(void)value_len;
	if (len <= ROW_LINK_LEN)
		return 0;
	uint64_t id = get_be64(row + 1);
	k.space = row_link_space(row);
	k.name = (const char *)row + ROW_LINK_LEN;
	k.len = len - ROW_LINK_LEN;
	if (name_check(k.space, k.name, k.len))
		return 0;
	row_key_name(&k.key, k.space, k.name, k.len);
	int rc = rows_has(&s->rows, &k.key);
	if (!rc)
		rc = rebuild_has(&s->out, &k.key);
	if (!rc)
		rc = no_space(s, k.space);
	if (rc)
		return rc < 0 ? rc : 0;
	rc = mode_of(s, id, &mode);
	if (!rc && mode) {
		text_key(&s->rows, k.space, k.name, k.len, &text);
		tell_note(&s->tell, "%s was lost, and found again by its link",
			  tell_text(&s->tell, &text));
		rc = salvage_put_key(s, k.space, k.name, k.len, id, mode);
	}
	buf_free(&text);
	return rc;
}

int salvage_names(struct salvage *s)
{
	static const uint8_t types[] = { ROW_DATA, ROW_NAME, ROW_LINK };
	static row_visit *const visits[] = { take_data, take_name, take_link };
	int rc = 0;
	for (unsigned i = 0; !rc && i < 3; i++)
		rc = salvage_visit(s, &s->rows, types[i], visits[i], s);
	return rc;
}
