/* SPDX-License-Identifier: MIT */
/*
 * salvage.h - what the parts of a salvage share: see banyan_salvage().
 *
 * Three steps. salvage_source.c collects the rows of the last state that can be
 * had in a *work* database, rows and nothing else: from the tree, and where that
 * is damaged from older trees and from the operations in the log.
 * salvage_names.c, with salvage_copy.c for values, then goes through them and
 * puts into the new database what makes sense, each row verified as if it were
 * hostile. salvage_spaces.c sees at last to what must hold between them.
 *
 * All runs in one thread. Memory follows the cache limit, but for sets of ids,
 * for what is known of payloads that are shared, and for damaged ranges.
 */
#ifndef STORE_REPAIR_SALVAGE_H
#define STORE_REPAIR_SALVAGE_H

#include "engine/rebuild.h"
#include "base/id_set.h"
#include "model/row_lookup.h"
#include "repair/row_text.h"
#include "repair/survey.h"
#include "repair/verify.h"

/* Rows from lower on, below upper, that a damaged node had */
struct lost_range {
	uint8_t *lower; /* owned, as is upper */
	size_t lower_len;
	uint8_t *upper; /* NULL: there is no bound */
	size_t upper_len;
	struct node_ref node;
	unsigned level;
};

struct lost_ranges {
	struct lost_range *range; /* ascending, none overlap */
	size_t count;
	size_t capacity;
};

struct shared_payload;

struct salvage {
	const struct banyan_salvage *options;
	struct teller tell;
	struct {
		uint64_t from, to; /* of these bytes */
		uint64_t expected; /* bytes of work, more or less */
		uint64_t worked;
	} part; /* that is being done */

	struct survey src; /* the damaged file */
	struct lost_ranges ranges; /* of the last tree */
	bool *range_lost; /* for each, whether the log does not make up for it */
	uint64_t next_id;

	struct rebuild work; /* rows as they were, extents in the old file */
	uint64_t collected; /* rows that were put there */
	struct state rows; /* of work, once it is complete */
	struct rebuild out;

	struct verifier verifier;
	uint8_t *buffer; /* for copying */
	uint64_t claimed; /* bytes that only one value may refer to */
	uint64_t copied_shared; /* bytes of payloads that were copied whole */
	struct shared_payload *shared; /* a hash table */
	size_t shared_mask;
	size_t shared_count;

	struct id_set ids; /* that are taken */
	struct id_set kept; /* Datas in DATA rows of out, no key spaces */
	struct id_set bad; /* such ones that were left out */
	struct id_set spaces; /* that have keys in out */
	struct id_set attached; /* key spaces that have a key */
	struct id_set rooted; /* key spaces from which a way leads to the root */
	uint64_t found_space; /* the id of lost+found; 0: there is none yet */
};

/* Progress is at a quarter once the source was read to its end */
#define SALVAGE_SOURCE 4

/* Progress goes from here to there while so many bytes of work are done; a row
 * takes as long as so many bytes of a value */
#define SALVAGE_ROW 1000u
int salvage_part(struct salvage *s, uint64_t from, uint64_t to,
		 uint64_t expected);
int salvage_step(struct salvage *s, uint64_t work);

/* Visit all rows of a type, each of which is a step */
int salvage_visit(struct salvage *s, const struct state *in, uint8_t type,
		  row_visit *visit, void *arg);

/* Fill work (salvage_source.c) */
int salvage_source(struct salvage *s);
/* Once work is complete: tell which rows are lost (salvage_source.c) */
void salvage_tell_ranges(struct salvage *s);
void salvage_source_free(struct salvage *s);

/*
 * Copy the contents and the attributes of a Data, whose name in words is what:
 * *d then refers to out. 0: copied. 1: it is damaged, which was told, and must
 * be left out. (salvage_copy.c)
 */
int salvage_value(struct salvage *s, struct data *d, const char *what);
int salvage_xattrs(struct salvage *s, uint64_t id, const char *what);
void salvage_copy_free(struct salvage *s);

/* Fill out from work (salvage_names.c) */
int salvage_names(struct salvage *s);

/* Give lone Datas and key spaces a key (salvage_spaces.c), count everything */
int salvage_spaces(struct salvage *s);

/* An id that is in use: next_id moves behind it. false: it is no id. */
bool salvage_note_id(struct salvage *s, uint64_t id);

/* Put a Data, as the value of the row with this key */
int salvage_put_data(struct salvage *s, const struct row_key *key,
		     const struct data *d);

/* Put a key that refers to a DATA row, and the way back */
int salvage_put_key(struct salvage *s, uint64_t space, const void *name,
		    size_t len, uint64_t id, uint32_t mode);

#endif
