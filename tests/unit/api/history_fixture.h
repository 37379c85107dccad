/* SPDX-License-Identifier: MIT */
/* history_fixture.h - what the history says, as one line of text */
#ifndef TESTS_HISTORY_FIXTURE_H
#define TESTS_HISTORY_FIXTURE_H

#include <sys/stat.h>

#include "api_fixture.h"

#define TEXT_MAX 8192u

/* The first letters of events, m: moved away; n: made */
static inline char event_sign(enum banyan_event event)
{
	static const char signs[] = "knarmd";
	switch (event) {
	case BANYAN_KEPT:
		return signs[0];
	case BANYAN_MADE:
		return signs[1];
	case BANYAN_CHANGED:
		return 'c';
	case BANYAN_ATTRIBUTES:
		return signs[2];
	case BANYAN_REPLACED:
		return signs[3];
	case BANYAN_MOVED:
		return signs[4];
	case BANYAN_DELETED:
		return signs[5];
	}
	return '?';
}

struct log_text {
	banyan *db; /* each version is looked at in it; NULL: not */
	const char *path;
	char text[TEXT_MAX];
};

static inline int note_version(void *arg, const struct banyan_version *v)
{
	struct log_text *t = arg;
	size_t len = strlen(t->text);
	assert_true(len + 40 < sizeof(t->text));
	sprintf(t->text + len, "%c%llu ", event_sign(v->event),
		(unsigned long long)v->attr.size);
	if (!t->db)
		return 0;
	banyan *view = NULL;
	banyan_data *data = NULL;
	bool gone = v->event == BANYAN_DELETED || v->event == BANYAN_MOVED;
	OK(banyan_view_at_time(t->db, v->time, &view));
	assert_int_equal(banyan_find(view, t->path, &data), gone ? -ENOENT : 0);
	if (!gone) {
		struct banyan_attr attr = attr_of(data);
		assert_int_equal(attr.id, v->attr.id);
		assert_int_equal(attr.size, v->attr.size);
		assert_int_equal(attr.ctime.nsec, v->attr.ctime.nsec);
		banyan_release(data, 1);
	}
	OK(banyan_close(view));
	return 0;
}

/* The versions, newest first: events with sizes. Each can be read. */
static inline void assert_log(banyan *db, const char *path, const char *wanted)
{
	static struct log_text t;
	t = (struct log_text){ .db = db, .path = path };
	OK(banyan_log(db, path, note_version, &t));
	assert_string_equal(t.text, wanted);
}

static inline void assert_no_log(banyan *db, const char *path)
{
	static struct log_text t;
	assert_int_equal(banyan_log(db, path, note_version, &t), -ENOENT);
}

static inline int note_deleted(void *arg, const struct banyan_deleted_key *key)
{
	char *text = arg;
	size_t len = strlen(text);
	assert_true(len + strlen(key->path) + 40 < TEXT_MAX);
	sprintf(text + len, "%s%s:%llu ", key->path,
		S_ISDIR(key->type) ? "/" : "", (unsigned long long)key->size);
	return 0;
}

static inline void assert_deleted_in(banyan *db, const char *path,
				     const char *wanted)
{
	static char text[TEXT_MAX];
	*text = '\0';
	OK(banyan_deleted(db, path, note_deleted, text));
	assert_string_equal(text, wanted);
}

static inline void assert_deleted(banyan *db, const char *wanted)
{
	assert_deleted_in(db, NULL, wanted);
}

static inline void undelete(banyan *db, const char *path)
{
	OK(banyan_undelete(db, path, NULL, NULL, NULL));
}

/* As 'rm -r' does it */
static inline int remove_entry(void *arg, const char *path,
			       const struct banyan_entry *e)
{
	char *paths = arg;
	(void)e;
	memmove(paths + strlen(path) + 1, paths, strlen(paths) + 1);
	memcpy(paths, path, strlen(path));
	paths[strlen(path)] = '\n';
	return 0;
}

static inline void remove_tree(banyan *db, const char *path)
{
	static char paths[TEXT_MAX], full[TEXT_MAX];
	*paths = '\0';
	OK(banyan_walk(db, path, NULL, true, remove_entry, paths));
	for (char *at = strtok(paths, "\n"); at; at = strtok(NULL, "\n")) {
		sprintf(full, "%s/%s", path, at);
		OK(banyan_remove(db, full));
	}
	OK(banyan_remove(db, path));
}

#endif
