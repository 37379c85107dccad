/* SPDX-License-Identifier: MIT */
/* Freezes that fail, and freezes that something comes in between of */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../store/db.h"
#include "fault_file.h"

/* A freeze that fails must leave the reserve for deletes */
static void a_full_disk_can_be_emptied_after_a_failed_freeze(void **state)
{
	struct file *f = NULL;
	banyan *db = NULL;
	struct banyan_options o = { .cache_bytes = 64u << 20 };
	char path[32];
	char value[250] = "";
	unsigned n = 0;
	uint64_t end = 0;
	int rc = 0;
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(db_open_file(f, &o, true, &db), 0);
	fault_file_limit(f, 36u << 20);
	for (n = 0; !rc; n++) {
		sprintf(path, "key%u", n * 2654435761u);
		memset(value, (int)n, sizeof(value));
		rc = banyan_put(db, path, value, sizeof(value), 0);
	}
	assert_int_equal(rc, -ENOSPC);
	file_size(f, &end);
	print_message("full after %u keys at %zu\n", n, (size_t)end);
	rc = banyan_freeze(db);
	file_size(f, &end);
	print_message("freeze: %d, now %zu\n", rc, (size_t)end);
	unsigned removed = 0;
	for (unsigned i = 0; i < 2000; i++) {
		sprintf(path, "key%u", i * 2654435761u);
		rc = banyan_remove(db, path);
		if (!rc)
			removed++;
		else if (rc != -ENOENT)
			break;
	}
	print_message("removed %u, then %d\n", removed, rc);
	assert_true(removed > 1000);
	(void)banyan_close(db);
	fault_file_free(f);
}

struct race {
	banyan *db;
	unsigned calls; /* of the hook, two a sync */
};

/* While the freeze record is being synced somebody fills the segment */
static void fill_segment(void *arg)
{
	static char bytes[3 << 20];
	struct race *r = arg;
	if (++r->calls != 3) /* the second sync begins */
		return;
	assert_int_equal(banyan_put(r->db, "b", bytes, sizeof(bytes), 0), 0);
	assert_int_equal(banyan_put(r->db, "c", bytes, sizeof(bytes), 0), 0);
}

static int last_number(void *arg, const struct banyan_freeze_info *info)
{
	uint64_t *number = arg;
	*number = info->number;
	return 1;
}

static void a_freeze_is_found_where_a_segment_ends_before_its_sync(void **state)
{
	struct file *f = NULL, *after = NULL;
	struct race r = { NULL, 0 };
	struct banyan_options o = { 0 };
	uint64_t before = 0, then = 0;
	(void)state;
	assert_int_equal(fault_file_new(NULL, 0, &f), 0);
	assert_int_equal(db_open_file(f, &o, true, &r.db), 0);
	assert_int_equal(banyan_put(r.db, "a", "x", 1, 0), 0);
	fault_file_at_sync(f, fill_segment, &r);
	assert_int_equal(banyan_freeze(r.db), 0);
	fault_file_at_sync(f, NULL, NULL);
	assert_int_equal(banyan_freezes(r.db, last_number, &before), 1);
	/* the power goes after banyan_freeze() has returned */
	assert_int_equal(fault_file_after_cut(f, fault_file_events(f),
					      FAULT_KEEP, 1, &after),
			 0);
	banyan *db = NULL;
	assert_int_equal(db_open_file(after, &o, false, &db), 0);
	assert_int_equal(banyan_freezes(db, last_number, &then), 1);
	print_message("freeze %zu, after the power cut %zu (hooks %u)\n",
		      (size_t)before, (size_t)then, r.calls);
	assert_int_equal(then, before);
	(void)banyan_close(db);
	(void)banyan_close(r.db);
	fault_file_free(after);
	fault_file_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_full_disk_can_be_emptied_after_a_failed_freeze),
		cmocka_unit_test(
			a_freeze_is_found_where_a_segment_ends_before_its_sync),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
