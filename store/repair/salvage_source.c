/* SPDX-License-Identifier: MIT */
/*
 * salvage_source.c - collect the rows of the last state that can be recovered.
 *
 * The last tree is walked node by node. A damaged node leaves a range of row
 * keys open. The rows in open ranges are taken from the tree of the freeze
 * before; what that leaves open, from the one before it, and so on, down to the
 * empty tree with which the log begins. Then the operations between two freezes
 * are applied to the ranges that the later tree had left open, from the oldest
 * freeze to the last. All operations behind the last freeze are applied to all
 * rows.
 *
 * If no operation is missing on the way, nothing is lost. Otherwise the range
 * is told as lost: rows found in it may be out of date.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "log/payload.h"
#include "repair/salvage.h"

/* Trees that are looked into for damaged ranges, before the log is read from
 * its beginning: each costs a look at every range */
#define DEPTH_MAX 64

/* ---- ranges ----------------------------------------------------------- */

static void free_ranges(struct lost_ranges *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->range[i].lower);
		free(r->range[i].upper);
	}
	free(r->range);
	*r = (struct lost_ranges){ 0 };
}

static uint8_t *copy_bytes(const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n + 1);
	if (copy && n)
		memcpy(copy, bytes, n);
	return copy;
}

static int add_range(struct lost_ranges *r, const struct lost_range *range)
{
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 8;
		struct lost_range *more =
			realloc(r->range, capacity * sizeof(*more));
		if (!more)
			return -ENOMEM;
		r->range = more;
		r->capacity = capacity;
	}
	struct lost_range copy = *range;
	copy.lower = copy_bytes(range->lower, range->lower_len);
	copy.upper = range->upper ? copy_bytes(range->upper, range->upper_len) :
				    NULL;
	if (!copy.lower || (range->upper && !copy.upper)) {
		free(copy.lower);
		free(copy.upper);
		return -ENOMEM;
	}
	r->range[r->count++] = copy;
	return 0;
}

static bool below(const struct lost_range *r, const uint8_t *key, size_t len)
{
	return r->upper && compare_bytes(r->upper, r->upper_len, key, len) <= 0;
}

