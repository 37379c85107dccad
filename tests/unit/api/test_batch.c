/* SPDX-License-Identifier: MIT */
/* Batches: what random operations (test_model.c) do not come across, and who may
 * use and end one. What others see of it is in test_batch_readers.c, what it deletes
 * that is held in test_batch_held.c. */
#include "batch_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/clock.h"
#include "tests/support/fault_file.h"
#include "tests/support/random.h"

/* ---- what it is ------------------------------------------------------- */

/* A Data that was made in a batch never was if the batch is aborted; the next one
 * must not be taken for it */
static void what_an_aborted_batch_made_is_gone(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	banyan_data *ghost = NULL;
	banyan_data *data = NULL;
	struct banyan_attr attr;
	struct banyan_attr after;
	struct banyan_new make = { .mode = 0600, .value = "x", .size = 1 };
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	assert_int_equal(banyan_insert(banyan_root(batch), "a", 1, &make,
				       &ghost, NULL),
			 0);
	assert_int_equal(banyan_get_attr(ghost, &attr), 0);
	banyan_release(ghost, 1);
	banyan_abort(batch);
	assert_int_equal(banyan_search(banyan_root(db), "a", 1, &data, NULL),
			 -ENOENT);
	assert_int_equal(banyan_insert(banyan_root(db), "b", 1, &make, &data,
				       &after),
			 0);
	assert_true(after.id > attr.id);
	assert_int_equal(banyan_get_attr(data, &attr), 0);
	assert_int_equal(attr.id, after.id);
	banyan_release(data, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* Puts until it is full; how many there were */
static unsigned fill_batch(banyan *batch, size_t size)
{
	static char bytes[256];
	unsigned n = 0;
	for (;; n++) {
		char path[32];
		sprintf(path, "key%u", n);
		memset(bytes, (int)(n * 37), sizeof(bytes));
		for (size_t i = 0; i < size; i += 4)
			memcpy(bytes + i, &n, sizeof(n));
		int rc = banyan_put(batch, path, bytes, size, 0);
		if (rc) {
			assert_int_equal(rc, -E2BIG);
			return n;
		}
		assert_true(n < 100000);
	}
}

static void a_batch_that_is_full_may_be_committed(void **state)
{
	banyan *db = NULL;
	banyan *batch = NULL;
	struct banyan_stat st = { 0 };
	void *value = NULL;
	size_t size = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_begin(db, &batch), 0);
	unsigned n = fill_batch(batch, 256);
	assert_true(n > 5000);
	assert_int_equal(banyan_get(batch, "key17", &value, &size), 0);
	assert_int_equal(size, 256);
	free(value);
	assert_int_equal(banyan_commit(batch), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.keys, n);
	assert_int_equal(banyan_close(db), 0);
}

/* ---- threads ---------------------------------------------------------- */

#define KEYS_EACH 300u

struct worker {
	banyan *batch;
	banyan *db;
	unsigned number;
	_Atomic bool done;
	int rc;
};

static int use_batch(struct worker *w, unsigned i, char *path)
{
	struct banyan_range range = { .prefix = "t", .prefix_len = 1 };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	banyan_data *d = NULL;
	char value[16];
	sprintf(path, "t%u/k%u", w->number, i);
	int rc = banyan_put(w->batch, path, path, strlen(path), BANYAN_PARENTS);
	if (!rc)
		rc = banyan_find(w->batch, path, &d);
	if (!rc &&
	    banyan_read(d, value, sizeof(value), 0) != (ssize_t)strlen(path))
		rc = -EIO;
	if (!rc)
		rc = banyan_set_xattr(d, "user.x", "x", 1, 0);
	banyan_release(d, 1);
	if (!rc)
		rc = banyan_scan(banyan_root(w->batch), &range, &c);
	while (!rc && (rc = banyan_next(c, &e)) == 0)
		if (!S_ISDIR(e.attr.mode))
			rc = -EIO;
	banyan_scan_end(c);
	rc = rc == 1 ? 0 : rc;
	if (!rc && i % 3 == 0)
		rc = banyan_remove(w->batch, path);
	return rc;
}

static void *work_in_batch(void *arg)
{
	struct worker *w = arg;
	char path[32];
	for (unsigned i = 0; !w->rc && i < KEYS_EACH; i++)
		w->rc = use_batch(w, i, path);
	return NULL;
}

static void several_threads_may_use_one(void **state)
{
	banyan *db = open_memory();
	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		struct worker w[4];
		pthread_t thread[4];
		banyan *batch = begin(db);
		for (unsigned i = 0; i < 4; i++) {
			w[i] = (struct worker){ .batch = batch,
						.number = round * 4 + i };
			OK(pthread_create(&thread[i], NULL, work_in_batch,
					  &w[i]));
		}
		for (unsigned i = 0; i < 4; i++) {
			OK(pthread_join(thread[i], NULL));
			OK(w[i].rc);
		}
		assert_int_equal(stat_of(batch).keys,
				 stat_of(db).keys +
					 4 * (1 + KEYS_EACH * 2 / 3));
		if (round % 2)
			OK(banyan_commit(batch));
		else
			banyan_abort(batch);
		assert_int_equal(stat_of(db).keys,
				 (round + 1) / 2 * 4 * (1 + KEYS_EACH * 2 / 3));
		assert_sound(db);
	}
	OK(banyan_close(db));
}

