/* SPDX-License-Identifier: MIT */
/*
 * salvage_spaces.c - what must hold between keys, key spaces and Datas.
 *
 * All keys that can be kept have been copied. A key space whose own row is lost
 * is made anew if it has keys in it or a key refers to it. A Data or key space
 * that cannot be reached from the root gets a key in the key space
 * "lost+found", named by its id. At last links, keys and bytes are counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repair/salvage.h"

static int put_data_row(struct salvage *s, const struct data *d)
{
	struct row_key key;
	row_key_data(&key, d->id);
	return salvage_put_data(s, &key, d);
}

/* The row of a new key space with this id */
static struct data new_space(uint64_t id)
{
	timestamp now = store_now();
	return (struct data){ .id = id,
			      .mode = S_IFDIR | 0755,
			      .uid = geteuid(),
			      .gid = getegid(),
			      .nlink = 2,
			      .parent = BANYAN_ROOT_ID,
			      .birth = now,
			      .atime = now,
			      .mtime = now,
			      .ctime = now };
}

/* ---- lost+found ------------------------------------------------------- */

static int make_found_space(struct salvage *s)
{
	char name[32] = "lost+found";
	struct row_key key;
	uint64_t id = s->next_id;
	int rc = 1;
	if (s->found_space)
		return 0;
	if (!salvage_note_id(s, id))
		return -EOVERFLOW;
	for (unsigned i = 2; rc == 1; i++) {
		row_key_name(&key, BANYAN_ROOT_ID, name, strlen(name));
		rc = rebuild_has(&s->out, &key);
		if (rc == 1)
			snprintf(name, sizeof(name), "lost+found-%u", i);
	}
	if (rc)
		return rc;
	struct data d = new_space(id);
	rc = put_data_row(s, &d);
	if (!rc)
		rc = salvage_put_key(s, BANYAN_ROOT_ID, name, strlen(name), id,
				     d.mode);
	s->found_space = id;
	return rc;
}

/* Give a Data a key in lost+found */
static int keep_found(struct salvage *s, uint64_t id, uint32_t mode,
		      const char *what)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "%" PRIu64, id);
	int rc = make_found_space(s);
	if (rc)
		return rc;
	tell_bad(&s->tell,
		 "the key of %s %" PRIu64 ", which is in lost+found now", what,
		 id);
	return salvage_put_key(s, s->found_space, name, (size_t)len, id, mode);
}

/* ---- key spaces ------------------------------------------------------- */

static int take_space(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct salvage *s = arg;
	struct data d;
	struct row_key orphan;
	struct buf text = BUF_INIT;
	if (rows_decode_data(key, len, value, value_len, &d) ||
	    !data_is_space(&d))
		return 0;
	row_key_orphan(&orphan, d.id);
	int rc = 0;
	if (d.id != BANYAN_ROOT_ID && !id_set_has(&s->attached, d.id)) {
		rc = rows_has(&s->rows, &orphan);
		if (rc < 0 || (rc && !id_set_has(&s->spaces, d.id)))
			return rc < 0 ? rc : 0;
		rc = keep_found(s, d.id, d.mode, "key space");
	}
	d.nlink = 2; /* until its keys are counted */
	if (!rc)
		rc = put_data_row(s, &d);
	text_data(&s->rows, d.id, &text);
	if (!rc)
		rc = salvage_xattrs(s, d.id, tell_text(&s->tell, &text));
	buf_free(&text);
	return rc;
}

/* Make a row for a key space if it is lost */
static int make_space(struct salvage *s, uint64_t id)
{
	struct data d;
	struct row_key key;
	struct buf text = BUF_INIT;
	row_key_data(&key, id);
	int rc = rows_data(&s->rows, id, &d);
	if (rc != -ENOENT && rc != -EUCLEAN)
		return rc; /* its row was taken, or is another's */
	rc = id == BANYAN_ROOT_ID ? 0 : rebuild_has(&s->out, &key);
	if (rc)
		return rc < 0 ? rc : 0;
	text_data(&s->rows, id, &text);
	tell_bad(&s->tell, "mode, owner and times of %s%s",
		 id == BANYAN_ROOT_ID ? "" : "key space ",
		 tell_text(&s->tell, &text));
	buf_free(&text);
	d = new_space(id);
	rc = put_data_row(s, &d);
	if (!rc)
		rc = salvage_xattrs(s, id, "a key space");
	if (!rc && id != BANYAN_ROOT_ID && !id_set_has(&s->attached, id))
		rc = keep_found(s, id, d.mode, "key space");
	return rc;
}

static int make_spaces_of(void *arg, const uint8_t *key, size_t len,
			  const uint8_t *value, size_t value_len)
{
	struct salvage *s = arg;
	struct name_row row;
	(void)len;
	int rc = make_space(s, get_be64(key + 1));
	if (!rc && !name_row_decode(&row, NULL, value, value_len) &&
	    name_row_is_space(&row))
		rc = make_space(s, row.id);
	return rc;
}

/* ---- Datas without a key ---------------------------------------------- */

static int find_key(void *arg, const uint8_t *key, size_t len,
		    const uint8_t *value, size_t value_len)
{
	struct salvage *s = arg;
	struct data d;
	struct read_txn now;
	(void)key;
	(void)len;
	if (data_decode(&d, value, value_len) || data_is_space(&d))
		return 0;
	int rc = rebuild_read(&s->out, &now);
	if (rc)
		return rc;
	struct row_key link;
	rc = rows_first_link(&now.state, d.id, &link);
	rebuild_read_end(&now);
	if (rc)
		return rc < 0 ? rc : 0;
	return keep_found(s, d.id, d.mode, "Data");
}

/* ---- circles ---------------------------------------------------------- */

