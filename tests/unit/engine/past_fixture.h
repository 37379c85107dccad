/* SPDX-License-Identifier: MIT */
/*
 * past_fixture.h - what the tests of the past share: a database in a directory of
 * its own, rounds of changes to it, and what each round must have left.
 */
#ifndef TESTS_PAST_FIXTURE_H
#define TESTS_PAST_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "banyan.h"
#include "tests/support/temp.h"

#define KEYS 40u

struct past {
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	char out[TEMP_FILE_MAX]; /* for another file */
	banyan *db;
};

static inline int set_up_past(void **out)
{
	struct past *s = calloc(1, sizeof(*s));
	struct banyan_options o = { .flags = BANYAN_CREATE };
	if (!s)
		return -1;
	if (temp_directory(s->dir, TEMP_ON_DISK))
		return -1;
	temp_path(s->path, s->dir, "db");
	temp_path(s->out, s->dir, "out");
	*out = s;
	return banyan_open(s->path, &o, &s->db);
}

static inline int tear_down_past(void **in)
{
	struct past *s = *in;
	int rc = banyan_close(s->db);
	unlink(s->path);
	unlink(s->out);
	rmdir(s->dir);
	free(s);
	return rc;
}

/*
 * All at once: some keys are put, one is removed, and "round" says which it was.
 * 0 or what went wrong.
 */
static inline int past_round(banyan *db, unsigned round)
{
	char path[32];
	char value[600];
	banyan *batch = NULL;
	memset(value, (int)round, sizeof(value));
	int rc = banyan_begin(db, &batch);
	for (unsigned i = round % 3; !rc && i < KEYS; i += 3) {
		sprintf(path, "key%u", i);
		rc = banyan_put(batch, path, value, i % 2 ? 600 : 60, 0);
	}
	sprintf(path, "key%u", round * 5 % KEYS);
	if (!rc)
		rc = banyan_remove(batch, path);
	if (rc == -ENOENT)
		rc = 0;
	if (!rc)
		rc = banyan_put(batch, "round", &round, sizeof(round), 0);
	return rc ? rc : banyan_commit(batch);
}

/* What a round leaves: for each key the round that has put it last, 0: no key */
static inline void past_model(unsigned round, unsigned *newest)
{
	memset(newest, 0, KEYS * sizeof(*newest));
	for (unsigned n = 1; n <= round; n++) {
		for (unsigned i = n % 3; i < KEYS; i += 3)
			newest[i] = n;
		newest[n * 5 % KEYS] = 0;
	}
}

/* The round that "round" tells of; 0: none so far */
static inline unsigned past_round_of(banyan *db)
{
	unsigned round = 0;
	void *value = NULL;
	size_t size = 0;
	if (banyan_get(db, "round", &value, &size) == 0 &&
	    size == sizeof(round))
		memcpy(&round, value, size);
	free(value);
	return round;
}

static inline bool past_has_key(banyan *db, unsigned i, unsigned newest)
{
	char path[32];
	void *value = NULL;
	size_t size = 0;
	sprintf(path, "key%u", i);
	int rc = banyan_get(db, path, &value, &size);
	bool right = newest ? rc == 0 && size == (i % 2 ? 600 : 60) :
			      rc == -ENOENT;
	for (size_t at = 0; right && at < size; at++)
		right = ((uint8_t *)value)[at] == (newest & 0xff);
	free(value);
	return right;
}

/* Is it as this round has left it, in everything? For any thread. */
static inline bool past_is(banyan *db, unsigned round)
{
	unsigned newest[KEYS];
	struct banyan_stat st = { 0 };
	uint64_t keys = round > 0;
	bool right = past_round_of(db) == round;
	past_model(round, newest);
	for (unsigned i = 0; right && i < KEYS; i++) {
		right = past_has_key(db, i, newest[i]);
		keys += newest[i] > 0;
	}
	return right && banyan_get_stat(db, &st) == 0 && st.keys == keys;
}

static inline int past_open(const struct past *s, uint64_t freeze, banyan **db)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .freeze = freeze };
	return banyan_open(s->path, &o, db);
}

/* The number of the last freeze */
static inline uint64_t past_last_freeze(banyan *db)
{
	struct banyan_stat st = { .freezes = 0 };
	assert_int_equal(banyan_get_stat(db, &st), 0);
	return st.freezes;
}

#endif
