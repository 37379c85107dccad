/* SPDX-License-Identifier: MIT */
/* example.h - what the examples share: end with a line if a call fails */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>

#include "banyan.h"

#define MUST(call) must((call), #call)

static inline int64_t must(int64_t rc, const char *call)
{
	if (rc >= 0)
		return rc;
	fprintf(stderr, "%s: %s\n", call, banyan_strerror((int)rc));
	exit(1);
}

/* The database that is named on the command line; made if there is none */
static inline banyan *open_database(int argc, char **argv)
{
	struct banyan_options options = { .struct_size = sizeof(options),
					  .flags = BANYAN_CREATE };
	banyan *db;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		exit(1);
	}
	MUST(banyan_open(argv[1], &options, &db));
	return db;
}

#endif