/* Take away the key of a key space that lies below itself */
static int cut_loose(struct salvage *s, uint64_t id, const struct row_key *link)
{
	struct row_key name;
	row_key_name(&name, row_link_space(link->bytes),
		     (const char *)link->bytes + ROW_LINK_LEN,
		     link->len - ROW_LINK_LEN);
	int rc = rebuild_delete(&s->out, &name);
	if (!rc)
		rc = rebuild_delete(&s->out, link);
	return rc ? rc : keep_found(s, id, S_IFDIR, "key space");
}

struct rooting {
	struct salvage *s;
	const struct state *out;
};

static int root_row(void *arg, const uint8_t *key, size_t len,
		    const uint8_t *value, size_t value_len)
{
	struct rooting *r = arg;
	struct name_row row;
	struct row_key link;
	uint64_t circle = 0;
	(void)key;
	(void)len;
	if (name_row_decode(&row, NULL, value, value_len) ||
	    !name_row_is_space(&row))
		return 0;
	int rc = rows_way_up(r->out, row.id, &r->s->rooted, &circle);
	if (rc == 1)
		rc = rows_first_link(r->out, circle, &link);
	return rc == 1 ? cut_loose(r->s, circle, &link) : rc;
}

/* ---- counting --------------------------------------------------------- */

struct counting {
	struct salvage *s;
	const struct state *out;
	uint64_t keys;
	uint64_t live;
	uint64_t space; /* whose keys are being counted */
	uint32_t spaces; /* of them */
	uint64_t linked; /* the Data whose links are being counted */
	uint32_t links;
};

/* Write the Data's row again, with this number of links */
static int set_nlink(struct counting *c, uint64_t id, uint32_t nlink)
{
	struct data d;
	int rc = rows_data(c->out, id, &d);
	if (rc)
		return rc;
	if (data_is_space(&d)) {
		d.parent = BANYAN_ROOT_ID;
		rc = rows_parent(c->out, id, &d.parent);
		if (rc < 0)
			return rc;
	}
	d.nlink = nlink;
	return put_data_row(c->s, &d);
}

static int end_space(struct counting *c)
{
	/* count_data() has set the nlink of a key space without key spaces */
	return c->spaces ? set_nlink(c, c->space, 2 + c->spaces) : 0;
}

static int count_name(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct counting *c = arg;
	struct name_row row;
	struct data d;
	uint64_t space = get_be64(key + 1);
	int rc = name_row_decode(&row, &d, value, value_len);
	(void)len;
	if (!rc && space != c->space) {
		rc = end_space(c);
		c->space = space;
		c->spaces = 0;
	}
	c->keys++;
	if (!rc && row.embedded)
		c->live += d.stored;
	else if (!rc && name_row_is_space(&row))
		c->spaces++;
	return rc;
}

static int count_data(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct counting *c = arg;
	struct data d;
	(void)key;
	(void)len;
	int rc = data_decode(&d, value, value_len);
	if (!rc)
		c->live += d.stored;
	/* Its parent may have changed. count_name() sets nlink again if there
	 * are key spaces in it. */
	return rc || !data_is_space(&d) ? rc : set_nlink(c, d.id, 2);
}

static int end_links(struct counting *c)
{
	struct data d;
	if (!c->links)
		return 0;
	int rc = rows_data(c->out, c->linked, &d);
	if (rc || data_is_space(&d))
		return rc;
	return set_nlink(c, c->linked, c->links);
}

static int count_link(void *arg, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct counting *c = arg;
	uint64_t id = get_be64(key + 1);
	int rc = 0;
	(void)len;
	(void)value;
	(void)value_len;
	if (id != c->linked) {
		rc = end_links(c);
		c->linked = id;
		c->links = 0;
	}
	c->links++;
	return rc;
}

static int count(struct salvage *s, const struct state *out)
{
	struct counting c = { .s = s, .out = out };
	int rc = salvage_visit(s, out, ROW_DATA, count_data, &c);
	if (!rc)
		rc = salvage_visit(s, out, ROW_NAME, count_name, &c);
	if (!rc)
		rc = end_space(&c);
	if (!rc)
		rc = salvage_visit(s, out, ROW_LINK, count_link, &c);
	if (!rc)
		rc = end_links(&c);
	return rc ? rc : rebuild_count(&s->out, s->next_id, c.keys, c.live);
}

/* ---- all -------------------------------------------------------------- */

/* Visit the rows of a type that are in the new database now */
static int visit_out(struct salvage *s, uint8_t type, row_visit *visit)
{
	struct read_txn now;
	int rc = rebuild_read(&s->out, &now);
	if (rc)
		return rc;
	rc = salvage_visit(s, &now.state, type, visit, s);
	rebuild_read_end(&now);
	return rc;
}

static int with_out(struct salvage *s,
		    int (*run)(struct salvage *s, const struct state *out))
{
	struct read_txn now;
	int rc = rebuild_read(&s->out, &now);
	if (rc)
		return rc;
	rc = run(s, &now.state);
	rebuild_read_end(&now);
	return rc;
}

static int root_all(struct salvage *s, const struct state *out)
{
	struct rooting r = { s, out };
	return salvage_visit(s, out, ROW_NAME, root_row, &r);
}

int salvage_spaces(struct salvage *s)
{
	int rc = salvage_visit(s, &s->rows, ROW_DATA, take_space, s);
	if (!rc)
		rc = make_space(s, BANYAN_ROOT_ID);
	if (!rc)
		rc = visit_out(s, ROW_NAME, make_spaces_of);
	if (!rc)
		rc = visit_out(s, ROW_DATA, find_key);
	if (!rc)
		rc = with_out(s, root_all);
	return rc ? rc : with_out(s, count);
}