static void *begin_and_end(void *arg)
{
	struct worker *w = arg;
	w->rc = banyan_begin(w->db, &w->batch);
	if (!w->rc)
		w->rc = banyan_put(w->batch, "by the first", "1", 1, 0);
	return NULL;
}

static void *put_beside(void *arg)
{
	struct worker *w = arg;
	w->rc = banyan_put(w->db, "beside", "b", 1, 0);
	w->done = true;
	return NULL;
}

static void *abort_it(void *arg)
{
	struct worker *w = arg;
	banyan_abort(w->batch);
	return NULL;
}

static void *commit_it(void *arg)
{
	struct worker *w = arg;
	w->rc = banyan_commit(w->batch);
	return NULL;
}

static void in_thread(void *(*run)(void *), struct worker *w)
{
	pthread_t thread;
	OK(pthread_create(&thread, NULL, run, w));
	OK(test_join(thread, NULL, 10));
	OK(w->rc);
}

/* A later thread, which may well get its id, is not taken for it */
static void a_thread_that_ends_in_one_leaves_it_to_others(void **state)
{
	(void)state;
	for (unsigned commit = 0; commit < 2; commit++) {
		banyan *db = open_memory();
		struct worker first = { .db = db };
		struct worker beside = { .db = db };
		pthread_t thread;
		in_thread(begin_and_end, &first);
		OK(pthread_create(&thread, NULL, put_beside, &beside));
		usleep(50000);
		assert_false(beside.done); /* it waits for its turn */
		put(first.batch, "by another", "2");
		assert_key(first.batch, "by the first", "1");
		in_thread(commit ? commit_it : abort_it, &first);
		OK(test_join(thread, NULL, 10));
		OK(beside.rc);
		assert_key(db, "by the first", commit ? "1" : NULL);
		assert_key(db, "by another", commit ? "2" : NULL);
		assert_key(db, "beside", "b");
		OK(banyan_close(db));
	}
}

/* ---- cursors ---------------------------------------------------------- */

static void a_cursor_shows_what_the_batch_has_done(void **state)
{
	struct banyan_range range = { .values = true };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "old");
	put(db, "b", "old");
	put(db, "s/k", "old");
	banyan *batch = begin(db);
	put(batch, "a", "new");
	OK(banyan_remove(batch, "b"));
	put(batch, "c", "new");
	OK(banyan_rename(batch, "s", "t", 0));
	OK(banyan_scan(banyan_root(batch), &range, &c));
	OK(banyan_next(c, &e));
	assert_string_equal(e.name, "a");
	assert_memory_equal(e.value, "new", 3);
	OK(banyan_next(c, &e));
	assert_string_equal(e.name, "c");
	OK(banyan_next(c, &e));
	assert_string_equal(e.name, "t");
	assert_int_equal(e.attr.nlink, 2);
	assert_int_equal(banyan_next(c, &e), 1);
	banyan_scan_end(c);
	assert_names(banyan_root(db), "a b s ");
	banyan_abort(batch);
	OK(banyan_close(db));
}

