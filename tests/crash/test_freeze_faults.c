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

#include "api/handle.h"
#include "tests/support/fault_calls.h"
#include "tests/support/fault_file.h"

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
	assert_int_equal(handle_open_file(f, &o, true, &db), 0);
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
	assert_int_equal(handle_open_file(f, &o, true, &r.db), 0);
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
	assert_int_equal(handle_open_file(after, &o, false, &db), 0);
	assert_int_equal(banyan_freezes(db, last_number, &then), 1);
	print_message("freeze %zu, after the power cut %zu (hooks %u)\n",
		      (size_t)before, (size_t)then, r.calls);
	assert_int_equal(then, before);
	(void)banyan_close(db);
	(void)banyan_close(r.db);
	fault_file_free(after);
	fault_file_free(f);
}

/* ---- a sector that cannot be read ------------------------------------- */

struct bad_sector {
	struct file file; /* first */
	struct file *below;
	uint64_t at;
};

static int bad_read(struct file *f, void *buffer, size_t size, uint64_t offset)
{
	struct bad_sector *b = (struct bad_sector *)f;
	if (b->at && offset <= b->at && b->at - offset < size)
		return -EIO;
	return file_read(b->below, buffer, size, offset);
}

static int bad_append(struct file *f, struct iovec *iov, int count,
		      uint64_t offset, size_t *written)
{
	return file_append(((struct bad_sector *)f)->below, iov, count, offset,
			   written);
}

static int bad_sync(struct file *f)
{
	return file_sync(((struct bad_sector *)f)->below);
}

static int bad_size(struct file *f, uint64_t *size)
{
	return file_size(((struct bad_sector *)f)->below, size);
}

static int bad_reserve(struct file *f, uint64_t to)
{
	return file_reserve(((struct bad_sector *)f)->below, to);
}

static int bad_drop_cache(struct file *f, uint64_t offset)
{
	return file_drop_cache(((struct bad_sector *)f)->below, offset);
}

static void bad_close(struct file *f)
{
	file_close(((struct bad_sector *)f)->below);
}

static const struct file_ops bad_ops = {
	.read = bad_read,
	.append = bad_append,
	.sync = bad_sync,
	.size = bad_size,
	.reserve = bad_reserve,
	.drop_cache = bad_drop_cache,
	.close = bad_close,
};

static int put_row(banyan *db, unsigned i)
{
	static const char value[200];
	char path[32];
	sprintf(path, "key%06u", i);
	return banyan_put(db, path, value, sizeof(value), 0);
}

#define OLD_ROWS 9000u

