/* SPDX-License-Identifier: MIT */
/*
 * model_ops.h - random operations, each done to a database and to the model of
 * it alike. They fail the test (cmocka) if the two do not say the same.
 */
#ifndef TESTS_MODEL_OPS_H
#define TESTS_MODEL_OPS_H

#include "model_compare.h"
#include "tests/support/temp.h"

#define RUN_SNAPSHOTS 3u

struct run {
	banyan *db;
	char file[TEMP_FILE_MAX];
	struct model m;
	uint64_t random;
	uint64_t step;
	uint64_t steps;
	banyan_data *held[MODEL_OBJECTS]; /* through db; NULL: not */
	banyan *batch; /* NULL: none is open */
	struct model before; /* the batch: what all others see */
	banyan_data *inside[MODEL_OBJECTS]; /* held through the batch */
	banyan *view; /* one that is left standing, too */
	struct model viewed; /* when it was made */
	struct run_snapshot {
		char name[32]; /* empty: there is none */
		struct model then; /* when it was taken */
	} snapshot[RUN_SNAPSHOTS];
	banyan_cursor *cursor; /* one that is left standing for a while */
	struct banyan_range range; /* of it */
	struct model then; /* when it was opened */
	uint32_t cursor_space;
	uint64_t good;
	uint64_t errors;
};

uint64_t run_below(struct run *r, uint64_t n);
bool run_chance(struct run *r, unsigned percent);

/* Both said something: it must be the same */
void run_same(struct run *r, const char *what, int64_t got, int64_t want);

void run_random_name(struct run *r, char *name);
/* A key space; the root if none is found soon */
uint32_t run_random_space(struct run *r);

/* What operations are done through: the batch, if one is open */
banyan *run_through(const struct run *r);
/* What is held through it, by objects */
banyan_data **run_held(struct run *r);
/* An object is held, or is no more, through one of both */
void run_note_held(struct run *r, uint32_t object);

/* The Data that an object stands for; to be given back */
banyan_data *run_take(struct run *r, uint32_t object);
void run_give_back(struct run *r, uint32_t object, banyan_data *data);

void op_put(struct run *r);
void op_put_data(struct run *r);
void op_remove(struct run *r);
void op_alias(struct run *r);
void op_rename(struct run *r);
void op_make_space(struct run *r);
void op_get(struct run *r);
void op_insert(struct run *r);
void op_unnamed(struct run *r);
void op_insert_data(struct run *r);
void op_delete(struct run *r);
void op_hold(struct run *r);
void op_release(struct run *r);
void op_write(struct run *r);
void op_scatter(struct run *r);
void op_append(struct run *r);
void op_truncate(struct run *r);
void op_punch(struct run *r);
void op_clone(struct run *r);
void op_read(struct run *r);
void op_seek(struct run *r);
void op_set_xattr(struct run *r);
void op_remove_xattr(struct run *r);

#endif