/* The batch goes on under the cursor, as a loop that changes what it sees does */
static void what_it_hands_out_can_be_used_whatever_came_since(void **state)
{
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	banyan_data *d = NULL;
	banyan *db = open_memory();
	(void)state;
	for (char name[2] = "a"; name[0] <= 'h'; name[0]++)
		put(db, name, name);
	banyan *batch = begin(db);
	OK(banyan_scan(banyan_root(batch), NULL, &c));
	for (unsigned i = 0; i < 8; i++) {
		char other[3] = { 'Z', (char)('a' + i), 0 };
		OK(banyan_next(c, &e));
		assert_int_equal(e.name[0], 'a' + i);
		if (i % 4 == 0) { /* its row is another one now */
			OK(banyan_alias(batch, e.name, other));
		} else if (i % 4 == 1) {
			OK(banyan_alias(batch, e.name, other));
			OK(banyan_remove(batch, other));
		} else if (i % 4 == 2) {
			OK(banyan_rename(batch, e.name, other, 0));
			OK(banyan_rename(batch, other, e.name, 0));
		} else {
			OK(banyan_remove(batch, e.name));
			put(batch, e.name, "another");
		}
		int rc = banyan_entry_data(c, &d);
		assert_int_equal(rc, i % 4 == 3 ? -ESTALE : 0);
		if (rc)
			continue;
		assert_data(d, (char[]){ (char)('a' + i), 0 });
		OK(banyan_write(d, "!", 1, 0, 0, NULL));
		banyan_release(d, 1);
		assert_key(batch, (char[]){ (char)('a' + i), 0 }, "!");
	}
	banyan_scan_end(c);
	OK(banyan_commit(batch));
	assert_sound(db);
	OK(banyan_close(db));
}

/* An operation that failed in the middle has left half of what it does */
static void a_lost_batch_is_not_read(void **state)
{
	banyan *db = open_memory();
	char value[8];
	(void)state;
	put(db, "a", "value");
	banyan *batch = begin(db);
	put(batch, "a", "new");
	batch->txn->broken = -ENOMEM;
	assert_int_equal(banyan_fetch(banyan_root(batch), "a", 1, value,
				      sizeof(value)),
			 -ENOMEM);
	banyan_cursor *cursor = NULL;
	assert_int_equal(banyan_scan(banyan_root(batch), NULL, &cursor),
			 -ENOMEM);
	assert_int_equal(banyan_commit(batch), -ENOMEM);
	assert_key(db, "a", "value");
	OK(banyan_close(db));
}

/* ---- ends ------------------------------------------------------------- */

static void what_a_batch_does_not_have_is_refused(void **state)
{
	banyan *db = open_memory();
	banyan *none = NULL;
	(void)state;
	banyan *batch = begin(db);
	put(batch, "a", "value");
	assert_int_equal(banyan_begin(batch, &none), -EINVAL);
	assert_int_equal(banyan_view(batch, &none), -EINVAL);
	assert_int_equal(banyan_sync(batch), -EINVAL);
	assert_int_equal(banyan_freeze(batch), -EINVAL);
	assert_null(none);
	assert_false(banyan_read_only(batch));
	assert_int_equal(banyan_commit(db), -EINVAL);
	banyan_abort(db); /* is not a batch */
	OK(banyan_sync(db)); /* beside it, in one thread */
	OK(banyan_commit(batch));
	assert_key(db, "a", "value");
	OK(banyan_close(db));
}

static void what_is_of_one_handle_is_not_for_another(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "value");
	put(db, "s/k", "value");
	banyan *batch = begin(db);
	banyan_data *out = find(db, "a");
	banyan_data *in = find(batch, "a");
	banyan_data *space = find(batch, "s");
	assert_ptr_not_equal(out, in);
	assert_int_equal(banyan_id(out), banyan_id(in));
	assert_ptr_equal(banyan_db(in), batch);
	assert_int_equal(banyan_insert_data(space, "b", 1, out), -EXDEV);
	assert_int_equal(banyan_put_data(batch, "b", out, 0), -EXDEV);
	assert_int_equal(banyan_clone(out, 0, in, 0, 1), -EXDEV);
	assert_int_equal(banyan_clone(in, 0, out, 0, 1), -EXDEV);
	assert_int_equal(banyan_move(banyan_root(db), "a", 1, space, "a", 1, 0),
			 -EXDEV);
	assert_int_equal(banyan_move(space, "k", 1, banyan_root(db), "k", 1, 0),
			 -EXDEV);
	assert_int_equal(banyan_insert_data(banyan_root(db), "b", 1, in),
			 -EXDEV);
	assert_int_equal(banyan_put_data(db, "b", in, 0), -EXDEV);
	banyan_release(in, 1);
	banyan_release(space, 1);
	OK(banyan_commit(batch));
	banyan_release(out, 1);
	assert_names(banyan_root(db), "a s ");
	OK(banyan_close(db));
}

