/* SPDX-License-Identifier: MIT */
/*
 * key_history.h - what became of a key, step by step.
 *
 * A key is followed by its path: at each step the path leads through the key
 * spaces that had these names then. A path that leads elsewhere after a step,
 * as one of its key spaces was moved or replaced, is looked up anew.
 */
#ifndef STORE_API_KEY_HISTORY_H
#define STORE_API_KEY_HISTORY_H

#include "engine/history.h"
#include "model/names.h"

struct key_part {
	struct name name; /* its space is 0 while nothing leads there */
	uint64_t id; /* of what it points to; 0: nothing */
};

/* What a key points to */
struct key_value {
	bool there;
	bool embedded;
	struct data d;
};

struct key_history {
	struct history h;
	struct key_part *part;
	size_t parts;
	struct key_value now; /* after the step */
	struct key_value before; /* after the step before, if it had an event */
	/* Of the step that is read */
	size_t lost; /* the first part that leads elsewhere; parts: none */
	uint64_t left; /* the key space that it has led to */
	bool beside; /* rows beside the Data's own have changed */
};

/*
 * Begin with the first freeze in the file, of which k->now tells. path is
 * borrowed. -EINVAL: it names no key; -ENAMETOOLONG; or an error, after which
 * nothing is to be closed.
 */
int key_history_open(struct store *store, const char *path,
		     struct key_history *k);
void key_history_close(struct key_history *k);

/*
 * 0: something became of the key in the step that k->h is at: *event, of
 * k->before or k->now. 1: there are no more. Or an error.
 */
int key_history_next(struct key_history *k, enum banyan_event *event);

#endif
