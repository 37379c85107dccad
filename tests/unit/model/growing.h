/* SPDX-License-Identifier: MIT */
/*
 * growing.h - what the tests of coalescing share: a database in a fault file,
 * with one value that grows, and what the value should be.
 */
#ifndef TESTS_GROWING_H
#define TESTS_GROWING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repair/check.h"
#include "api/handle.h"
#include "model/extents.h"
#include "tests/support/fault_file.h"
#include "tests/support/random.h"

#define GROWING_MAX (4u << 20)

struct growing {
	struct file *f;
	banyan *db;
	banyan *batch; /* NULL: none */
	banyan_data *d; /* of key "a" */
	banyan_data *outside; /* in a batch: the same, of the database */
	uint8_t *want; /* GROWING_MAX bytes, zeros from size on */
	size_t size;
	uint64_t random;
};

static inline void growing_open(struct growing *g, bool fresh)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	assert_int_equal(handle_open_file(g->f, &o, fresh, &g->db), 0);
	if (fresh)
		assert_int_equal(banyan_put(g->db, "a", "", 0, 0), 0);
	assert_int_equal(banyan_find(g->db, "a", &g->d), 0);
}

static inline void growing_start(struct growing *g)
{
	*g = (struct growing){ .want = calloc(1, GROWING_MAX), .random = 1 };
	assert_non_null(g->want);
	assert_int_equal(fault_file_new(NULL, 0, &g->f), 0);
	growing_open(g, true);
}

static inline void growing_end(struct growing *g)
{
	banyan_release(g->d, 1);
	assert_int_equal(banyan_close(g->db), 0);
	fault_file_free(g->f);
	free(g->want);
}

/* Close it properly and open it again */
static inline void growing_reopen(struct growing *g)
{
	struct file *after = NULL;
	banyan_release(g->d, 1);
	assert_int_equal(banyan_close(g->db), 0);
	assert_int_equal(fault_file_after_kill(g->f, fault_file_events(g->f),
					       &after),
			 0);
	fault_file_free(g->f);
	g->f = after;
	growing_open(g, false);
}

/* From now on the value grows in a batch */
static inline void growing_enter_batch(struct growing *g)
{
	assert_int_equal(banyan_begin(g->db, &g->batch), 0);
	g->outside = g->d;
	assert_int_equal(banyan_find(g->batch, "a", &g->d), 0);
}

static inline void growing_leave_batch(struct growing *g, bool commit)
{
	banyan_release(g->d, 1);
	g->d = g->outside;
	if (commit)
		assert_int_equal(banyan_commit(g->batch), 0);
	else
		banyan_abort(g->batch);
	g->batch = NULL;
}

/* So many random bytes at the end, as the model has them then */
static inline int growing_try(struct growing *g, size_t size, unsigned flags)
{
	uint8_t *to = g->want + g->size;
	assert_true(size <= GROWING_MAX - g->size);
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)test_random(&g->random);
	int rc = banyan_write(g->d, to, size, 0, BANYAN_APPEND | flags, NULL);
	if (rc)
		memset(to, 0, size);
	else
		g->size += size;
	return rc;
}

static inline void growing_append(struct growing *g, size_t size)
{
	assert_int_equal(growing_try(g, size, 0), 0);
}

/* Appends of one size until the value has so many bytes or more */
static inline void growing_to(struct growing *g, size_t size, size_t step)
{
	while (g->size < size)
		growing_append(g, step);
}

static inline void growing_truncate(struct growing *g, size_t size)
{
	assert_int_equal(banyan_truncate(g->d, size), 0);
	if (size < g->size)
		memset(g->want + size, 0, g->size - size);
	g->size = size;
}

struct shape {
	unsigned extents;
	unsigned shared;
	unsigned parts; /* of longer payloads */
	bool rows; /* they lie in rows of their own */
	uint32_t longest;
};

static inline struct shape shape_of(banyan_data *d)
{
	struct read_txn s;
	struct located l;
	struct extent_iter it;
	struct run run;
	struct shape shape = { 0 };
	int rc = 0;
	assert_int_equal(handle_read_data(d, &s, &l), 0);
	assert_int_equal(extent_iter_open(&it, &s.state, &l.d, 0, UINT64_MAX),
			 0);
	while ((rc = extent_iter_next(&it, &run)) == 0) {
		shape.extents++;
		shape.shared += run.e.shared;
		shape.parts += run.e.length != run.e.payload_len;
		if (run.e.length > shape.longest)
			shape.longest = run.e.length;
	}
	assert_int_equal(rc, 1);
	shape.rows = l.d.contents == CONTENTS_ROWS;
	extent_iter_close(&it);
	handle_read_end(d->db, &s);
	return shape;
}

/* The first run of the value that ends behind this offset */
static inline struct run run_at(banyan_data *d, uint64_t at)
{
	struct read_txn s;
	struct located l;
	struct extent_iter it;
	struct run run;
	assert_int_equal(handle_read_data(d, &s, &l), 0);
	assert_int_equal(extent_iter_open(&it, &s.state, &l.d, at, UINT64_MAX),
			 0);
	assert_int_equal(extent_iter_next(&it, &run), 0);
	extent_iter_close(&it);
	handle_read_end(d->db, &s);
	return run;
}

/* The file as it is after a close, with the byte there changed */
static inline void growing_damage(struct growing *g, uint64_t place)
{
	growing_reopen(g);
	uint64_t size = fault_file_size(g->f);
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	assert_int_equal(file_read(g->f, bytes, size, 0), 0);
	bytes[place] ^= 1;
	banyan_release(g->d, 1);
	assert_int_equal(banyan_close(g->db), 0);
	fault_file_free(g->f);
	assert_int_equal(fault_file_new(bytes, size, &g->f), 0);
	free(bytes);
	growing_open(g, false);
}

static inline void assert_bytes(banyan_data *d, const uint8_t *want,
				size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	assert_non_null(bytes);
	assert_int_equal(banyan_read(d, bytes, size + 1, 0), size);
	assert_memory_equal(bytes, want, size);
	free(bytes);
}

static inline void growing_tell(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

/* Rows, values and counters agree; no value has holes but for so many bytes */
static inline void assert_sound(banyan *db)
{
	struct banyan_check options = { .found = growing_tell };
	struct checker k;
	checker_init(&k, &options);
	assert_int_equal(check_now(&k, db->store), 0);
	assert_int_equal(k.tell.count, 0);
}

static inline uint64_t live_bytes(banyan *db)
{
	struct banyan_stat st = { 0 };
	assert_int_equal(banyan_get_stat(db, &st), 0);
	return st.live_bytes;
}

/* The value is as it should be, has no holes, and all counters are right */
static inline void growing_check(struct growing *g)
{
	struct banyan_attr attr;
	assert_bytes(g->d, g->want, g->size);
	assert_int_equal(banyan_get_attr(g->d, &attr), 0);
	assert_int_equal(attr.size, g->size);
	assert_sound(g->db);
}

#endif
