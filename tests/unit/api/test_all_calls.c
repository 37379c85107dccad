/* SPDX-License-Identifier: MIT */
/* Which functions of banyan.h a database, a view and a batch have: all_calls.h, which
 * has to name each function of the header */
#include "all_calls.h"
#include "api_fixture.h"

/* ---- kinds of handles ------------------------------------------------- */

static const struct kind {
	const char *name;
	int of_view; /* what it says of a view, if not that all is well */
	int of_batch;
} kinds[] = {
	{ "banyan_view", 0, -EINVAL },
	{ "banyan_diff", 0, -EINVAL },
	{ "banyan_view_at_freeze", -EINVAL, -EINVAL },
	{ "banyan_view_at_time", -EINVAL, -EINVAL },
	{ "banyan_insert", -EROFS, 0 },
	{ "banyan_insert_unnamed", -EROFS, 0 },
	{ "banyan_insert_data", -EROFS, 0 },
	{ "banyan_delete", -EROFS, 0 },
	{ "banyan_move", -EROFS, 0 },
	{ "banyan_set_attr", -EROFS, 0 },
	{ "banyan_write", -EROFS, 0 },
	{ "banyan_truncate", -EROFS, 0 },
	{ "banyan_punch", -EROFS, 0 },
	{ "banyan_clone", -EROFS, 0 },
	{ "banyan_set_xattr", -EROFS, 0 },
	{ "banyan_remove_xattr", -EROFS, 0 },
	{ "banyan_put", -EROFS, 0 },
	{ "banyan_put_data", -EROFS, 0 },
	{ "banyan_remove", -EROFS, 0 },
	{ "banyan_alias", -EROFS, 0 },
	{ "banyan_rename", -EROFS, 0 },
	{ "banyan_make_space", -EROFS, 0 },
	{ "banyan_begin", -EROFS, -EINVAL },
	{ "banyan_sync", 0, -EINVAL },
	{ "banyan_freeze", -EROFS, -EINVAL },
	{ "banyan_vacuum", -EROFS, -EINVAL },
	{ "banyan_vacuum_plan", 0, -EINVAL },
	{ "banyan_vacuum_losses", -EINVAL, -EINVAL },
	{ "banyan_restore_holds", -EINVAL, -EINVAL },
	{ "banyan_log", -EINVAL, -EINVAL },
	{ "banyan_deleted", -EINVAL, -EINVAL },
	{ "banyan_undelete", -EROFS, -EINVAL },
	{ "banyan_undelete_keys", -EROFS, -EINVAL },
	{ "banyan_view_snapshot", -EINVAL, -EINVAL },
	{ "banyan_snapshot", -EROFS, -EINVAL },
	{ "banyan_snapshot_drop", -EROFS, -EINVAL },
	{ "banyan_snapshot_rename", -EROFS, -EINVAL },
};

static const struct kind *kind_of(const char *name)
{
	static const struct kind reads;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return &reads;
}

/* Each call on a handle of its own kind, on new ones each time */
static void each_kind_has_its_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3 * ALL_CALLS; i++) {
		const struct call *call = &all_calls[i / 3];
		const struct kind *kind = kind_of(call->name);
		banyan *db = open_memory();
		banyan *handle = db;
		struct subject s;
		int wanted = 0;
		subject_make(db);
		if (i % 3 == 1) {
			OK(banyan_view(db, &handle));
			wanted = kind->of_view;
		} else if (i % 3 == 2) {
			OK(banyan_begin(db, &handle));
			wanted = kind->of_batch;
		}
		subject_take(&s, handle);
		int64_t rc = call->run(&s);
		if (wanted ? rc != wanted : rc < 0)
			fail_msg("%s of a %s says %lld", call->name,
				 i % 3 == 1 ? "view" :
				 i % 3 == 2 ? "batch" :
					      "database",
				 (long long)rc);
		subject_give_back(&s);
		if (handle != db)
			OK(banyan_close(handle));
		OK(banyan_close(db));
	}
}

/* ---- completeness ----------------------------------------------------- */

/* Functions that are not in all_calls[], nor have to be */
static const char *const others[] = {
	"banyan_open",	       "banyan_close",
	"banyan_strerror",     "banyan_last_error",
	"banyan_version",      "banyan_holder",
	"banyan_read_only",    "banyan_root",
	"banyan_hold",	       "banyan_release",
	"banyan_id",	       "banyan_db",
	"banyan_scan_end",     "banyan_free",
	"banyan_commit",       "banyan_abort",
	"banyan_check_schema", "banyan_record_key",
	"banyan_record_pack",  "banyan_record_unpack",
	"banyan_block_append", "banyan_block_next",
	"banyan_check",	       "banyan_salvage",
	"banyan_file",	       "banyan_vacuum_punch",
	"banyan_backup",       "banyan_vacuum_punch_plan",
	"banyan_hold_in",      "banyan_held",
	"banyan_set_note",     "banyan_set_tag",
	"banyan_tag",	       "banyan_home",
};

static bool is_known(const char *name, size_t len)
{
	for (size_t i = 0; i < ALL_CALLS; i++)
		if (strlen(all_calls[i].name) == len &&
		    memcmp(all_calls[i].name, name, len) == 0)
			return true;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (strlen(others[i]) == len &&
		    memcmp(others[i], name, len) == 0)
			return true;
	return false;
}

/* A function that is new has to be added here, too */
static void all_of_the_header_is_tried(void **state)
{
	char line[256];
	unsigned count = 0;
	(void)state;
	FILE *f = fopen("store/banyan.h", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *name = strstr(line, "banyan_");
		const char *open = name ? strchr(name, '(') : NULL;
		/* A declaration: a type, then the name of a function */
		if (!open || !strchr("biscpduv", line[0]) ||
		    strncmp(line, "typedef", 7) == 0)
			continue;
		size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
		while (name && name + len != open) {
			name = strstr(name + len, "banyan_");
			len = name ? strspn(name,
					    "abcdefghijklmnopqrstuvwxyz_") :
				     0;
		}
		if (!name)
			continue;
		count++;
		if (!is_known(name, len))
			fail_msg("%.*s is not tried", (int)len, name);
	}
	fclose(f);
	assert_int_equal(count, ALL_CALLS + sizeof(others) / sizeof(*others));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_calls),
		cmocka_unit_test(all_of_the_header_is_tried),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
