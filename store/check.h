/* SPDX-License-Identifier: MIT */
/* check.h - what the parts of a check share: see banyan_check(). */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "db.h"

struct checker {
	const struct banyan_check *options;
	int64_t damages;
	uint64_t done; /* bytes of work, for progress */
	uint64_t total;
};

/* One damage, one line */
__attribute__((format(printf, 2, 3))) void check_found(struct checker *k,
						       const char *format, ...);

/* 0, or -ECANCELED */
int check_progress(struct checker *k, uint64_t done);

/* Is this an error that tells of damage, not of a check that cannot run? */
bool check_is_damage(int rc);

/* Nodes first; then, if they are sound, rows and what they say of each other */
int check_tree(struct checker *k, banyan *db);
int check_rows(struct checker *k, banyan *db);

#endif
