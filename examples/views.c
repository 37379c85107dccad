/* SPDX-License-Identifier: MIT */
/*
 * views FILE - read one moment of a database while it is being changed.
 */
#include <string.h>

#include "example.h"

static int print_key(void *arg, const char *path,
		     const struct banyan_entry *entry)
{
	banyan *db = arg;
	void *value;
	size_t size;

	if (entry->attr.nlink > 1) /* a key space */
		return 0;
	MUST(banyan_get(db, path, &value, &size));
	printf(" %s=%s", path, (const char *)value);
	banyan_free(value);
	return 0;
}

static void print_all(const char *title, banyan *db)
{
	printf("%s:", title);
	MUST(banyan_walk(db, "", NULL, true, print_key, db));
	printf("\n");
}

int main(int argc, char **argv)
{
	banyan *db = open_database(argc, argv);
	banyan *before;

	MUST(banyan_put(db, "a", "1", 1, 0));
	MUST(banyan_put(db, "b", "1", 1, 0));

	/* A handle like any other, but read-only */
	MUST(banyan_view(db, &before));
	MUST(banyan_put(db, "a", "2", 1, 0));
	MUST(banyan_rename(db, "b", "c", 0));

	print_all("then", before);
	print_all("now", db);
	if (banyan_put(before, "d", "1", 1, 0)) {
		char text[200];

		banyan_last_error(before, text, sizeof(text));
		printf("%s\n", text);
	}
	MUST(banyan_close(before));
	return banyan_close(db) != 0;
}