/* Rows in a tree, and one more for its last leaf, which is in the log only */
static void make_tree(struct file **f)
{
	struct banyan_options o = { 0 };
	struct file *after = NULL;
	banyan *db = NULL;
	assert_int_equal(fault_file_new(NULL, 0, f), 0);
	assert_int_equal(handle_open_file(*f, &o, true, &db), 0);
	for (unsigned i = 0; i < OLD_ROWS; i++)
		assert_int_equal(put_row(db, i), 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(put_row(db, OLD_ROWS - 1), 0);
	assert_int_equal(
		fault_file_after_kill(*f, fault_file_events(*f), &after), 0);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(*f);
	*f = after;
}

/* Where the leaf with this row lies: it is not to be had from the cache */
static uint64_t leaf_of(banyan *db, const char *name)
{
	struct node_ref ref = db->store->view->tree.root;
	struct row_key key;
	row_key_name(&key, BANYAN_ROOT_ID, name, strlen(name));
	for (unsigned level = db->store->view->tree.height - 1; level;
	     level--) {
		const struct node *node = NULL;
		unsigned i = 1;
		assert_int_equal(cache_get(db->store->cache,
					   db->store->volume->file, &ref, level,
					   &node),
				 0);
		while (i < node->count &&
		       node_compare(node, i, key.bytes, key.len) <= 0)
			i++;
		node_child(node, i - 1, &ref);
		cache_put(db->store->cache, node);
	}
	return ref.offset;
}

/* It is not better than damage: what goes before it is not written for ever */
static void freezes_do_not_pile_up_before_a_bad_sector(void **state)
{
	struct bad_sector bad = { .file.ops = &bad_ops };
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	banyan *db = NULL;
	char name[32];
	uint64_t first = 0, then = 0;
	int rc = 0;
	(void)state;
	make_tree(&bad.below);
	assert_int_equal(handle_open_file(&bad.file, &o, false, &db), 0);
	sprintf(name, "key%06u", OLD_ROWS - 1);
	bad.at = leaf_of(db, name) + 20;
	for (unsigned i = 0; !rc && i < OLD_ROWS - 100; i++)
		rc = put_row(db, i);
	assert_int_equal(rc, -EIO);
	assert_int_equal(file_size(bad.below, &first), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(put_row(db, i), -EIO);
	assert_int_equal(file_size(bad.below, &then), 0);
	print_message("%zu bytes, then %zu\n", (size_t)first, (size_t)then);
	assert_true(then - first < 4u << 20);
	/* Nothing is lost by it, and it may pass */
	assert_int_equal(log_poisoned(db->store->volume->log), 0);
	bad.at = 0;
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(put_row(db, 0), 0);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(bad.below);
}

static int remove_row(banyan *db, unsigned i)
{
	char path[32];
	sprintf(path, "key%06u", i);
	return banyan_remove(db, path);
}

/* A tree and a small table, before a file whose calls can fail; in *below what
 * is there of it */
static struct file *open_before_faults(struct file **below, banyan **db)
{
	struct banyan_options o = { 0 };
	make_tree(below);
	struct file *f = calls_new(*below);
	assert_non_null(f);
	assert_int_equal(handle_open_file(f, &o, false, db), 0);
	(*db)->store->table_limit = 20000;
	return f;
}

/* A failed freeze that has written nothing is no reason to wait with the next.
 * (Who removes needs no reserve: so the table gets full.) */
static void a_moment_without_reserves_keeps_nobody_out(void **state)
{
	struct calls_plan fail = {
		.call = FAULT_RESERVE, .nth = 1, .error = -EIO, .lasting = true
	};
	struct calls_plan none = { .call = FAULT_CALLS };
	struct file *below = NULL;
	banyan *db = NULL;
	unsigned i = 0;
	int rc = 0;
	(void)state;
	struct file *f = open_before_faults(&below, &db);
	calls_fail(f, &fail);
	while (!rc && i < OLD_ROWS)
		rc = remove_row(db, i++);
	assert_int_equal(rc, -EIO);
	for (unsigned n = 0; n < 20; n++)
		assert_int_equal(remove_row(db, i), -EIO);
	assert_true(db->store->freezer.failures > 3);
	calls_fail(f, &none);
	assert_int_equal(remove_row(db, i), 0);
	assert_int_equal(banyan_close(db), 0);
	calls_free(f);
	fault_file_free(below);
}

/* A close sweeps, for which there may be no room before the next freeze */
static void a_close_waits_for_room_to_sweep(void **state)
{
	struct calls_plan fail = { .call = FAULT_RESERVE,
				   .nth = 1,
				   .error = -ENOMEM,
				   .lasting = true };
	struct calls_plan none = { .call = FAULT_CALLS };
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	struct banyan_stat st = { 0 };
	struct file *below = NULL, *after = NULL;
	banyan_data *held = NULL;
	banyan *db = NULL;
	int rc = 0;
	(void)state;
	struct file *f = open_before_faults(&below, &db);
	assert_int_equal(banyan_find(db, "key000000", &held), 0);
	calls_fail(f, &fail);
	for (unsigned i = 0; !rc && i < OLD_ROWS; i++)
		rc = remove_row(db, i);
	assert_int_equal(rc, -ENOMEM);
	banyan_release(held, 1);
	calls_fail(f, &none);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(fault_file_after_kill(below, fault_file_events(below),
					       &after),
			 0);
	assert_int_equal(handle_open_file(after, &o, false, &db), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.redo_rows, 0);
	assert_int_equal(banyan_close(db), 0);
	fault_file_free(after);
	calls_free(f);
	fault_file_free(below);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_full_disk_can_be_emptied_after_a_failed_freeze),
		cmocka_unit_test(
			a_freeze_is_found_where_a_segment_ends_before_its_sync),
		cmocka_unit_test(freezes_do_not_pile_up_before_a_bad_sector),
		cmocka_unit_test(a_moment_without_reserves_keeps_nobody_out),
		cmocka_unit_test(a_close_waits_for_room_to_sweep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
