/* SPDX-License-Identifier: MIT */
/*
 * records FILE - typed records: one a key, and many in one value.
 */
#include <string.h>

#include "example.h"

enum { NAME, BORN, FIELDS };

static const struct banyan_field fields[FIELDS] = {
	[NAME] = { "name", BANYAN_TEXT },
	[BORN] = { "born", BANYAN_INTEGER },
};
static const struct banyan_schema people = { fields, FIELDS, NAME };

static void set_person(struct banyan_value *person, const char *name,
		       int64_t born)
{
	person[NAME] = (struct banyan_value){ .type = BANYAN_TEXT,
					      .bytes = name,
					      .size = strlen(name) };
	person[BORN] = (struct banyan_value){ .type = BANYAN_INTEGER,
					      .integer = born };
}

/* A value of its own, under the name that the record says */
static void put_person(banyan *db, const struct banyan_value *person)
{
	char name[BANYAN_NAME_MAX + 1], packed[200];
	size_t size;

	MUST(banyan_record_key(&people, person, name));
	size = (size_t)MUST(
		banyan_record_pack(&people, person, packed, sizeof(packed)));
	MUST(banyan_put(db, name, packed, size, 0));
}

static void print_person(const struct banyan_value *person)
{
	printf("%.*s, born %lld\n", (int)person[NAME].size,
	       (const char *)person[NAME].bytes,
	       (long long)person[BORN].integer);
}

int main(int argc, char **argv)
{
	struct banyan_value ada[FIELDS], grace[FIELDS], person[FIELDS];
	banyan *db = open_database(argc, argv);
	char block[1000];
	size_t used = 0, at = 0, size;
	void *value;

	set_person(ada, "Ada Lovelace", 1815);
	set_person(grace, "Grace Hopper", 1906);

	put_person(db, ada);
	MUST(banyan_get(db, "Ada Lovelace", &value, &size));
	MUST(banyan_record_unpack(&people, value, size, person));
	print_person(person);
	banyan_free(value);

	MUST(banyan_block_append(&people, ada, block, sizeof(block), &used));
	MUST(banyan_block_append(&people, grace, block, sizeof(block), &used));
	MUST(banyan_put(db, "all", block, used, 0));
	MUST(banyan_get(db, "all", &value, &size));
	while (MUST(banyan_block_next(&people, value, size, &at, person)) == 0)
		print_person(person);
	banyan_free(value);
	return banyan_close(db) != 0;
}
