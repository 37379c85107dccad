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

static int fail(const struct store *store, const char *out, int error)
{
	if (error == -EEXIST)
		complain("%s exists already; give the name of a new file",
			 quote(out));
	else if (error == -ECANCELED && interrupted())
		complain("%s: interrupted; nothing is left of it", quote(out));
	else if (error == -EBADMSG || error == -EUCLEAN)
		return fail_file(store->name, error);
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
		return fail(store, out, rc);
	format_bytes(result.bytes_before, before, sizeof(before));
	format_bytes(result.bytes_after, after, sizeof(after));
	printf("%s: %s, of a file of %s\n", quote(out), after, before);
	return EXIT_SUCCESS;
}
