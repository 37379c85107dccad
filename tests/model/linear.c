/* SPDX-License-Identifier: MIT */
#include "linear.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "banyan.h"

/* Data in a state: those with keys, and those that are held without one */
#define DATA_MAX (LINEAR_KEYS + LINEAR_OPS)

struct datum {
	uint64_t id; /* 0: not learnt yet */
	uint32_t value;
};

struct state {
	uint8_t key[LINEAR_KEYS]; /* index of the Data and 1; 0: none */
	unsigned count;
	struct datum data[DATA_MAX];
};

/* ---- the model -------------------------------------------------------- */

static struct datum *at_key(struct state *s, unsigned key)
{
	return s->key[key] ? &s->data[s->key[key] - 1] : NULL;
}

static struct datum *with_id(struct state *s, uint64_t id)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->data[i].id == id)
			return &s->data[i];
	return NULL;
}

static unsigned links_of(const struct state *s, const struct datum *d)
{
	unsigned links = 0;
	for (unsigned k = 0; k < LINEAR_KEYS; k++)
		links += s->key[k] == d - s->data + 1;
	return links;
}

/* The id of a Data was told: false if it cannot be that one */
static bool learn(struct state *s, struct datum *d, uint64_t id)
{
	if (!id || d->id == id)
		return true;
	if (d->id || with_id(s, id))
		return false;
	d->id = id;
	return true;
}

static void point(struct state *s, unsigned key, const struct datum *d)
{
	s->key[key] = (uint8_t)(d - s->data + 1);
}

static struct datum *make(struct state *s, unsigned key, uint32_t value)
{
	assert(s->count < DATA_MAX);
	struct datum *d = &s->data[s->count++];
	*d = (struct datum){ .value = value };
	point(s, key, d);
	return d;
}

static int do_rename(struct state *s, const struct linear_step *t)
{
	const struct datum *from = at_key(s, t->key);
	const struct datum *to = at_key(s, t->to);
	if (!from || (!to && t->flags == BANYAN_EXCHANGE))
		return -ENOENT;
	if (to && t->flags == BANYAN_NO_REPLACE)
		return -EEXIST;
	if (from == to)
		return 0;
	point(s, t->to, from);
	if (t->flags == BANYAN_EXCHANGE)
		point(s, t->key, to);
	else
		s->key[t->key] = 0;
	return 0;
}

/* Steps that name the Data by its id: false if the model has another answer */
static bool apply_held(struct state *s, const struct linear_step *t)
{
	struct datum *d = with_id(s, t->id);
	if (!d)
		return false;
	if (t->kind == LINEAR_INSERT_DATA) {
		if (s->key[t->to])
			return t->rc == -EEXIST;
		point(s, t->to, d);
	} else if (t->kind == LINEAR_READ) {
		return t->rc == 0 && d->value == t->value;
	} else if (t->kind == LINEAR_LINKS) {
		return t->rc == 0 && links_of(s, d) == t->links;
	} else {
		d->value = t->value;
	}
	return t->rc == 0;
}

static bool apply_scan(struct state *s, const struct linear_op *op)
{
	for (unsigned k = 0; k < LINEAR_KEYS; k++) {
		const struct linear_row *row = &op->rows[k];
		struct datum *d = at_key(s, k);
		if (!(op->keys >> k & 1))
			continue;
		if (!d || !row->value) {
			if (d || row->value)
				return false;
			continue;
		}
		if (d->value != row->value || !learn(s, d, row->id) ||
		    links_of(s, d) != row->links)
			return false;
	}
	return true;
}

