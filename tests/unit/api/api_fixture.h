/* SPDX-License-Identifier: MIT */
/* api_fixture.h - keys with strings for values, put and looked at in one line */
#ifndef TESTS_API_FIXTURE_H
#define TESTS_API_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "banyan.h"

#define OK(call) assert_int_equal(call, 0)

static inline banyan *open_memory(void)
{
	banyan *db = NULL;
	OK(banyan_open(":memory:", NULL, &db));
	return db;
}

static inline void put(banyan *db, const char *path, const char *value)
{
	OK(banyan_put(db, path, value, strlen(value), BANYAN_PARENTS));
}

static inline banyan_data *find(banyan *db, const char *path)
{
	banyan_data *data = NULL;
	OK(banyan_find(db, path, &data));
	return data;
}

static inline bool has_key(banyan *db, const char *path)
{
	banyan_data *data = NULL;
	int rc = banyan_find(db, path, &data);
	assert_true(rc == 0 || rc == -ENOENT);
	banyan_release(data, 1);
	return rc == 0;
}

/* value NULL: there is no such key */
static inline void assert_key(banyan *db, const char *path, const char *value)
{
	void *bytes = NULL;
	size_t size = 0;
	int rc = banyan_get(db, path, &bytes, &size);
	assert_int_equal(rc, value ? 0 : -ENOENT);
	if (!value)
		return;
	assert_int_equal(size, strlen(value));
	assert_memory_equal(bytes, value, size);
	banyan_free(bytes);
}

static inline void assert_value(banyan *db, const char *path, const void *bytes,
				size_t size)
{
	void *value = NULL;
	size_t n = 0;
	OK(banyan_get(db, path, &value, &n));
	assert_int_equal(n, size);
	assert_memory_equal(value, bytes, size);
	banyan_free(value);
}

static inline void assert_data(banyan_data *data, const char *value)
{
	char bytes[256];
	ssize_t n = banyan_read(data, bytes, sizeof(bytes), 0);
	assert_int_equal(n, strlen(value));
	assert_memory_equal(bytes, value, (size_t)n);
}

static inline struct banyan_stat stat_of(banyan *db)
{
	struct banyan_stat st = { 0 };
	OK(banyan_get_stat(db, &st));
	return st;
}

static inline struct banyan_attr attr_of(banyan_data *data)
{
	struct banyan_attr attr;
	OK(banyan_get_attr(data, &attr));
	return attr;
}

/* The names in a key space, each with a space behind it */
static inline const char *names_in(banyan_data *space, char *names)
{
	banyan_cursor *cursor = NULL;
	struct banyan_entry e;
	int rc = 0;
	*names = '\0';
	OK(banyan_scan(space, NULL, &cursor));
	while ((rc = banyan_next(cursor, &e)) == 0) {
		strcat(names, e.name);
		strcat(names, " ");
	}
	assert_int_equal(rc, 1);
	banyan_scan_end(cursor);
	return names;
}

static inline void assert_names(banyan_data *space, const char *wanted)
{
	char names[1024];
	assert_string_equal(names_in(space, names), wanted);
}

#endif
