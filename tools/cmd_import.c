/* SPDX-License-Identifier: MIT */
/*
 * banyan import. The input is read twice: the first time only to find whatever
 * is wrong with it, the second time to insert. What fits in a batch is one
 * operation, but through a mount, where each row is one. More goes to several;
 * a key space that is made for it is filled under a temporary name, so that it
 * too appears at once and whole. If the second reading fails, or is interrupted,
 * what it has inserted is deleted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "input.h"
#include "interrupt.h"
#include "keys.h"
#include "name_set.h"
#include "progress.h"
#include "quote.h"
#include "rows.h"

struct choices {
	const char *format;
	const char *key;
	const char *into;
};

struct import {
	const struct row_format *format;
	const char *key; /* the field */
	const char *into; /* the key space */
	struct store store;
	struct input input;
	struct progress progress;
	struct name_set names; /* of all rows, from the first reading */
	bool is_new; /* the key space has to be made */
	char *temporary; /* path of the one that is filled instead, or NULL */
	bool in_root;
	struct batch batch;
	bool has_batch;
	size_t done; /* rows inserted, or then deleted, and committed */
	size_t in_batch; /* rows behind these */
};

static int fail_row(struct import *import, const struct row *row,
		    const char *what)
{
	progress_clear(&import->progress);
	return fail_line(&import->input, row->line, "key '%s' %s",
			 quote(row->name), what);
}

static int fail_insert(struct import *import, int error)
{
	progress_clear(&import->progress);
	return fail_key(import->store.name, import->into, error);
}

/* ---- the first reading ------------------------------------------------ */

static int check_new(struct import *import, const struct row *row)
{
	struct key_info info;
	char *key;
	int error;

	if (import->in_root && strcmp(row->name, ".banyan") == 0)
		return fail_row(import, row, "is a reserved name");
	if (import->is_new)
		return 0;
	key = join_key(import->into, row->name, row->len);
	error = key ? import->store.ops->find(&import->store, key, &info) :
		      -ENOMEM;
	free(key);
	if (error == -ENOENT)
		return 0;
	return error ? fail_insert(import, error) :
		       fail_row(import, row, "exists already");
}

static int check_row(void *arg, const struct row *row)
{
	struct import *import = arg;
	uint64_t line = row->line;
	char what[60];
	int error;

	if (interrupted())
		return EXIT_FAILURE;
	/* Of CSV it may be several times as long as its line */
	if (row->size > ROW_MAX)
		return fail_line(&import->input, line,
				 "the row is longer than %u MiB as JSON",
				 ROW_MAX >> 20);
	error = name_set_add(&import->names, row->name, row->len, &line);
	if (error == -EEXIST) {
		snprintf(what, sizeof(what), "is in line %llu already",
			 (unsigned long long)line);
		return fail_row(import, row, what);
	}
	if (error)
		return fail_row(import, row, strerror(-error));
	progress_show(&import->progress, import->input.done,
		      import->names.count);
	return check_new(import, row);
}

/* ---- the second ------------------------------------------------------- */

static int begin(struct import *import)
{
	const char *key = import->temporary ? import->temporary : import->into;
	int error = import->store.ops->batch_begin(&import->store, key,
						   &import->batch);

	import->has_batch = !error;
	return error;
}

static int commit(struct import *import)
{
	int error = import->store.ops->batch_commit(&import->batch);

	import->has_batch = false;
	if (!error)
		import->done += import->in_batch;
	import->in_batch = 0;
	return error;
}

/* Through a mount rows are there as soon as they are inserted */
static void abort_batch(struct import *import)
{
	if (import->has_batch && import->store.ops->batch_abort(&import->batch))
		import->done += import->in_batch;
	import->has_batch = false;
	import->in_batch = 0;
}

/* Is the batch full, but not with a single row? Then begin another. */
static bool is_full(struct import *import, int *error)
{
	if (*error != -E2BIG || import->in_batch == 0)
		return false;
	*error = commit(import);
	if (!*error)
		*error = begin(import);
	return !*error;
}

/* Is this the row that was read at this place the first time? */
static bool is_same(const struct import *import, const struct row *row)
{
	size_t index = import->done + import->in_batch, len;
	const char *name;

	if (index >= import->names.count)
		return false;
	name = name_set_get(&import->names, index, &len);
	return len == row->len && memcmp(name, row->name, len) == 0;
}