/* Steps on keys */
static bool apply_step(struct state *s, const struct linear_step *t)
{
	struct datum *d = at_key(s, t->key);
	switch (t->kind) {
	case LINEAR_GET:
		return d ? t->rc == 0 && t->value == d->value :
			   t->rc == -ENOENT;
	case LINEAR_PUT:
		if (d)
			d->value = t->value;
		else
			make(s, t->key, t->value);
		return t->rc == 0;
	case LINEAR_INSERT:
		if (d)
			return t->rc == -EEXIST;
		d = make(s, t->key, t->value);
		return t->rc == 0 && learn(s, d, t->id);
	case LINEAR_REMOVE:
		s->key[t->key] = 0;
		return d ? t->rc == 0 && learn(s, d, t->id) : t->rc == -ENOENT;
	case LINEAR_RENAME:
		return t->rc == do_rename(s, t);
	case LINEAR_ALIAS:
		if (!d)
			return t->rc == -ENOENT;
		if (s->key[t->to])
			return t->rc == -EEXIST;
		point(s, t->to, d);
		return t->rc == 0;
	case LINEAR_SEARCH:
		return d ? t->rc == 0 && learn(s, d, t->id) : t->rc == -ENOENT;
	case LINEAR_READ:
	case LINEAR_WRITE:
	case LINEAR_LINKS:
	case LINEAR_INSERT_DATA:
	case LINEAR_SCAN:
		break;
	}
	return apply_held(s, t);
}

/* Does the operation give what it gave, in this state? It then has happened. */
static bool apply(struct state *s, const struct linear_op *op)
{
	struct state before;
	if (op->count == 1 && op->step[0].kind == LINEAR_SCAN)
		return apply_scan(s, op);
	if (op->aborted)
		before = *s;
	for (unsigned i = 0; i < op->count; i++)
		if (!apply_step(s, &op->step[i]))
			return false;
	if (op->aborted)
		*s = before;
	return true;
}

/* ---- one state, one form ---------------------------------------------- */

static bool names_id(const struct linear_op *op, uint64_t id)
{
	for (unsigned i = 0; i < op->count; i++)
		if (op->step[i].id == id)
			return true;
	return false;
}

struct search {
	const struct linear_op *ops;
	size_t count;
	uint64_t ends[LINEAR_OPS];
	uint64_t all;
	struct seen *seen; /* a hash table; free where nothing was done */
	size_t slots;
	size_t tries; /* as many as are in it, or one more */
	uint64_t best; /* the most that could be done, */
	struct state stuck; /* and where that led to */
};

/* Will an operation that is not in `done` name it? */
static bool wanted(const struct search *x, uint64_t done, uint64_t id)
{
	for (size_t i = 0; i < x->count; i++)
		if (!(done >> i & 1) && names_id(&x->ops[i], id))
			return true;
	return false;
}

