/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"
#include "quote.h"

bool next_name(const char **path, const char **name, size_t *len)
{
	const char *at = *path + strspn(*path, "/");

	*name = at;
	*len = strcspn(at, "/");
	*path = at + *len;
	return *len > 0;
}

static bool is_name(const char *name, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(name, text, len) == 0;
}

static int fail_name(const char *file, const char *key, const char *why)
{
	complain("%s: key '%s': %s", quote(file), quote(key), why);
	return EXIT_FAILURE;
}

static int fail_long_name(const char *file, const char *name, size_t len)
{
	complain("%s: the name '%.40s...' is too long: %zu bytes, %d at most",
		 quote(file), quote(name), len, BANYAN_NAME_MAX);
	return EXIT_FAILURE;
}

int check_key(const char *file, const char *key, bool root)
{
	const char *path = key, *name;
	bool first = true;
	size_t len;

	for (; next_name(&path, &name, &len); first = false) {
		if (len > BANYAN_NAME_MAX)
			return fail_long_name(file, name, len);
		if (is_name(name, len, "."))
			return fail_name(file, key, "'.' is not a name");
		if (is_name(name, len, ".."))
			return fail_name(file, key, "'..' is not a name");
		if (first && is_name(name, len, ".banyan"))
			return fail_name(file, key, "the name is reserved");
	}
	if (!first || root)
		return 0;
	return fail_name(file, key,
			 *key ? "is the root key space" : "the key is empty");
}

bool is_space(const struct store *store, const char *key)
{
	struct key_info info;

	return store->ops->find(store, key, &info) == 0 && S_ISDIR(info.mode);
}

bool is_there(const struct store *store, const char *key)
{
	struct key_info info;

	return store->ops->find(store, key, &info) == 0;
}

void last_name(const char *key, const char **name, size_t *len)
{
	const char *path = key, *next;
	size_t next_len;

	*name = key;
	*len = 0;
	while (next_name(&path, &next, &next_len)) {
		*name = next;
		*len = next_len;
	}
}

char *join_key(const char *space, const char *name, size_t len)
{
	size_t space_len = strlen(space);
	char *joined;

	while (space_len && space[space_len - 1] == '/')
		space_len--;
	joined = malloc(space_len + len + 2);
	if (!joined)
		return NULL;
	memcpy(joined, space, space_len);
	if (space_len)
		joined[space_len++] = '/';
	memcpy(joined + space_len, name, len);
	joined[space_len + len] = '\0';
	return joined;
}

/* The first of the key spaces on the way to a key that is not one, or NULL */
static char *find_gap(const struct store *store, const char *key)
{
	const char *path = key, *name, *last;
	size_t len;

	last_name(key, &last, &len);
	while (next_name(&path, &name, &len) && name < last) {
		char *space = strndup(key, (size_t)(path - key));

		if (!space || !is_space(store, space))
			return space;
		free(space);
	}
	return NULL;
}

int fail_new_key(const struct store *store, const char *key, int error,
		 const char *hint)
{
	char *gap = NULL;

	if (error == -ENOENT || error == -ENOTDIR)
		gap = find_gap(store, key);
	if (!gap)
		return fail_key(store->name, key, error);
	if (is_there(store, gap)) {
		complain("%s: key '%s': '%s' is not a key space",
			 quote(store->name), quote(key), quote(gap));
	} else {
		complain("%s: key '%s': there is no key space '%s'%s",
			 quote(store->name), quote(key), quote(gap),
			 hint ? hint : "");
	}
	free(gap);
	return EXIT_FAILURE;
}
