/* SPDX-License-Identifier: MIT */
/*
 * linear.h - is there an order in which these operations of several threads can
 * have happened one after another?
 *
 * Each operation was called at one time, and had returned at another. It must
 * seem to have happened at one moment in between, and have given what the
 * operations before it explain: then the history is *linearizable*. The search
 * is that of Wing and Gong, with Lowe's memory of where it has been: operations
 * that nobody had to wait for are tried one after another on a model of the
 * database, and a dead end is remembered by what had been done and the state
 * that this led to.
 *
 * The model: LINEAR_KEYS keys, each of which points to a Data or does not exist.
 * A Data has a value, a number that is written once only, and the id of the
 * Data, which is learnt when an operation has told it. A Data that no key points
 * to stays while operations of the history name it.
 */
#ifndef TESTS_LINEAR_H
#define TESTS_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LINEAR_KEYS 5u
#define LINEAR_OPS 64u /* in a history */
#define LINEAR_STEPS 4u /* in a batch */

enum linear_kind {
	LINEAR_GET, /* key: value, 0 if there is none */
	LINEAR_PUT, /* key, value: made, or written through */
	LINEAR_INSERT, /* key, value: id, or -EEXIST */
	LINEAR_REMOVE, /* key: 0 or -ENOENT; id of what was removed, or 0 */
	LINEAR_RENAME, /* key, to, flags as banyan_move() has them */
	LINEAR_ALIAS, /* key, to */
	LINEAR_SEARCH, /* key: id */
	/* On the Data with an id, which is held */
	LINEAR_READ, /* value */
	LINEAR_WRITE, /* value */
	LINEAR_LINKS, /* links */
	LINEAR_INSERT_DATA, /* to */
	/* A scan: the keys in `keys`, as they were at one moment */
	LINEAR_SCAN,
};

/* What a key was seen to be */
struct linear_row {
	uint32_t value; /* 0: there is no such key */
	uint32_t links;
	uint64_t id;
};

struct linear_step {
	enum linear_kind kind;
	int rc;
	unsigned key;
	unsigned to;
	unsigned flags;
	uint32_t value;
	uint32_t links;
	uint64_t id; /* 0: was not told */
};

struct linear_op {
	uint64_t begin; /* the call, in ns */
	uint64_t end; /* the return */
	unsigned thread;
	unsigned count; /* of steps: more than one are a batch */
	bool aborted; /* the batch was */
	bool beside; /* a scan that may show what has not returned yet */
	struct linear_step step[LINEAR_STEPS];
	unsigned keys; /* of a scan: bits */
	struct linear_row rows[LINEAR_KEYS];
};

enum linear_verdict {
	LINEAR_YES,
	LINEAR_NO,
	LINEAR_TOO_LONG, /* more than LINEAR_TRIES states: nobody knows */
};

#define LINEAR_TRIES 2000000u

/*
 * The verdict on a history that begins where rows, LINEAR_KEYS of them, say.
 * If it is NO the story goes to `out`, unless that is NULL.
 */
enum linear_verdict linear_check(const struct linear_row *rows,
				 const struct linear_op *ops, size_t count,
				 FILE *out);

#endif
