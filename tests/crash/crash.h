/* SPDX-License-Identifier: MIT */
/*
 * crash.h - what the crash tests share: a scene that is told of when a check
 * fails, and trials, which cut a workload short and look at what is left.
 *
 * What a trial demands: the database opens; what it shows is the state after
 * some of the operations, the first ones; not fewer of them than were promised,
 * and not more than were begun; its nodes, rows and values agree.
 */
#ifndef TESTS_CRASH_H
#define TESTS_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workload.h"

/* More of everything was asked for: BANYAN_LONG */
bool crash_long(void);

/* As test_seed(), without a line */
uint64_t crash_seed(void);

/* ---- scenes ----------------------------------------------------------- */

/* What was going on, to be told when a check fails */
struct scene {
	uint64_t seed;
	size_t top; /* events before the first cut of several */
	size_t events; /* and before the last one */
	enum fault_cut kind;
	bool killed; /* not a power cut: the process died */
	unsigned depth; /* cuts before this one */
	struct file *file; /* as it was found */
	size_t found; /* events that it had then */
	char said[1024]; /* what the library has reported */
};

/* For banyan_options.report: arg is the scene */
void scene_hear(void *arg, const char *line);

/* Fail, saying all that. The file as it was found is kept. */
void scene_wrong(struct scene *s, const char *what, long long n);

/* Open w->file, which is to be possible */
void scene_open(struct scene *s, struct workload *w, bool fresh);
/* A new database, and its first moment, in *w: it tells seed, big and thread */
void scene_start(struct scene *s, struct workload *w);

/* The process dies here: nothing more reaches the file */
void scene_die(struct file *f, banyan *db);

/* The moment in [low, high] that the database shows */
size_t scene_see(struct scene *s, banyan *db, const struct history *h,
		 size_t low, size_t high);
void scene_expect(struct scene *s, banyan *db, uint64_t print);
/* Everything but reading says -EIO */
void scene_expect_poisoned(struct scene *s, banyan *db);
/* Nodes, rows and values agree with each other */
void scene_expect_sound(struct scene *s, banyan *db);

/* ---- trials ----------------------------------------------------------- */

struct trial {
	struct scene scene;
	uint64_t random;
	size_t cuts; /* so far */
	unsigned depth_max; /* a file that is left is written to and cut again */
};

/* Trials at one place depend on the seed and on the place, on nothing before */
void trial_at(struct trial *t, size_t events);

enum fault_cut trial_kind(struct trial *t);

/* Cut (or kill) behind so many events, and look at what is left */
void trial_cut(struct trial *t, struct file *f, const struct history *h,
	       size_t events, enum fault_cut kind, bool killed, unsigned depth);

/*
 * Open what is left behind scene.events, which shows a moment in [low, high],
 * work on, and cut that short as well. Takes over the file.
 */
void trial_go_on(struct trial *t, struct file *f, const struct history *h,
		 size_t low, size_t high, unsigned depth);

#endif