/* What is held through the database can be used in a batch, wherever it lives */
static void what_is_held_outside_can_be_held_in_it(void **state)
{
	banyan *db = open_memory();
	banyan *other = open_memory();
	banyan *view = NULL;
	banyan_data *in = NULL, *again = NULL, *space = NULL, *gone = NULL;
	(void)state;
	put(db, "s/embedded", "1");
	put(db, "s/other", "2");
	put(db, "s/drop", "3");
	put(other, "a", "");
	banyan_data *s = find(db, "s");
	banyan_data *out = find(db, "s/embedded");
	banyan_data *drop = find(db, "s/drop");
	banyan_data *strange = find(other, "a");
	OK(banyan_view(db, &view));
	banyan_data *seen = find(view, "s/embedded");
	banyan *batch = begin(db);
	assert_int_equal(banyan_hold_in(batch, strange, &in), -EXDEV);
	assert_int_equal(banyan_hold_in(batch, seen, &in), -EXDEV);
	assert_int_equal(banyan_hold_in(NULL, s, &in), -EINVAL);
	assert_int_equal(banyan_hold_in(batch, NULL, &in), -EINVAL);
	assert_int_equal(banyan_hold_in(batch, s, NULL), -EINVAL);
	assert_int_equal(banyan_hold_in(db, s, &in), -EINVAL);
	assert_int_equal(banyan_hold_in(view, s, &in), -EINVAL);
	OK(banyan_hold_in(batch, banyan_root(db), &in));
	assert_ptr_equal(in, banyan_root(batch));
	banyan_release(in, 1);
	OK(banyan_hold_in(batch, s, &space));
	OK(banyan_hold_in(batch, out, &in));
	assert_int_equal(banyan_hold_in(batch, in, &again), -EXDEV);
	OK(banyan_hold_in(batch, out, &again));
	assert_ptr_equal(in, again);
	assert_ptr_equal(banyan_db(in), batch);
	OK(banyan_write(in, "x", 1, 0, 0, NULL));
	OK(banyan_move(space, "embedded", 8, banyan_root(batch), "new", 3, 0));
	OK(banyan_write(in, "y", 1, 1, 0, NULL));
	assert_int_equal(banyan_hold_in(batch, out, &again), -ESTALE);
	OK(banyan_delete(space, "drop", 4, 0, NULL));
	assert_int_equal(banyan_hold_in(batch, drop, &gone), -ESTALE);
	banyan_release(in, 2);
	banyan_release(space, 1);
	assert_key(db, "s/embedded", "1");
	OK(banyan_commit(batch));
	assert_key(db, "new", "xy");
	OK(banyan_write(out, "z", 1, 0, 0, NULL));
	assert_key(db, "new", "zy");
	banyan_release(out, 1);
	banyan_release(drop, 1);
	banyan_release(s, 1);
	banyan_release(seen, 1);
	banyan_release(strange, 1);
	assert_live(db, 3);
	OK(banyan_close(view));
	OK(banyan_close(db));
	OK(banyan_close(other));
}

static void a_new_data_has_the_attributes_that_it_is_made_with(void **state)
{
	static const struct banyan_xattr xattrs[] = {
		{ "user.a", "1", 1 },
		{ "user.empty", NULL, 0 },
	};
	static const struct banyan_xattr bad[] = { { "user.a", "1", 1 },
						   { "", "1", 1 } };
	struct banyan_new make = { .mode = 0600,
				   .xattrs = xattrs,
				   .xattr_count = 2 };
	banyan *db = open_memory();
	banyan_data *data = NULL;
	char bytes[64];
	(void)state;
	OK(banyan_insert(banyan_root(db), "f", 1, &make, &data, NULL));
	assert_int_equal(banyan_get_xattr(data, "user.a", bytes, 1), 1);
	assert_int_equal(bytes[0], '1');
	assert_int_equal(banyan_get_xattr(data, "user.empty", bytes, 1), 0);
	assert_int_equal(banyan_list_xattr(data, bytes, 64), 18);
	banyan_release(data, 1);
	OK(banyan_insert_unnamed(db, &make, &data, NULL));
	assert_int_equal(banyan_get_xattr(data, "user.a", bytes, 1), 1);
	banyan_release(data, 1);
	make.xattrs = bad;
	assert_int_equal(banyan_insert(banyan_root(db), "g", 1, &make, &data,
				       NULL),
			 -EINVAL);
	make.xattrs = NULL;
	assert_int_equal(banyan_insert(banyan_root(db), "g", 1, &make, &data,
				       NULL),
			 -EINVAL);
	assert_names(banyan_root(db), "f ");
	assert_live(db, 0);
	OK(banyan_close(db));
}