static int insert_row(void *arg, const struct row *row)
{
	struct import *import = arg;
	int error;

	if (interrupted())
		return EXIT_FAILURE;
	if (!is_same(import, row))
		return fail_row(import, row,
				"was another when it was read before");
	do
		error = import->store.ops->batch_insert(&import->batch,
							row->name, row->len,
							row->value, row->size);
	while (is_full(import, &error));
	if (error)
		return fail_insert(import, error);
	import->in_batch++;
	progress_show(&import->progress, import->input.done,
		      import->done + import->in_batch);
	return 0;
}

/* ---- taking it back --------------------------------------------------- */

/* A key that is not there is no matter: it may not have been committed */
static int delete_row(struct import *import, size_t index)
{
	size_t len;
	const char *name = name_set_get(&import->names, index, &len);
	int error;

	do
		error = import->store.ops->batch_delete(&import->batch, name,
							len);
	while (is_full(import, &error));
	import->in_batch++;
	return error == -ENOENT ? 0 : error;
}

/* The first rows: import->done counts those that are deleted now */
static int delete_rows(struct import *import, size_t rows)
{
	int error;

	import->done = 0;
	error = begin(import);
	for (size_t i = 0; i < rows && !error; i++)
		error = delete_row(import, i);
	if (!error)
		return commit(import);
	abort_batch(import);
	return error;
}

static void take_back(struct import *import)
{
	const char *name = quote(import->store.name);
	const char *signal = interrupted() ? "interrupted; " : "";
	size_t rows = import->done;
	int error = 0;

	if (rows)
		error = delete_rows(import, rows);
	if (import->temporary && !error)
		error = import->store.ops->remove(&import->store,
						  import->temporary);
	if (!error)
		complain("%s: %snothing was imported", name, signal);
	else
		complain("%s: %s%zu of %zu rows are in key space '%s' and "
			 "could not be deleted again: %s",
			 name, signal, rows - import->done, import->names.count,
			 quote(import->temporary ? import->temporary :
						   import->into),
			 file_text(error));
}

/* ---- all of it -------------------------------------------------------- */

/* The key space that a path lies in, of malloc */
static char *parent_of(const char *key)
{
	const char *name;
	size_t len;

	last_name(key, &name, &len);
	return strndup(key, (size_t)(name - key));
}

static int find_space(struct import *import)
{
	const struct store *store = &import->store;
	struct key_info info;
	char *parent;
	int error, status = 0;

	error = store->ops->find(store, import->into, &info);
	if (!error && !S_ISDIR(info.mode))
		error = -ENOTDIR;
	if (!error)
		import->in_root = info.id == BANYAN_ROOT_ID;
	if (error != -ENOENT)
		return error ? fail_key(store->name, import->into, error) : 0;
	import->is_new = true;
	parent = parent_of(import->into);
	if (!parent)
		status = fail_insert(import, -ENOMEM);
	else if (!is_space(store, parent))
		status = fail_new_key(store, import->into, -ENOENT,
				      " ('banyan mkdir -p' makes it)");
	free(parent);
	return status;
}

/* A new key space beside the place where it is to be in the end */
static int make_temporary(struct import *import)
{
	const struct store *store = &import->store;
	char *parent = parent_of(import->into);
	char name[40];
	int error;

	snprintf(name, sizeof(name), ".import-%ld", (long)getpid());
	if (parent)
		import->temporary = join_key(parent, name, strlen(name));
	free(parent);
	if (!import->temporary)
		return -ENOMEM;
	error = store->ops->make_space(store, import->temporary, 0);
	if (error) {
		free(import->temporary);
		import->temporary = NULL;
	}
	return error;
}

static int insert_all(struct import *import)
{
	int status, error = 0;

	if (import->is_new)
		error = make_temporary(import);
	if (!error)
		error = begin(import);
	if (error)
		return fail_insert(import, error);
	status = import->format->read(&import->input, import->key, insert_row,
				      import);
	if (!status && import->done + import->in_batch != import->names.count) {
		progress_clear(&import->progress);
		complain("%s: was longer when it was read before",
			 quote(import->input.name));
		status = EXIT_FAILURE;
	}
	if (status)
		return status;
	error = commit(import);
	if (!error && import->temporary)
		error = import->store.ops->rename(&import->store,
						  import->temporary,
						  import->into,
						  BANYAN_NO_REPLACE);
	return error ? fail_insert(import, error) : 0;
}

