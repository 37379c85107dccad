/* SPDX-License-Identifier: MIT */
#include "api/last_error.h"

#include <stdio.h>
#include <string.h>

/* Without the prefix that all public functions have */
static const char *short_name(const char *call)
{
	const char prefix[] = "banyan_";
	size_t len = sizeof(prefix) - 1;
	return strncmp(call, prefix, len) == 0 ? call + len : call;
}

static void note(banyan *db, int64_t rc, const char *call, uint64_t id,
		 const char *name, size_t len)
{
	struct last_error *e = &db->last_error;
	pthread_mutex_lock(&e->lock);
	e->rc = (int)rc;
	e->call = short_name(call);
	e->id = id;
	e->len = len < sizeof(e->name) ? len : sizeof(e->name);
	/* Of what is too long, the end: there is the name */
	if (name)
		memcpy(e->name, name + (len - e->len), e->len);
	e->named = name != NULL;
	pthread_mutex_unlock(&e->lock);
}

int64_t note_key(banyan *db, int64_t rc, const char *call, const char *name,
		 size_t len)
{
	if (rc < 0)
		note(db, rc, call, 0, name, len);
	return rc;
}

int64_t note_path(banyan *db, int64_t rc, const char *call, const char *path)
{
	if (rc < 0)
		note(db, rc, call, 0, path, strlen(path));
	return rc;
}

int64_t note_id(banyan *db, int64_t rc, const char *call, uint64_t id)
{
	if (rc < 0)
		note(db, rc, call, id, NULL, 0);
	return rc;
}

int64_t note_data(const banyan_data *data, int64_t rc, const char *call)
{
	return note_id(data->db, rc, call, data->id);
}

size_t banyan_last_error(banyan *db, char *text, size_t size)
{
	char place[sizeof(db->store->reported)] = "";
	char subject[sizeof(db->last_error.name) + 32];
	if (handle_check(db) || (size && !text))
		return 0;
	struct last_error *e = &db->last_error;
	pthread_mutex_lock(&e->lock);
	int n = 0;
	if (size)
		*text = '\0';
	if (e->rc) {
		if (e->named)
			snprintf(subject, sizeof(subject), " '%.*s'",
				 (int)e->len, e->name);
		else
			snprintf(subject, sizeof(subject), " Data %llu",
				 (unsigned long long)e->id);
		if (is_damage(e->rc))
			store_reported(db->store, place);
		n = snprintf(text, size, "%s%s: %s%s%s", e->call, subject,
			     banyan_strerror(e->rc), *place ? "; " : "", place);
	}
	pthread_mutex_unlock(&e->lock);
	return n > 0 ? (size_t)n : 0;
}
