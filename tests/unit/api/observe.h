/* SPDX-License-Identifier: MIT */
/*
 * observe.h - all that the functions of banyan.h tell of a database, or of Data
 * that are held, as one text: what has not changed gives the same text.
 */
#ifndef TESTS_OBSERVE_H
#define TESTS_OBSERVE_H

#include <sys/stat.h>

#include "api_fixture.h"

struct observed {
	size_t len;
	char text[30000];
};

__attribute__((format(printf, 2, 3))) static inline void
observed_add(struct observed *o, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	o->len += (size_t)vsnprintf(o->text + o->len, sizeof(o->text) - o->len,
				    format, args);
	va_end(args);
	assert_true(o->len < sizeof(o->text));
}

static inline void observe_attr(struct observed *o, const struct banyan_attr *a)
{
	observed_add(o, "id %llu mode %o links %u size %llu stored %llu ",
		     (unsigned long long)a->id, a->mode, a->nlink,
		     (unsigned long long)a->size,
		     (unsigned long long)a->stored);
	observed_add(o, "mtime %lld.%llu ctime %lld.%llu\n",
		     (long long)a->mtime.sec, (unsigned long long)a->mtime.nsec,
		     (long long)a->ctime.sec,
		     (unsigned long long)a->ctime.nsec);
}

static inline void observe_xattrs(struct observed *o, banyan_data *d)
{
	char names[256], value[64];
	ssize_t n = banyan_list_xattr(d, names, sizeof(names));
	assert_true(n >= 0);
	for (char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t len = banyan_get_xattr(d, name, value, sizeof(value));
		assert_true(len >= 0);
		observed_add(o, "  %s=%.*s\n", name, (int)len, value);
	}
}

static inline void observe_scan(struct observed *o, banyan_data *space,
				bool reverse)
{
	struct banyan_range range = { .reverse = reverse, .values = true };
	struct banyan_entry e;
	banyan_cursor *cursor = NULL;
	banyan_data *d = NULL;
	int rc = banyan_scan(space, &range, &cursor);
	observed_add(o, "  scan %d:", rc);
	while (!rc && (rc = banyan_next(cursor, &e)) == 0) {
		observed_add(o, " %s %llu %.*s", e.name,
			     (unsigned long long)e.attr.id,
			     e.value ? (int)e.attr.size % 50 : 0,
			     e.value ? (const char *)e.value : "");
		OK(banyan_entry_data(cursor, &d));
		assert_int_equal(banyan_id(d), e.attr.id);
		banyan_release(d, 1);
	}
	observed_add(o, " %d\n", rc);
	banyan_scan_end(cursor);
}

/* What can be asked of a Data */
static inline void observe_data(struct observed *o, banyan_data *d)
{
	struct banyan_attr attr;
	uint64_t parent = 0;
	char bytes[100];
	OK(banyan_get_attr(d, &attr));
	assert_int_equal(attr.id, banyan_id(d));
	observe_attr(o, &attr);
	ssize_t n = banyan_read(d, bytes, sizeof(bytes), 0);
	observed_add(o, "  read %d %.*s\n", (int)n, n > 0 ? (int)n : 0, bytes);
	observed_add(o, "  data %lld hole %lld\n",
		     (long long)banyan_seek_data(d, 0),
		     (long long)banyan_seek_hole(d, 0));
	int rc = banyan_parent(d, &parent);
	observed_add(o, "  parent %d %llu\n", rc, (unsigned long long)parent);
	observe_xattrs(o, d);
	if (S_ISDIR(attr.mode)) {
		observe_scan(o, d, false);
		observe_scan(o, d, true);
	}
}

struct observe_walk {
	struct observed *o;
	banyan *db;
};

static inline int observe_visit(void *arg, const char *path,
				const struct banyan_entry *e)
{
	struct observe_walk *w = arg;
	const char *slash = strrchr(path, '/');
	struct banyan_attr attr;
	char bytes[100];
	void *value = NULL;
	size_t size = 0;
	banyan_data *d = NULL, *again = NULL, *space = NULL;
	observed_add(w->o, "%s: ", path);
	OK(banyan_find(w->db, path, &d));
	assert_int_equal(banyan_id(d), e->attr.id);
	observe_data(w->o, d);
	char *parent = slash ? strndup(path, (size_t)(slash - path)) :
			       strdup("");
	OK(banyan_find(w->db, parent, &space));
	free(parent);
	OK(banyan_search(space, e->name, e->len, &again, &attr));
	assert_ptr_equal(again, d);
	assert_int_equal(attr.id, e->attr.id);
	assert_int_equal(attr.nlink, e->attr.nlink);
	ssize_t n = banyan_fetch(space, e->name, e->len, bytes, sizeof(bytes));
	observed_add(w->o, "  fetch %d %.*s\n", (int)n,
		     n < 0   ? 0 :
		     n > 100 ? 100 :
			       (int)n,
		     bytes);
	int rc = banyan_get(w->db, path, &value, &size);
	observed_add(w->o, "  get %d %zu %.*s\n", rc, size, (int)size % 90,
		     value ? (char *)value : "");
	banyan_free(value);
	banyan_release(d, 1);
	banyan_release(again, 1);
	banyan_release(space, 1);
	return 0;
}

/* All that can be found through a handle */
static inline void observe(struct observed *o, banyan *db)
{
	struct observe_walk w = { o, db };
	observe_data(o, banyan_root(db));
	OK(banyan_walk(db, "", NULL, true, observe_visit, &w));
	observed_add(o, "keys %llu\n", (unsigned long long)stat_of(db).keys);
}

#endif