static int by_id(const void *a, const void *b)
{
	const struct datum *x = a;
	const struct datum *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

/* Data in the order of their keys, then those without that are still wanted */
static void tidy(const struct search *x, uint64_t done, struct state *s)
{
	uint8_t place[DATA_MAX] = { 0 };
	struct state t;
	memset(&t, 0, sizeof(t));
	for (unsigned k = 0; k < LINEAR_KEYS; k++) {
		if (!s->key[k])
			continue;
		uint8_t *p = &place[s->key[k] - 1];
		if (!*p) {
			t.data[t.count++] = s->data[s->key[k] - 1];
			*p = (uint8_t)t.count;
		}
		t.key[k] = *p;
	}
	unsigned keyed = t.count;
	for (unsigned i = 0; i < s->count; i++)
		if (!place[i] && s->data[i].id &&
		    wanted(x, done, s->data[i].id))
			t.data[t.count++] = s->data[i];
	qsort(t.data + keyed, t.count - keyed, sizeof(*t.data), by_id);
	*s = t;
}

/* ---- where the search has been ---------------------------------------- */

/* The hash, instead of the state: two are the same one time in 2^64 */
struct seen {
	uint64_t done; /* 0: free. Nothing done is seen only once. */
	uint64_t hash;
};

static uint64_t mix(uint64_t hash, uint64_t n)
{
	hash = (hash ^ n) * 0x9e3779b97f4a7c15u;
	return (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
}

static uint64_t hash_of(const struct state *s)
{
	uint64_t hash = s->count;
	for (unsigned k = 0; k < LINEAR_KEYS; k++)
		hash = mix(hash, s->key[k]);
	for (unsigned i = 0; i < s->count; i++)
		hash = mix(mix(hash, s->data[i].id), s->data[i].value);
	return hash ^ hash >> 32;
}

/* Where this is in the table, or a free place for it */
static struct seen *place_of(const struct search *x, const struct seen *what)
{
	size_t at = mix(what->hash, what->done) % x->slots;
	while (x->seen[at].done && (x->seen[at].done != what->done ||
				    x->seen[at].hash != what->hash))
		at = (at + 1) % x->slots;
	return &x->seen[at];
}

static void grow(struct search *x)
{
	struct search y = *x;
	x->slots = y.slots ? y.slots * 4 : 256;
	x->seen = calloc(x->slots, sizeof(*x->seen));
	assert(x->seen);
	for (size_t i = 0; i < y.slots; i++)
		if (y.seen[i].done)
			*place_of(x, &y.seen[i]) = y.seen[i];
	free(y.seen);
}

/* Have we been here? Now we have. */
static bool seen_before(struct search *x, uint64_t done, const struct state *s)
{
	struct seen what = { done, hash_of(s) };
	if (!done)
		return false;
	if (x->tries >= x->slots / 2)
		grow(x);
	struct seen *at = place_of(x, &what);
	if (at->done)
		return true;
	*at = what;
	return false;
}

/* ---- the search ------------------------------------------------------- */

/*
 * When it must have happened. What was looked at from beside may have been
 * there already, though not for the others: until all that had been called has
 * returned.
 */
static uint64_t end_of(const struct search *x, const struct linear_op *op)
{
	uint64_t end = op->end;
	for (size_t i = 0; op->beside && i < x->count; i++)
		if (x->ops[i].begin <= op->end && x->ops[i].end > end)
			end = x->ops[i].end;
	return end;
}

/* The operations that may come next: nothing left had returned before them */
static uint64_t candidates(const struct search *x, uint64_t done)
{
	uint64_t first_end = UINT64_MAX;
	uint64_t next = 0;
	for (size_t i = 0; i < x->count; i++)
		if (!(done >> i & 1) && x->ends[i] < first_end)
			first_end = x->ends[i];
	for (size_t i = 0; i < x->count; i++)
		if (!(done >> i & 1) && x->ops[i].begin <= first_end)
			next |= 1ull << i;
	return next;
}

/*
 * Can it do no harm to let it happen as soon as its answer is right? So it is
 * with what changes nothing; a value tells which Data it is, as it is written
 * once only. Not with a search, whose id may be that of one or of another.
 */
static bool harmless(const struct linear_op *op)
{
	const struct linear_step *t = &op->step[0];
	if (op->aborted || op->count > 1)
		return op->aborted;
	return t->rc != 0 || t->kind == LINEAR_GET || t->kind == LINEAR_READ ||
	       t->kind == LINEAR_LINKS || t->kind == LINEAR_SCAN;
}

/* Let all that is harmless happen, as far as it goes */
static uint64_t settle(struct search *x, uint64_t done, struct state *s)
{
	for (;;) {
		uint64_t next = candidates(x, done);
		uint64_t before = done;
		for (size_t i = 0; i < x->count; i++) {
			struct state t = *s;
			if (!(next >> i & 1) || !harmless(&x->ops[i]) ||
			    !apply(&t, &x->ops[i]))
				continue;
			*s = t;
			done |= 1ull << i;
		}
		if (done == before)
			return done;
	}
}

static bool find(struct search *x, uint64_t done, struct state *s)
{
	done = settle(x, done, s);
	if (done == x->all)
		return true;
	tidy(x, done, s);
	if (__builtin_popcountll(done) >= __builtin_popcountll(x->best)) {
		x->best = done;
		x->stuck = *s;
	}
	if (x->tries >= LINEAR_TRIES || seen_before(x, done, s))
		return false;
	x->tries++;
	uint64_t next = candidates(x, done);
	for (size_t i = 0; i < x->count; i++) {
		struct state t = *s;
		if ((next >> i & 1) && apply(&t, &x->ops[i]) &&
		    find(x, done | 1ull << i, &t))
			return true;
	}
	return false;
}

static void begin(struct state *s, const struct linear_row *rows)
{
	memset(s, 0, sizeof(*s));
	for (unsigned k = 0; k < LINEAR_KEYS; k++) {
		if (!rows[k].value)
			continue;
		struct datum *d = with_id(s, rows[k].id);
		if (d)
			point(s, k, d);
		else
			make(s, k, rows[k].value)->id = rows[k].id;
	}
}

/* ---- the story -------------------------------------------------------- */

static void tell_step(const struct linear_step *t, FILE *out)
{
	static const char *const names[] = {
		"get",	"put",	"insert", "remove", "rename", "alias",
		"find", "read", "write",  "links",  "insert", "scan",
	};
	fprintf(out, " %s", names[t->kind]);
	if (t->kind >= LINEAR_READ && t->kind <= LINEAR_INSERT_DATA)
		fprintf(out, " of Data %llu", (unsigned long long)t->id);
	else if (t->kind != LINEAR_SCAN)
		fprintf(out, " key %u", t->key);
	if (t->kind == LINEAR_RENAME || t->kind == LINEAR_ALIAS ||
	    t->kind == LINEAR_INSERT_DATA)
		fprintf(out, " to %u flags %u", t->to, t->flags);
	if (t->value)
		fprintf(out, " value %u", t->value);
	if (t->kind == LINEAR_LINKS)
		fprintf(out, " links %u", t->links);
	fprintf(out, " = %d", t->rc);
	if (t->id && t->kind < LINEAR_READ)
		fprintf(out, " id %llu", (unsigned long long)t->id);
	fputc(';', out);
}

static void tell_op(const struct linear_op *op, uint64_t zero, FILE *out)
{
	fprintf(out, "  %10.3f to %10.3f us, thread %u:%s",
		(double)(op->begin - zero) / 1e3,
		(double)(op->end - zero) / 1e3, op->thread,
		op->aborted   ? " aborted batch:" :
		op->count > 1 ? " batch:" :
				"");
	for (unsigned i = 0; i < op->count; i++)
		tell_step(&op->step[i], out);
	for (unsigned k = 0; k < LINEAR_KEYS; k++)
		if (op->keys >> k & 1)
			fprintf(out, " %u: %u (id %llu, %u);", k,
				op->rows[k].value,
				(unsigned long long)op->rows[k].id,
				op->rows[k].links);
	fputc('\n', out);
}

static void tell_state(const struct state *s, FILE *out)
{
	for (unsigned k = 0; k < LINEAR_KEYS; k++)
		if (s->key[k])
			fprintf(out, "  key %u: value %u, id %llu\n", k,
				s->data[s->key[k] - 1].value,
				(unsigned long long)s->data[s->key[k] - 1].id);
}

static void tell(const struct search *x, const struct state *start, FILE *out)
{
	uint64_t zero = UINT64_MAX;
	for (size_t i = 0; i < x->count; i++)
		zero = x->ops[i].begin < zero ? x->ops[i].begin : zero;
	fprintf(out, "no order explains this. In the beginning:\n");
	tell_state(start, out);
	fprintf(out, "these can have happened:\n");
	for (size_t i = 0; i < x->count; i++)
		if (x->best >> i & 1)
			tell_op(&x->ops[i], zero, out);
	fprintf(out, "which leads to:\n");
	tell_state(&x->stuck, out);
	fprintf(out, "and then none of these:\n");
	for (size_t i = 0; i < x->count; i++)
		if (!(x->best >> i & 1))
			tell_op(&x->ops[i], zero, out);
}

enum linear_verdict linear_check(const struct linear_row *rows,
				 const struct linear_op *ops, size_t count,
				 FILE *out)
{
	struct search x = { .ops = ops, .count = count };
	struct state start;
	assert(count <= LINEAR_OPS);
	x.all = count == 64 ? UINT64_MAX : (1ull << count) - 1;
	for (size_t i = 0; i < count; i++)
		x.ends[i] = end_of(&x, &ops[i]);
	begin(&start, rows);
	struct state s = start;
	bool yes = find(&x, 0, &s);
	free(x.seen);
	if (yes)
		return LINEAR_YES;
	if (x.tries >= LINEAR_TRIES)
		return LINEAR_TOO_LONG;
	if (out)
		tell(&x, &start, out);
	return LINEAR_NO;
}
