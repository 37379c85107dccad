/* SPDX-License-Identifier: MIT */
#include "model/moves.h"

#include <errno.h>
#include <stdlib.h>

/* Memory that is kept from one operation for the next, in moves */
#define MOVES_KEPT 1024u

struct move {
	uint64_t id;
	struct placement *was; /* owned; NULL: a DATA row, or published */
	struct placement *now; /* owned; NULL: removed, or published */
	bool orphan;
	bool removed;
};

static struct move *next_move(struct moves *m)
{
	if (m->count == m->capacity) {
		size_t capacity = m->capacity ? m->capacity * 2 : 4;
		struct move *list = realloc(m->list, capacity * sizeof(*list));
		if (!list)
			return NULL;
		m->list = list;
		m->capacity = capacity;
	}
	return &m->list[m->count];
}

void moves_free(struct moves *m)
{
	free(m->list);
	*m = (struct moves){ 0 };
}

int moves_add(struct moves *m, uint64_t id, const struct location *was,
	      const struct location *now, bool orphan)
{
	struct move *move = next_move(m);
	bool from_name = was && was->space;
	if (!move)
		return -ENOMEM;
	*move = (struct move){ .id = id, .orphan = orphan };
	move->now = placement_new(now);
	move->was = from_name ? placement_new(was) : NULL;
	if (!move->now || (from_name && !move->was)) {
		placement_free(move->now);
		placement_free(move->was);
		return -ENOMEM;
	}
	m->count++;
	return 0;
}

int moves_remove(struct moves *m, struct held_table *t, uint64_t id)
{
	struct move *move = next_move(m);
	if (!move)
		return -ENOMEM;
	int rc = held_close(t, id);
	if (rc > 0) {
		*move = (struct move){ .id = id, .removed = true };
		m->count++;
	}
	return rc;
}

int moves_publish(struct moves *m, struct held_table *t, uint64_t seq)
{
	while (m->published < m->count) {
		struct move *move = &m->list[m->published];
		int rc = move->removed ? 0 :
					 held_move(t, move->id, &move->was,
						   &move->now, seq);
		if (rc)
			return rc;
		m->published++;
	}
	return 0;
}

bool moves_settle(struct moves *m, struct held_table *t, uint64_t seq,
		  bool committed)
{
	bool orphans = false;
	for (size_t i = 0; i < m->count; i++) {
		struct move *move = &m->list[i];
		if (move->removed)
			held_reopen(t, move->id, seq, committed);
		else if (i < m->published)
			orphans |= held_settle(t, move->id, seq, move->orphan,
					       committed);
		placement_free(move->was);
		placement_free(move->now);
	}
	m->count = 0;
	m->published = 0;
	if (m->capacity > MOVES_KEPT)
		moves_free(m);
	return orphans && committed;
}