static void to_close_a_batch_is_to_abort_it(void **state)
{
	banyan *db = open_memory();
	(void)state;
	banyan *batch = begin(db);
	put(batch, "a", "value");
	OK(banyan_close(batch));
	assert_key(db, "a", NULL);
	banyan_abort(NULL);
	OK(banyan_close(NULL));
	assert_int_equal(banyan_commit(NULL), -EINVAL);
	OK(banyan_close(db));
}

static void a_batch_whose_database_was_closed_is_cancelled(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 3; how++) {
		struct banyan_options o = { 0 };
		struct banyan_attr attr;
		struct banyan_entry e;
		struct file *f = NULL, *after = NULL;
		banyan_cursor *c = NULL;
		banyan *db = NULL;
		void *value = NULL;
		size_t size = 0;
		OK(fault_file_new(NULL, 0, &f));
		OK(handle_open_file(f, &o, true, &db));
		put(db, "a", "kept");
		banyan *batch = begin(db);
		put(batch, "a", "dropped");
		put(batch, "b", "dropped");
		banyan_data *d = find(batch, "b");
		OK(banyan_close(db));
		assert_int_equal(banyan_put(batch, "c", "x", 1, 0), -ECANCELED);
		assert_int_equal(banyan_get(batch, "a", &value, &size),
				 -ECANCELED);
		assert_int_equal(banyan_get_attr(d, &attr), -ECANCELED);
		assert_int_equal(banyan_write(d, "x", 1, 0, 0, NULL),
				 -ECANCELED);
		assert_int_equal(banyan_scan(banyan_root(batch), NULL, &c),
				 -ECANCELED);
		assert_int_equal(banyan_next(c, &e), -EINVAL);
		banyan_release(d, 1);
		if (how == 0)
			assert_int_equal(banyan_commit(batch), -ECANCELED);
		else if (how == 1)
			banyan_abort(batch);
		else
			(void)banyan_close(batch);
		OK(fault_file_after_kill(f, fault_file_events(f), &after));
		OK(handle_open_file(after, &o, false, &db));
		assert_key(db, "a", "kept");
		assert_key(db, "b", NULL);
		OK(banyan_close(db));
		fault_file_free(after);
		fault_file_free(f);
	}
}

static void an_empty_one_writes_nothing(void **state)
{
	struct banyan_options o = { 0 };
	struct file *f = NULL;
	banyan *db = NULL;
	(void)state;
	OK(fault_file_new(NULL, 0, &f));
	OK(handle_open_file(f, &o, true, &db));
	uint64_t size = fault_file_size(f);
	OK(banyan_commit(begin(db)));
	banyan *batch = begin(db);
	assert_key(batch, "a", NULL);
	assert_int_equal(banyan_remove(batch, "a"), -ENOENT);
	OK(banyan_commit(batch));
	batch = begin(db);
	put(batch, "a", "dropped");
	banyan_abort(batch);
	assert_int_equal(fault_file_size(f), size);
	OK(banyan_close(db));
	fault_file_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_aborted_batch_made_is_gone),
		cmocka_unit_test(a_batch_that_is_full_may_be_committed),
		cmocka_unit_test(several_threads_may_use_one),
		cmocka_unit_test(a_thread_that_ends_in_one_leaves_it_to_others),
		cmocka_unit_test(a_cursor_shows_what_the_batch_has_done),
		cmocka_unit_test(
			what_it_hands_out_can_be_used_whatever_came_since),
		cmocka_unit_test(a_lost_batch_is_not_read),
		cmocka_unit_test(what_a_batch_does_not_have_is_refused),
		cmocka_unit_test(what_is_of_one_handle_is_not_for_another),
		cmocka_unit_test(what_is_held_outside_can_be_held_in_it),
		cmocka_unit_test(
			a_new_data_has_the_attributes_that_it_is_made_with),
		cmocka_unit_test(to_close_a_batch_is_to_abort_it),
		cmocka_unit_test(
			a_batch_whose_database_was_closed_is_cancelled),
		cmocka_unit_test(an_empty_one_writes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
