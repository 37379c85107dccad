/* SPDX-License-Identifier: MIT */
#include "backup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "format.h"
#include "interrupt.h"
#include "progress.h"
#include "quote.h"

int fail_room(const char *name, uint64_t needed, uint64_t room,
	      const char *advice)
{
	char need[64], have[64];

	format_bytes(needed, need, sizeof(need));
	format_bytes(room, have, sizeof(have));
	complain("%s: no room for the new file: it needs about %s, and %s are "
		 "free; %s",
		 quote(name), need, have, advice);
	return EXIT_FAILURE;
}

int fail_backup(const struct store *store, const char *out,
		const struct banyan_vacuum_options *options, int error)
{
	struct banyan_vacuum_plan plan = { 0 };

	if (error == -ENOSPC &&
	    banyan_vacuum_plan(store->db, out, options, &plan) == 0)
		return fail_room(out, plan.bytes_needed, plan.bytes_free,
				 "nothing is left of it");
	if (error == -EEXIST)
		complain("%s exists already; give the name of a new file",
			 quote(out));
	else if (error == -ECANCELED && interrupted())
		complain("%s: interrupted; nothing is left of it", quote(out));
	else if (error == -EBADMSG || error == -EUCLEAN)
		return fail_file(store->name, error);
	else if (error == -ENOENT)
		complain("%s: the directory to write it to does not exist",
			 quote(out));
	else
		complain("%s: %s; nothing is left of it", quote(out),
			 strerror(-error));
	return EXIT_FAILURE;
}

int backup(const struct store *store, const struct backup *how, const char *out)
{
	struct progress progress;
	const struct banyan_vacuum_options options = {
		.rate = how->rate,
		.keep = how->keep,
		.progress = progress_told,
		.arg = &progress,
	};
	struct banyan_vacuum_result result = { 0 };
	char before[64], after[64];
	int rc;

	progress_begin(&progress, "copying", 0);
	progress.bytes = true;
	rc = banyan_backup(store->db, out, &options, &result);
	progress_clear(&progress);
	if (rc)
		return fail_backup(store, out, &options, rc);
	format_bytes(result.bytes_before, before, sizeof(before));
	format_bytes(result.bytes_after, after, sizeof(after));
	printf("%s: %s, of a file of %s\n", quote(out), after, before);
	return EXIT_SUCCESS;
}
