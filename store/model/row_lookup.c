/* SPDX-License-Identifier: MIT */
#include "model/row_lookup.h"

#include <errno.h>

int rows_get(const struct state *s, const struct row_key *key,
	     struct buf *value)
{
	struct row_value found;
	int rc = state_get(s, key, &found);
	return rc ? rc : buf_set(value, found.bytes, found.len);
}

int rows_has(const struct state *s, const struct row_key *key)
{
	struct row_value value;
	int rc = state_get(s, key, &value);
	return rc == 0 ? 1 : rc == -ENOENT ? 0 : rc;
}

int rows_data(const struct state *s, uint64_t id, struct data *d)
{
	struct row_key key;
	struct row_value value;
	row_key_data(&key, id);
	int rc = state_get(s, &key, &value);
	if (!rc)
		rc = data_decode(d, value.bytes, value.len);
	return !rc && d->id != id ? -EUCLEAN : rc;
}

int rows_decode_data(const uint8_t *key, size_t len, const uint8_t *value,
		     size_t value_len, struct data *d)
{
	if (len != ROW_ID_LEN || data_decode(d, value, value_len) ||
	    d->id != get_be64(key + 1))
		return -EUCLEAN;
	return 0;
}

int rows_visit(const struct state *s, const void *prefix, size_t prefix_len,
	       row_visit *visit, void *arg)
{
	struct merged_cursor *c = NULL;
	int rc = merged_cursor_open(&s->merged, prefix, prefix_len, &c);
	while (rc == 0) {
		size_t len = 0;
		size_t value_len = 0;
		const uint8_t *key = merged_cursor_key(c, &len);
		const uint8_t *value = merged_cursor_value(c, &value_len);
		rc = visit(arg, key, len, value, value_len);
		if (rc) {
			merged_cursor_free(c);
			return rc;
		}
		rc = merged_cursor_next(c);
	}
	merged_cursor_free(c);
	return rc < 0 ? rc : 0;
}

static int take_key(void *arg, const uint8_t *key, size_t len,
		    const uint8_t *value, size_t value_len)
{
	struct row_key *k = arg;
	(void)value;
	(void)value_len;
	if (len <= ROW_LINK_LEN || len > ROW_LINK_LEN + BANYAN_NAME_MAX)
		return 0;
	memcpy(k->bytes, key, len);
	k->len = len;
	return 1;
}

int rows_first_link(const struct state *s, uint64_t id, struct row_key *link)
{
	struct row_key prefix;
	row_key_id(&prefix, ROW_LINK, id);
	return rows_visit(s, prefix.bytes, prefix.len, take_key, link);
}

int rows_parent(const struct state *s, uint64_t id, uint64_t *parent)
{
	struct row_key link;
	int rc = rows_first_link(s, id, &link);
	if (rc == 1)
		*parent = row_link_space(link.bytes);
	return rc;
}

/* Add the key spaces on the way up to `rooted`, `steps` of them */
static int note_way(const struct state *s, uint64_t id, uint64_t steps,
		    struct id_set *rooted)
{
	int rc = 1;
	while (rc > 0 && steps--) {
		rc = id_set_add(rooted, id);
		if (rc >= 0)
			rc = rows_parent(s, id, &id);
	}
	return rc < 0 ? rc : 0;
}

int rows_way_up(const struct state *s, uint64_t from, struct id_set *rooted,
		uint64_t *circle)
{
	struct id_set way = { 0 };
	uint64_t steps = 0;
	uint64_t id = from;
	int rc = 0;
	while (!rc && id != BANYAN_ROOT_ID && !id_set_has(rooted, id)) {
		rc = id_set_add(&way, id);
		if (rc)
			break; /* it was here before: a circle */
		steps++;
		int linked = rows_parent(s, id, &id);
		if (linked <= 0) {
			rc = linked;
			break;
		}
	}
	*circle = id;
	id_set_free(&way);
	if (rc < 0)
		return rc;
	/* Key spaces on a circle too, so that the next way up ends here */
	int noted = note_way(s, from, steps, rooted);
	return noted ? noted : rc;
}
