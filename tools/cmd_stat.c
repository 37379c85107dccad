/* SPDX-License-Identifier: MIT */
/*
 * banyan stat. Each figure has a name for programs, which stays as it is for
 * ever, and a label for people; one call shows it in the form that was asked
 * for.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "command.h"
#include "common.h"
#include "format.h"
#include "keys.h"
#include "quote.h"

struct figures {
	json_t *json; /* NULL: lines of text */
	bool failed; /* no memory */
};

static void add(struct figures *figures, const char *name, json_t *value)
{
	if (json_object_set_new(figures->json, name, value) != 0)
		figures->failed = true;
}

static void show(const char *label, const char *text)
{
	printf("%-14s %s\n", label, text);
}

/* name or label may be NULL: not in that form */
static void add_text(struct figures *figures, const char *name,
		     const char *label, const char *text)
{
	if (!figures->json && label)
		show(label, text);
	else if (figures->json && name)
		add(figures, name, json_string(text));
}

static void add_number(struct figures *figures, const char *name,
		       const char *label, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	if (!figures->json && label)
		show(label, text);
	else if (figures->json && name)
		add(figures, name, json_integer((json_int_t)number));
}

static void add_bytes(struct figures *figures, const char *name,
		      const char *label, uint64_t bytes)
{
	char text[64];

	format_bytes(bytes, text, sizeof(text));
	add_number(figures, name, NULL, bytes);
	add_text(figures, NULL, label, text);
}

/* Two numbers: in nanoseconds alone, JSON's integers would end in 2262 */
static void add_time(struct figures *figures, const char *sec_name,
		     const char *nsec_name, const char *label,
		     struct banyan_time time)
{
	char text[80];

	format_time(time, text, sizeof(text));
	add_number(figures, sec_name, NULL, (uint64_t)time.sec);
	add_number(figures, nsec_name, NULL, time.nsec);
	add_text(figures, NULL, label, text);
}

static void add_uuid(struct figures *figures, const char *name,
		     const char *label, const uint8_t uuid[16])
{
	char text[37];

	format_uuid(uuid, text);
	add_text(figures, name, label, text);
}

static void add_database(struct figures *figures, const struct store *store,
			 const struct banyan_stat *stat)
{
	add_text(figures, NULL, "file", quote(store->name));
	if (store->target.mount)
		add_text(figures, NULL, "mounted on",
			 quote(store->target.mount));
	if (figures->json)
		add(figures, "mounted", json_boolean(store->target.mount));
	add_uuid(figures, "uuid", "database", stat->uuid);
	add_uuid(figures, "file_uuid", "this file", stat->file_uuid);
	add_number(figures, "generation", "generation", stat->generation);
	add_number(figures, "format", "format", stat->format);
	add_bytes(figures, "file_bytes", "size", stat->file_bytes);
	add_bytes(figures, "live_bytes", "live", stat->live_bytes);
	add_bytes(figures, "reclaimable_bytes", "reclaimable",
		  stat->reclaimable_bytes);
	add_number(figures, "keys", "keys", stat->keys);
	add_number(figures, "next_id", "next id", stat->next_id);
	add_number(figures, "tree_height", "tree height", stat->tree_height);
	add_number(figures, "freezes", "freezes", stat->freezes);
	add_number(figures, "redo_rows", "rows since", stat->redo_rows);
	add_bytes(figures, "redo_bytes", "redo since", stat->redo_bytes);
	add_bytes(figures, "durable_to", "durable to", stat->durable_to);
}

/* A name or the number, with the number behind it */
static void add_owner(struct figures *figures, const char *name,
		      const char *label, const char *text, uint32_t id)
{
	char both[100];

	snprintf(both, sizeof(both), "%s (%" PRIu32 ")", quote(text), id);
	add_number(figures, name, NULL, id);
	add_text(figures, NULL, label, both);
}

static void add_mode(struct figures *figures, uint32_t mode)
{
	char letters[11], both[40];

	format_mode(mode, letters);
	snprintf(both, sizeof(both), "%s (%04o)", letters,
		 (unsigned)(mode & 07777));
	add_text(figures, "type", NULL, format_type(mode));
	add_number(figures, "mode", NULL, mode & 07777);
	add_text(figures, NULL, "mode", both);
}