/* The first range that does not lie below the key */
static size_t find_range(const struct lost_ranges *r, const uint8_t *key,
			 size_t len)
{
	size_t from = 0;
	size_t to = r->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (below(&r->range[middle], key, len))
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* r NULL: all keys */
static bool has_key(const struct lost_ranges *r, const uint8_t *key, size_t len)
{
	if (!r)
		return true;
	size_t i = find_range(r, key, len);
	return i < r->count &&
	       compare_bytes(r->range[i].lower, r->range[i].lower_len, key,
			     len) <= 0;
}

static bool touches(const struct lost_ranges *r, const struct lost_range *x)
{
	if (!r)
		return true;
	size_t i = find_range(r, x->lower, x->lower_len);
	return i < r->count &&
	       (!x->upper ||
		compare_bytes(r->range[i].lower, r->range[i].lower_len,
			      x->upper, x->upper_len) < 0);
}

/* ---- the tree --------------------------------------------------------- */

struct tree_walk {
	struct salvage *s;
	const struct lost_ranges *within; /* NULL: all */
	struct lost_ranges *open;
};

static int put_row(struct salvage *s, const uint8_t *key, size_t len,
		   const uint8_t *value, size_t value_len)
{
	struct row_key k = { .len = len };
	if (!len)
		return 0; /* no row of ours */
	memcpy(k.bytes, key, len);
	s->collected++;
	if (value)
		return rebuild_put(&s->work, &k, value, value_len);
	return rebuild_delete(&s->work, &k);
}

static int put_leaf(struct tree_walk *t, const struct node *node)
{
	uint8_t key[ROW_KEY_MAX];
	uint8_t value[ROW_VALUE_MAX];
	int rc = 0;
	for (unsigned i = 0; !rc && i < node->count; i++) {
		size_t len = node_key(node, i, key);
		if (!has_key(t->within, key, len))
			continue;
		rc = put_row(t->s, key, len, value, node_value(node, i, value));
		if (!rc)
			rc = salvage_step(t->s, SALVAGE_ROW);
	}
	return rc;
}

static int load_node(struct salvage *s, const struct lost_range *x,
		     struct node **node)
{
	uint8_t bytes[NODE_MAX];
	struct node *n = NULL;
	if (x->node.length > sizeof(bytes))
		return -EUCLEAN;
	int rc = file_read(s->src.file, bytes, x->node.length, x->node.offset);
	if (rc)
		return rc == -ENODATA ? -EUCLEAN : rc;
	rc = node_load(bytes, &x->node, x->level, &n);
	if (!rc)
		rc = node_check_bounds(n, x->lower, x->lower_len, x->upper,
				       x->upper_len);
	if (rc)
		node_free(n);
	else
		*node = n;
	return rc;
}

/* The parts of x that are wanted stay open */
static int leave_open(struct tree_walk *t, const struct lost_range *x)
{
	const struct lost_ranges *w = t->within;
	if (!w)
		return add_range(t->open, x);
	for (size_t i = find_range(w, x->lower, x->lower_len); i < w->count;
	     i++) {
		const struct lost_range *y = &w->range[i];
		struct lost_range part = *x;
		if (x->upper && compare_bytes(y->lower, y->lower_len, x->upper,
					      x->upper_len) >= 0)
			break;
		if (compare_bytes(y->lower, y->lower_len, x->lower,
				  x->lower_len) > 0) {
			part.lower = y->lower;
			part.lower_len = y->lower_len;
		}
		if (y->upper &&
		    (!x->upper || compare_bytes(y->upper, y->upper_len,
						x->upper, x->upper_len) < 0)) {
			part.upper = y->upper;
			part.upper_len = y->upper_len;
		}
		int rc = add_range(t->open, &part);
		if (rc)
			return rc;
	}
	return 0;
}

static int walk_node(struct tree_walk *t, const struct lost_range *x);

static int walk_children(struct tree_walk *t, const struct node *node,
			 const struct lost_range *x)
{
	uint8_t keys[2][ROW_KEY_MAX];
	int rc = 0;
	for (unsigned i = 0; !rc && i < node->count; i++) {
		struct lost_range child = { .level = x->level - 1 };
		node_child(node, i, &child.node);
		child.lower = keys[0];
		child.lower_len = node_key(node, i, keys[0]);
		if (i + 1 < node->count) {
			child.upper = keys[1];
			child.upper_len = node_key(node, i + 1, keys[1]);
		} else {
			child.upper = x->upper;
			child.upper_len = x->upper_len;
		}
		rc = walk_node(t, &child);
	}
	return rc;
}

/* The recursion is as deep as the tree, 16 at most */
static int walk_node(struct tree_walk *t, const struct lost_range *x)
{
	struct node *node = NULL;
	if (!touches(t->within, x))
		return 0;
	int rc = load_node(t->s, x, &node);
	log_walk_excuse(&t->s->src.walk, x->node.offset, x->node.length);
	if (is_damage(rc))
		return leave_open(t, x);
	if (!rc)
		rc = x->level ? walk_children(t, node, x) : put_leaf(t, node);
	node_free(node);
	return rc;
}

/* All rows of the tree that lie within; what is damaged goes to *open */
static int walk_tree(struct salvage *s, const struct freeze *f,
		     const struct lost_ranges *within, struct lost_ranges *open)
{
	uint8_t none = 0;
	struct tree_walk t = { s, within, open };
	struct lost_range all = { .lower = &none, .node = f->root };
	if (!f->height)
		return 0;
	all.level = f->height - 1;
	return walk_node(&t, &all);
}

/* ---- operations ------------------------------------------------------- */

struct replay {
	struct salvage *s;
	const struct lost_ranges *within; /* NULL: all */
	bool last; /* the log behind the last freeze */
	uint64_t stopped_at; /* offset of what ended it; 0: nothing */
};

/* Can all rows of the operation be decoded? */
static int check_operation(const struct log_record *rec, struct operation *op)
{
	struct redo_reader *r = malloc(sizeof(*r));
	struct row_change change;
	int rc = r ? redo_open(r, rec->body, rec->header.body_len, op) :
		     -ENOMEM;
	while (!rc)
		rc = redo_next(r, &change);
	free(r);
	if (rc > 0 && op->next_id > INT64_MAX)
		rc = -EUCLEAN;
	return rc < 0 ? rc : 0;
}

static int put_operation(struct replay *p, const struct log_record *rec)
{
	struct redo_reader *r = malloc(sizeof(*r));
	struct row_change c;
	struct operation op;
	int rc = r ? redo_open(r, rec->body, rec->header.body_len, &op) :
		     -ENOMEM;
	while (!rc && (rc = redo_next(r, &c)) == 0)
		if (has_key(p->within, c.key, c.key_len))
			rc = put_row(p->s, c.key, c.key_len, c.value,
				     c.value_len);
	free(r);
	return rc < 0 ? rc : 0;
}

static int replay_record(void *arg, const struct log_record *rec)
{
	struct replay *p = arg;
	struct salvage *s = p->s;
	struct operation op = { 0 };
	int rc = 0;
	/* A payload that is not known to be durable may be torn: the log ends
	 * in front of it */
	if (p->last && rec->header.payload_len &&
	    rec->offset >= s->src.walk.durable_to)
		rc = payload_verify(s->src.file, rec);
	if (rc == -EBADMSG) {
		p->stopped_at = rec->offset;
		return 1;
	}
	if (rc || rec->header.type != RECORD_OPERATION)
		return rc ? rc :
			    tell_progress(&s->tell,
					  rec->offset / SALVAGE_SOURCE);
	rc = check_operation(rec, &op);
	if (rc == -EUCLEAN) {
		tell_bad(&s->tell,
			 "the operation at offset %" PRIu64 " makes no sense%s",
			 rec->offset, p->last ? ": the log from there on" : "");
		p->stopped_at = rec->offset;
		return p->last;
	}
	if (rc)
		return rc;
	if (op.next_id > s->next_id)
		s->next_id = op.next_id;
	return put_operation(p, rec);
}

static uint64_t end_of_log(const struct salvage *s)
{
	return s->src.walk.runs[s->src.walk.count - 1].to.offset;
}

/* Apply the operations behind the last freeze, up to the first that may be
 * missing */
static int replay_last(struct salvage *s, uint64_t from)
{
	struct replay p = { .s = s, .last = true };
	const struct walk_run *stop = NULL;
	int rc = log_walk_visit(&s->src.walk, from, UINT64_MAX, &stop,
				replay_record, &p);
	if (rc >= 0 && stop)
		tell_bad(&s->tell,
			 "the log from offset %" PRIu64 " to %" PRIu64
			 ": what was done from the damaged operation "
			 "number %" PRIu64 " on",
			 stop->broke_at, end_of_log(s), stop[-1].to.seq);
	return rc < 0 ? rc : 0;
}

/* There is no freeze: apply all operations that are left */
static int replay_all(struct salvage *s)
{
	struct replay p = { .s = s };
	tell_note(&s->tell,
		  "no freeze record is left: the log is read from its "
		  "beginning");
	for (size_t i = 1; i < s->src.walk.count; i++)
		if (s->src.walk.runs[i].gap == WALK_LOST)
			tell_bad(&s->tell,
				 "the log from offset %" PRIu64 " to %" PRIu64
				 ": what these operations did may be "
				 "missing or undone",
				 s->src.walk.runs[i].broke_at,
				 s->src.walk.runs[i].from.offset);
	if (s->src.sb.generation > 1)
		tell_bad(&s->tell, "what was there before the last vacuum");
	return log_walk_visit(&s->src.walk, 1, UINT64_MAX, NULL, replay_record,
			      &p);
}

/* ---- freeze by freeze ------------------------------------------------- */

/* The freeze record before f, if it is sound: 0, 1 if there is none, error */
static int previous_freeze(struct salvage *s, const struct freeze *f,
			   struct freeze *previous)
{
	struct freeze p;
	int rc = 1;
	if (f->previous)
		rc = log_read_freeze(s->src.file, s->src.sb.salt, s->src.size,
				     f->previous, &p);
	if (!rc && p.replay.seq > f->replay.seq)
		rc = 1;
	if (!rc)
		*previous = p;
	return rc;
}

/* Operations on these ranges may be missing: the ranges of the last tree that
 * overlap them are lost */
static void mark_lost(struct salvage *s, const struct lost_ranges *open)
{
	for (size_t i = 0; s->range_lost && i < s->ranges.count; i++)
		if (touches(open, &s->ranges.range[i]))
			s->range_lost[i] = true;
}

/* Bring these ranges forward, from sequence number `from` to the freeze */
static int bring_forward(struct salvage *s, const struct lost_ranges *open,
			 uint64_t from, const struct freeze *f)
{
	struct replay p = { .s = s, .within = open };
	if (!log_walk_complete(&s->src.walk, from, f->replay.seq) ||
	    (from == 1 && s->src.sb.generation > 1))
		mark_lost(s, open);
	int rc = log_walk_visit(&s->src.walk, from, f->replay.seq, NULL,
				replay_record, &p);
	if (rc >= 0 && p.stopped_at)
		mark_lost(s, open);
	return rc < 0 ? rc : 0;
}

static int fill_from_freeze(struct salvage *s, const struct freeze *f,
			    const struct lost_ranges *within, unsigned depth);

/* Fill the ranges that the tree of a freeze leaves open: from the freeze
 * before, or from the empty tree, and from the operations since then */
static int fill_open(struct salvage *s, const struct freeze *f,
		     const struct lost_ranges *open, unsigned depth)
{
	struct freeze previous = { .replay.seq = 1 };
	int rc = depth < DEPTH_MAX ? previous_freeze(s, f, &previous) : 1;
	if (!rc)
		rc = fill_from_freeze(s, &previous, open, depth + 1);
	return rc < 0 ? rc : bring_forward(s, open, previous.replay.seq, f);
}

/* Fill the ranges with the rows of this freeze. within NULL: the last freeze,
 * of which all rows are wanted. */
static int fill_from_freeze(struct salvage *s, const struct freeze *f,
			    const struct lost_ranges *within, unsigned depth)
{
	struct lost_ranges open = { 0 };
	int rc = walk_tree(s, f, within, &open);
	if (!rc && open.count && !within) {
		s->range_lost = calloc(open.count, sizeof(bool));
		rc = s->range_lost ? 0 : -ENOMEM;
	}
	if (!within)
		s->ranges = open; /* to be told of later */
	if (!rc && open.count)
		rc = fill_open(s, f, &open, depth);
	if (within)
		free_ranges(&open);
	return rc;
}

int salvage_source(struct salvage *s)
{
	struct row_key root;
	row_key_data(&root, BANYAN_ROOT_ID);
	/* The new database was made with a root of its own; the old one's row
	 * takes its place */
	int rc = rebuild_delete(&s->work, &root);
	if (rc)
		return rc;
	if (!s->src.walk.freeze_offset)
		return replay_all(s);
	s->next_id = s->src.walk.freeze.next_id;
	rc = salvage_part(s, 0,
			  s->src.walk.freeze.replay.offset / SALVAGE_SOURCE,
			  s->src.walk.freeze.keys * SALVAGE_ROW);
	if (!rc)
		rc = fill_from_freeze(s, &s->src.walk.freeze, NULL, 1);
	if (!rc)
		rc = replay_last(s, s->src.walk.freeze.replay.seq);
	return rc;
}

static void tell_range(struct salvage *s, const struct lost_range *x, bool lost)
{
	struct buf text = BUF_INIT;
	text_add(&text, "from ");
	text_row(&s->rows, x->lower, x->lower_len, &text);
	text_add(&text, " up to ");
	if (x->upper) {
		text_row(&s->rows, x->upper, x->upper_len, &text);
		text_add(&text, " (which is not part of it)");
	} else {
		text_add(&text, "the last row");
	}
	text_add(&text, ": damaged node at offset %" PRIu64, x->node.offset);
	if (lost)
		tell_bad(&s->tell,
			 "rows %s; what the log still tells of them was "
			 "taken, and may be old",
			 tell_text(&s->tell, &text));
	else
		tell_note(&s->tell,
			  "rows %s; all of them were found in the log",
			  tell_text(&s->tell, &text));
	buf_free(&text);
}

void salvage_tell_ranges(struct salvage *s)
{
	for (size_t i = 0; i < s->ranges.count; i++)
		tell_range(s, &s->ranges.range[i], s->range_lost[i]);
}

void salvage_source_free(struct salvage *s)
{
	free_ranges(&s->ranges);
	free(s->range_lost);
}
