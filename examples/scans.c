/* SPDX-License-Identifier: MIT */
/*
 * scans FILE - keys in order: all, those with a prefix, and downwards from one.
 */
#include <string.h>

#include "example.h"

static void print_keys(banyan_cursor *cursor, int most)
{
	struct banyan_entry entry;

	while (most-- > 0 && MUST(banyan_next(cursor, &entry)) == 0)
		printf(" %s", entry.name);
	printf("\n");
}

int main(int argc, char **argv)
{
	static const char *const keys[] = { "birch", "beech", "ash",
					    "oak",   "elm",   "banyan" };
	struct banyan_range b = { .struct_size = sizeof(b),
				  .prefix = "b",
				  .prefix_len = 1 };
	banyan *db = open_database(argc, argv);
	banyan_data *root = banyan_root(db);
	banyan_cursor *cursor;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		MUST(banyan_put(db, keys[i], "", 0, 0));

	/* A cursor shows the moment at which it was made */
	MUST(banyan_scan(root, NULL, &cursor));
	MUST(banyan_remove(db, "ash"));
	printf("all:");
	print_keys(cursor, 100);
	banyan_scan_end(cursor);

	MUST(banyan_scan(root, &b, &cursor));
	printf("with b:");
	print_keys(cursor, 100);
	banyan_scan_end(cursor);

	MUST(banyan_scan(root, NULL, &cursor));
	MUST(banyan_seek(cursor, "f", 1, BANYAN_SEEK_REVERSE));
	printf("two down from f:");
	print_keys(cursor, 2);
	MUST(banyan_seek(cursor, "c", 1, 0));
	printf("one up from c:");
	print_keys(cursor, 1);
	banyan_scan_end(cursor);

	return banyan_close(db) != 0;
}
