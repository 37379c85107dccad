/* SPDX-License-Identifier: MIT */
/*
 * names.h - keys: what they point to, and the operations on them.
 *
 * A Data with one key lives in that key's NAME row. Once it has had a second
 * key, and if it is a key space or has no key at all, it lives in a DATA row,
 * and its NAME rows refer to it; LINK rows then lead back from it to its keys.
 */
#ifndef STORE_MODEL_NAMES_H
#define STORE_MODEL_NAMES_H

#include "model/txn.h"
#include "model/data.h"

/* A key by its parts */
struct name {
	uint64_t space;
	const char *bytes;
	size_t len;
};

/* The key of which a NAME row tells, and that of which a LINK row tells, by the keys
 * of these rows, into which they point: as long as an id, or as ROW_LINK_LEN, at
 * the least */
static inline struct name name_in_row(const uint8_t *key, size_t len)
{
	return (struct name){ get_be64(key + 1), (const char *)key + ROW_ID_LEN,
			      len - ROW_ID_LEN };
}

static inline struct name name_in_link(const uint8_t *key, size_t len)
{
	return (struct name){ row_link_space(key),
			      (const char *)key + ROW_LINK_LEN,
			      len - ROW_LINK_LEN };
}

/* Is this the key of a NAME row? Then that is *n. */
static inline bool name_row_key(const uint8_t *key, size_t len, struct name *n)
{
	if (key[0] != ROW_NAME || len <= ROW_ID_LEN ||
	    len - ROW_ID_LEN > BANYAN_NAME_MAX)
		return false;
	*n = name_in_row(key, len);
	return true;
}

/* A Data, and the row in which it lives */
struct located {
	struct data d;
	struct location at;
};

/* The key space with this id. -ENOTDIR: there is none, maybe something else. */
int names_space(const struct state *s, uint64_t id, struct data *d);

/* What a key points to, without and with its Data. -ENOENT. */
int names_row(const struct state *s, const struct name *n, struct name_row *row,
	      struct located *l);
int names_lookup(const struct state *s, const struct name *n,
		 struct located *l);

/* The Data that lives in the NAME row at the cursor: its id. 1: none does. */
int names_embedded(const struct merged_cursor *rows, uint64_t *id);
/* That row. -EUCLEAN. */
int names_home(const struct merged_cursor *rows, struct location *at);

/* The Data in the DATA row of this id. -ENOENT. */
int names_data(const struct state *s, uint64_t id, struct located *l);

/* The Data with this id, which lives there (or does not: -ESTALE) */
int data_load(const struct state *s, uint64_t id, const struct home *at,
	      struct located *l);

/* Write its row again, where it lives */
int data_save(struct txn *txn, const struct located *l);

/* May a key be made here? 0, -EEXIST, -ENOENT (the space is gone), ... */
int names_check_new(struct txn *txn, const struct name *n);

/* Make a key with a new Data; names_check_new() has agreed */
int names_insert(struct txn *txn, const struct name *n, const struct data *d);

/* Make a Data without a key */
int names_insert_unnamed(struct txn *txn, const struct data *d);

/* Make a further key of a Data */
int names_alias(struct txn *txn, const struct name *n, struct located *l);

/*
 * Delete a key, with the flags of banyan_delete(). keep: the Data stays as an
 * orphan, since the caller holds it.
 */
int names_delete(struct txn *txn, const struct name *n, unsigned flags,
		 bool keep);

/* Move a key, with the flags of banyan_move() */
int names_move(struct txn *txn, const struct name *from, const struct name *to,
	       unsigned flags);

/*
 * Before a commit: each Data whose last key has gone is removed, or stays as an
 * orphan if somebody holds it.
 */
int names_settle_drops(struct txn *txn);

/*
 * Sweep rows of an orphan: some of them, if it has many. 0: swept, 1: there is
 * more for another operation.
 */
int names_sweep(struct txn *txn, uint64_t id);

#endif