static void add_data(struct figures *figures, const struct banyan_attr *attr)
{
	bool device = S_ISCHR(attr->mode) || S_ISBLK(attr->mode);

	add_number(figures, "id", "id", attr->id);
	add_mode(figures, attr->mode);
	add_owner(figures, "uid", "owner", format_user(attr->uid), attr->uid);
	add_owner(figures, "gid", "group", format_group(attr->gid), attr->gid);
	add_bytes(figures, "size", "size", attr->size);
	add_bytes(figures, "stored", "stored", attr->stored);
	if (device) {
		add_number(figures, "major", "major", major(attr->rdev));
		add_number(figures, "minor", "minor", minor(attr->rdev));
	}
	add_number(figures, "nlink", S_ISDIR(attr->mode) ? "links" : "keys",
		   attr->nlink);
	add_time(figures, "mtime_sec", "mtime_nsec", "modified", attr->mtime);
	add_time(figures, "ctime_sec", "ctime_nsec", "changed", attr->ctime);
	add_time(figures, "atime_sec", "atime_nsec", "read", attr->atime);
	add_time(figures, "birth_sec", "birth_nsec", "born", attr->birth);
}

/* Of a symlink; a target that is not UTF-8 cannot be in JSON */
static int show_target(const struct figures *figures, const struct store *store,
		       const char *key)
{
	void *target;
	size_t size;
	int error;

	if (figures->json)
		return 0;
	error = banyan_get(store->db, key, &target, &size);
	if (error)
		return error;
	show("target", quote(target));
	free(target);
	return 0;
}

static int stat_key(struct figures *figures, const struct store *store,
		    const char *key)
{
	struct banyan_attr attr;
	banyan_data *data;
	int error;

	error = banyan_find(store->db, key, &data);
	if (error)
		return fail_key(store->name, key, error);
	error = banyan_get_attr(data, &attr);
	banyan_release(data, 1);
	if (!error) {
		add_text(figures, NULL, "key", quote(key));
		add_data(figures, &attr);
		if (S_ISLNK(attr.mode))
			error = show_target(figures, store, key);
	}
	return error ? fail_key(store->name, key, error) : EXIT_SUCCESS;
}

static int stat_database(struct figures *figures, const struct store *store)
{
	struct banyan_stat stat = { 0 };
	int error = banyan_get_stat(store->db, &stat);

	if (error)
		return fail_file(store->name, error);
	add_database(figures, store, &stat);
	return EXIT_SUCCESS;
}

static int show_json(const struct figures *figures, const char *file)
{
	if (figures->failed)
		return fail_file(file, -ENOMEM);
	json_dumpf(figures->json, stdout, JSON_INDENT(2));
	putchar('\n');
	return EXIT_SUCCESS;
}

static int show_figures(const struct store *store, const char *key, bool json)
{
	struct figures figures = { .json = json ? json_object() : NULL };
	int status;

	if (json && !figures.json)
		return fail_file(store->name, -ENOMEM);
	status = key ? stat_key(&figures, store, key) :
		       stat_database(&figures, store);
	if (!status && json)
		status = show_json(&figures, store->name);
	json_decref(figures.json);
	return status;
}

struct choices {
	bool json;
	struct when when;
};

static int take_option(void *arg, int key, const char *argument)
{
	struct choices *choices = arg;

	switch (key) {
	case 'j':
		choices->json = true;
		return 0;
	case OPTION_AT:
		return when_take("stat", argument, &choices->when);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct store store;
	struct choices choices = { 0 };
	const char *key;
	char **operands;
	int count, status;

	count = parse_arguments(&command_stat, argc, argv, &choices, &operands);
	if (count < 0)
		return EXIT_MISUSE;
	key = count == 2 ? operands[1] : NULL;
	if (key && check_key(operands[0], key, *key == '/'))
		return EXIT_FAILURE;

	status = store_open_reading(&store, operands[0], &choices.when);
	if (status)
		return status;
	return store_close(&store, show_figures(&store, key, choices.json));
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "As a JSON object, for programs", 0 },
	AT_OPTION,
	{ 0 },
};

const struct command command_stat = {
	.name = "stat",
	.operands = "FILE [KEY]",
	.summary = "show figures of the database, or of a key",
	.help = "Show the figures of the database, or the attributes of the "
		"Data that KEY points to; of '/', those of the root key space. "
		"Works beside a mount.",
	.more = "In JSON, names stay as they are from version to version, "
		"sizes are bytes, times are seconds since 1970 UTC (..._sec) "
		"and nanoseconds (..._nsec), and mode is the number of the "
		"permission bits.\n\n"
		"\"live\" is what the bytes of the values need: the "
		"rest of the file is its index and what has been deleted or "
		"replaced. \"reclaimable\" is what 'banyan vacuum' would give "
		"back, about. A change of \"generation\" means that the file "
		"was "
		"rewritten by a vacuum.",
	.least = 1,
	.most = 2,
	.options = options,
	.option = take_option,
	.run = run,
};
