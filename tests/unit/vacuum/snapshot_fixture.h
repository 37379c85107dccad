/* SPDX-License-Identifier: MIT */
/* snapshot_fixture.h - snapshots, and what each must show for ever */
#ifndef TESTS_SNAPSHOT_FIXTURE_H
#define TESTS_SNAPSHOT_FIXTURE_H

#include "vacuum_fixture.h"

#define SNAPSHOTS_MAX 64u

struct known {
	char name[32];
	uint64_t print;
};

/* All that there are, in any order */
struct known_snapshots {
	struct known list[SNAPSHOTS_MAX];
	unsigned count;
};

static inline uint64_t print_of_snapshot(banyan *db, const char *name)
{
	banyan *view = NULL;
	OK(banyan_view_snapshot(db, name, strlen(name), &view));
	uint64_t print = print_of(view);
	OK(banyan_close(view));
	return print;
}

static inline void take_known(struct known_snapshots *k, banyan *db,
			      const char *name)
{
	assert_true(k->count < SNAPSHOTS_MAX);
	struct known *new = &k->list[k->count++];
	OK(banyan_snapshot(db, name, strlen(name)));
	snprintf(new->name, sizeof(new->name), "%s", name);
	new->print = print_of_snapshot(db, name);
}

static inline void drop_known(struct known_snapshots *k, banyan *db, unsigned i)
{
	OK(banyan_snapshot_drop(db, k->list[i].name, strlen(k->list[i].name)));
	k->list[i] = k->list[--k->count];
}

static inline void rename_known(struct known_snapshots *k, banyan *db,
				unsigned i, const char *new_name)
{
	struct known *one = &k->list[i];
	OK(banyan_snapshot_rename(db, one->name, strlen(one->name), new_name,
				  strlen(new_name)));
	snprintf(one->name, sizeof(one->name), "%s", new_name);
}

static inline int count_snapshot(void *arg,
				 const struct banyan_snapshot_info *info)
{
	unsigned *n = arg;
	(void)info;
	++*n;
	return 0;
}

static inline void expect_known(const struct known_snapshots *k, banyan *db)
{
	unsigned n = 0;
	OK(banyan_snapshots(db, count_snapshot, &n));
	assert_int_equal(n, k->count);
	for (unsigned i = 0; i < k->count; i++)
		assert_true(print_of_snapshot(db, k->list[i].name) ==
			    k->list[i].print);
}

/* Is it as well in the eyes of who opens the file? */
static inline void expect_known_in_file(const struct known_snapshots *k,
					const char *path)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	banyan *db = NULL;
	OK(banyan_open(path, &o, &db));
	expect_known(k, db);
	OK(banyan_close(db));
}

#endif