static int check_rows(struct import *import)
{
	int status = find_space(import);

	if (status)
		return status;
	progress_begin(&import->progress, "checking ", import->input.size);
	status = import->format->read(&import->input, import->key, check_row,
				      import);
	progress_clear(&import->progress);
	if (status && interrupted())
		complain("%s: interrupted; nothing was imported",
			 quote(import->store.name));
	return status ? status : input_rewind(&import->input);
}

static int insert_rows(struct import *import)
{
	int status;

	progress_begin(&import->progress, "importing", import->input.size);
	status = insert_all(import);
	progress_clear(&import->progress);
	if (status) {
		abort_batch(import);
		take_back(import);
	}
	return status;
}

static int import_into(struct import *import, const char *file)
{
	int status = store_open_writing(&import->store, file, 0);

	if (status)
		return status;
	status = check_rows(import);
	if (!status)
		status = insert_rows(import);
	name_set_free(&import->names);
	free(import->temporary);
	return store_close(&import->store, status);
}

static int take_option(void *choices, int key, const char *argument)
{
	struct choices *chosen = choices;

	switch (key) {
	case 'f':
		chosen->format = argument;
		return 0;
	case 'k':
		chosen->key = argument;
		return 0;
	case 'i':
		chosen->into = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run(int argc, char **argv)
{
	struct choices choices = { .into = "" };
	struct import import = { 0 };
	char **operands;
	int status, count;

	count = parse_arguments(&command_import, argc, argv, &choices,
				&operands);
	if (count < 0)
		return EXIT_MISUSE;
	import.format = find_row_format("import", choices.format);
	if (!import.format)
		return EXIT_MISUSE;
	if (!choices.key) {
		complain("import needs --key, the field that names a row");
		return EXIT_MISUSE;
	}
	import.key = choices.key;
	import.into = choices.into;
	if (check_key(operands[0], import.into, true))
		return EXIT_FAILURE;

	catch_interrupts();
	/* Before the database is opened: nobody has to wait for slow input */
	status = input_open(&import.input, count > 1 ? operands[1] : NULL);
	if (!status)
		status = import_into(&import, operands[0]);
	input_close(&import.input);
	if (status)
		end_if_interrupted();
	return status;
}

static const struct argp_option options[] = {
	{ "format", 'f', "FORMAT", 0,
	  "How rows look: csv, with a line of field names at the head, or "
	  "ndjson, a JSON object a line",
	  0 },
	{ "key", 'k', "FIELD", 0, "The field that names a row", 0 },
	{ "into", 'i', "SPACE", 0,
	  "The key space for the rows, which is made if there is none; else "
	  "the root",
	  0 },
	{ 0 },
};

const struct command command_import = {
	.name = "import",
	.operands = "FILE [INPUT]",
	.summary = "make keys of the rows of CSV or JSON",
	.help = "Let each row of INPUT, or of standard input, be a new key: "
		"named by one of its fields, with the row as a JSON object and "
		"a newline for its value. All rows are imported or none. INPUT "
		"is read twice, the first time only to check it; standard "
		"input is kept in a temporary file for that.",
	.more = "Rows must have as many fields as the header, text must be "
		"UTF-8, and the key field must be there, not empty, different "
		"in each row, and fit for a name; no key may exist already. Of "
		"CSV all fields become strings, and empty lines are passed "
		"over. Of ndjson a row is kept as it is written; fields that "
		"are there twice are refused. A row has 64 MiB at most.\n\n"
		"If import fails or is interrupted it deletes what it has "
		"inserted. If it is killed or the power fails, a new key space "
		"is there as a whole or not at all (then '.import-' and a "
		"number beside it can be removed), and so are a few thousand "
		"rows in one that was there before; of more, a part may be. If "
		"the database is mounted each row appears by itself, but in a "
		"new key space.\n\n"
		"  banyan import -f csv -k name -i people notes.banyan p.csv",
	.least = 1,
	.most = 2,
	.writes = true,
	.options = options,
	.option = take_option,
	.run = run,
};
