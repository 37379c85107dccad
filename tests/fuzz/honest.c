/* SPDX-License-Identifier: MIT */
#include "honest.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* One extent a piece, with holes between them */
static void write_pieces(banyan *db, const char *path, unsigned pieces)
{
	/* Zeros cost nothing in a recipe */
	uint8_t bytes[300] = { 0 };
	banyan_data *d = NULL;
	int rc = banyan_put(db, path, "", 0, 0);
	if (!rc)
		rc = banyan_find(db, path, &d);
	for (unsigned i = 0; i < pieces && !rc; i++) {
		bytes[7] = (uint8_t)('a' + i);
		rc = banyan_write(d, bytes, sizeof(bytes), i * 1000ull, 0,
				  NULL);
	}
	assert(!rc);
	banyan_release(d, 1);
}

/* As much as a row takes, and a hole behind it */
static void add_edge(banyan *db)
{
	static const char bytes[256] = "edge";
	banyan_data *d = NULL;
	int rc = banyan_put(db, "edge", bytes, sizeof(bytes), 0);
	if (!rc)
		rc = banyan_find(db, "edge", &d);
	if (!rc)
		rc = banyan_truncate(d, 5000);
	assert(!rc);
	banyan_release(d, 1);
}

static void add_xattrs(banyan *db, const char *path)
{
	static const char bytes[1100] = "attribute";
	banyan_data *d = NULL;
	int rc = banyan_find(db, path, &d);
	if (!rc)
		rc = banyan_set_xattr(d, "user.short", "x", 1, 0);
	if (!rc)
		rc = banyan_set_xattr(d, "user.long", bytes, sizeof(bytes), 0);
	assert(!rc);
	banyan_release(d, 1);
}

static void add_clone(banyan *db)
{
	banyan_data *many = NULL;
	banyan_data *few = NULL;
	int rc = banyan_find(db, "space/many", &many);
	if (!rc)
		rc = banyan_find(db, "few", &few);
	assert(!rc);
	int64_t n = banyan_clone(many, 100, few, 5000, 1500);
	assert(n == 1500);
	banyan_release(many, 1);
	banyan_release(few, 1);
}

static void add_special(banyan *db)
{
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = "short",
				   .size = 5 };
	struct banyan_new device = { .mode = S_IFCHR | 0600,
				     .rdev = makedev(1, 3) };
	banyan_data *root = banyan_root(db);
	int rc = banyan_insert(root, "link", 4, &link, NULL, NULL);
	if (!rc)
		rc = banyan_insert(root, "null", 4, &device, NULL, NULL);
	assert(!rc);
}

void honest_fill(banyan *db)
{
	int rc = banyan_make_space(db, "space/below", BANYAN_PARENTS);
	if (!rc)
		rc = banyan_put(db, "short", "hello", 5, 0);
	if (!rc)
		rc = banyan_put(db, "space/two", "keys", 4, 0);
	if (!rc)
		rc = banyan_alias(db, "space/two", "alias");
	assert(!rc);
	write_pieces(db, "few", 2);
	write_pieces(db, "space/many", 6);
	add_edge(db);
	add_xattrs(db, "short");
	add_clone(db);
	add_special(db);
	rc = banyan_snapshot(db, "honest", 6);
	assert(!rc);
}
