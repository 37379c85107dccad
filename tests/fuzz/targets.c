/* SPDX-License-Identifier: MIT */
#include "targets.h"

const struct fuzz_entry fuzz_targets[] = {
	{ "file", fuzz_file }, { "rows", fuzz_rows }, { "data", fuzz_data },
	{ "node", fuzz_node }, { "redo", fuzz_redo }, { "record", fuzz_record },
	{ NULL, NULL },
};
