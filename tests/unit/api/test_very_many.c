/* SPDX-License-Identifier: MIT */
/* Data with more attributes or extents than one operation can change */
#include "api_fixture.h"

#include "api/handle.h"
#include "model/extents.h"
#include "repair/check.h"
#include "tests/support/plant.h"

static void tell(void *arg, const char *line)
{
	(void)arg;
	printf("%s\n", line);
}

/* What banyan_check() would find among the rows */
static int64_t damages(banyan *db)
{
	struct banyan_check options = { .found = tell };
	struct checker k;
	checker_init(&k, &options);
	assert_int_equal(check_now(&k, db->store), 0);
	return k.tell.count;
}

/* A long one is swept in several operations; check took one that was swept in
 * part for damaged */
static void a_half_swept_orphan_is_no_damage(void **state)
{
	banyan *db = NULL;
	char bytes[INLINE_MAX + 1] = { 1 };
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "", 0, 0), 0);
	banyan_data *d = find(db, "a");
	for (uint64_t i = 0; i < 12000; i++)
		assert_int_equal(banyan_write(d, bytes, sizeof(bytes), i * 4096,
					      0, NULL),
				 0);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_remove(db, "a"), 0);
	assert_int_equal(damages(db), 0);
	banyan_release(d, 1);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(damages(db), 0);
	struct banyan_stat st = { 0 };
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.live_bytes, 0);
	assert_int_equal(banyan_close(db), 0);
}

/* All at once they did not fit a record: it could not be deleted at all */
static void a_data_with_very_many_attributes_can_be_deleted(void **state)
{
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	banyan_data *d = find(db, "a");
	plant_attributes(db, banyan_id(d), 14000);
	banyan_release(d, 1);
	assert_int_equal(banyan_remove(db, "a"), 0);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_close(db), 0);
}

/* Names of more than 64 KiB in all: the kernel lists none of them */
static void attributes_that_could_not_be_listed_are_refused(void **state)
{
	static char names[BANYAN_XATTR_LIST_MAX];
	char name[BANYAN_NAME_MAX + 1];
	banyan *db = NULL;
	banyan *batch = NULL;
	unsigned n = 0;
	int rc = 0;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	banyan_data *d = find(db, "a");
	for (; !rc && n < 300; n++) {
		plant_name(name, n);
		rc = banyan_set_xattr(d, name, "v", 1, 0);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(n, sizeof(names) / (BANYAN_NAME_MAX + 1) + 1);
	assert_int_equal(banyan_list_xattr(d, NULL, 0), sizeof(names));
	assert_int_equal(banyan_list_xattr(d, names, sizeof(names)),
			 sizeof(names));
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	/* What is there can be changed, and makes room when it goes */
	assert_int_equal(banyan_set_xattr(d, names, "longer", 6, 0), 0);
	assert_int_equal(banyan_remove_xattr(d, names), 0);
	assert_int_equal(banyan_set_xattr(d, name, "v", 1, 0), 0);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	banyan_release(d, 1);
	/* In a batch what it has changed counts */
	assert_int_equal(banyan_begin(db, &batch), 0);
	d = find(batch, "a");
	assert_int_equal(banyan_remove_xattr(d, name), 0);
	assert_int_equal(banyan_set_xattr(d, name, "v", 1, 0), 0);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	banyan_release(d, 1);
	assert_int_equal(banyan_commit(batch), 0);
	assert_int_equal(banyan_close(db), 0);
}

static void as_many_as_fit_are_listed(void **state)
{
	static char names[BANYAN_XATTR_LIST_MAX];
	unsigned removed = 0;
	ssize_t n = 0;
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "value", 5, 0), 0);
	banyan_data *d = find(db, "a");
	plant_attributes(db, banyan_id(d), 1000);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), -ENOSPC);
	while ((n = banyan_list_xattr(d, names, sizeof(names))) > 0)
		for (ssize_t at = 0; at < n; at += BANYAN_NAME_MAX + 1) {
			assert_int_equal(banyan_remove_xattr(d, names + at), 0);
			removed++;
		}
	assert_int_equal(n, 0);
	assert_int_equal(removed, 1000);
	assert_int_equal(banyan_set_xattr(d, "a", "v", 1, 0), 0);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* A value of so many extents, with a hole behind each */
static banyan_data *put_extents(banyan *db, uint64_t count)
{
	char bytes[INLINE_MAX + 1] = { 1 };
	assert_int_equal(banyan_put(db, "a", "", 0, 0), 0);
	banyan_data *d = find(db, "a");
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(banyan_write(d, bytes, sizeof(bytes), i * 512,
					      0, NULL),
				 0);
	return d;
}

/* More extents than one operation may change: "too large", for a log file to
 * which somebody had appended often enough */
static void a_value_of_very_many_extents_can_be_cut(void **state)
{
	const uint64_t count = 2 * EXTENTS_PER_OPERATION + 1000;
	struct banyan_stat st = { 0 };
	struct banyan_attr attr;
	char bytes[INLINE_MAX + 1] = { 1 };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	banyan_data *d = put_extents(db, count);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	struct banyan_time mtime = attr.mtime;
	/* What the caller says about times holds for each operation that it
	 * takes */
	attr.size = 100;
	assert_int_equal(
		banyan_set_attr(d, &attr,
				BANYAN_SET_SIZE | BANYAN_SET_KEEP_MTIME, NULL),
		0);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	assert_int_equal(attr.size, 100);
	assert_int_equal(attr.mtime.sec, mtime.sec);
	assert_int_equal(attr.mtime.nsec, mtime.nsec);
	assert_int_equal(attr.stored, 100);
	assert_value(db, "a", bytes, 100);
	assert_int_equal(damages(db), 0);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.live_bytes, 100);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
}

/* The same for a hole in it */
static void a_hole_may_take_very_many_extents(void **state)
{
	const uint64_t count = 2 * EXTENTS_PER_OPERATION + 1000;
	struct banyan_attr attr;
	struct banyan_stat st = { 0 };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	banyan_data *d = put_extents(db, count);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	uint64_t size = attr.size;
	assert_int_equal(banyan_punch(d, 512, size - 1024, true), 0);
	assert_int_equal(banyan_seek_data(d, 257), (int64_t)size - 257);
	assert_int_equal(banyan_get_stat(db, &st), 0);
	assert_int_equal(st.live_bytes, 2 * (INLINE_MAX + 1));
	assert_int_equal(banyan_punch(d, 0, size + 1000, false), 0);
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	assert_int_equal(attr.size, size + 1000);
	assert_int_equal(attr.stored, 0);
	assert_int_equal(damages(db), 0);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_half_swept_orphan_is_no_damage),
		cmocka_unit_test(
			a_data_with_very_many_attributes_can_be_deleted),
		cmocka_unit_test(
			attributes_that_could_not_be_listed_are_refused),
		cmocka_unit_test(as_many_as_fit_are_listed),
		cmocka_unit_test(a_value_of_very_many_extents_can_be_cut),
		cmocka_unit_test(a_hole_may_take_very_many_extents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
